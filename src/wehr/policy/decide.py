"""The decision: a message's evidence, what catalogue and ledger say, and the policy, put together."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

from wehr.catalogue.types import Assessment, Note
from wehr.evidence.types import Relation, Sighting
from wehr.policy.clock import excusing
from wehr.policy.compliance import complies
from wehr.policy.policy import Policy
from wehr.policy.refusals import Refusals
from wehr.policy.scope import Scope
from wehr.policy.types import Action, Decision, Episode, Mode, Reason, ServerKey, Standing, Stop

_REASONS = {
    Action.ACCEPT: Reason.OUTSIDE_WINDOW,
    Action.THROTTLE: Reason.THROTTLED,
    Action.BLOCK: Reason.BLOCKED,
}
_UNCLEAR = {"unknown": Reason.UNKNOWN_BUILD, "backported": Reason.REPORT_ONLY_PRODUCT}


def decide(
    sighting: Sighting | None,
    assessment: Assessment | None,
    standing: Standing | None,
    effective: Assessment | None,
    *,
    scope: Scope,
    policy: Policy,
    stops: tuple[Stop, ...] = (),
    key: bytes,
    now: float,
    traced: bool = False,
) -> Decision:
    """What is done with a message that one tenant receives.

    ``assessment`` is of the build that the message shows, ``effective`` of ``standing.effective_build`` (the
    same object where it is the same build), both as of the day of ``now``. None: there is no such build.
    ``standing`` takes account of this message already; None if nothing is remembered: then a server out of
    compliance is at the start of its clock. ``stops`` are the pauses and exemptions of this server, past and
    present. ``key`` places the windows. ``traced``: there was a trace, though perhaps no sighting.

    It never raises on account of what a sender wrote.
    """
    if reason := _no_case(sighting, scope, traced):
        return Decision(Action.ACCEPT, reason)
    if sighting is None or assessment is None:
        return Decision(Action.ACCEPT, Reason.UNKNOWN_BUILD)
    day = datetime.fromtimestamp(now, UTC).date()
    if reason := _acquitted(assessment, standing, effective, policy, day):
        return Decision(Action.ACCEPT, reason)
    server = ServerKey(scope.tenant, sighting.name, sighting.network)
    episode = (standing and standing.episode) or Episode(now, ((now, None),))
    shown = best_shown(assessment, effective, policy, day)
    refusals = Refusals(server, policy, shown, episode, (*policy.stops(shown), *stops), key)
    ladder, number = refusals.reached(now)
    stage = ladder.stages[number - 1]
    action, until, reason = Action.ACCEPT, None, Reason.REPORT_STAGE
    if holder := excusing(refusals.stops, now):
        reason = holder.reason or reason
    elif stage.minutes:
        action, until = refusals.met(now)
        reason = _REASONS[action]
    return Decision(
        action,
        reason,
        scope.mode is Mode.ENFORCE,
        number,
        stage.throttle,
        stage.block,
        until,
        ladder.name,
        scope.mode is Mode.SIMULATE,
    )


def best_shown(assessment: Assessment, effective: Assessment | None, policy: Policy, day: date) -> Assessment:
    """The assessment that a server's ladder and scope go by, given that of one message out of compliance.

    A stamp is a lower bound, so it is the highest build shown, unless that one is compliant (a mixed server).
    """
    if effective is None or effective.build <= assessment.build:
        return assessment
    return effective if complies(effective, policy.compliance, day).ok is False else assessment


def mildest(decisions: Iterable[Decision]) -> Decision:
    """The decision for a message with recipients of several tenants: refuse only what all would refuse.

    Raises:
        ValueError: there is none.
    """
    ordered = sorted(decisions, key=_weight)
    if not ordered:
        raise ValueError("no decision")
    return ordered[0]


def _weight(decision: Decision) -> tuple[int, float]:
    # As soon as one tenant would take the message, it is taken: so the earliest `until` is the true one.
    rank = (Action.ACCEPT, Action.THROTTLE, Action.BLOCK).index(decision.action) if decision.refused else -1
    return rank, float("inf") if decision.until is None else decision.until


def _no_case(sighting: Sighting | None, scope: Scope, traced: bool) -> Reason | None:
    """Why the message is no case for Wehr, if it is none."""
    if scope.skip:
        return scope.skip
    if sighting is None:
        return Reason.OTHER_SOFTWARE if traced else Reason.NO_TRACE
    if sighting.software == "exchange-online":
        return Reason.EXCHANGE_ONLINE
    if sighting.relation is Relation.BEHIND_RELAY:
        return Reason.BEHIND_RELAY
    if sighting.relation is Relation.NONE or (sighting.build is None and sighting.software != "exchange"):
        return Reason.OTHER_SOFTWARE
    return None


def _acquitted(
    assessment: Assessment,
    standing: Standing | None,
    effective: Assessment | None,
    policy: Policy,
    day: date,
) -> Reason | None:
    """Why the server is not out of compliance, or left alone for what it is, if so."""
    verdict = complies(assessment, policy.compliance, day)
    if verdict.ok is None:
        return _UNCLEAR.get(verdict.rule, Reason.CANNOT_TELL)
    if verdict.ok:
        newer = Note.NEWER_THAN_CATALOGUE in assessment.notes
        return Reason.NEWER_THAN_CATALOGUE if newer else Reason.COMPLIANT
    if standing and standing.mixed:
        if policy.mixed != "enforce":
            return Reason.MIXED
    elif standing and (standing.episode is None or standing.episode.intervals[-1][1] is not None):
        # The ledger excuses this stamp: a compliant one stands before it, or on the same day.
        return Reason.COMPLIANT_LATELY
    elif effective is not None and effective.build > assessment.build:
        # A stamp is a lower bound: what the server has shown beyond this one counts.
        latest = complies(effective, policy.compliance, day).ok
        if latest is not False:
            return Reason.COMPLIANT_LATELY if latest else Reason.CANNOT_TELL
    return None if assessment.software in policy.enforce_software else Reason.REPORT_ONLY_PRODUCT

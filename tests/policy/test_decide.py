"""The decision: the order of reasons, the ladder, and the invariants that live in this room."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import DAY, KEY, OLD, START, assessment, day_after, missing, moments, sighting, standing

from wehr.catalogue.types import Note, State
from wehr.evidence.types import Relation
from wehr.policy import Action, Mode, Policy, Reason, Scope, Stop, decide, mildest
from wehr.policy.ladder import PRESETS, Stage, stage_at
from wehr.policy.selection import Wave
from wehr.policy.types import Decision, Episode

ENFORCE = Scope(mode=Mode.ENFORCE)
REPORT = Scope(mode=Mode.REPORT)
GOOD = assessment("15.1.2507.61")
BAD = assessment(OLD)


def decided(
    seen=None, known=BAD, state=None, effective=None, *, days=95.0, scope=ENFORCE, policy=None, stops=()
):
    """The decision on an old Exchange in its last stage, but for what is changed."""
    return decide(
        sighting() if seen is None else seen,
        known,
        standing() if state is None else state,
        effective or known,
        scope=scope,
        policy=policy or Policy(),
        stops=stops,
        key=KEY,
        now=START + days * DAY,
    )


def hour_of(days, **case):
    """The decisions of all minutes of the clock hour that begins after so many days."""
    first = math.ceil((START + days * DAY) / 3600) * 3600
    return [decided(days=(first + 60 * minute - START) / DAY, **case) for minute in range(60)]


@pytest.mark.parametrize(
    ("stage", "day"),
    [(1, 0), (1, 29), (2, 30), (3, 40), (4, 50), (5, 60), (6, 70), (7, 80), (8, 90), (8, 900)],
)
def test_each_stage_refuses_as_many_minutes_as_the_ladder_says(stage, day):
    """Counted over the minutes of an hour: 450s, 550s, and the rest accepted."""
    wanted = PRESETS["exchange-online"].stages[stage - 1]
    hour = hour_of(day + 0.01)

    assert {decision.stage for decision in hour} == {stage}
    assert sum(decision.action is Action.THROTTLE for decision in hour) == wanted.throttle
    assert sum(decision.action is Action.BLOCK for decision in hour) == wanted.block
    assert all(decision.refused == (decision.action is not Action.ACCEPT) for decision in hour)
    assert {(decision.throttle, decision.block) for decision in hour} == {(wanted.throttle, wanted.block)}


def test_report_mode_refuses_nothing_and_tells_what_would_be():
    """The action is what the policy says, but it is not carried out."""
    decision = decided(scope=REPORT)

    assert (decision.action, decision.reason, decision.enforced) == (Action.BLOCK, Reason.BLOCKED, False)
    assert not decision.refused


@pytest.mark.parametrize(
    ("reason", "case"),
    [
        (Reason.AUTHENTICATED, {"scope": Scope(mode=Mode.ENFORCE, skip=Reason.AUTHENTICATED)}),
        (Reason.OFF, {"scope": Scope(mode=Mode.OFF, skip=Reason.OFF)}),
        (Reason.OTHER_SOFTWARE, {"seen": sighting(None, relation=Relation.NONE, software="unknown")}),
        (Reason.OTHER_SOFTWARE, {"seen": sighting(None, software="postfix")}),
        (Reason.EXCHANGE_ONLINE, {"seen": sighting("15.20.1.1", software="exchange-online")}),
        (Reason.BEHIND_RELAY, {"seen": sighting(relation=Relation.BEHIND_RELAY)}),
        (Reason.UNKNOWN_BUILD, {"known": assessment(state=State.UNKNOWN)}),
        (Reason.NEWER_THAN_CATALOGUE, {"known": assessment(notes=(Note.NEWER_THAN_CATALOGUE,))}),
        (Reason.COMPLIANT, {"known": GOOD}),
        (Reason.COMPLIANT_LATELY, {"effective": GOOD}),
        (Reason.MIXED, {"effective": GOOD, "state": standing(mixed=True)}),
        (Reason.REPORT_ONLY_PRODUCT, {"known": assessment(software="mdaemon", missing_updates=(missing(),))}),
        (Reason.REPORT_ONLY_PRODUCT, {"known": assessment(software="exim", backported=True)}),
        (Reason.NOT_IN_SCOPE, {"policy": Policy(waves=(Wave(builds=("8",), since=day_after(0)),))}),
        (Reason.EXEMPT, {"stops": (Stop(START, None, Reason.EXEMPT),)}),
        (Reason.PAUSED, {"stops": (Stop(START + 94 * DAY, START + 96 * DAY, Reason.PAUSED),)}),
        (Reason.REPORT_STAGE, {"days": 3}),
        (Reason.BLOCKED, {}),
    ],
)
def test_each_reason_has_its_case(reason, case):
    """An old Exchange in its last stage is blocked, but for one thing about it."""
    decision = decided(**case)

    assert decision.reason is reason
    assert decision.refused == (reason is Reason.BLOCKED)


def test_an_exchange_without_a_readable_build_is_let_through():
    """No build, no verdict."""
    decision = decide(
        sighting(None), None, standing(), None, scope=ENFORCE, policy=Policy(), key=KEY, now=START + 95 * DAY
    )

    assert decision == Decision(Action.ACCEPT, Reason.UNKNOWN_BUILD)


def test_a_message_without_a_sighting_is_let_through():
    """Nothing was seen at all, or a trace that tells of no software that is known."""
    facts = {"scope": ENFORCE, "policy": Policy(), "key": KEY, "now": START}

    assert decide(None, None, None, None, **facts).reason is Reason.NO_TRACE
    assert decide(None, None, None, None, **facts, traced=True).reason is Reason.OTHER_SOFTWARE


def test_what_the_stamp_does_not_show_convicts_nobody():
    """A stamp from before May 2021 may hide the update."""
    unsure = assessment("15.1.2507.61", missing_updates=(missing(certain=False),))

    assert decided(known=unsure).reason is Reason.CANNOT_TELL


def test_a_first_message_from_an_old_server_is_reported():
    """The ledger has nothing yet: stage 1 begins."""
    decision = decide(
        sighting(), BAD, None, None, scope=ENFORCE, policy=Policy(), key=KEY, now=START + 95 * DAY
    )

    assert (decision.reason, decision.stage) == (Reason.REPORT_STAGE, 1)


def test_a_patched_server_is_let_in_at_once():
    """From the last stage, with its very first message, whatever the ledger still says."""
    assert decided(known=GOOD, effective=BAD).reason is Reason.COMPLIANT


def test_one_stale_stamp_of_a_patched_server_is_not_blocked():
    """Exchange Online answered 550 for 60 minutes of the hour to a patched server for this."""
    assert not any(decision.refused for decision in hour_of(95, effective=GOOD))


def test_a_mixed_server_is_enforced_where_the_operator_says_so():
    """Two machines under one name, and the operator has looked."""
    decision = decided(effective=GOOD, state=standing(mixed=True), policy=Policy(mixed="enforce"))

    assert decision.reason is Reason.BLOCKED


def test_a_newer_build_of_which_nothing_is_known_clears_the_old_stamp():
    """The highest build shown cannot be judged, so neither is the server."""
    odd = assessment("15.9.1.1", state=State.UNKNOWN)

    assert decided(effective=odd).reason is Reason.CANNOT_TELL


def test_software_is_enforced_once_the_operator_says_so():
    """Other software is only reported by default."""
    other = assessment(software="mdaemon")

    assert decided(known=other, policy=Policy(enforce_software=("mdaemon",))).reason is Reason.BLOCKED


def test_during_a_pause_the_stage_stands_and_is_still_told():
    """An operator sees where the server will go on."""
    decision = decided(days=95, stops=(Stop(START + 45 * DAY, START + 100 * DAY, Reason.PAUSED),))

    assert (decision.reason, decision.stage, decision.throttle) == (Reason.PAUSED, 3, 10)


def test_a_wave_gives_the_whole_notice_from_its_day():
    """Servers seen long before come into scope at stage 1."""
    since = day_after(60)
    policy = Policy(waves=(Wave(builds=("15.1",), since=since),))

    assert decided(days=59, policy=policy).reason is Reason.NOT_IN_SCOPE
    assert decided(days=75, policy=policy).reason is Reason.REPORT_STAGE
    assert decided(days=95, policy=policy).stage == 2


def test_enforcement_may_begin_with_stage_one_for_all():
    """`clock_from` spares servers that were reported for months the jump to the last stage."""
    policy = Policy(clock_from=day_after(90))

    assert decided(days=95, policy=policy).reason is Reason.REPORT_STAGE
    assert decided(days=119, policy=policy).stage == 1
    assert decided(days=121, policy=policy).stage == 2


@given(moments)
def test_a_retry_at_the_minute_that_was_named_is_accepted(now):
    """Over all stages, across hours and across the change from one stage to the next."""
    decision = decided(days=(now - START) / DAY)

    if decision.action is Action.ACCEPT:
        assert decision.until is None
    elif decision.until is None:
        assert decision.stage == 8 or stage_at(PRESETS["exchange-online"], now + 3600 - START) == 8
    else:
        assert decision.until > now
        assert decision.until % 60 == 0
        assert decided(days=(decision.until - START) / DAY).action is Action.ACCEPT


def test_a_retry_is_accepted_where_one_hours_stretch_runs_into_the_next():
    """With 55 minutes an hour, one stretch often ends as the next begins: the reply names the later end."""
    policy = Policy(ladder="mine", ladders={"mine": (Stage(None, 55),)})
    joined = 0
    for hour in range(1000):
        turn = (math.ceil(START / 3600) + hour) * 3600
        decision = decided(days=(turn - 30 - START) / DAY, policy=policy)
        if decision.until is not None and decision.until > turn:
            joined += 1
            assert decided(days=(decision.until - START) / DAY, policy=policy).action is Action.ACCEPT

    assert joined > 10


@given(moments, moments)
def test_the_stage_never_falls_in_an_episode(one, other):
    """Later is never milder."""
    early, late = sorted((one, other))

    assert decided(days=(early - START) / DAY).stage <= decided(days=(late - START) / DAY).stage


@given(moments, st.booleans())
def test_every_node_decides_the_same(now, mixed):
    """Equal inputs, equal decision: nothing hidden decides."""
    days = (now - START) / DAY
    state = standing(mixed=mixed)

    assert decided(days=days, state=state) == decided(days=days, state=standing(mixed=mixed))


decisions = st.builds(
    Decision,
    st.sampled_from(Action),
    st.just(Reason.THROTTLED),
    st.booleans(),
    until=st.one_of(st.none(), st.floats(0, 1e9)),
)


@given(st.lists(decisions, min_size=1))
def test_of_several_tenants_only_what_all_would_refuse_is_refused(several):
    """The mildest answer stands, and mail is taken again as soon as one of them takes it."""
    found = mildest(several)

    assert found.refused == all(decision.refused for decision in several)
    if found.refused:
        assert (found.action is Action.BLOCK) == all(it.action is Action.BLOCK for it in several)


def test_a_stamp_that_the_ledger_excuses_is_let_through():
    """The episode has ended and this stamp has not opened it again."""
    ended = standing(started=None, episode=None)
    closed = Episode(START, ((START, START + 45 * DAY),))

    assert decided(state=standing(episode=closed)).reason is Reason.COMPLIANT_LATELY
    assert decided(state=ended).reason is Reason.COMPLIANT_LATELY

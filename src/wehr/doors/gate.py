"""One gate behind all doors: the way of one message, from its trace to the reply, with no turning back."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import msgspec
from msgspec import Struct

from wehr.catalogue import Catalogue
from wehr.evidence import Confidence, Own, Session, Sighting, handover, sighting
from wehr.ledger import Entry, Ledger, reference
from wehr.policy import (
    Action,
    Decision,
    Holds,
    Policy,
    Reason,
    Scope,
    Scoping,
    ServerKey,
    complies,
    decide,
    mildest,
    reply,
)

_DAY = 86_400


class Setting(Struct, frozen=True):
    """What the gate judges by: one value, so that a reload swaps all of it at once."""

    catalogue: Catalogue
    policy: Policy
    scoping: Scoping
    own: Own
    host: str
    """The receiver's name in replies."""
    status_url: str = ""
    """Where the public status pages are, without the reference; empty if there are none."""
    software: frozenset[str] = frozenset({"exchange"})
    """The families that the catalogue knows: nothing is remembered of others."""


class Gate:
    """Asked by every door about every message; decides from memory alone and never waits.

    ``setting``, ``holds`` (pauses and exemptions) and ``secret`` may be replaced at any time.
    ``counts`` holds how many messages got which action for which reason.
    """

    def __init__(
        self,
        setting: Setting,
        ledger: Ledger,
        *,
        secret: bytes,
        clock: Callable[[], float],
        record: Callable[[Entry], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """Put it together.

        Args:
            setting: catalogue, policy and names.
            ledger: what this node remembers.
            secret: the fleet's key, which places windows and makes references.
            clock: the time, as UTC seconds since 1970.
            record: appends a sighting and its decision to the journal; called before the answer is given.
            on_error: told of errors; the message is accepted all the same.
        """
        self.setting = setting
        self.holds = Holds.of(setting.policy, (), ())
        self.counts: Counter[tuple[Action, Reason]] = Counter()
        self._ledger = ledger
        self.secret = secret
        self._clock = clock
        self._record = record
        self._on_error = on_error
        self._today: tuple[float, date] = (0.0, date.min)

    def ask(self, session: Session, trace: Sequence[bytes], queue_id: str) -> str | None:
        """The whole SMTP reply to refuse with, or None to accept. Never raises: an error accepts.

        ``trace`` is the ``Received`` field bodies, top first; ``queue_id`` the mail system's for the message.
        """
        try:
            return self._ask(session, trace, queue_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost the sender's mail
            self.counts[Action.ACCEPT, Reason.INTERNAL_ERROR] += 1
            self._on_error(error)
            return None

    def _ask(self, session: Session, trace: Sequence[bytes], queue_id: str) -> str | None:
        setting = self.setting
        now = self._clock()
        found = handover(trace, session, setting.own)
        if found.client_ip != session.client_ip:
            # A trusted relay stood in between: it is the host before it that scope and exemptions are about.
            session = msgspec.structs.replace(
                session, client_ip=found.client_ip, client_name=found.client_name
            )
        scopes = setting.scoping.resolve(session)
        seen = sighting(found, session, now)
        if seen is None or seen.software not in setting.software:
            decision = decide(
                seen, None, None, None, scope=scopes[0], policy=setting.policy, key=self.secret, now=now
            )
            self.counts[Action.ACCEPT, decision.reason] += 1
            return None
        results = [(self._judge(seen, scope, session, queue_id, now), scope) for scope in scopes]
        decision = mildest(decision for decision, _ in results)
        self.counts[decision.action if decision.refused else Action.ACCEPT, decision.reason] += 1
        if not decision.refused:
            return None
        scope = next(scope for candidate, scope in results if candidate is decision)
        token = reference(ServerKey(scope.tenant, seen.name, seen.network), self.secret)
        return reply(
            decision,
            setting.host,
            software=seen.software,
            url=f"{setting.status_url}/s/{token}" if setting.status_url else "",
            reference=token,
            texts=setting.policy.texts,
        )

    def _judge(self, seen: Sighting, scope: Scope, session: Session, queue_id: str, now: float) -> Decision:
        """One tenant's decision, remembered and written down."""
        setting = self.setting
        if scope.skip:
            return decide(
                seen, None, None, None, scope=scope, policy=setting.policy, key=self.secret, now=now
            )
        if scope.names_client and seen.confidence is Confidence.PLAUSIBLE:
            seen = msgspec.structs.replace(seen, confidence=Confidence.CONFIRMED)
        today = self._day(now)
        key = ServerKey(scope.tenant, seen.name, seen.network)
        assessment = effective = None
        compliant = None
        if seen.build is not None:
            assessment = effective = setting.catalogue.assess(seen.build, today, seen.software)
            compliant = complies(assessment, setting.policy.compliance, today).ok
        self._ledger.observe(key, seen, compliant)
        standing = self._ledger.standing(key, now)
        if standing and standing.effective_build and standing.effective_build != seen.build:
            effective = setting.catalogue.assess(standing.effective_build, today, seen.software)
        stops = self.holds.stops(key, session.client_ip, session.client_name)
        decision = decide(
            seen,
            assessment,
            standing,
            effective,
            scope=scope,
            policy=setting.policy,
            stops=stops,
            key=self.secret,
            now=now,
        )
        self._record(Entry(key, seen, compliant, decision, queue_id))
        return decision

    def _day(self, now: float) -> date:
        """The UTC day of ``now``; it is the same for a hundred thousand messages."""
        start, day = self._today
        if not start <= now < start + _DAY:
            start = now // _DAY * _DAY
            day = datetime.fromtimestamp(start, UTC).date()
            self._today = (start, day)
        return day

"""One gate behind all doors: the way of one message, from its trace to the reply, with no turning back."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import msgspec
from msgspec import Struct

from wehr.catalogue import Catalogue
from wehr.doors.clients import Clients, Terms
from wehr.doors.early import Early
from wehr.doors.probe import REPLY as PROBED
from wehr.doors.probe import is_probe
from wehr.doors.verdict import Verdict
from wehr.evidence import (
    Confidence,
    Own,
    Relation,
    Session,
    Sighting,
    client_network,
    handover,
    sighting,
)
from wehr.evidence.display import printable
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
_OTHERS = frozenset((Reason.OTHER_SOFTWARE, Reason.EXCHANGE_ONLINE))
"""Why a message is no case for Wehr that comes from a system which is known to be another."""


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
    let_through: float = 600.0
    """Seconds between two transactions of a client refused early that go on to the headers."""
    passing: Terms | None = None
    """When clients that show nothing but other systems pass unseen; None: never."""


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
        self._early = Early()
        self.clients = Clients()

    def at(self, door: str) -> "AtDoor":
        """The gate as the door of this name asks it."""
        return AtDoor(self, door)

    def ask(self, session: Session, trace: Sequence[bytes], queue_id: str, door: str = "") -> str | None:
        """The whole SMTP reply to refuse with, or None to accept. Never raises: an error accepts.

        ``trace`` is the ``Received`` field bodies, top first; ``queue_id`` the mail system's for the message.
        """
        return self.verdict(session, trace, queue_id, door).reply

    def verdict(self, session: Session, trace: Sequence[bytes], queue_id: str, door: str = "") -> Verdict:
        """The same with all that stands behind it."""
        try:
            return self._ask(session, trace, queue_id, door)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost the sender's mail
            self._failed(error)
            return Verdict(Decision(Action.ACCEPT, Reason.INTERNAL_ERROR))

    def ask_early(self, session: Session, transaction: str = "", door: str = "") -> str | None:
        """The same before the headers, at MAIL or RCPT, from what is remembered of the client alone.

        Refused is only who is refused all hour anyway, and has shown nothing but that one server. One
        ``transaction`` (the mail system's name for it, the same at all its steps) every few minutes is let
        through to the headers, to see a cure. None leaves the message to them. A refusal is recorded, once a
        transaction, but is no evidence.
        """
        try:
            return self._ask_early(session, transaction, door)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
            return None

    def milters_for(self, client_ip: str) -> str | None:
        """What takes the place of Postfix's ``smtpd_milters`` for the client's next session; None: nothing.

        Only clients pass that were busy for weeks with nothing but other systems' mail, from a network in
        which no server is known; and of their sessions a share is watched. Never raises.
        """
        try:
            return self._milters_for(client_ip)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
            return None

    def _milters_for(self, client_ip: str) -> str | None:
        setting = self.setting
        terms, network = setting.passing, client_network(client_ip)
        if terms is None or not network:
            return None
        for tenant in setting.scoping.tenants:
            for key in self._ledger.in_network(tenant, network):
                state = self._ledger.get(key)
                if state and (state.direct_at or not terms.relays):
                    return None
        passes = self.clients.passes(client_ip, self._clock(), terms, self.secret)
        return terms.milters if passes else None

    def _failed(self, error: Exception) -> None:
        self.counts[Action.ACCEPT, Reason.INTERNAL_ERROR] += 1
        self._on_error(error)

    def _ask(self, session: Session, trace: Sequence[bytes], queue_id: str, door: str) -> Verdict:
        setting = self.setting
        now = self._clock()
        found, client = handover(trace, session, setting.own), session
        if found.client_ip != session.client_ip:
            # A trusted relay stood in between: it is the host before it that scope and exemptions are about.
            # What the relay showed of itself, by HELO and certificate, says nothing of that host.
            session = msgspec.structs.replace(
                session, client_ip=found.client_ip, client_name=found.client_name, helo="", tls_name=""
            )
        scopes = setting.scoping.resolve(session)
        seen = sighting(found, session, now)
        if seen is None or seen.software not in setting.software:
            decision = decide(
                seen,
                None,
                None,
                None,
                scope=scopes[0],
                policy=setting.policy,
                key=self.secret,
                now=now,
                traced=bool(trace),
            )
            if is_probe(trace, client, own=scopes[0].skip is not None, secret=self.secret, now=now):
                return Verdict(msgspec.structs.replace(decision, action=Action.BLOCK), PROBED)
            self.counts[Action.ACCEPT, decision.reason] += 1
            self._early.forget(client, now + setting.policy.memory_days * _DAY)
            # A system that is not recognised proves nothing.
            if setting.passing and client is session and seen and decision.reason in _OTHERS:
                self.clients.saw_other(client.client_ip, now, setting.passing)
            return Verdict(decision)
        if setting.passing and (seen.relation is Relation.DIRECT or not setting.passing.relays):
            self.clients.saw_server(client.client_ip)
        queue_id = printable(queue_id)
        entries = [self._judge(seen, it, session, now, queue_id=queue_id, door=door) for it in scopes]
        decision = mildest(entry.decision for entry in entries)
        for entry, scope in zip(entries, scopes, strict=True):
            if scope.skip is None:
                self._record(entry if decision.refused else _accepted(entry))
        self.counts[decision.action if decision.refused else Action.ACCEPT, decision.reason] += 1
        # Behind a trusted relay it is not the client that is refused.
        all_hour = client is session and _all_hour(decision)
        if not all_hour:
            self._early.forget(client, now + setting.policy.memory_days * _DAY)
        decisive = next(entry for entry in entries if entry.decision is decision)
        if not decision.refused:
            return Verdict(decision, None, decisive)
        keys = {scope.tenant: ServerKey(scope.tenant, seen.name, seen.network) for scope in scopes}
        if all_hour:
            self._early.learn(client, keys, now)
        return Verdict(decision, self._refusal(decision, decisive.key, seen.software), decisive)

    def _refusal(self, decision: Decision, key: ServerKey, software: str) -> str | None:
        setting = self.setting
        token = reference(key, self.secret)
        return reply(
            decision,
            setting.host,
            software=software,
            url=f"{setting.status_url}/s/{token}" if setting.status_url else "",
            reference=token,
            texts=setting.policy.texts,
        )

    def _ask_early(self, session: Session, transaction: str, door: str) -> str | None:
        setting = self.setting
        keys = self._early.known(session)
        policy = setting.policy
        if not keys or (policy.tenants and not session.recipients):
            return None  # nobody could say whose message it will be
        if not session.listener and any(connector.listeners for connector in policy.connectors):
            return None  # or by which way it comes in
        now = self._clock()
        entries = []
        for scope in setting.scoping.resolve(session):
            key = keys.get(scope.tenant)
            if key is None:
                return None
            entry = self._foresee(key, scope, session, now, transaction=transaction, door=door)
            if entry is None or not _all_hour(entry.decision):
                return None
            entries.append(entry)
        first = entries[0]
        state = self._ledger.get(first.key)
        if state is None or self._early.lets_through(
            session, transaction, state.last_seen, now, setting.let_through
        ):
            return None
        if self._early.refuses_first(session, transaction):
            for entry in entries:
                self._record(entry)
            self.counts[first.decision.action, first.decision.reason] += 1
        return self._refusal(first.decision, first.key, first.sighting.software)

    def _foresee(
        self, key: ServerKey, scope: Scope, session: Session, now: float, *, transaction: str, door: str
    ) -> Entry | None:
        """What would be decided if the server showed again what it last showed; None if that is not sure."""
        setting = self.setting
        state, standing = self._ledger.get(key), self._ledger.standing(key, now)
        if state is None or standing is None or standing.effective_build is None:
            return None
        if state.client_ip != session.client_ip or not self._ledger.alone(key):
            return None
        seen = Sighting(
            now,
            key.name,
            key.network,
            state.software,
            standing.effective_build,
            Relation.DIRECT,
            Confidence.PLAUSIBLE,
            session.client_ip,
            printable(session.client_name),
        )
        assessment = setting.catalogue.assess(standing.effective_build, self._day(now), state.software)
        decision = decide(
            seen,
            assessment,
            standing,
            assessment,
            scope=scope,
            policy=setting.policy,
            stops=self.holds.stops(key, session.client_ip, session.client_name),
            key=self.secret,
            now=now,
        )
        # Nothing was shown this time: the entry names what was known, and is no evidence of it.
        known = msgspec.structs.replace(seen, relation=Relation.NONE, confidence=Confidence.NONE)
        return Entry(key, known, None, decision, printable(transaction), door)

    def _judge(
        self, seen: Sighting, scope: Scope, session: Session, now: float, *, queue_id: str, door: str
    ) -> Entry:
        """One tenant's decision, and what is remembered for it."""
        setting = self.setting
        key = ServerKey(scope.tenant, seen.name, seen.network)
        if scope.skip:
            decision = decide(
                seen, None, None, None, scope=scope, policy=setting.policy, key=self.secret, now=now
            )
            return Entry(key, seen, None, decision, queue_id, door)
        if scope.names_client and seen.confidence is Confidence.PLAUSIBLE:
            seen = msgspec.structs.replace(seen, confidence=Confidence.CONFIRMED)
        today = self._day(now)
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
        return Entry(key, seen, compliant, decision, queue_id, door)

    def _day(self, now: float) -> date:
        """The UTC day of ``now``; it is the same for a hundred thousand messages."""
        start, day = self._today
        if not start <= now < start + _DAY:
            start = now // _DAY * _DAY
            day = datetime.fromtimestamp(start, UTC).date()
            self._today = (start, day)
        return day


class AtDoor:
    """The gate as one door asks it: what is decided there stands in the history under the door's name."""

    __slots__ = ("_door", "_gate")

    def __init__(self, gate: Gate, door: str) -> None:
        self._gate = gate
        self._door = door

    def ask(self, session: Session, trace: Sequence[bytes], queue_id: str) -> str | None:
        """As `Gate.ask`."""
        return self._gate.ask(session, trace, queue_id, self._door)

    def verdict(self, session: Session, trace: Sequence[bytes], queue_id: str) -> Verdict:
        """As `Gate.verdict`."""
        return self._gate.verdict(session, trace, queue_id, self._door)

    def ask_early(self, session: Session, transaction: str) -> str | None:
        """As `Gate.ask_early`."""
        return self._gate.ask_early(session, transaction, self._door)

    def milters_for(self, client_ip: str) -> str | None:
        """As `Gate.milters_for`."""
        return self._gate.milters_for(client_ip)


def _accepted(entry: Entry) -> Entry:
    """The entry of a message that was taken: another tenant's word may have been milder than this one's."""
    if not entry.decision.refused:
        return entry
    decision = msgspec.structs.replace(entry.decision, enforced=False)
    return msgspec.structs.replace(entry, decision=decision)


def _all_hour(decision: Decision) -> bool:
    """Whether the server is blocked in every minute: the last stage."""
    return decision.refused and decision.action is Action.BLOCK and decision.block == 60

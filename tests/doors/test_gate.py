"""The gate: one message's way, and what it never does to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import messages
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.catalogue import load
from wehr.doors.gate import Gate, Setting
from wehr.evidence import Confidence, Own, Session, split_headers
from wehr.ledger import Entry, Ledger
from wehr.policy import Action, Holds, Policy, Reason, ServerKey
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption
from wehr.service.clock import SetClock

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
CATALOGUE = load()
CLIENT = Session(client_ip="203.0.113.10", client_name="mail.example.com", helo="mail.example.com")
OUTDATED = split_headers(messages.exchange("15.1.2507.16").encode())
PATCHED = split_headers(messages.exchange("15.2.2562.53").encode())


@dataclass
class Rig:
    """A gate with everything around it in memory."""

    policy: dict[str, object] = field(default_factory=dict)
    own: Own = field(default_factory=Own)

    def __post_init__(self) -> None:
        policy = msgspec.convert({"mode": "enforce", **self.policy}, Policy)
        self.clock = SetClock(START)
        self.entries: list[Entry] = []
        self.errors: list[Exception] = []
        self.record: Callable[[Entry], None] = self.entries.append
        self.ledger = Ledger()
        self.gate = Gate(
            Setting(
                CATALOGUE,
                policy,
                policy.scoping(self.own.networks),
                self.own,
                "mx.example.org",
                software=frozenset(CATALOGUE.software()),
            ),
            self.ledger,
            secret=b"secret",
            clock=self.clock,
            record=lambda entry: self.record(entry),  # noqa: PLW0108 - tests replace it
            on_error=self.errors.append,
        )

    def ask(self, trace: list[bytes] = OUTDATED, session: Session = CLIENT) -> str | None:
        """One message, now."""
        return self.gate.ask(session, trace, "4XyQueue")

    def age(self, trace: list[bytes] = OUTDATED, session: Session = CLIENT) -> None:
        """Show the server for 95 days, to stage 8."""
        for day in range(0, 96, 19):
            self.clock.now = START + day * DAY
            self.ask(trace, session)


def test_what_is_decided_is_written_down_with_its_evidence() -> None:
    """The entry says who, which build, how judged, what was decided, under the queue id."""
    rig = Rig()

    rig.age()

    last = rig.entries[-1]
    assert last.key == ServerKey("default", "ex01.example.com", "203.0.113.0/24")
    assert last.sighting.build == (15, 1, 2507, 16)
    assert last.compliant is False
    assert (last.decision.action, last.decision.reason, last.decision.stage) == (
        Action.BLOCK,
        Reason.BLOCKED,
        8,
    )
    assert last.queue_id == "4XyQueue"
    assert rig.gate.counts[Action.BLOCK, Reason.BLOCKED] == 1


def test_mail_of_systems_that_are_not_in_the_catalogue_is_counted_and_not_kept() -> None:
    """Postfix, Exchange Online and traceless mail cost no memory."""
    rig = Rig()

    for headers in (messages.postfix(), messages.exchange_online(), messages.untraced(), messages.unknown()):
        assert rig.ask(split_headers(headers.encode())) is None

    assert rig.entries == []
    assert len(rig.ledger) == 0
    assert sum(rig.gate.counts.values()) == 4


def test_no_trace_is_told_from_one_of_software_that_is_not_known() -> None:
    """The metric shows which: traceless mail is rare, that of other systems is most of all."""
    rig = Rig()

    for headers in (messages.untraced(), messages.unknown(), messages.postfix()):
        rig.ask(split_headers(headers.encode()))

    assert rig.gate.counts == {
        (Action.ACCEPT, Reason.NO_TRACE): 1,
        (Action.ACCEPT, Reason.OTHER_SOFTWARE): 2,
    }


def test_an_error_accepts_the_message_and_is_told() -> None:
    """A journal that cannot be written costs no mail."""
    rig = Rig()
    rig.age()

    def full(entry: Entry) -> None:
        raise OSError(28, "No space left on device")

    rig.record = full

    assert rig.ask() is None
    assert [type(error) for error in rig.errors] == [OSError]
    assert rig.gate.counts[Action.ACCEPT, Reason.INTERNAL_ERROR] == 1


@given(st.lists(st.binary(max_size=300), max_size=5), st.text(max_size=40), st.text(max_size=40))
def test_no_trace_or_name_makes_the_gate_fail_or_refuse(trace: list[bytes], ip: str, name: str) -> None:
    """Whatever the network says, an unknown sender is taken without an internal error."""
    rig = Rig()

    assert rig.ask(trace, Session(client_ip=ip, client_name=name, helo=name)) is None
    assert rig.errors == []


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (msgspec.structs.replace(CLIENT, authenticated=True), Reason.AUTHENTICATED),
        (msgspec.structs.replace(CLIENT, client_ip="198.51.100.7"), Reason.OWN_NETWORK),
    ],
)
def test_users_and_own_networks_are_never_judged(session: Session, reason: Reason) -> None:
    """Their mail is submission, whatever the trace holds."""
    rig = Rig(own=Own(networks=("198.51.100.0/24",)))

    rig.age(session=session)

    assert rig.ask(session=session) is None
    assert rig.gate.counts[Action.ACCEPT, reason] == 7
    assert rig.entries == []


def test_behind_a_trusted_relay_the_server_before_it_is_judged() -> None:
    """The relay's own hop says who its client was; that client's network is what is enforced."""
    relay = Session(client_ip="192.0.2.25", client_name="gateway.example.org", helo="gateway.example.org")
    hop = (
        b" from mail.example.com (mail.example.com [203.0.113.10])\n"
        b"\tby gateway.example.org (Postfix) with ESMTPS id 4XAbc; Mon, 12 Oct 2026 09:00:00 +0000"
    )
    rig = Rig(own=Own(relays=("192.0.2.25", "gateway.example.org")))

    rig.age([hop, *OUTDATED], relay)

    answer = rig.ask([hop, *OUTDATED], relay)
    assert answer is not None
    assert answer.startswith("550 5.7.230 ")
    assert rig.entries[-1].key.network == "203.0.113.0/24"


def test_what_a_relay_shows_of_itself_confirms_nobody_behind_it() -> None:
    """A connector goes by the host before the relay, not by the relay's certificate, HELO or name."""
    relay = Session(
        client_ip="192.0.2.25",
        client_name="gateway.example.org",
        helo="gateway.example.org",
        tls_name="gateway.example.org",
    )
    hop = (
        b"from x (unknown [203.0.113.9]) by gateway.example.org (Postfix) with ESMTPS id 4Y;"
        b" Mon, 12 Oct 2026 09:00:00 +0000"
    )
    connector = {"name": "gateway", "tls_names": ["gateway.example.org"]}
    rig = Rig({"connectors": [connector]}, own=Own(relays=("192.0.2.25",)))

    rig.ask([hop, *OUTDATED], relay)

    [entry] = rig.entries
    assert (entry.sighting.client_ip, entry.sighting.confidence) == ("203.0.113.9", Confidence.PLAUSIBLE)


def test_only_what_all_tenants_would_refuse_is_refused() -> None:
    """One recipient's organisation that reports only keeps the message coming for both."""
    rig = Rig(
        policy={
            "tenants": [
                {"name": "strict", "domains": ["strict.example"], "mode": "enforce"},
                {"name": "mild", "domains": ["mild.example"], "mode": "report"},
            ]
        }
    )
    strict = msgspec.structs.replace(CLIENT, recipients=("strict.example",))
    both = msgspec.structs.replace(CLIENT, recipients=("strict.example", "mild.example"))

    rig.age(session=both)

    assert rig.ask(session=both) is None
    assert (rig.ask(session=strict) or "").startswith("550 ")


def test_what_another_tenant_takes_is_recorded_as_taken() -> None:
    """The history holds what the client was answered, not what one of the tenants would have said."""
    rig = Rig(
        policy={
            "tenants": [
                {"name": "strict", "domains": ["strict.example"], "mode": "enforce"},
                {"name": "mild", "domains": ["mild.example"], "mode": "report"},
            ]
        }
    )
    both = msgspec.structs.replace(CLIENT, recipients=("strict.example", "mild.example"))

    rig.age(session=both)

    assert rig.entries[-1].decision.action is Action.BLOCK
    assert not any(entry.decision.refused for entry in rig.entries)


def test_simulation_refuses_nothing_and_says_what_it_would() -> None:
    """Mode simulate: the decision is marked, and the message taken."""
    rig = Rig(policy={"mode": "simulate"})

    rig.age()

    assert rig.ask() is None
    last = rig.entries[-1].decision
    assert (last.action, last.enforced, last.simulated) == (Action.BLOCK, False, True)


def test_a_pause_lets_mail_through() -> None:
    """A paused server is taken in stage 8 as in any other."""
    rig = Rig()
    rig.age()
    rig.gate.holds = Holds(pauses=(Pause("p1", "default", rig.clock.now - 60, 3, rig.clock.now - 60),))

    assert rig.ask() is None
    assert rig.entries[-1].decision.reason is Reason.PAUSED


def test_an_exemption_lifts_what_is_in_force() -> None:
    """From 550 to 250 at once, for the network that it names."""
    rig = Rig()
    rig.age()
    exemption = Exemption(
        datetime.fromtimestamp(rig.clock.now, UTC), "they migrate", network="203.0.113.0/24"
    )
    rig.gate.holds = Holds(exemptions=(exemption,))

    assert rig.ask() is None
    assert rig.entries[-1].decision.reason is Reason.EXEMPT


def test_the_cure_counts_at_once() -> None:
    """550, then the patched build: taken, and taken after that with a stamp that lags."""
    rig = Rig()
    rig.age()
    assert (rig.ask() or "").startswith("550 ")

    assert rig.ask(PATCHED) is None
    assert rig.ask() is None
    assert rig.entries[-1].decision.reason is Reason.COMPLIANT_LATELY


def test_a_reply_names_the_status_page_where_there_is_one() -> None:
    """The link holds the server's unguessable reference and nothing else."""
    rig = Rig()
    rig.gate.setting = msgspec.structs.replace(rig.gate.setting, status_url="https://wehr.example.org")
    rig.age()

    answer = rig.ask()

    assert answer is not None
    address = answer.rpartition(" See ")[2]
    assert address.startswith("https://wehr.example.org/s/")
    assert len(address.rpartition("/")[2]) == 16

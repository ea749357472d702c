"""Refused before the headers: who is, and the many who never are."""

import msgspec
import pytest
from gates import DAY, START, Rig, client, trace

from wehr.doors.early import MAX_CLIENTS, Early
from wehr.evidence import Session
from wehr.policy import Action, Holds, Reason, ServerKey
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption

OUTDATED, PATCHED = "15.1.2507.16", "15.2.2562.53"
CLIENT = client()
KEY = ServerKey("default", "ex01.example.com", "203.0.113.0/24")
MINUTE = 60


def blocked(policy: dict[str, object] | None = None, until: int = 95) -> Rig:
    """A gate that has refused a server all hour, a minute ago."""
    rig = Rig(policy)
    for day in (0, 25, 50, 75, 95):
        if day <= until:
            rig.on(day, OUTDATED)
    rig.clock.now += MINUTE
    return rig


def test_who_is_blocked_all_hour_is_refused_before_its_headers() -> None:
    """With the very line that the headers would bring; it is counted and written down."""
    rig = blocked()
    written = len(rig.entries)
    counted = rig.gate.counts[Action.BLOCK, Reason.BLOCKED]

    line = rig.gate.at("policy_service").ask_early(CLIENT, "1a2b.0")

    assert line is not None
    assert line.startswith("550 5.7.230 ")
    assert rig.gate.counts[Action.BLOCK, Reason.BLOCKED] == counted + 1
    (entry,) = rig.entries[written:]
    assert (entry.key, entry.queue_id, entry.door) == (KEY, "1a2b.0", "policy_service")
    assert entry.decision == rig.entries[written - 1].decision
    assert line == rig.ask(trace(OUTDATED))


def test_a_refusal_before_the_headers_is_no_evidence() -> None:
    """No sighting of a build: the server's state stays as it is, so no window grows, and nobody is seen."""
    rig = blocked()
    remembered = rig.ledger.get(KEY)
    for day in range(96, 96 + 8):
        rig.clock.now = START + day * DAY + MINUTE
        assert rig.gate.ask_early(CLIENT, f"let through {day}") is None
        assert rig.gate.ask_early(CLIENT, f"refused {day}")

    assert rig.ledger.get(KEY) == remembered
    early = [entry for entry in rig.entries if not entry.evident]
    assert len(early) == 8
    for entry in early:
        assert entry.compliant is None
        assert not entry.sighting.line
        assert entry.sighting.build == (15, 1, 2507, 16)  # what was known, and why it was refused


def test_a_transaction_is_written_down_once() -> None:
    """However many recipients are refused; without a name each question is one of its own."""
    rig = blocked()
    written = len(rig.entries)
    for transaction in ("a", "a", "a", "b", "", ""):
        assert rig.gate.ask_early(CLIENT, transaction)
    assert [entry.queue_id for entry in rig.entries[written:]] == ["a", "b", "", ""]


def test_who_is_let_through_is_not_written_down() -> None:
    """Its headers will be."""
    rig = blocked()
    rig.clock.now += 10 * MINUTE
    written = len(rig.entries)
    assert rig.gate.ask_early(CLIENT, "a") is None
    assert len(rig.entries) == written


def test_what_cannot_be_written_down_is_not_refused() -> None:
    """A full disk: the message goes on to its headers."""
    rig = blocked()
    errors: list[Exception] = []
    rig.gate._on_error = errors.append

    def full(entry: object) -> None:
        raise OSError("the disk is full")

    rig.gate._record = full
    assert rig.gate.ask_early(CLIENT, "a") is None
    assert len(errors) == 1


@pytest.mark.parametrize("until", [0, 25, 50, 75])
def test_before_the_last_stage_nobody_is(until: int) -> None:
    """Not in the minutes of a 450 or 550 either."""
    rig = blocked(until=until)
    for _ in range(60):
        rig.clock.now += MINUTE
        rig.on((rig.clock.now - START) / DAY, OUTDATED)
        assert rig.gate.ask_early(CLIENT) is None


@pytest.mark.parametrize(
    "other",
    [
        client(name="other.example.com"),
        client("203.0.113.11"),
        client("198.51.100.10"),
        msgspec.structs.replace(CLIENT, authenticated=True),
        Session(),
    ],
)
def test_others_are_left_to_their_headers(other: Session) -> None:
    """Another HELO name, another address, somebody who logged in."""
    assert blocked().gate.ask_early(other) is None


@pytest.mark.parametrize(
    "shown", ["another server", "another software", "no trace", "a cure", "another server, blocked too"]
)
def test_who_has_shown_anything_else_is_left_to_the_headers(shown: str) -> None:
    """The client may be a gateway; for the memory window only headers count."""
    rig = blocked()
    match shown:
        case "another server":
            rig.ask(trace(OUTDATED, "ex02.example.com"))
        case "another software":
            rig.postfix()
        case "no trace":
            rig.ask([])
        case "a cure":
            rig.ask(trace(PATCHED))
        case _:
            rig = Rig()
            for day in (0, 25, 50, 75, 95):
                rig.on(day, OUTDATED)
                rig.on(day, OUTDATED, "ex02.example.com")
            rig.clock.now += MINUTE

    assert rig.gate.ask_early(CLIENT) is None
    for _ in range(3):
        rig.clock.now += MINUTE
        rig.ask(trace(OUTDATED))
        assert rig.gate.ask_early(CLIENT) is None


def test_a_server_that_another_client_shares_its_network_with_is_left_to_the_headers() -> None:
    """It must be the only one known there."""
    rig = blocked()
    rig.ask(trace(PATCHED, "ex09.example.com"), client("203.0.113.99", "ex09.example.com"))
    assert rig.gate.ask_early(CLIENT) is None


def test_a_pause_an_exemption_and_another_mode_hold_at_once() -> None:
    """What is known now decides, not what was when the client was refused."""
    rig = blocked()
    now = rig.clock.now
    assert rig.gate.ask_early(CLIENT)
    rig.gate.holds = Holds.of(rig.gate.setting.policy, (Pause("1", "default", now, 5, now, server=KEY),), ())
    assert rig.gate.ask_early(CLIENT) is None
    exemption = msgspec.convert(
        {"since": "2020-01-01T00:00:00Z", "reason": "x", "network": "203.0.113.10"}, Exemption
    )
    rig.gate.holds = Holds.of(rig.gate.setting.policy, (), (exemption,))
    assert rig.gate.ask_early(CLIENT) is None
    rig.gate.holds = Holds.of(rig.gate.setting.policy, (), ())
    assert rig.gate.ask_early(CLIENT)
    rig.reload({"mode": "report"})
    assert rig.gate.ask_early(CLIENT) is None


def test_one_transaction_in_ten_minutes_goes_on_whole() -> None:
    """At each of its steps; the next one is refused; headers seen meanwhile count as one."""
    rig = blocked()

    def asked(name: str) -> bool:
        return rig.gate.ask_early(CLIENT, name) is None

    assert not asked("a")
    rig.clock.now += 9 * MINUTE
    assert asked("b")
    assert asked("b")
    assert not asked("c")
    assert asked("b")
    rig.clock.now += 5 * MINUTE
    rig.ask(trace(OUTDATED))
    rig.clock.now += 6 * MINUTE
    assert not asked("d")
    rig.clock.now += 4 * MINUTE
    assert asked("e")


def test_a_cure_is_seen_in_ten_minutes() -> None:
    """The transaction let through shows the patched build, and from then on nobody is refused."""
    rig = blocked()
    rig.clock.now += 10 * MINUTE
    assert rig.gate.ask_early(CLIENT, "a") is None
    assert rig.ask(trace(PATCHED)) is None
    for minute in range(30):
        rig.clock.now += MINUTE
        assert rig.gate.ask_early(CLIENT, str(minute)) is None


def test_with_tenants_the_recipient_s_must_refuse_it() -> None:
    """Nobody is refused before a recipient is known, nor for a tenant that never refused it."""
    rig = blocked({"tenants": [{"name": "strict", "domains": ["example.org"]}]})

    def to(*domains: str) -> str | None:
        return rig.gate.ask_early(msgspec.structs.replace(CLIENT, recipients=domains))

    assert to("example.org")
    assert to() is None
    assert to("elsewhere.test") is None
    assert to("example.org", "elsewhere.test") is None


def test_where_connectors_go_by_listener_an_unknown_listener_is_left_to_the_headers() -> None:
    """The policy service is not told of it."""
    rig = blocked({"connectors": [{"name": "partners", "listeners": ["2525"], "mode": "report"}]})
    assert rig.gate.ask_early(CLIENT) is None
    assert rig.gate.ask_early(msgspec.structs.replace(CLIENT, listener="25"))
    assert rig.gate.ask_early(msgspec.structs.replace(CLIENT, listener="2525")) is None


def test_an_error_is_nobody_s_problem() -> None:
    """Told, counted, and left to the headers."""
    rig = blocked()
    told: list[Exception] = []
    rig.gate._on_error = told.append
    rig.gate.holds = None  # type: ignore[assignment]
    assert rig.gate.ask_early(CLIENT) is None
    assert len(told) == 1


def test_memory_is_bounded() -> None:
    """The client learned first goes first."""
    early = Early()
    for number in range(MAX_CLIENTS + 5):
        early.learn(Session(client_ip="203.0.113.10", helo=str(number)), {"default": KEY}, 0.0)
    assert len(early._clients) == MAX_CLIENTS
    assert not early.known(Session(client_ip="203.0.113.10", helo="4"))
    assert early.known(Session(client_ip="203.0.113.10", helo="5"))

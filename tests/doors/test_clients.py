"""Clients that may pass unseen: when, how many of their sessions all the same do not, and what ends it."""

from itertools import pairwise

import msgspec
import pytest
from gates import DAY, START, Rig, client, trace
from hypothesis import given
from hypothesis import strategies as st
from messages import behind_relay, exchange_online, postfix, untraced

from wehr.doors.clients import WINDOW, Busy, Clients, Terms
from wehr.evidence import Own, Session, split_headers

TERMS = Terms(days=14, daily=20, one_in=20)
KEY = b"a secret of sixteen or more bytes"
IP = "192.0.2.77"
PROVIDER = client(IP, "mail.example.com")
OTHER, ONLINE = split_headers(postfix().encode()), split_headers(exchange_online().encode())
OUTDATED, PATCHED = trace("15.1.2507.16"), trace("15.2.2562.53")
BEHIND = split_headers(behind_relay("15.1.2507.16", "mail.example.com").encode())

BUSY = st.builds(Busy, st.integers(20_000, 20_100), st.integers(0, (1 << WINDOW) - 1))


# The days


@given(BUSY, BUSY, BUSY)
def test_days_are_joined_in_any_order_and_any_number_of_times(one: Busy, two: Busy, three: Busy) -> None:
    """So workers' files may be read in any order, and again."""
    assert one.join(two) == two.join(one)
    assert one.join(two).join(three) == one.join(two.join(three))
    assert one.join(two).join(two) == one.join(two)


@given(st.sets(st.integers(20_000, 20_080), min_size=1), st.integers(0, 40))
def test_days_are_counted_inside_the_window(days: set[int], later: int) -> None:
    """Thirty days, today among them."""
    busy = Busy()
    for day in days:
        busy = busy.join(Busy(day, 1))
    today = max(days) + later
    assert busy.count(today) == len({day for day in days if day > today - WINDOW})


# The share


def known(days: int = 14, daily: int = 20) -> Clients:
    """Clients of whom one was busy on so many days up to the start."""
    clients = Clients()
    for day in range(days):
        for _ in range(daily):
            clients.saw_other(IP, START - day * DAY, TERMS)
    return clients


@pytest.mark.parametrize(("days", "daily", "passes"), [(14, 20, True), (13, 20, False), (14, 19, False)])
def test_many_messages_on_many_days_are_needed(days: int, daily: int, passes: bool) -> None:
    """A busy afternoon is not enough, nor one message a day."""
    clients = known(days, daily)
    assert any(clients.passes(IP, START, TERMS, KEY) for _ in range(2)) is passes
    assert not clients.passes("192.0.2.78", START, TERMS, KEY)


def test_of_any_39_sessions_in_a_row_at_least_one_is_watched() -> None:
    """One in twenty; where, is another place in each twenty."""
    clients = known()
    watched = [not clients.passes(IP, START + second, TERMS, KEY) for second in range(20 * 200)]
    assert sum(watched) == 200
    places = [place for place, seen in enumerate(watched) if seen]
    assert max(later - sooner for sooner, later in pairwise(places)) <= 39
    assert len({place % 20 for place in places}) == 20


def test_without_the_key_nobody_knows_which() -> None:
    """Another installation watches others."""
    patterns = []
    for key in (KEY, b"another secret of 16 or more"):
        clients = known()
        patterns.append([clients.passes(IP, START + second, TERMS, key) for second in range(200)])
    assert patterns[0] != patterns[1]


def test_memory_is_bounded_and_who_was_heard_of_lately_stays() -> None:
    """A flood of newcomers drives out newcomers."""
    clients = Clients(most=100)
    for number in range(1000):
        clients.saw_other(IP, START, TERMS)
        clients.saw_other(f"198.51.100.{number}", START, TERMS)
    assert len(clients) == 100
    assert [ip for ip, _ in clients.known()] == [IP]


# Behind the gate


def rig(terms: Terms = TERMS, policy: dict[str, object] | None = None, own: Own | None = None) -> Rig:
    """A gate at which clients may pass."""
    made = Rig(policy)
    made.gate.setting = msgspec.structs.replace(made.gate.setting, passing=terms, own=own or Own())
    return made


def busy(made: Rig, received: list[bytes], days: int = 14, session: Session = PROVIDER) -> Rig:
    """So many days of many messages."""
    for day in range(days):
        made.clock.now = START + day * DAY
        for _ in range(20):
            made.ask(received, session)
    return made


def passes(made: Rig, ip: str = IP) -> bool:
    """Whether any of its next sessions would pass: all twenty of a block are asked about."""
    return any(made.gate.milters_for(ip) == "DISABLE" for _ in range(20))


@pytest.mark.parametrize("received", [OTHER, ONLINE], ids=["postfix", "exchange-online"])
def test_a_provider_passes_after_two_weeks(received: list[bytes]) -> None:
    """Not a day sooner; other addresses of its network do not."""
    assert not passes(busy(rig(), received, 13))
    made = busy(rig(), received)
    assert passes(made)
    assert not passes(made, "192.0.2.78")


@pytest.mark.parametrize(
    "received",
    [OUTDATED, PATCHED, BEHIND, split_headers(untraced().encode()), [b"from a by b; nonsense"]],
    ids=["outdated", "patched", "behind a relay", "no trace", "unknown"],
)
def test_who_shows_anything_else_never_does(received: list[bytes]) -> None:
    """An Exchange of any age, direct or behind it; nor is it proof of anything to show nothing."""
    assert not passes(busy(rig(), received))


@pytest.mark.parametrize(
    "received", [OUTDATED, PATCHED, BEHIND], ids=["outdated", "patched", "behind a relay"]
)
def test_one_message_of_an_exchange_ends_it(received: list[bytes]) -> None:
    """For as long as the server is remembered, and its network with it; then it takes two weeks again."""
    made = busy(rig(), OTHER)
    assert passes(made)
    made.ask(received, PROVIDER)
    assert not passes(made)
    assert not passes(busy(made, OTHER))
    made.clock.now = START + 400 * DAY
    made.ledger.forget(made.clock.now)
    assert not passes(made)


def test_a_server_in_its_network_that_another_node_saw_speaks_against_it() -> None:
    """The ledger is the fleet's, for all tenants."""
    made = busy(rig(policy={"tenants": [{"name": "one", "domains": ["example.net"]}]}), OTHER)
    other = Rig({"tenants": [{"name": "one", "domains": ["example.net"]}]})
    other.ask(OUTDATED, msgspec.structs.replace(client("192.0.2.9"), recipients=("example.net",)))
    ((key, state),) = list(other.ledger)
    assert key.tenant == "one"
    assert passes(made)
    made.ledger.merge(key, state)
    assert not passes(made)


def test_a_relay_of_exchange_servers_passes_only_where_it_is_said() -> None:
    """They are only reported; a direct one still ends it."""
    made = busy(rig(msgspec.structs.replace(TERMS, relays=True)), OTHER)
    made.ask(BEHIND, PROVIDER)
    assert passes(made)
    made.ask(OUTDATED, PROVIDER)
    assert not passes(made)


def test_a_turncoat_is_noticed_within_39_sessions() -> None:
    """After two good weeks it relays for an outdated Exchange: the first watched session ends it."""
    made = busy(rig(), OTHER)
    unseen = 0
    while made.gate.milters_for(IP) == "DISABLE":
        unseen += 1
    made.ask(OUTDATED, PROVIDER)
    assert unseen < 39
    assert not passes(made)


@pytest.mark.parametrize("why", ["authenticated", "own network", "trusted relay", "off"])
def test_what_is_not_looked_at_proves_nothing(why: str) -> None:
    """Submission, one's own hosts, mail that a trusted relay brings, and where Wehr is off."""
    session, own, policy = PROVIDER, Own(), {}
    match why:
        case "authenticated":
            session = msgspec.structs.replace(PROVIDER, authenticated=True)
        case "own network":
            own = Own(networks=("192.0.2.0/24",))
        case "trusted relay":
            own = Own(relays=(IP,))
        case _:
            policy = {"mode": "off"}
    made = rig(policy=policy, own=own)
    if why == "own network":
        made.gate.setting = msgspec.structs.replace(
            made.gate.setting, scoping=made.gate.setting.policy.scoping(own.networks)
        )
    relayed = [b"from mail.example.net (unknown [198.51.100.7]) by mail.example.com (Postfix); x", *OTHER]
    assert not passes(busy(made, relayed if why == "trusted relay" else OTHER, session=session))


def test_closed_nobody_passes() -> None:
    """The default: nothing is remembered either."""
    made = busy(Rig(), OTHER)
    assert not passes(made)
    assert len(made.gate.clients) == 0


def test_an_error_leaves_everybody_to_the_milter() -> None:
    """Told and counted."""
    made = busy(rig(), OTHER)
    told: list[Exception] = []
    made.gate._on_error = told.append
    made.gate.clients = None  # type: ignore[assignment]
    assert made.gate.milters_for(IP) is None
    assert len(told) == 1
    assert made.gate.milters_for("nonsense") is None

"""Guessing takes ever longer, and costs us no memory."""

from hypothesis import given
from hypothesis import strategies as st

from wehr.web.access.attempts import Attempts, network_of

NOW = 1_795_000_000.0


def test_each_wait_is_twice_as_long_up_to_a_bound() -> None:
    """An account waits minutes at most, or anybody could keep its owner out; a network an hour."""
    attempts, waits, now = Attempts(), [], NOW
    for _ in range(40):
        attempts.failed("anna", "192.0.2.1", now)
        waits.append(attempts.wait("anna", "192.0.2.1", now))
        now += waits[-1]

    assert waits[:4] == [0.0] * 4
    assert waits[4:8] == [2.0, 4.0, 8.0, 16.0]
    assert max(waits) <= 3600.0
    account_only = attempts.wait("anna", "198.51.100.1", now - waits[-1])
    assert account_only == 300.0


def test_a_network_waits_whichever_accounts_it_tries() -> None:
    """Twenty failures are free, for many people may sit behind one address."""
    attempts = Attempts()
    for number in range(19):
        attempts.failed(f"user{number}", "192.0.2.1", NOW)
    assert attempts.wait("anna", "192.0.2.1", NOW) == 0.0
    attempts.failed("user19", "192.0.2.1", NOW)

    assert attempts.wait("anna", "192.0.2.1", NOW) == 2.0
    assert attempts.wait("anna", "192.0.2.2", NOW) == 0.0


def test_a_success_forgets_an_accounts_failures_but_not_its_networks() -> None:
    """Or a guesser with an account of his own could go on for ever."""
    attempts = Attempts()
    for number in range(19):
        attempts.failed(f"user{number}", "192.0.2.1", NOW)
    attempts.failed("guesser", "192.0.2.1", NOW)
    attempts.succeeded("guesser", "192.0.2.1")
    attempts.failed("anna", "192.0.2.1", NOW)

    assert attempts.wait("guesser", "192.0.2.1", NOW) > 0.0


def test_old_failures_no_longer_count() -> None:
    """After an hour."""
    attempts = Attempts()
    for _ in range(5):
        attempts.failed("anna", "192.0.2.1", NOW)
    attempts.failed("anna", "192.0.2.1", NOW + 3601)

    assert attempts.wait("anna", "192.0.2.1", NOW + 3601) == 0.0


def test_its_memory_is_bounded() -> None:
    """However many names are tried."""
    attempts = Attempts()
    for number in range(20_000):
        attempts.failed(f"user{number}", f"2001:db8:{number:x}::1", NOW)

    assert len(attempts._known) <= 10_000


def test_a_network_is_what_a_guesser_has_to_himself() -> None:
    """An IPv4 address, mapped or not, or an IPv6 /64."""
    assert network_of("192.0.2.1") == network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert network_of("nonsense") == ""


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=5), st.floats(0, 1e10)), max_size=60))
def test_it_never_fails_and_never_waits_longer_than_an_hour(tries: list[tuple[str, str, float]]) -> None:
    """Whatever is tried, and however the clock runs."""
    attempts = Attempts()
    for name, client, at in tries:
        attempts.failed(name, client, at)
        assert 0.0 <= attempts.wait(name, client, at) <= 3600.0

"""Lists of hosts: who is on them, by name, suffix or network."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from wehr.evidence.lists import Names, Networks, entries_for, network_key

NAMES = st.lists(st.sampled_from(["a", "b", "mx", "", "example"]), min_size=1, max_size=4).map(".".join)
ENTRIES = st.lists(st.tuples(st.sampled_from(["", "."]), NAMES).map("".join), max_size=4)
NETWORKS = st.sampled_from(
    ["192.0.2.0/24", "192.0.2.7", "192.0.0.0/16", "192.0.2.0/25", "0.0.0.0/0", "2001:db8::/32", "2001:db8::1"]
)


def test_names_match_exactly_or_below_a_dot() -> None:
    """A leading dot stands for every name below; case and a final dot do not matter."""
    names = Names(("MX.example.com.", ".example.net"))
    assert "mx.example.com" in names
    assert "a.b.example.net" in names
    assert not any(name in names for name in ("", "example.net", "notexample.net", "x.mx.example.com"))


def test_networks_hold_addresses_of_both_kinds() -> None:
    """Networks and single addresses, IPv4 (mapped too) and IPv6."""
    networks = Networks(("192.0.2.0/24", "198.51.100.7", "2001:db8::/32"))
    assert all(ip in networks for ip in ("192.0.2.255", "198.51.100.7", "2001:db8::1", "::ffff:192.0.2.1"))
    assert not any(ip in networks for ip in ("", "192.0.3.0", "198.51.100.8", "2001:db9::1", "nonsense"))


@given(ENTRIES, NAMES)
def test_the_entries_for_a_name_are_those_that_hold_it(entries: list[str], name: str) -> None:
    """Look-up from either side says the same."""
    wanted = {entry.rstrip(".") for entry in entries} - {""}
    assert (name in Names(entries)) is not wanted.isdisjoint(entries_for(name))


def test_the_nearest_entry_for_a_name_comes_first() -> None:
    """Its own name before suffixes, the longest suffix before the others."""
    assert list(entries_for("MX.north.example.")) == ["mx.north.example", ".north.example", ".example"]


@given(st.lists(NETWORKS, max_size=4), st.sampled_from(["192.0.2.7", "192.0.2.200", "2001:db8::1", "no"]))
def test_the_networks_around_an_address_are_those_that_it_is_in(entries: list[str], ip: str) -> None:
    """As `ipaddress` has it, one by one."""
    inside = [] if ip == "no" else [it for it in entries if ip_address(ip) in ip_network(it)]
    assert set(Networks(entries).around(ip)) == set(map(network_key, inside))
    assert (ip in Networks(entries)) is bool(inside)

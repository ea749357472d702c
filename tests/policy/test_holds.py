"""Holds: the look-up of stops finds what reading everything finds."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import DAY, START

from wehr.policy import Holds, Reason, ServerKey, Stop
from wehr.policy.pauses import Pause, granted
from wehr.policy.scope import Exemption, exemption_stops

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
SERVERS = st.builds(
    ServerKey,
    st.sampled_from(["default", "north"]),
    st.sampled_from(["ex01.corp.example", "ex01", "mail.example.org", "192.0.2.7"]),
    st.sampled_from(["192.0.2.0/24", "198.51.100.0/24", "2001:db8:1::/48", "2001:db8:2::/48"]),
)
PAUSES = st.lists(
    st.builds(
        lambda name, tenant, start, days, asked, server: Pause(
            name, tenant, START + start * DAY, days, START + asked * DAY, server
        ),
        st.text("abcdefgh", min_size=1, max_size=3),
        st.sampled_from(["default", "north"]),
        st.integers(0, 60),
        st.integers(1, 60),
        st.integers(0, 9),
        st.none() | SERVERS,
    ),
    max_size=9,
    unique_by=lambda pause: pause.id,
).map(tuple)
EXEMPTIONS = st.lists(
    st.builds(
        dict,
        tenant=st.sampled_from(["", "north"]),
        server=st.sampled_from(["", "", "EX01.", "ex01.corp.example", "192.0.2.7"]),
        network=st.sampled_from(
            [
                "",
                "",
                "192.0.2.7",
                "192.0.2.128/25",
                "192.0.0.0/16",
                "0.0.0.0/0",
                "2001:db8:1:2::3",
                "2001:db8::/32",
            ]
        ),
        domain=st.sampled_from(["", "", "Corp.example", ".example.org.", "example", "7"]),
    ).filter(lambda conditions: conditions["server"] or conditions["network"] or conditions["domain"]),
    max_size=9,
).map(
    lambda found: tuple(
        Exemption(SINCE, str(number), **conditions) for number, conditions in enumerate(found)
    )
)
CLIENTS = st.tuples(
    st.sampled_from(["", "192.0.2.7", "192.0.2.200", "2001:db8:1:2::3", "nonsense"]),
    st.sampled_from(["", "out.corp.example", "Mail.Example.org.", "example.org"]),
)


@given(PAUSES, EXEMPTIONS, st.integers(0, 90), SERVERS, CLIENTS)
def test_what_is_looked_up_is_what_reading_all_of_it_finds(pauses, exemptions, quota, server, client):
    """In the same order: by request, and as written."""
    paused = tuple(
        Stop(start, end, Reason.PAUSED)
        for pause, start, end in granted(pauses, server.tenant, quota)
        if pause.server in (None, server)
    )
    exempt = exemption_stops(exemptions, server, *client)

    assert Holds(pauses, exemptions, quota).stops(server, *client) == paused + exempt


@pytest.mark.parametrize(
    ("inside", "network"), [("192.0.2.128/25", "192.0.2.0/24"), ("2001:db8:1:2::/64", "2001:db8:1::/48")]
)
def test_an_exemption_inside_a_servers_network_stops_its_clock(inside, network):
    """It excuses only messages from the addresses that it names."""
    holds = Holds((), (Exemption(SINCE, "a", network=inside),))
    server = ServerKey("default", "ex01", network)

    assert [it.reason for it in holds.stops(server, inside.partition("/")[0])] == [Reason.EXEMPT]
    assert [it.reason for it in holds.stops(server, "198.51.100.9")] == [None]


@pytest.mark.parametrize("written", ["Xen.example", ".xen.example", "xen.example.", ".XEN.EXAMPLE."])
@pytest.mark.parametrize("name", ["xen.example", "mail.xen.example"])
def test_an_exempt_domain_is_found_however_it_is_written(written, name):
    """Itself and all below it."""
    holds = Holds((), (Exemption(SINCE, "a", domain=written),))

    assert len(holds.stops(ServerKey("default", name, "192.0.2.0/24"))) == 1
    assert len(holds.stops(ServerKey("default", "ex01", "192.0.2.0/24"), "192.0.2.7", name)) == 1
    assert holds.stops(ServerKey("default", "ohxen.example", "192.0.2.0/24")) == ()


def test_a_server_without_a_network_is_exempt_by_its_name_alone():
    """An address that nobody can read is in no network."""
    by_name, by_network = Exemption(SINCE, "a", server="ex01"), Exemption(SINCE, "b", network="0.0.0.0/0")

    assert len(Holds((), (by_name, by_network)).stops(ServerKey("default", "ex01", ""))) == 1

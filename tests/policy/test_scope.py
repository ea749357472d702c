"""Scope: tenants, connectors and exemptions; what fits whom."""

from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import SERVER

from wehr.evidence.types import Session
from wehr.policy.scope import Connector, Exemption, Scope, Scoping, Tenant, exemption_stops, spellings
from wehr.policy.types import Mode, Reason, ServerKey, Stop

NORTH = Tenant("north", ("north.example", ".north.example"), Mode.ENFORCE)
SOUTH = Tenant("south", ("south.example",), Mode.OFF)
SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def scopes(session=None, *, tenants=(NORTH, SOUTH), connectors=(), own=(), mode=Mode.REPORT, **facts):
    """The scopes of a session with these facts."""
    return Scoping(mode, tenants, connectors, own).resolve(session or Session(**facts))


def test_a_plain_installation_has_one_tenant_in_the_policys_mode():
    """Nothing is configured: everything is matched and reported."""
    assert scopes(tenants=(), recipients=("a.example",)) == (Scope(),)
    assert scopes(tenants=(), mode=Mode.ENFORCE) == (Scope(mode=Mode.ENFORCE),)
    assert scopes(tenants=(), mode=Mode.OFF) == (Scope(mode=Mode.OFF, skip=Reason.OFF),)


def test_mail_for_several_tenants_has_a_scope_for_each():
    """Each in its own mode; domains that nobody names are the default tenant's."""
    found = scopes(recipients=("south.example", "north.example", "x.north.example", "other.example"))

    assert [(scope.tenant, scope.mode) for scope in found] == [
        ("default", Mode.REPORT),
        ("north", Mode.ENFORCE),
        ("south", Mode.OFF),
    ]


def test_a_tenant_domain_covers_its_subdomains_only_with_a_leading_dot():
    """As in Postfix's access tables."""
    assert scopes(recipients=("deep.x.north.example",))[0].tenant == "north"
    assert scopes(recipients=("x.south.example",))[0].tenant == "default"
    assert scopes(recipients=("othernorth.example",))[0].tenant == "default"


def test_the_dot_of_the_root_makes_no_other_name():
    """As people copy names from zone files."""
    rooted = Tenant("rooted", ("North.Example.", ".west.example."))

    assert scopes(tenants=(rooted,), recipients=("north.example",))[0].tenant == "rooted"
    assert scopes(tenants=(rooted,), recipients=("x.west.example",))[0].tenant == "rooted"


@pytest.mark.parametrize(
    "written",
    ["b\u00fccher.example", "B\u00dcCHER.example.", "bu\u0308cher\u3002example", "xn--bcher-kva.example"],
)
@pytest.mark.parametrize("recipient", ["b\u00fccher.example", "xn--bcher-kva.example"])
def test_a_tenant_domain_is_found_in_either_of_its_spellings(written: str, recipient: str):
    """An envelope has U-labels where SMTPUTF8 was asked for, A-labels everywhere else."""
    tenant = Tenant("books", (written,))
    below = Tenant("books", (f".{written}",))

    assert scopes(tenants=(tenant,), recipients=(recipient,))[0].tenant == "books"
    assert scopes(tenants=(below,), recipients=(f"www.{recipient}",))[0].tenant == "books"
    assert scopes(tenants=(below,), recipients=(recipient,))[0].tenant == "default"


@pytest.mark.parametrize("domain", ["_tcp.north.example", "xn--zzzzzz.example", "a_b.example", ""])
def test_a_domain_without_another_spelling_stays_what_it_is(domain: str):
    """What a mail system takes mail for need not be a host's name, nor an A-label of today."""
    assert spellings(domain) == {domain}


def test_an_exemption_may_name_a_domain_of_one_letter_and_none_that_is_only_dots():
    """The error says what is wanted."""
    assert exemption_stops(
        (Exemption(since=SINCE, reason="asked", domain="X"),), ServerKey("t", "mail.x", "192.0.2.0/24")
    )
    with pytest.raises(ValueError, match=r"such as example.org, not '\.\.'"):
        Exemption(since=SINCE, reason="asked", domain="..")


def test_a_tenant_domain_of_impossible_letters_is_an_error_of_the_configuration():
    """It names the domain."""
    with pytest.raises(ValueError, match="is no domain"):
        Tenant("books", ("b\u00fc cher.example",))


@pytest.mark.parametrize(
    ("reason", "facts"),
    [
        (Reason.AUTHENTICATED, {"authenticated": True}),
        (Reason.OWN_NETWORK, {"client_ip": "10.1.2.3"}),
        (Reason.OWN_NETWORK, {"client_ip": "::ffff:10.1.2.3"}),
        (Reason.OFF, {"recipients": ("south.example",)}),
        (None, {"client_ip": "192.0.2.1", "recipients": ("north.example",)}),
        (None, {"client_ip": "not an address"}),
    ],
)
def test_what_is_no_case_is_skipped(reason, facts):
    """Submission, one's own hosts, and where Wehr is off."""
    assert scopes(own=("10.0.0.0/8",), **facts)[0].skip is reason


@pytest.mark.parametrize(
    ("conditions", "facts", "fits"),
    [
        ({"networks": ("192.0.2.0/24",)}, {"client_ip": "192.0.2.9"}, True),
        ({"networks": ("192.0.2.0/24",)}, {"client_ip": "198.51.100.9"}, False),
        ({"networks": ("2001:db8::/32",)}, {"client_ip": "2001:db8::1"}, True),
        ({"networks": ("192.0.2.9",)}, {"client_ip": ""}, False),
        ({"client_names": ("mail.partner.example",)}, {"client_name": "Mail.Partner.example."}, True),
        ({"client_names": ("mail.partner.example.",)}, {"client_name": "mail.partner.example"}, True),
        ({"client_names": (".partner.example",)}, {"client_name": "a.partner.example"}, True),
        ({"client_names": (".partner.example",)}, {"client_name": "partner.example"}, False),
        ({"client_names": ("partner.example",)}, {"helo": "partner.example"}, False),
        ({"tls_names": ("partner.example",)}, {"tls_name": "partner.example"}, True),
        ({"tls_names": ("partner.example",)}, {"tls_name": ""}, False),
        ({"listeners": ("hybrid",)}, {"listener": "hybrid"}, True),
        ({"listeners": ("hybrid",)}, {"listener": "mx"}, False),
        ({}, {}, True),
        (
            {"networks": ("192.0.2.0/24",), "listeners": ("hybrid",)},
            {"client_ip": "192.0.2.9", "listener": "mx"},
            False,
        ),
    ],
)
def test_a_connector_fits_who_meets_every_condition_it_names(conditions, facts, fits):
    """Only on what the mail system itself has verified: never on HELO."""
    found = scopes(connectors=(Connector("partner", **conditions),), **facts)

    assert (found[0].connector == "partner") is fits


def test_the_first_connector_that_fits_counts_and_its_mode_goes_first():
    """Connector before tenant before policy; a connector's tenant before the recipients'."""
    connectors = (
        Connector("one", tenant="north", mode=Mode.REPORT, listeners=("a",)),
        Connector("two", mode=Mode.ENFORCE),
        Connector("never"),
    )
    first = scopes(connectors=connectors, listener="a", recipients=("south.example",))
    second = scopes(connectors=connectors, recipients=("south.example",))

    assert first == (Scope("north", Mode.REPORT, "one"),)
    assert second == (Scope("south", Mode.ENFORCE, "two"),)


NETWORKS = st.lists(
    st.sampled_from(["192.0.2.0/24", "192.0.2.9", "2001:db8::/32", "198.51.100.0/24"]), max_size=2
)
HOSTS = st.sampled_from(["", "mx.example", "MX.example.", "a.mx.example", "xmx.example"])
LISTED = st.lists(st.sampled_from(["mx.example", ".mx.example", ".Example.", "other.example"]), max_size=2)
CONNECTORS = st.lists(
    st.builds(
        lambda *listed: Connector("", "", None, *map(tuple, listed)),
        NETWORKS,
        LISTED,
        LISTED,
        st.lists(st.sampled_from(["mx", "hybrid"]), max_size=1),
    ),
    max_size=6,
)
SESSIONS = st.builds(
    Session,
    client_ip=st.sampled_from(["", "192.0.2.9", "192.0.2.10", "::ffff:198.51.100.1", "2001:db8::1", "no"]),
    client_name=HOSTS,
    tls_name=HOSTS,
    listener=st.sampled_from(["", "mx"]),
)


def fits(item: Connector, session: Session) -> bool:
    """Whether a connector fits, read plainly."""

    def listed(name, wanted):
        name, wanted = name.lower().rstrip("."), [it.lower().rstrip(".") for it in wanted]
        return any(name.endswith(it) if it[0] == "." else name == it for it in wanted)

    ip = session.client_ip.removeprefix("::ffff:")
    within = any(ip not in ("", "no") and ip_address(ip) in ip_network(it) for it in item.networks)
    return (
        (not item.networks or within)
        and (not item.client_names or listed(session.client_name, item.client_names))
        and (not item.tls_names or listed(session.tls_name, item.tls_names))
        and (not item.listeners or session.listener in item.listeners)
    )


@given(CONNECTORS, SESSIONS)
def test_the_connector_found_is_the_first_that_fits_when_all_are_asked(connectors, session):
    """Looked up by network or name, or held against each of them."""
    named = [msgspec.structs.replace(item, name=str(number)) for number, item in enumerate(connectors)]
    expected = next((item.name for item in named if fits(item, session)), "")

    assert scopes(session, connectors=named)[0].connector == expected


def test_a_connector_names_its_client_unless_it_goes_by_the_listener_alone():
    """What a known client stamps is confirmed; anybody may come in by a listener."""
    known = Connector("known", networks=("192.0.2.0/24",))
    anybody = Connector("anybody", listeners=("mx",))

    assert scopes(connectors=(known,), client_ip="192.0.2.1")[0].names_client
    assert not scopes(connectors=(anybody,), listener="mx")[0].names_client


def test_a_connector_of_a_tenant_that_does_not_exist_is_refused():
    """A slip in the configuration is found when it is read."""
    with pytest.raises(ValueError, match="west"):
        scopes(connectors=(Connector("lost", tenant="west"),))


def stops(client_ip="192.0.2.7", client_name="", **conditions):
    """What one exemption means for the server."""
    item = Exemption(since=SINCE, reason="migration", **conditions)
    return exemption_stops((item,), SERVER, client_ip, client_name)


EXCUSED = (Stop(SINCE.timestamp(), None, Reason.EXEMPT),)
CLOCK_ONLY = (Stop(SINCE.timestamp(), None, None),)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"server": "EX01.corp.example"}, EXCUSED),
        ({"server": "ex01.corp.example."}, EXCUSED),
        ({"server": "ex02.corp.example"}, ()),
        ({"domain": "corp.example"}, EXCUSED),
        ({"domain": "orp.example"}, ()),
        ({"domain": "partner.example", "client_name": "out.partner.example"}, EXCUSED),
        ({"domain": ".partner.example.", "client_name": "OUT.Partner.Example."}, EXCUSED),
        ({"network": "192.0.2.0/24"}, EXCUSED),
        ({"network": "192.0.0.0/16"}, EXCUSED),
        ({"network": "192.0.2.7"}, EXCUSED),
        ({"network": "192.0.2.8"}, CLOCK_ONLY),
        ({"network": "198.51.100.0/24"}, ()),
        ({"network": "2001:db8::/32"}, ()),
        ({"server": "ex01.corp.example", "network": "198.51.100.0/24"}, ()),
        ({"tenant": "default", "domain": "corp.example"}, EXCUSED),
        ({"tenant": "north", "domain": "corp.example"}, ()),
    ],
)
def test_an_exemption_fits_who_meets_every_condition_it_names(conditions, expected):
    """Narrower than the server's network it stops the clock, but excuses only the addresses it names."""
    assert stops(**conditions) == expected


def test_an_exemption_ends_when_it_says():
    """The stop has its end, so that the clock goes on from there."""
    until = datetime(2026, 12, 1, tzinfo=UTC)

    assert stops(server=SERVER.name, until=until)[0].end == until.timestamp()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"network": "192.0.2.0/33"},
        {"server": "a", "until": "2026-11-01T00:00:00Z"},
        {"server": "a", "reason": ""},
        {"domain": "."},
        {"server": "a", "since": "2026-11-01T00:00:00"},
    ],
)
def test_an_exemption_that_makes_no_sense_is_refused(wrong):
    """For nobody, with an unreadable network, without length, reason or time zone."""
    values = {"since": "2026-11-01T00:00:00Z", "reason": "because"} | wrong

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, Exemption)


def test_an_exemption_made_in_the_code_can_be_read_again():
    """What msgspec would refuse to read is refused when it is made, lest it lock the store that keeps it."""
    with pytest.raises(ValueError, match="reason"):
        Exemption(since=SINCE, reason="", server="a")


def test_the_same_internal_name_in_two_networks_is_two_servers():
    """An exemption of one EX01.corp.example by network leaves the other alone."""
    item = Exemption(since=SINCE, reason="migration", server=SERVER.name, network="192.0.2.0/24")
    other = ServerKey("default", SERVER.name, "198.51.100.0/24")

    assert exemption_stops((item,), SERVER) == EXCUSED
    assert exemption_stops((item,), other) == ()

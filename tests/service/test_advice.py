"""What is legal but odd: each oddity is told with its line, its key and a remedy, and nothing else is."""

from datetime import UTC, datetime
from textwrap import dedent

import pytest

from wehr.catalogue import load
from wehr.service.advice import Seen, advise, enforces
from wehr.service.config import Config, parse

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
CATALOGUE = load()
ENFORCE = 'contact = "postmaster@example.org"\npolicy.mode = "enforce"\n'


def warned(text, *, now=NOW, seen=None):
    """The warnings on a configuration, as they are printed."""
    text = dedent(text)
    return [it.located(text, "wehr.toml") for it in advise(parse(text, "wehr.toml"), CATALOGUE, now, seen)]


def only(text, **more):
    """The one warning."""
    [found] = warned(text, **more)
    return found


@pytest.mark.parametrize("text", ["", ENFORCE, 'status_url = "https://wehr.example.org"'])
def test_what_is_not_odd_is_not_warned_of(text):
    """The defaults and plain enforcement among them; a store that holds nothing odd changes nothing."""
    assert warned(text) == []
    assert warned(text, seen=Seen(1000, "192.0.2.1", 500, 0)) == []


def test_the_defaults_need_no_file():
    """Nothing is odd before anything is written."""
    assert advise(Config(), CATALOGUE, NOW) == ()


def test_a_milter_map_is_warned_of():
    """How Postfix asks decides what a Wehr that hangs does to it; DISABLE is more than one may think."""
    text = 'socketmap.listen = ["127.0.0.1:8897"]'
    assert only(text).startswith(
        "wehr.toml:1: socketmap.listen: asked by a socketmap, a Wehr that hangs has every"
    )
    assert only(text).endswith("DISABLE turns off other milters as well")
    assert "DISABLE" not in only(f'{text}\nsocketmap.milters = "inet:127.0.0.1:11332"')


@pytest.mark.parametrize(
    "text",
    [
        'policy.mode = "enforce"',
        '[[policy.tenants]]\nname = "a"\nmode = "enforce"',
        '[[policy.connectors]]\nname = "a"\nmode = "enforce"',
    ],
)
def test_enforcement_without_a_contact_is_odd(text):
    """Wherever enforcement is switched on."""
    assert only(text).startswith("wehr.toml: contact: mail is refused, and nobody is named")
    assert enforces(parse(text, "x").policy)


def test_enforcement_by_a_stale_catalogue_is_odd():
    """Told where it is switched on; a catalogue that is old to a report is not."""
    later = NOW + 90 * 86_400

    assert only(ENFORCE, now=later).startswith(
        "wehr.toml:2: policy.mode: mail is refused by a catalogue of 2026-"
    )
    assert "wehr catalogue import" in only(ENFORCE, now=later)
    assert warned("", now=later) == []
    assert warned(ENFORCE + "catalogue.stale_after = 365\n", now=later) == []


def test_servers_that_would_be_refused_at_once_are_told():
    """With the day that would spare them; not where a day is set, or nothing is enforced."""
    seen = Seen(refused_at_once=3)

    found = only(ENFORCE, seen=seen)
    assert "policy.clock_from: 3 servers" in found
    assert "set clock_from = 2026-11-21" in found
    assert warned(ENFORCE + "policy.clock_from = 2026-11-21\n", seen=seen) == []
    assert warned("", seen=seen) == []


@pytest.mark.parametrize(
    ("stages", "line", "complaint"),
    [
        ([(5, 0, 0), (5, 46, 0), (None, 0, 60)], 4, "[1]: 14 free minutes an hour are few"),
        ([(5, 0, 0), (5, 30, 16), (None, 0, 60)], 4, "[1]: 14 free minutes an hour are few"),
        ([(5, 0, 0), (None, 5, 5)], 4, "[1]: mail bounces (550) before any was delayed (450)"),
        ([(5, 5, 0), (None, 10, 0)], 2, "[0]: refuses mail from the first message on"),
    ],
)
def test_a_ladder_that_starves_bounces_first_or_gives_no_notice_is_odd(stages, line, complaint):
    """Told at its stage."""
    text = "policy.ladder = 'mine'\n"
    for days, throttle, block in stages:
        text += "[[policy.ladders.mine]]\n"
        text += f"days = {days}\n" if days else ""
        text += f"throttle = {throttle}\nblock = {block}\n"

    found = warned(text)

    assert any(f"policy.ladders.mine{complaint}" in one for one in found), found
    assert all(one.startswith("wehr.toml:") and one.split(":")[1].isdecimal() for one in found)


def test_a_ladder_that_leaves_a_quarter_of_an_hour_is_not_odd():
    """Forty-five minutes refused, and all of them only in the last stage."""
    text = """
        policy.ladders.mine = [{days = 5}, {days = 5, throttle = 45}, {throttle = 0, block = 60}]
        """

    assert warned(text) == []


FLOOR = """
[policy.compliance]
preset = "{preset}"
[[policy.compliance.floors]]
builds = "{builds}"
since = {since}
least = "{builds}.70"
"""


@pytest.mark.parametrize(
    ("builds", "since", "told"),
    [
        ("15.1.2507", "2026-06-01", "for 15.1.2507 Exchange Online's floor decides from 2026-09-08"),
        ("15.2", "2026-06-01", "for 15.2 Exchange Online's floor decides from 2026-09-08 on (15.2.1748.39)"),
        ("15.2.1544", "2026-06-01", "from 2026-09-08 on (15.2.1544.36)"),
        ("15", "2026-06-01", "for 15.2.1544 Exchange Online's floor"),
        ("15.0", "2020-01-01", "from 2023-12-01 on (no build)"),
    ],
)
def test_a_floor_that_a_later_one_of_the_preset_replaces_is_odd(builds, since, told):
    """It is found by its line, and with the preset switched off it counts."""
    text = FLOOR.format(preset="exchange-online", builds=builds, since=since)
    assert only(text).startswith("wehr.toml:6: policy.compliance.floors[0].since: for ")
    assert told in only(text)
    assert warned(FLOOR.format(preset="none", builds=builds, since=since)) == []


@pytest.mark.parametrize(
    ("builds", "since"), [("15.1.2507", "2026-09-08"), ("15.2", "2027-01-01"), ("15.10", "2020-01-01")]
)
def test_a_floor_that_comes_after_those_of_the_preset_is_not_odd(builds, since):
    """Nor one of other builds."""
    assert warned(FLOOR.format(preset="exchange-online", builds=builds, since=since)) == []


def test_most_mail_from_one_address_is_a_relay_not_declared():
    """More than half of at least a hundred messages, unless it is declared."""
    seen = Seen(100, "192.0.2.25", 51)

    assert "receiver.relays: 51 of 100 recorded messages came from 192.0.2.25" in only("", seen=seen)
    assert warned('receiver.relays = ["192.0.2.25"]', seen=seen) == []
    assert warned("", seen=Seen(99, "192.0.2.25", 99)) == []
    assert warned("", seen=Seen(100, "192.0.2.25", 50)) == []


def test_a_link_that_is_not_encrypted_is_odd():
    """It stands in every reply."""
    assert only('status_url = "http://wehr.example.org"').startswith("wehr.toml:1: status_url: ")


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("example.org", "EXAMPLE.org", "'EXAMPLE.org' is in tenant 'one': this tenant's counts"),
        (".example.org", "a.example.org", "'a.example.org' and '.example.org' overlap with tenant 'one'"),
        (".a.example.org", ".example.org", "'.a.example.org' and '.example.org' overlap with tenant 'one'"),
    ],
)
def test_tenants_whose_domains_overlap_are_told(first, second, said):
    """With which of the two counts."""
    found = only(
        f"""\
        [[policy.tenants]]
        name = "one"
        domains = ["{first}", "other.example"]
        [[policy.tenants]]
        name = "two"
        domains = ["{second}"]
        """
    )

    assert found.startswith("wehr.toml:6: policy.tenants[1].domains: ")
    assert said in found


def test_tenants_side_by_side_are_not_odd():
    """A domain and the names below it do not overlap: the leading dot leaves the domain itself out."""
    assert (
        warned(
            """
            policy.tenants = [
              {name = "one", domains = ["example.org", "a.example"]},
              {name = "two", domains = [".example.org", "ba.example"]},
            ]
            """
        )
        == []
    )


def test_a_product_or_hole_that_the_catalogue_does_not_have_is_odd():
    """A slip there would keep a whole wave out of scope, and nobody would notice."""
    wave = "[[policy.waves]]\nsince = 2026-01-01\nproducts = ['Exchange 2007', 'Exchange Server 2010']\n"
    rule = "[[policy.ladder_rules]]\nuse = 'urgent'\ncves = ['CVE-2021-2685', 'CVE-2021-26855']\n"

    assert only(wave) == (
        "wehr.toml:3: policy.waves[0].products: the catalogue has no product 'Exchange 2007', so nothing "
        "fits; 'wehr catalogue list' shows those it has"
    )
    assert only(rule).startswith(
        "wehr.toml:3: policy.ladder_rules[0].cves: the catalogue has no CVE-2021-2685,"
    )


def test_two_tenants_of_one_name_are_odd():
    """The second would hide the first."""
    assert "policy.tenants[1].name: the name 'a'" in only('policy.tenants = [{name = "a"}, {name = "a"}]')


@pytest.mark.parametrize(
    ("earlier", "later", "odd"),
    [
        ("", 'networks = ["192.0.2.0/24"]', True),
        ('networks = ["192.0.2.0/24"]', 'networks = ["192.0.2.7", "192.0.2.128/25"]', True),
        ('networks = ["192.0.2.0/24"]', 'networks = ["192.0.2.7", "198.51.100.1"]', False),
        ('networks = ["192.0.2.0/25"]', 'networks = ["192.0.2.0/24"]', False),
        ('networks = ["192.0.2.0/24"]', 'networks = ["2001:db8::/48"]', False),
        ('networks = ["192.0.2.0/24"]', "", False),
        ('networks = ["192.0.2.0/24"]', 'networks = ["192.0.2.7"]\nlisteners = ["in"]', True),
        ('networks = ["192.0.2.0/24"]\nlisteners = ["in"]', 'networks = ["192.0.2.7"]', False),
        ('client_names = [".example.com"]', 'client_names = ["MX.example.com"]', True),
        ('client_names = [".example.com"]', 'client_names = ["example.com"]', False),
        ('tls_names = ["mx.example.com"]', 'client_names = ["mx.example.com"]', False),
        ('listeners = ["in", "out"]', 'listeners = ["out"]', True),
    ],
)
def test_a_connector_behind_one_that_covers_it_never_matches(earlier, later, odd):
    """The first that fits counts, so a narrow one stands before a wide one."""
    text = f'[[policy.connectors]]\nname = "a"\n{earlier}\n[[policy.connectors]]\nname = "b"\n{later}\n'

    found = warned(text)

    assert len(found) == odd
    if odd:
        assert "policy.connectors[1]: never matches, for connector 'a'" in found[0]


def test_an_exemption_that_has_ended_is_told_and_when_it_may_go():
    """Not before those are forgotten whose clocks it stopped."""
    text = """\
        [[policy.exemptions]]
        server = "a"
        since = 2026-01-01T00:00:00Z
        until = {until}T00:00:00Z
        reason = "asked"
        """

    assert only(text.format(until="2026-11-01")) == (
        "wehr.toml:1: policy.exemptions[0]: has ended on 2026-11-01; remove it on 2027-04-30, not before: "
        "its time would count"
    )
    assert only(text.format(until="2026-02-01")).endswith("has ended on 2026-02-01; remove it")
    assert warned(text.format(until="2026-12-01")) == []

"""Who hands a message over, and which build it runs."""

# ruff: noqa: E501  (a stamp is one line)
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.evidence import Confidence, Relation, Session, handover, sighting
from wehr.evidence.headers import MAX_FIELDS

DATE = b"; Tue, 3 Nov 2026 10:00:00 +0000"


def transport(
    by: str = "ex1.example.org", build: str = "15.1.2507.61", ip: str = "192.0.2.2", peer: str = "in"
) -> bytes:
    """A hop as Exchange's transport stamps it."""
    return (
        f"from {peer} (192.0.2.9) by {by}\r\n ({ip}) with Microsoft SMTP\r\n Server (TLS) id {build}".encode()
        + DATE
    )


def mapi(by: str = "ex1.example.org", build: str = "15.01.2507.061", ip: str = "192.0.2.2") -> bytes:
    """A hop as Exchange's store driver stamps it."""
    return f"from {by} ([{ip}]) by\r\n {by} ([{ip}]) with mapi id\r\n {build}".encode() + DATE


POSTFIX = b"from a (b [192.0.2.8])\n\tby relay.example.net (Postfix) with ESMTPS id 4AbC" + DATE
ZMAILER = b'from a ([192.0.2.8]:1 "EHLO a") by list.example.net with ESMTP id S172782AbgG' + DATE
EXIM = b"from a ([192.0.2.8]) by mx.example.net with esmtps (Exim 4.96.2) id 1abcde-000123-4F" + DATE
ONLINE = (
    b"from a (192.0.2.8) by A.eurprd04.prod.outlook.com (10.0.0.1) with Microsoft SMTP Server (TLS) id 15.20.1.2"
    + DATE
)
PLAIN = b"from a (b [192.0.2.8]) by gw.example.net with ESMTP id 123" + DATE
CLIENT = Session(client_ip="192.0.2.2", client_name="ex1.example.org", helo="ex1.example.org")


def test_exchange_on_top_is_direct() -> None:
    """The topmost hop stamped by an on-premises Exchange speaks for the client."""
    found = handover([transport(), PLAIN], CLIENT)
    assert (found.relation, found.index, found.software) == (Relation.DIRECT, 0, "exchange")
    assert (found.build, found.version, found.name) == ((15, 1, 2507, 61), "15.1.2507.61", "ex1.example.org")
    assert (found.client_ip, found.client_name) == ("192.0.2.2", "ex1.example.org")


@pytest.mark.parametrize("relay", [POSTFIX, ZMAILER, EXIM, ONLINE, PLAIN])
def test_exchange_below_another_system_is_behind_a_relay(relay: bytes) -> None:
    """Whatever the relay is, named or not, cloud or not, the Exchange below it is reported as behind it."""
    found = handover([relay, PLAIN, transport(), mapi()], CLIENT)
    assert (found.relation, found.index, found.software) == (Relation.BEHIND_RELAY, 2, "exchange")
    assert (found.name, found.confidence) == ("ex1.example.org", Confidence.NONE)


def test_other_software_is_named() -> None:
    """Without an Exchange, the software of the handover hop and its version are told."""
    found = handover([EXIM, POSTFIX], Session(client_ip="192.0.2.3", client_name="mx.example.net"))
    assert (found.relation, found.software, found.build) == (Relation.DIRECT, "exim", (4, 96, 2))
    assert found.confidence is Confidence.CONFIRMED


def test_exchange_online_is_never_on_premises() -> None:
    """A message handed over by Exchange Online is Exchange Online's, with its number."""
    found = handover([ONLINE, ONLINE], CLIENT)
    assert (found.relation, found.software, found.index) == (Relation.DIRECT, "exchange-online", 0)


@pytest.mark.parametrize("trace", [[], [PLAIN], [PLAIN] * 5, [b""], [b"\xff" * 50]])
def test_nothing_known_is_none(trace: list[bytes]) -> None:
    """No trace, or nobody that is recognised: nothing known but the client."""
    found = handover(trace, CLIENT)
    assert (found.relation, found.index, found.software, found.build) == (
        Relation.NONE,
        None,
        "unknown",
        None,
    )
    assert found.client_ip == "192.0.2.2"


def test_a_windows_smtp_service_shows_no_build() -> None:
    """SMTPSVC stands under Exchange 2000 and 2003 or plain IIS: its number stays text."""
    hop = b"from w ([192.0.2.5]) by mail.example.org with Microsoft SMTPSVC(8.5.9600.16384)" + DATE
    found = handover([hop], CLIENT)
    assert (found.software, found.build, found.version) == ("smtpsvc", None, "8.5.9600.16384")


LIFTS = [
    ("the store driver's number", [transport(build="15.1.2176.2"), mapi(build="15.01.2176.009")], (15, 1, 2176, 9)),
    ("a self hop", [transport(build="15.2.986.5"), transport(build="15.2.986.36")], (15, 2, 986, 36)),
    ("another case", [transport(build="15.1.2176.2"), mapi("EX1.Example.ORG", "15.01.2176.012")], (15, 1, 2176, 12)),
    ("the short name", [transport("EX1", "15.1.2176.2"), mapi(build="15.01.2176.012")], (15, 1, 2176, 12)),
    ("the internal name", [transport(build="15.1.2176.2"), mapi("ex1.corp.local", "15.01.2176.012")], (15, 1, 2176, 12)),
    ("the address", [transport(build="15.1.2176.2"), mapi("other", "15.01.2176.012")], (15, 1, 2176, 12)),
    ("no number on top", [mapi(build="x"), transport(build="15.1.2507.61")], (15, 1, 2507, 61)),
    ("another host", [transport(build="15.1.2176.2"), mapi("ex2", "15.01.2507.061", "192.0.2.3")], (15, 1, 2176, 2)),
    ("another organisation", [transport("mail.example.org", "15.1.2176.2"), mapi("mail.example.com", "15.01.2507.061")], (15, 1, 2176, 2)),
    ("a link-local address", [transport(build="15.1.2176.2", ip="fe80::1"), mapi("ex2", "15.01.2507.061", "fe80::1")], (15, 1, 2176, 2)),
    ("a lower number", [transport(build="15.1.2507.61"), mapi(build="15.01.2507.016")], (15, 1, 2507, 61)),
]  # fmt: skip


@pytest.mark.parametrize(("trace", "build"), [lift[1:] for lift in LIFTS], ids=[lift[0] for lift in LIFTS])
def test_the_highest_build_of_the_same_host_counts(trace: list[bytes], build: tuple[int, ...]) -> None:
    """Each stamp is a lower bound: the highest of the same host is taken, and no other host's."""
    assert handover(trace, CLIENT).build == build


@given(
    st.lists(
        st.tuples(st.booleans(), st.tuples(st.integers(0, 2), st.integers(0, 99), st.integers(0, 99))),
        min_size=1,
        max_size=8,
    )
)
def test_of_any_row_of_stamps_the_highest_counts(stamps: list[tuple[bool, tuple[int, int, int]]]) -> None:
    """In whatever order and padding the host's numbers come, and whichever of them need not be read in full."""
    trace = [
        mapi(build="15.{:02}.{:04}.{:03}".format(*numbers))
        if driver
        else transport(build="15.{}.{}.{}".format(*numbers))
        for driver, numbers in stamps
    ]
    assert handover(trace, CLIENT).build == max((15, *numbers) for _, numbers in stamps)


def test_a_number_in_a_comment_does_not_hide_the_higher_one() -> None:
    """All numbers of a hop are weighed before it is passed over."""
    deeper = transport(build="15.1.2507.61").replace(b"(TLS)", b"(TLS; id 15.1.1.1)")
    assert handover([transport(build="15.1.2176.2"), deeper], CLIENT).build == (15, 1, 2507, 61)


CONFIRMED = [
    ("ex1.example.org", Session(client_name="ex1.example.org")),
    ("EX1.EXAMPLE.ORG", Session(client_name="ex1.example.org")),
    ("ex1.example.org", Session(client_name="mail.example.org")),
    ("ex1.ad.example.co.uk", Session(client_name="mail.example.co.uk")),
    ("EX1", Session(client_name="ex1.example.org")),
    ("ex1.corp.local", Session(client_name="ex1.example.org")),
    ("ex1.corp.local", Session(helo="EX1.corp.local")),
    ("ex1.example.org", Session(client_name="dsl-2.isp.example.net", helo="mail.example.org")),
    ("ex1.corp.local", Session(client_ip="192.0.2.2")),
    ("ex1.corp.local", Session(tls_name="ex1.corp.local")),
]


@pytest.mark.parametrize(("name", "session"), CONFIRMED)
def test_a_name_borne_out_is_confirmed(name: str, session: Session) -> None:
    """Name, registered domain, short name of an internal host, or address agree with what the client shows."""
    assert handover([transport(name)], session).confidence is Confidence.CONFIRMED


PLAUSIBLE = [
    (
        "ex1.corp.local",
        Session(client_name="mail.example.org", helo="mail.example.org", client_ip="192.0.2.7"),
    ),
    ("mail.example.co.uk", Session(client_name="mail.other.co.uk")),
    ("mail.example.org", Session(client_name="mail.example.net")),
    ("192.0.2.2", Session(client_name="192.0.2.2.dsl.example.org", helo="[192.0.2.9]")),
    ("localhost", Session(helo="localhost")),
    ("localhost", Session(client_name="localhost.example.org")),
    ("localhost.localdomain", Session(helo="localhost.localdomain")),
    ("", Session(client_name="mail.example.org", client_ip="192.0.2.7")),
    ("ex1.example.org", Session()),
]


@pytest.mark.parametrize(("name", "session"), PLAUSIBLE)
def test_a_name_nothing_bears_out_is_plausible(name: str, session: Session) -> None:
    """Domains that differ contradict each other however alike the hosts' names are; loopback proves nothing."""
    ip = "127.0.0.1" if name.startswith("localhost") else "192.0.2.2"
    assert handover([transport(name, ip=ip)], session).confidence is Confidence.PLAUSIBLE


def test_a_sighting_holds_the_server_by_name_and_network() -> None:
    """A sighting carries time, name, client network, build and evidence; nothing known makes none."""
    found = handover([transport()], CLIENT)
    seen = sighting(found, CLIENT, 1_800_000_000.0)
    assert seen is not None
    assert (seen.at, seen.name, seen.network, seen.build) == (
        1_800_000_000.0, "ex1.example.org", "192.0.2.0/24", (15, 1, 2507, 61),
    )  # fmt: skip
    assert seen.line == found.line
    assert sighting(handover([PLAIN], CLIENT), CLIENT, 0.0) is None


def test_a_server_without_a_name_is_known_by_its_address() -> None:
    """A stamp without by-name is sighted under the client's address; without an address there is no sighting."""
    found = handover([transport("")], Session(client_ip="2001:db8:1:2::3"))
    seen = sighting(found, Session(client_ip="2001:db8:1:2::3"), 0.0)
    assert seen is not None
    assert seen.network == "2001:db8:1::/48"
    assert sighting(handover([transport()], Session()), Session(), 0.0) is None


def test_a_hostile_name_stays_one_harmless_word() -> None:
    """Whatever a forger stamps as by-name, the name is printable ASCII without blanks, and short."""
    field = (
        b"from a by \xff\x00%s\x1b[2J" + b"x" * 4000 + b" with Microsoft SMTP Server id 15.1.2507.61" + DATE
    )
    name = handover([field], CLIENT).name
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name
    assert len(name) <= 255


def test_work_is_bounded_by_the_hops_looked_at() -> None:
    """Ten thousand fields are no more work than the first few; an Exchange beyond them is not seen."""
    assert handover([PLAIN] * 10_000 + [transport()], CLIENT).relation is Relation.NONE
    assert handover([PLAIN] * (MAX_FIELDS - 1) + [transport()], CLIENT).relation is Relation.BEHIND_RELAY


TRACES = st.lists(
    st.sampled_from([transport(), mapi(), POSTFIX, ZMAILER, EXIM, ONLINE, PLAIN, b"", b"("]), max_size=8
)


@given(TRACES, st.sampled_from(["", "192.0.2.2", "2001:db8::1", "nonsense"]))
def test_a_verdict_is_consistent(trace: list[bytes], ip: str) -> None:
    """Direct means the top hop; behind a relay a deeper one, of Exchange; confidence is given to direct ones alone."""
    found = handover(trace, Session(client_ip=ip))
    if found.relation is Relation.DIRECT:
        assert found.index == 0
        assert found.confidence is not Confidence.NONE
    elif found.relation is Relation.BEHIND_RELAY:
        assert found.index
        assert (found.software, found.confidence) == ("exchange", Confidence.NONE)
    else:
        assert (found.index, found.software, found.build) == (None, "unknown", None)

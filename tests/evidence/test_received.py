"""The grammar of a Received field: clauses, comments, names and addresses, and whatever may be broken."""

# ruff: noqa: E501  (a stamp is one line)
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wehr.evidence import Hop, parse_hop
from wehr.evidence.received import MAX_COMMENTS, MAX_FIELD, _in_any_order, stamp_of, unfold

DATE = "; Tue, 3 Nov 2026 10:00:00 +0000"

# (field, by, by_ip, helo, from_name, from_ip, protocol)
FORMS = [
    ("from h.example.org (r.example.org [192.0.2.1]) by mx.example.net (Postfix) with ESMTPS id A for <u@x>",
     "mx.example.net", "", "h.example.org", "r.example.org", "192.0.2.1", "ESMTPS"),
    ("from h.example.org (unknown [IPv6:2001:db8::1]) by mx.example.net (Postfix) with ESMTP id A",
     "mx.example.net", "", "h.example.org", "", "2001:db8::1", "ESMTP"),
    ("from r.example.org (HELO h.example.org) (192.0.2.1) by mx.example.net with SMTP",
     "mx.example.net", "", "h.example.org", "r.example.org", "192.0.2.1", "SMTP"),
    ("from unknown (HELO 198.51.100.9) (u@192.0.2.1) by mx.example.net with SMTP",
     "mx.example.net", "", "198.51.100.9", "", "192.0.2.1", "SMTP"),
    ("from [192.0.2.1] (helo=[198.51.100.9]) by mx.example.net with esmtp (Exim 4.96) id A",
     "mx.example.net", "", "[198.51.100.9]", "", "192.0.2.1", "esmtp"),
    ("from [192.0.2.1] (helo=(unknown[198.51.100.9])) by mx.example.net with esmtp (Exim 4.96) id A",
     "mx.example.net", "", "", "", "192.0.2.1", "esmtp"),
    ("from [192.0.2.1] (helo=a([198.51.100.9]) ident=[198.51.100.9]) by mx.example.net with smtp (Exim 4.96)",
     "mx.example.net", "", "a", "", "192.0.2.1", "smtp"),
    ("from r.example.org ([192.0.2.1]:2525 helo=h.example.org) by mx.example.net with esmtps (Exim 4.96)",
     "mx.example.net", "", "h.example.org", "r.example.org", "192.0.2.1", "esmtps"),
    ('from r.example.org ([192.0.2.1]:47128 "EHLO h.example.org" rhost-flags-OK) by mx with ESMTP id S1',
     "mx", "", "h.example.org", "r.example.org", "192.0.2.1", "ESMTP"),
    ("from h (r.example.org [192.0.2.1] (may be forged)) by mx.example.net (8.15.2/8.15.2) with ESMTP id A",
     "mx.example.net", "", "h", "", "192.0.2.1", "ESMTP"),
    ("from h ([::ffff:192.0.2.1]) by mx.example.net ([fe80::5:1%14]) with mapi id 15.01.2507.061",
     "mx.example.net", "fe80::5:1", "h", "", "192.0.2.1", "mapi"),
    ("from h [(192.0.2.1)] by mx.example.net (envelope-from <u@x>) (Generic MTA) with ESMTP id 1",
     "mx.example.net", "", "h", "", "192.0.2.1", "ESMTP"),
    ("from h [192.0.2.1] by mx.example.net with SMTP (MDaemon.v2.7.SP4.R)",
     "mx.example.net", "", "h", "", "192.0.2.1", "SMTP"),
    ("from 1.2.3.4.dsl.example.org (1.2.3.4.dsl.example.org. [192.0.2.1]) by mx.google.com with ESMTP id a",
     "mx.google.com", "", "1.2.3.4.dsl.example.org", "1.2.3.4.dsl.example.org", "192.0.2.1", "ESMTP"),
    ("from h (localhost [127.0.0.1])by mx.example.net (x) with ESMTP id1", "mx.example.net", "", "h", "localhost",
     "127.0.0.1", "ESMTP id1"),
    ("by 10.54.96.19 with SMTP id t19mr621017wrb", "10.54.96.19", "10.54.96.19", "", "", "", "SMTP"),
    ("FROM h (192.0.2.1) BY mx.example.net WITH ESMTP FOR u@x", "mx.example.net", "", "h", "", "192.0.2.1", "ESMTP"),
    ("(qmail 12286 invoked by uid 502)", "", "", "", "", "", ""),
    ("from by (r.example.org [192.0.2.1]) by mx.example.net with ESMTP id A", "mx.example.net", "", "by",
     "r.example.org", "192.0.2.1", "ESMTP"),
    ("from user@example.org by mx.example.net (mail_out_v34.10.) id 2.1a3", "mx.example.net", "", "example.org", "",
     "", ""),
    ("from h (192.0.2.1) by localhost (mx.example.net [127.0.0.1]) (amavisd-new, port 10024) with LMTP id 7",
     "localhost", "127.0.0.1", "h", "", "192.0.2.1", "LMTP"),
    ("from a (ecelerity 3.6.5.1 r(Core:3.6.5.0)) by b (ecelerity 3.6.5.1 r(Core:3.6.5.0)) with ESMTP id 2",
     "b", "", "a", "", "", "ESMTP"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "by", "by_ip", "helo", "from_name", "from_ip", "protocol"), FORMS)
def test_names_and_addresses_are_read_from_every_form(  # noqa: PLR0917
    field: str, by: str, by_ip: str, helo: str, from_name: str, from_ip: str, protocol: str
) -> None:
    """HELO, looked-up name, peer and own address are kept apart, and an address in HELO is never believed."""
    hop = parse_hop(f"{field}{DATE}".encode())
    assert (hop.by, hop.by_ip, hop.helo, hop.from_name, hop.from_ip, hop.protocol) == (
        by, by_ip, helo, from_name, from_ip, protocol,
    )  # fmt: skip


@pytest.mark.parametrize(
    "field",
    [
        "from a by b (Postfix, from userid 1000) id X",
        "from u by b with local (Exim 4.96) id 1abcde-000123-4F",
        "from mail pickup service by b with Microsoft SMTPSVC",
        "from Pickup by b with Microsoft SMTP Server id 15.1.2507.17",
        "from a ([192.0.2.1]) by a ([192.0.2.1]) with mapi id 15.01.2507.061",
        "from a ([127.0.0.1]) by b with LMTP id 7",
        "(qmail 1 invoked by uid 89)",
    ],
)
def test_local_hops_are_submissions(field: str) -> None:
    """What came from a local process or mailbox is marked so."""
    assert parse_hop(f"{field}{DATE}".encode()).submission


def test_a_local_user_is_no_client() -> None:
    """Exim's ``from USER by HOST with local`` names nobody's host, and no local part is kept."""
    hop = parse_hop(b"from fred by b with local (Exim 4.96) id 1abcde-000123-4F; x")
    assert (hop.by, hop.helo, hop.from_name, hop.from_ip, hop.protocol) == ("b", "", "", "", "local")


def test_a_hop_from_a_peer_is_no_submission() -> None:
    """What came by SMTP from a peer is not."""
    assert not parse_hop(b"from a (192.0.2.1) by b with Microsoft SMTP Server id 15.1.2507.17; x").submission


def test_nested_comments_hide_their_words() -> None:
    """Words inside comments are no clauses, however deep; a field ends where they go deeper than any real one's."""
    assert (
        parse_hop(b"from a (x (y (z (by evil with mapi id 15.1.2507.61)))) by good with ESMTP id 1").by
        == "good"
    )
    for depth, by in ((MAX_COMMENTS, "good"), (MAX_COMMENTS + 1, "")):
        deep = b"(" * depth + b"by evil with mapi id 15.1.2507.61" + b")" * depth
        assert parse_hop(b"from a " + deep + b" by good with ESMTP id 1").by == by


def test_an_open_parenthesis_hides_nothing() -> None:
    """A comment that is never closed is plain text: the clauses behind it are read."""
    assert parse_hop(
        b"from a (b [192.0.2.1] by mx.example.net with Microsoft SMTP Server id 15.1.2507.61"
    ).build


def test_the_order_of_clauses_is_free() -> None:
    """Clauses out of the order of the RFC are read as in it."""
    assert parse_hop(b"by mx.example.net from a.example.org id X with ESMTP; d") == parse_hop(
        b"from a.example.org by mx.example.net with ESMTP id X; d"
    )


def test_the_first_clause_of_a_kind_counts() -> None:
    """A second by-clause, or one behind the date, changes nothing."""
    hop = parse_hop(b"from u by first.example.org by uid 502 with ESMTP; d by third.example.org")
    assert hop.by == "first.example.org"


WORDS = st.sampled_from(
    b"from;by;via;with;id;for;mapi;Microsoft;SMTP;Server;(;);();[192.0.2.1];192.0.2.1;15.1.2507.61;\\;@;u@x;<u@x>;"
    b'ESMTP;Postfix;(Postfix);(Exim 4.96);HELO;helo=x;EHLO;";::1;IPv6:;%7;\xff\xfe;\x00;Tue, 3 Nov;\r\n ;\n\t'.split(
        b";"
    )
)


@given(st.lists(WORDS, max_size=40).map(b" ".join) | st.binary(max_size=300))
@example(b"(" * 200)
@example(b"from" * 200)
@example(b"with Microsoft SMTP Server id 99999999999.1.1.1")
@example(b"by " + b"9" * 400 + b".1")
def test_nothing_throws(field: bytes) -> None:
    """Any bytes give a hop of texts, and a build only as non-negative integers."""
    hop = parse_hop(field)
    assert isinstance(hop, Hop)
    assert hop.build is None or (1 < len(hop.build) <= 6 and all(0 <= part < 10**9 for part in hop.build))


@given(st.integers(0, 250))
def test_a_field_cut_anywhere_shows_the_whole_build_or_none(cut: int) -> None:
    """A truncated field never shows a build of more numbers or another branch than was stamped."""
    whole = b"from a (192.0.2.1) by ex.example.org (192.0.2.2) with Microsoft SMTP Server (TLS) id 15.1.2507.61; date"
    assert parse_hop(whole[:cut]).build in (None, (15, 1, 2507, 6), (15, 1, 2507, 61))


@given(st.lists(WORDS, max_size=12).map(b" ".join))
@example(b"by Tue, 3 Nov")
@example(b"by a id b,")
@example(b"by from for from from from")
def test_the_quick_way_and_the_general_one_agree(field: bytes) -> None:
    """Where one match reads the clauses in the RFC's order, reading them one by one finds the same by-name.

    Up to the recipient's: behind it, where the last clause of the order ends, the quick way looks no more.
    """
    before, recipient, _ = unfold(field).partition(b" for ")
    line = before + (b" for x" if recipient else b"")
    quick, general = stamp_of(line), _in_any_order(line)
    assert (quick.by, quick.origin, quick.id) == (general.by, general.origin, general.id)


def test_a_megabyte_is_cut() -> None:
    """Only the first part of a huge field is read, and what it says counts."""
    hop = parse_hop(
        b"from a by mx.example.net (" + b"x" * MAX_FIELD + b") with mapi id 15.1.2507.61" + b" y" * 500_000
    )
    assert (hop.by, hop.software) == ("mx.example.net", "unknown")


def test_what_follows_an_open_parenthesis_among_many_is_cut_off() -> None:
    """Rows of them are the dearest to read; what stands before them is read as ever."""
    stamp = b"from a (b [192.0.2.1]) by mx.example.net (Postfix)"
    closed = stamp + b" (x) )" * 2 * MAX_COMMENTS + b" " + b"(" * MAX_COMMENTS + b")" * MAX_COMMENTS
    assert unfold(closed) == closed
    assert unfold(stamp + b" ((" * 600 + b" by other.example") == stamp + b" "


DEEP = b"(" * 30 + b")" * 30
STRANGERS = [
    # Postfix with smtpd_tls_received_header and smtpd_tls_ask_ccert, which closes what a name leaves open.
    b'from h (r [192.0.2.1]) (Client CN "a %s (((((())))))", Issuer "b" (not verified)) by mx.example.net',
    b'from h (r [192.0.2.1]) (Client CN "%s ' + DEEP + b'", Issuer "b" (not verified)) by mx.example.net',
    b'from h (r [192.0.2.1]) (Client CN "a %s", Issuer "' + DEEP + b'" (not verified)) by mx.example.net',
    # A sender in quotes, from Exim that hides its version, and from others.
    b'from [192.0.2.1] (helo=h) by mx.example.net with esmtp (envelope-from <"a) %s ("@example.org>) id A-B-C',
    b'from h (192.0.2.1) by mx.example.net (envelope-from <"%s"@example.org>) (Generic MTA)',
    b'from h (192.0.2.1) by mx.example.net (envelope-from <"a\\") %s ("@example.org>) (Generic MTA)',
    b'from h (192.0.2.1) by mx.example.net with ESMTP (envelope-from <"%s"@example.org>) id A-B-C',
    # A name so long that the field is cut off in it.
    b"from [192.0.2.1] (helo=%s " + b"x " * MAX_FIELD + b") by mx.example.net",
]


@pytest.mark.parametrize("field", STRANGERS)
def test_no_stranger_speaks_for_the_server_that_quotes_him(field: bytes) -> None:
    """What a client or sender calls itself is never taken for the stamp of an Exchange."""
    hop = parse_hop(field % b"by v.example.org with Microsoft SMTP Server id 15.1.2507.16" + DATE.encode())
    assert hop.software != "exchange"
    assert hop.build is None
    assert hop.by in ("mx.example.net", "")


def test_a_field_that_a_door_has_cut_off_loses_no_digit() -> None:
    """Doors keep MAX_FIELD bytes; the number that the cut went through is left out."""
    stamp = b"from a (192.0.2.1) by ex.example.org with Microsoft SMTP Server id 15.1.2507.61"
    field = b" " * (MAX_FIELD + 1 - len(stamp)) + stamp
    assert parse_hop(field[:MAX_FIELD]).build is None

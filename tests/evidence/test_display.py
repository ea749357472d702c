"""The evidence line: one printable ASCII line without anybody's local part."""

# ruff: noqa: E501  (a stamp is one line)
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.evidence.display import MAX_LINE, display_line, printable
from wehr.evidence.received import unfold

LINES = [
    b"from a (b [192.0.2.1]) by mx (Postfix) with ESMTP id X for <secret@example.org>; date",
    b"from a (b [192.0.2.1]) by mx (Postfix) with ESMTP id X\n\tfor\n\t<secret@example.org>; date",
    b"from secret@example.org by mx with local (Exim 4.96) (envelope-from <secret@example.org>) id X for secret@x",
    b"from a ([192.0.2.1]) by mx with ESMTP id S1 (ORCPT <rfc822;secret@example.org>); date",
    b"from a (HELO b) (secret@192.0.2.1) by mx with SMTP; date",
    b"from a (b [192.0.2.1]) (Authenticated sender: secret) by mx (Postfix) with ESMTPSA id X; date",
    b"from a ([192.0.2.1]) (authenticated user secret) by mx (Kerio Connect 9.2.0) with ESMTPA; date",
    b"(from secret@localhost) by mx (8.15.2/8.15.2/Submit) id X for secret; date",
    b"FROM a BY mx WITH ESMTP FOR secret@example.org; date",
    b'from a by mx with ESMTP for <"secret"@example.org>; date',
    b'from a by mx with ESMTP for "my secret"@example.org; date',
    b'from a by mx (envelope-from <"my secret"@example.org>) with ESMTP id X; date',
    b"from secret by mx with local (Exim 4.96) id X; date",
    b"from [192.0.2.1] (account secret HELO a.example) by mx (CommuniGate Pro SMTP 6.1) with ESMTP id 1; date",
    b"from [192.0.2.1] (Account secret@example.org) by mx with ESMTP; date",
    b"from a (user=secret mech=PLAIN bits=0) by mx (8.14.7/8.14.7) with ESMTP id X; date",
    b"from a (smtp-auth username secret, mechanism plain) by mx with ESMTP; date",
    b"from a by mx (Authenticated Sender secret) with esmtpsa id X; date",
]


@pytest.mark.parametrize("line", LINES)
def test_no_local_part_is_shown(line: bytes) -> None:
    """Recipients, senders, ident and user names are gone; the host that stamped is still there."""
    shown = display_line(unfold(line))
    assert "secret" not in shown
    assert "mx" in shown


def test_the_stamp_is_kept_whole() -> None:
    """Software and build are shown as they were stamped."""
    shown = display_line(
        unfold(b"from a (192.0.2.1) by ex (192.0.2.2)\r\n with Microsoft SMTP\r\n Server id 15.1.2507.61; d")
    )
    assert shown == "from a (192.0.2.1) by ex (192.0.2.2) with Microsoft SMTP Server id 15.1.2507.61; d"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("mail.example.org", "mail.example.org"),
        ("b\u00fccher.example", "b?cher.example"),
        ("a\u202eb\tc", "a?b?c"),
    ],
)
def test_a_name_is_shown_in_printable_ascii(name: str, shown: str) -> None:
    """Letters that look like others, and what steers the direction of text, become question marks."""
    assert printable(name) == shown


@given(st.binary(max_size=2000))
def test_any_bytes_give_a_short_printable_line(field: bytes) -> None:
    """At most 500 characters of printable ASCII, and no at sign, whatever comes in."""
    shown = display_line(unfold(field))
    assert len(shown) <= MAX_LINE
    assert shown.isascii()
    assert shown.isprintable()
    assert "@" not in shown

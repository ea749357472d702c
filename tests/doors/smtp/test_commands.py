"""What may pass between a client and the next hop, and what may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.doors.smtp import commands
from wehr.doors.smtp.framing import Reply


@given(st.binary(max_size=200))
def test_no_line_passes_that_the_next_hop_could_take_for_two(line: bytes) -> None:
    """Nothing with a bare CR, LF or NUL in it, or another end; and only commands that are known."""
    command = commands.read(line + b"\n")
    if not command.wrong:
        assert command.line.endswith(b"\r\n")
        assert not set(command.line[:-2]) & set(b"\r\n\0")
        assert command.verb in commands.PASSED | commands.OURS


@pytest.mark.parametrize(
    "line", [b"XCLIENT ADDR=192.0.2.1", b"XFORWARD ADDR=192.0.2.1", b"XEXCH50 1 2", b"BURL x", b""]
)
def test_what_could_fool_the_next_hop_or_break_the_framing_does_not_pass(line: bytes) -> None:
    """Above all XCLIENT: the next hop believes us."""
    assert commands.read(line + b"\r\n").wrong.startswith(b"502 5.5.1 ")


@pytest.mark.parametrize(
    "line", [b"mail FROM:<a@example.com> RET=HDRS", b"RCPT TO:<\xc3\xbc@example.org>", b"QUIT"]
)
def test_what_passes_is_not_changed(line: bytes) -> None:
    """Case, parameters and UTF-8 are the next hop's business."""
    command = commands.read(line + b"\r\n")
    assert (command.wrong, command.line, command.verb) == (b"", line + b"\r\n", line[:4].upper())


def test_of_the_extensions_those_pass_that_the_proxy_can_keep() -> None:
    """Not the next hop's STARTTLS, nothing that trusts the peer, no mechanism bound to a TLS session."""
    reply = Reply(
        250,
        b"250-mx.example.org Hello\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250-STARTTLS\r\n"
        b"250-XCLIENT NAME ADDR\r\n"
        b"250-AUTH NTLM PLAIN SCRAM-SHA-256-PLUS LOGIN\r\n250-X-ANONYMOUSTLS\r\n250-XEXCH50\r\n250 DSN\r\n",
    )
    plain = commands.lines(250, commands.extensions(reply, starttls=True, auth=False))
    assert plain == (
        b"250-mx.example.org Hello\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250-DSN\r\n250 STARTTLS\r\n"
    )
    secure = commands.lines(250, commands.extensions(reply, starttls=False, auth=True))
    assert secure == (
        b"250-mx.example.org Hello\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250-AUTH PLAIN LOGIN\r\n250 DSN\r\n"
    )


@pytest.mark.parametrize(
    ("mailbox", "taken"),
    [
        (b"a@example.org", True),
        (b"a@EXAMPLE.ORG", True),
        (b"a@example.org.", True),
        (b"a@mx.example.org", False),
        (b"a@deep.sub.example.net", True),
        (b"a@example.net", False),
        (b"Postmaster", True),
        (b"a", False),
        (b"", False),
        (b"a@example.com", False),
        (b"a%example.com@example.org", False),
        (b"example.com!a@example.org", False),
        (b'"a@example.com"@example.org', False),
        (b'"john doe"@example.org', False),
        (b"@example.org:a@example.com", False),
        (b"@example.com:a@example.org", False),
        (b"a@[192.0.2.1]", False),
        (b"a@notexample.org", False),
        (b"o'neil+list=a/b.c-d@example.org", True),
        ("jos\u00e9@example.org".encode(), True),
        (b"a@example.com(.example.net", False),
        (b"a@[192.0.2.1] (x.example.net", False),
        (b"a(@example.org", False),
        (b"a b@example.org", False),
        (b"a,b@example.org", False),
        (b"a@" + b"x" * 243 + b".example.net.example.com", False),
    ],
)
def test_only_recipients_in_ones_own_domains_are_taken(mailbox: bytes, taken: bool) -> None:
    """No local part that could route on, for the next hop may trust us."""
    ours = commands.is_for(("example.org", ".example.net"))
    assert ours(b"RCPT TO:<" + mailbox + b"> NOTIFY=NEVER\r\n") is taken


@pytest.mark.parametrize("domain", ["bücher.example", "xn--bcher-kva.example", "BÜCHER.Example."])
def test_a_domain_is_known_in_either_spelling(domain: str) -> None:
    """In A-labels (RFC 5890), and in U-labels as a client with SMTPUTF8 may write it (RFC 6531)."""
    ours, below = commands.is_for((domain,)), commands.is_for((f".{domain}",))
    for name in ("xn--bcher-kva.example", "bücher.example", "Bücher.EXAMPLE"):
        assert ours(f"RCPT TO:<b@{name}>\r\n".encode())
        assert below(f"RCPT TO:<b@mx.{name}>\r\n".encode())
        assert not ours(f"RCPT TO:<b@mx.{name}>\r\n".encode())


@pytest.mark.parametrize(
    "line",
    [
        b"RCPT TO:a@example.org",
        b"RCPT TO:<a@example.org",
        b"RCPT TO:<a@example.com><b@example.org>",
        b"RCPT TO:<b@example.org>,<a@example.com>",
    ],
)
def test_a_recipient_that_is_not_well_written_is_nobodys(line: bytes) -> None:
    """Who knows how the next hop reads it."""
    assert commands.is_for(("example.org",))(line + b"\r\n") is False

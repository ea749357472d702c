"""What may pass between a client and the next hop: commands, extensions, recipients. Nothing else does.

A proxy understands what it passes on, or the two sides disagree on where a command ends; and XCLIENT from a
client would have the next hop, which trusts us, believe it. So what is not on these lists does not pass.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from wehr.doors.smtp.framing import Reply
from wehr.evidence.lists import Names
from wehr.policy.scope import spellings

MAX_COMMAND = 12_288 + 2
"""Bytes of a line: RFC 5321 asks for 512, SMTPUTF8, DSN and others for more on top, RFC 4954 for this."""

PIPELINED = frozenset((b"MAIL", b"RCPT", b"RSET"))
"""Commands whose replies need not be waited for (RFC 2920 section 3.1); others end a group."""
PASSED = PIPELINED | {b"HELO", b"EHLO", b"NOOP", b"VRFY", b"EXPN", b"HELP", b"ETRN", b"QUIT"}
"""Commands that are the next hop's alone to answer."""
OURS = frozenset((b"DATA", b"BDAT", b"STARTTLS", b"AUTH"))
BEFORE_TLS = frozenset((b"EHLO", b"HELO", b"NOOP", b"QUIT", b"STARTTLS"))
"""What is taken before STARTTLS where that is required (RFC 3207 section 4)."""

_EXTENSIONS = frozenset(
    (
        *(b"8BITMIME", b"BINARYMIME", b"CHUNKING", b"DELIVERBY", b"DSN", b"ENHANCEDSTATUSCODES", b"ETRN"),
        *(b"EXPN", b"FUTURERELEASE", b"HELP", b"LIMITS", b"MT-PRIORITY", b"NO-SOLICITING", b"PIPELINING"),
        *(b"RRVS", b"SIZE", b"SMTPUTF8", b"VRFY"),
    )
)
_MECHANISMS = frozenset(
    (
        *(b"PLAIN", b"LOGIN", b"CRAM-MD5", b"XOAUTH2", b"OAUTHBEARER"),
        *(b"SCRAM-SHA-1", b"SCRAM-SHA-256", b"SCRAM-SHA-512"),
    )
)
"""Without those that bind to a TLS session, or go on in a layer of their own."""

_VERB = re.compile(rb"([A-Za-z]{4,8})(?=[ \r])")
_HTTP = re.compile(rb"(?:CONNECT|GET|HEAD|OPTIONS|POST|PUT) ", re.IGNORECASE)
_BAD = re.compile(rb"[\0\r]")
_PATH = re.compile(rb"RCPT +TO: *<([^<>]*)>(?: |\Z)", re.IGNORECASE)
# RFC 5321 section 4.1.2 (RFC 6531), without what may route on: quotes, %, ! and what no address may hold, for
# a next hop may make something of it. Postfix reads <a@example.com(.example.org> with a comment.
_PLAIN_MAILBOX = re.compile(rb"[\w#$&'*+/=?^`{|}~.\x80-\xff-]+@[\w.\x80-\xff-]{1,255}")

TOO_LONG = b"500 5.5.2 Line too long\r\n"
BARE = b"500 5.5.2 A bare CR or a NUL in a line\r\n"
CUT_OFF = b"521 5.5.2 Lines end with CR LF, not with a bare LF\r\n"
NOT_MAIL = b"521 5.5.1 This is a mail server\r\n"
LAST_WORDS = {
    # Nobody can tell any more what is one command (Postfix, smtpd_forbid_bare_newline).
    CUT_OFF: "a command ended in a bare LF",
    # A page may have a browser send mail as a form's content (Postfix, smtpd_forbidden_commands).
    NOT_MAIL: "it spoke HTTP",
}
"""Replies that end the session, and why."""
_UNKNOWN = b"502 5.5.1 Command not implemented\r\n"


class Command(Struct, frozen=True):
    """A line of the client; ``wrong`` is the reply if it may not pass."""

    verb: bytes
    line: bytes
    wrong: bytes = b""


def read(line: bytes) -> Command:
    """A command from its line, with its LF."""
    if not line.endswith(b"\r\n"):
        return Command(b"", line, CUT_OFF)
    if _BAD.search(line, 0, len(line) - 2):
        return Command(b"", line, BARE)
    if _HTTP.match(line):
        return Command(b"", line, NOT_MAIL)
    match = _VERB.match(line)
    verb = match[1].upper() if match else b""
    if verb not in PASSED and verb not in OURS:
        return Command(b"", line, _UNKNOWN)
    return Command(verb, line)


def extensions(reply: Reply, *, starttls: bool, auth: bool) -> Iterator[bytes]:
    """The lines of a reply to EHLO that may reach the client, without codes; the greeting is the first."""
    greeting, *offers = (line[4:].strip() for line in reply.raw.splitlines())
    yield greeting
    for offer in offers:
        keyword, *values = offer.upper().split(b" ")
        if keyword in _EXTENSIONS:
            yield offer
        elif keyword == b"AUTH" and auth:
            known = [value for value in values if value in _MECHANISMS]
            if known:
                yield b" ".join((b"AUTH", *known))
    if starttls:
        yield b"STARTTLS"


def may_log_in_by(line: bytes) -> bool:
    """Whether an AUTH command names a mechanism that can pass, offered or not."""
    _, *words = line.split(None, 2)
    return bool(words) and words[0].upper() in _MECHANISMS


def lines(code: int, texts: Iterable[bytes]) -> bytes:
    """A reply of several lines."""
    *others, last = texts
    return b"".join(b"%d-%s\r\n" % (code, text) for text in others) + b"%d %s\r\n" % (code, last)


def keywords(reply: Reply) -> dict[bytes, bytes]:
    """What a reply to EHLO offers: parameters by keyword."""
    pairs = (line[4:].strip().upper().partition(b" ") for line in reply.raw.splitlines()[1:])
    return {keyword: values for keyword, _, values in pairs}


def recipient(line: bytes) -> bytes | None:
    """The mailbox in a RCPT command; None if it is not written as RFC 5321 has it."""
    match = _PATH.match(line.rstrip(b"\r\n"))
    return match[1] if match else None


def domain_of(mailbox: bytes) -> str:
    """Its domain, lower-case; "" if it has none."""
    _, at, domain = mailbox.rpartition(b"@")
    return domain[:255].decode("utf-8", "replace").rstrip(".").lower() if at else ""


def is_for(domains: Iterable[str]) -> Callable[[bytes], bool]:
    """Whether a RCPT command names a mailbox in one of the domains; a leading dot covers all below.

    One that could route on (``user%other.example``, a quoted one, a source route, a comment) is not: the next
    hop may read it so. ``<postmaster>`` is everybody's (RFC 5321 section 4.5.1).

    Raises:
        ValueError: what is named as a domain is none.
    """
    wanted = Names([spelling for domain in domains for spelling in spellings(domain)])

    def ours(line: bytes) -> bool:
        mailbox = recipient(line) or b""
        if _PLAIN_MAILBOX.fullmatch(mailbox):
            return domain_of(mailbox) in wanted
        return mailbox.lower() == b"postmaster"

    return ours

"""What the codecs of all doors share: what is kept of a message, the error, and what a refusal looks like."""

import re
from collections.abc import Iterable

MAX_FIELDS = 100
"""Received fields kept of a message; mail systems themselves take 50 or 100 for a loop."""
MAX_FIELD = 8 << 10
"""Bytes kept of one such field."""
MAX_TRACE = 128 << 10
"""Bytes kept of all such fields of a message."""
MAX_DOMAINS = 1000
"""Recipient domains kept of a message; one with more is accepted, for nobody could say whose it is."""

_MAX_REPLY = 510  # RFC 5321 section 4.5.3.1.5: 512 with CR LF
_REPLY = re.compile(rb"([45])\d\d \1\.\d{1,3}\.\d{1,3} .*[^ ].*")
_UNSAFE = re.compile(rb"[^ -$&-~]")


class ProtocolError(Exception):
    """The peer does not speak the door's protocol; the connection is of no use any more."""


def bounded(fields: Iterable[bytes]) -> tuple[bytes, ...]:
    """A trace of which no more is kept than the bounds allow: its top, without holes."""
    trace: list[bytes] = []
    room = MAX_TRACE
    for field in fields:
        kept = field[:MAX_FIELD]
        room -= len(kept)
        if room < 0 or len(trace) == MAX_FIELDS:
            break
        if kept:
            trace.append(kept)
    return tuple(trace)


def refusal(line: str) -> bytes:
    """An SMTP line such as ``450 4.7.230 text``, never malformed on the wire.

    A malformed line would make Postfix answer 451 and drop a filter for the session, and a lone ``%``
    makes Sendmail refuse for good, so what is not printable ASCII, and ``%``, becomes ``?`` and what
    exceeds 510 bytes is cut.

    Raises:
        ValueError: not a 4xx or 5xx code, the enhanced code of the same class, and a text.
    """
    text = _UNSAFE.sub(b"?", line.encode("ascii", "replace"))[:_MAX_REPLY]
    if not _REPLY.fullmatch(text):
        raise ValueError(f"not a refusal in SMTP: {line[:_MAX_REPLY]!r}")
    return text


def text(name: bytes) -> str:
    """A name as text, no longer than any honest one."""
    return name[:255].decode("utf-8", "replace")

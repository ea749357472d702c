"""What the codecs of all doors share: what is kept of a message, the error, and what a refusal looks like."""

import re
from collections.abc import Iterable

from wehr.evidence.headers import MAX_FIELDS
from wehr.evidence.received import MAX_FIELD

__all__ = [
    "MAX_DOMAINS",
    "MAX_FIELD",
    "MAX_FIELDS",
    "MAX_TRACE",
    "ProtocolError",
    "bounded",
    "refusal",
    "text",
]

MAX_TRACE = 32 << 10
"""Bytes kept of all Received fields of a message; real mail has up to 4,100."""
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

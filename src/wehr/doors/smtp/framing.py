"""How SMTP is cut up, without sockets: where a message's content ends, its header, a reply, a chunk.

The end of a message is CRLF.CRLF and nothing else (RFC 5321 section 4.1.1.4). A line with a lone dot whose
ends are not both CRLF is what SMTP smuggling is made of: one side takes it for the end of the message and
what follows for commands, the other takes it for text. None passes through here, nor one with a NUL behind
it: to OpenSMTPD, whose lines are C strings, the line ends there (smtp_session.c, smtp_tx_dataline).
"""

import re

from msgspec import Struct

END = b"\r\n.\r\n"
_LONE_DOT = re.compile(rb"(?:\r\n|[\r\n])\.(?:\r\n|[\n\0]|\r(?=[^\n]))")
_BEGUN = re.compile(rb"(?:\r\n?|\n)(?:\.\r?)?\Z")
_END_OF_HEADER = re.compile(rb"(?:\A|\n)\r?\n")
_CHUNK = re.compile(rb"BDAT +([0-9]{1,18})( +LAST)? *\r\n", re.IGNORECASE)
_MAX_CHUNK = (1 << 31) - 4096
"""Bytes: beyond it, and a field of ours, one who counts with 32 bits would take the rest for commands."""


class Content:
    """The content of a message after DATA, as it comes in; dots stay stuffed.

    ``ended`` is set at its end, and ``rest`` is what came behind. ``forged``: it holds what might be taken
    for an end. From there on nothing is passed on, but its true end is still found.
    """

    __slots__ = ("_held", "_passed", "ended", "forged", "rest")

    def __init__(self) -> None:
        self._held = END[:2]  # the CRLF of the command: a lone dot in the first line ends it
        self._passed = 2  # bytes of it that are not to be passed on
        self.ended = False
        self.forged = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take what came in; return what may be passed on: up to the last CRLF, without the final dot."""
        text, passed = self._held + data, self._passed
        self._passed = 0
        if self.forged:
            self._seek_end(text, 0)
            return b""
        # Two searches for two bytes are ten times as quick as the pattern, and mostly enough.
        found = _LONE_DOT.search(text) if b"\n." in text or b"\r." in text else None
        if found and found[0] == END:
            self._end(text, found.start())
            return text[passed : found.start() + 2]
        if found:
            self.forged = True
            self._seek_end(text, found.start())
            return text[passed : found.start()]
        begun = _BEGUN.search(text, max(0, len(text) - 4))
        stop = begun.start() if begun else len(text)
        self._held = text[stop:]
        self._passed = max(0, passed - stop)
        return text[passed:stop]

    def _seek_end(self, text: bytes, start: int) -> None:
        end = text.find(END, start)
        if end >= 0:
            self._end(text, end)
        else:
            self._held = text[max(start, len(text) - 4) :]

    def _end(self, text: bytes, place: int) -> None:
        self.ended = True
        self.rest = text[place + len(END) :]


class Head:
    """The beginning of a message, up to where its header ends or ``limit`` bytes."""

    __slots__ = ("_limit", "_seen", "complete", "text")

    def __init__(self, limit: int) -> None:
        self.text = bytearray()
        self.complete = False
        self._limit = limit
        self._seen = 0

    @property
    def room(self) -> int:
        """How many bytes more are wanted."""
        return 0 if self.complete else self._limit - len(self.text)

    def feed(self, data: bytes) -> None:
        """Take more of the message; it may reach beyond the header."""
        self.text += data
        # The first blank line under anybody's reading, so that no field is judged that may be body.
        found = _END_OF_HEADER.search(self.text, max(0, self._seen - 2))
        self._seen = len(self.text)
        self.complete = self.complete or bool(found) or self._seen >= self._limit


class Reply(Struct, frozen=True):
    """A reply as it was received, with all its lines."""

    code: int
    raw: bytes

    @property
    def good(self) -> bool:
        """Whether the command was done."""
        return 200 <= self.code < 300


class Chunk(Struct, frozen=True):
    """BDAT (RFC 3030): so many bytes follow, and whether they are the last."""

    size: int
    last: bool

    @classmethod
    def of(cls, line: bytes) -> "Chunk | None":
        """From a command line; None if it is not well-formed, and nobody can tell what follows."""
        match = _CHUNK.fullmatch(line)
        return cls(int(match[1]), bool(match[2])) if match and int(match[1]) <= _MAX_CHUNK else None

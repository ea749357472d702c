"""Requests as ``name=value`` lines with an empty line behind: Postfix's policy delegation, the line door.

Postfix, SMTPD_POLICY_README; also ``src/smtpd/smtpd_check.c`` and ``src/util/attr_print_plain.c``.
"""

import re
from collections.abc import Iterator

from wehr.doors.wire import ProtocolError, text

MAX_REQUEST = 256 << 10
"""Bytes of one request."""
MAX_ATTRIBUTES = 2000
"""Lines of one request."""

Attributes = list[tuple[bytes, bytes]]
"""Names and values, in order; a name may come more than once."""

_END = re.compile(rb"\n\r?\n")


class Requests:
    """Cuts a byte stream into requests, in linear time and with at most ``MAX_REQUEST`` bytes held back."""

    __slots__ = ("_part", "_seen")

    def __init__(self) -> None:
        self._part = bytearray()  # a request that has begun
        self._seen = 0  # bytes of it in which no end begins

    @property
    def pending(self) -> int:
        """Bytes held back until their request is complete."""
        return len(self._part)

    def feed(self, data: bytes) -> Iterator[Attributes]:
        """Yield each complete request. Exhaust it before feeding again.

        Raises:
            ProtocolError: too long, or a line that is no attribute.
        """
        self._part += data
        start = 0
        while end := _END.search(self._part, max(start, self._seen)):
            request = bytes(self._part[start : end.start()])
            start = end.end()
            yield _parsed(request)
        del self._part[:start]
        self._seen = max(0, len(self._part) - 2)
        if len(self._part) > MAX_REQUEST:
            raise ProtocolError(f"a request of more than {MAX_REQUEST} bytes")


def _parsed(request: bytes) -> Attributes:
    lines = request.split(b"\n", MAX_ATTRIBUTES)
    if len(lines) > MAX_ATTRIBUTES or len(request) > MAX_REQUEST:
        raise ProtocolError("a request of too many lines or bytes")
    attributes = []
    for line in lines:
        name, equals, value = line.rstrip(b"\r").partition(b"=")
        if not equals or not name:
            raise ProtocolError("a line that is no attribute")
        attributes.append((name, value))
    return attributes


class AttributeSession:
    """One connection: requests, one after another. What they mean, and their answers, are the subclass's."""

    __slots__ = ("_requests", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._requests = Requests()

    @property
    def in_message(self) -> bool:
        """Whether a request has begun."""
        return self._requests.pending > 0

    @property
    def pending(self) -> int:
        """Bytes held back until their request is complete."""
        return self._requests.pending

    def receive(self, data: bytes) -> bytes:
        """Take what arrived, return what to answer.

        Raises:
            ProtocolError: the connection is to be closed.
        """
        try:
            return b"".join([self._take(attributes) for attributes in self._requests.feed(data)])
        except ProtocolError:
            self.closed = True
            raise

    def _take(self, attributes: Attributes) -> bytes:
        """The answer to one request.

        Raises:
            ProtocolError: it is none of the protocol's.
        """
        raise NotImplementedError


def answer(action: bytes) -> bytes:
    """The answer to a request."""
    return b"action=" + action + b"\n\n"


def client_name(name: bytes) -> str:
    """A client's name; mail systems write ``unknown`` for none, or the address in brackets."""
    return "" if name == b"unknown" or name.startswith(b"[") else text(name)

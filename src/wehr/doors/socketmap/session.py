"""Postfix's socketmap protocol, without sockets: bytes in, bytes out (socketmap_table(5)).

A request is a netstring with the map's name, a blank and the key; so is the reply: ``OK`` and the value, or
``NOTFOUND``. Postfix keeps the connection and waits for each reply.
"""

from collections.abc import Callable

from wehr.doors.wire import ProtocolError

MAX_REQUEST = 1000
"""Bytes of one request: a map's name and an address."""
_LENGTH = len(str(MAX_REQUEST))

NOT_FOUND = b"9:NOTFOUND ,"

LookUp = Callable[[bytes], bytes]
"""From a key to the reply."""


class SocketmapSession:
    """One connection of Postfix: look-ups, one after another. Whatever the map is called, it is this one."""

    __slots__ = ("_look_up", "_part", "closed")

    def __init__(self, look_up: LookUp) -> None:
        self.closed = False
        self._look_up = look_up
        self._part = b""

    @property
    def in_message(self) -> bool:
        """Whether a request has begun."""
        return bool(self._part)

    @property
    def pending(self) -> int:
        """Bytes held back until their request is complete."""
        return len(self._part)

    def receive(self, data: bytes) -> bytes:
        """Take what arrived, return what to answer.

        Raises:
            ProtocolError: the connection is to be closed.
        """
        data = self._part + data
        position, answers = 0, []
        try:
            while (stop := _end(data, position)) is not None:
                answers.append(self._look_up(_key(data[position:stop])))
                position = stop + 1
        except ProtocolError:
            self.closed = True
            raise
        self._part = data[position:]
        return b"".join(answers)


def _end(data: bytes, position: int) -> int | None:
    """Where the netstring at a place ends (its comma); None if it is not complete.

    Raises:
        ProtocolError: it is none, or too long.
    """
    head = data[position : position + _LENGTH + 1]
    digits, colon, _ = head.partition(b":")
    if (digits and not digits.isdigit()) or (not digits and colon) or len(digits) > _LENGTH:
        raise ProtocolError("not a netstring")
    if not colon:
        return None
    if int(digits) > MAX_REQUEST:
        raise ProtocolError(f"a request of {int(digits)} bytes")
    end = position + len(digits) + 1 + int(digits)
    if end >= len(data):
        return None
    if data[end : end + 1] != b",":
        raise ProtocolError("a netstring without its comma")
    return end


def _key(request: bytes) -> bytes:
    """The key in a netstring without its comma: ``20:clients 2001:db8::25``.

    Raises:
        ProtocolError: there is none.
    """
    _, _, text = request.partition(b":")
    _, blank, key = text.partition(b" ")
    if not blank:
        raise ProtocolError("a request without a key")
    return key


def netstring(text: bytes) -> bytes:
    """A text in the form that requests and replies have."""
    return b"%d:%s," % (len(text), text)

"""Postfix's socketmap and memcached's protocol, without sockets: bytes in, bytes out.

A socketmap's request is a netstring with the map's name, a blank and the key; so is the reply: ``OK`` and the
value, or ``NOTFOUND`` (socketmap_table(5)). Of memcached's protocol there is ``get`` with one key, all that
Postfix asks for in a look-up (memcache_table(5)); it is here because Postfix's time limit can be set there.
Postfix keeps the connection and waits for each reply.
"""

from collections.abc import Callable

from msgspec import Struct

from wehr.doors.wire import ProtocolError

MAX_REQUEST = 1000
"""Bytes of one request: a map's name and an address."""
_LENGTH = len(str(MAX_REQUEST))
_GET = b"get "

NOT_FOUND = b"9:NOTFOUND ,"


class Form(Struct, frozen=True):
    """How a protocol answers: ``found`` makes the reply from key and value."""

    missing: bytes
    found: Callable[[bytes, bytes], bytes]


LookUp = Callable[[bytes, Form], bytes]
"""From a key to the reply in a form."""


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
            while position < len(data):
                memcache = data.startswith(_GET[:1], position)
                stop = _end_of_line(data, position) if memcache else _end(data, position)
                if stop is None:
                    break
                request, position = data[position:stop], stop + (2 if memcache else 1)
                key = _only_key(request) if memcache else _key(request)
                answers.append(self._look_up(key, MEMCACHE if memcache else SOCKETMAP))
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


def _end_of_line(data: bytes, position: int) -> int | None:
    """Where memcached's request at a place ends (its CR LF); None if it is not complete.

    Raises:
        ProtocolError: it is none, or too long.
    """
    if not _GET.startswith(data[position : position + len(_GET)]):
        raise ProtocolError("not memcached's get")
    end = data.find(b"\r\n", position, position + MAX_REQUEST)
    if end < 0 and len(data) - position >= MAX_REQUEST:
        raise ProtocolError("a request without its end")
    return end if end >= 0 else None


def _only_key(request: bytes) -> bytes:
    """The key in ``get 2001:db8::25``.

    Raises:
        ProtocolError: there is none, or more than one.
    """
    key = request[len(_GET) :]
    if not key or b" " in key:
        raise ProtocolError("not a request for one key")
    return key


SOCKETMAP = Form(NOT_FOUND, lambda _, value: netstring(b"OK " + value))
MEMCACHE = Form(b"END\r\n", lambda key, value: b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(value), value))

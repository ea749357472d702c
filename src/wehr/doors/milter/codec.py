"""The bytes of the milter protocol, both ways, versions 2 to 6. No sockets, no clock, no state but a buffer.

A frame is a length (32 bits, big-endian, counting what follows), a command byte and the command's payload.
Nothing official describes the protocol; the sources are Sendmail's ``include/libmilter/mfdef.h`` and
``libmilter/engine.c``, and Postfix's ``src/milter/milter8.c``.
"""

from collections.abc import Iterator, Mapping
from struct import Struct as Layout

from msgspec import Struct

from wehr.doors.wire import ProtocolError, refusal

# Commands of the mail system (SMFIC_*).
ABORT, BODY, CONNECT, MACRO, END_OF_MESSAGE = b"ABCDE"
HELO, QUIT_NEW, HEADER, MAIL, END_OF_HEADERS = b"HKLMN"
NEGOTIATE, QUIT, RCPT, DATA, UNKNOWN = b"OQRTU"

# Answers of the filter (SMFIR_*), the few that Wehr gives.
ACCEPT, CONTINUE, REPLY_CODE = b"acy"

# What the filter may do (SMFIF_*): only to choose the macros that it is sent.
CAN_SET_MACROS = 0x100

# Which steps are left out or go unanswered (SMFIP_*).
NO_BODY, NO_UNKNOWN, NO_DATA = 0x10, 0x100, 0x200
QUIET_HEADER, QUIET_CONNECT, QUIET_HELO, QUIET_MAIL, QUIET_RCPT = 0x80, 0x1000, 0x2000, 0x4000, 0x8000
QUIET_DATA, QUIET_UNKNOWN, QUIET_END_OF_HEADERS, QUIET_BODY = 0x10000, 0x20000, 0x40000, 0x80000

QUIET: Mapping[int, int] = {
    CONNECT: QUIET_CONNECT,
    HELO: QUIET_HELO,
    MAIL: QUIET_MAIL,
    RCPT: QUIET_RCPT,
    DATA: QUIET_DATA,
    UNKNOWN: QUIET_UNKNOWN,
    HEADER: QUIET_HEADER,
    END_OF_HEADERS: QUIET_END_OF_HEADERS,
    BODY: QUIET_BODY,
}
"""The flag by which a filter promises not to answer a command."""

MACRO_STAGES: Mapping[int, int] = {
    CONNECT: 0, HELO: 1, MAIL: 2, RCPT: 3, DATA: 4, END_OF_MESSAGE: 5, END_OF_HEADERS: 6,
}  # fmt: skip
"""SMFIM_*: how a list of wished macros names the command that they precede."""

_MACRO_COMMANDS = {stage: command for command, stage in MACRO_STAGES.items()}

KEPT = 1 << 17
"""Bytes of one frame that are kept: twice the 65,535 that Postfix and libmilter send at most."""

LIMIT = 1 << 26
"""Bytes that a frame may claim to have; only a header or a body may exceed ``KEPT``."""

_PREFIX = Layout(">IB")
_OFFER = Layout(">III")


class Frames:
    """Cuts a byte stream into frames, in linear time and with little more than ``KEPT`` bytes held back."""

    __slots__ = ("_drop", "_need", "_part")

    def __init__(self) -> None:
        self._part = bytearray()  # a frame that has begun
        self._need = 0  # how many bytes of it are worth another look
        self._drop = 0  # bytes of an oversize frame that are still to come and not kept

    @property
    def pending(self) -> int:
        """Bytes held back until their frame is complete; 1 while the rest of an oversize one is skipped."""
        return len(self._part) + (self._drop > 0)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes, int, int]]:
        """Yield (command, buffer, start of payload in it, end of payload) of each complete frame.

        Of an oversize frame only the first ``KEPT`` bytes are shown. Exhaust it before feeding again.

        Raises:
            ProtocolError: a frame without a command, or longer than allowed.
        """
        if self._drop:
            gone = min(self._drop, len(data))
            self._drop -= gone
            data = data[gone:]
        if self._part:
            self._part += data
            if len(self._part) < self._need:
                return
            data = bytes(self._part)
            self._part.clear()
        unpack = _PREFIX.unpack_from
        position, end = 0, len(data)
        while end - position >= 5:
            length, command = unpack(data, position)
            stop = position + 4 + length
            if not 0 < length <= KEPT:
                kept = position + 4 + KEPT
                if not 0 < length <= (LIMIT if command in {HEADER, BODY} else KEPT):
                    raise ProtocolError(f"a frame of {length} bytes")
                if kept > end:
                    self._need = 4 + KEPT
                    break
                yield command, data, position + 5, kept
                self._drop = max(0, stop - end)
            elif stop > end:
                self._need = 4 + length
                break
            else:
                yield command, data, position + 5, stop
            position = stop
        else:
            self._need = 5
        self._part += data[position:]


def frame(command: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return _PREFIX.pack(len(payload) + 1, command) + payload


class Offer(Struct, frozen=True):
    """What one side offers, or takes of the other's offer, before anything else is said.

    ``actions`` and ``steps`` are the flags SMFIF_* and SMFIP_*. ``macros`` are the filter's wishes: for the
    command that they precede (``CONNECT``, ``HELO``, ...) the macros' names, separated by blanks.
    """

    version: int = 6
    actions: int = 0
    steps: int = 0
    macros: tuple[tuple[int, str], ...] = ()


def encode_offer(offer: Offer) -> bytes:
    """The frame that carries an offer."""
    lists = b"".join(
        MACRO_STAGES[command].to_bytes(4, "big") + names.encode("ascii") + b"\0"
        for command, names in offer.macros
    )
    return frame(NEGOTIATE, _OFFER.pack(offer.version, offer.actions, offer.steps) + lists)


def decode_offer(payload: bytes) -> Offer:
    """Read an offer; lists of macros that make no sense are left out.

    Raises:
        ProtocolError: shorter than version, actions and steps.
    """
    if len(payload) < _OFFER.size:
        raise ProtocolError("a truncated offer")
    version, actions, steps = _OFFER.unpack_from(payload)
    lists = []
    position = _OFFER.size
    while (stop := payload.find(b"\0", position + 4)) >= 0:
        command = _MACRO_COMMANDS.get(int.from_bytes(payload[position : position + 4], "big"))
        if command is not None:
            lists.append((command, payload[position + 4 : stop].decode("ascii", "replace")))
        position = stop + 1
    return Offer(version, actions, steps, tuple(lists))


def encode_strings(command: int, *texts: str) -> bytes:
    """A frame of NUL-terminated strings: HELO; MAIL and RCPT with arguments; a header's name and value."""
    return frame(command, b"".join(text.encode() + b"\0" for text in texts))


def decode_strings(payload: bytes) -> list[bytes]:
    """The NUL-terminated strings of a payload.

    Raises:
        ProtocolError: none, or the last one is not terminated.
    """
    *strings, rest = payload.split(b"\0")
    if rest or not strings:
        raise ProtocolError("a truncated string")
    return strings


def encode_macros(command: int, macros: Mapping[str, str]) -> bytes:
    """The frame that defines the macros for the command that follows it."""
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in macros.items())
    return frame(MACRO, bytes((command,)) + pairs)


def decode_macros(payload: bytes) -> dict[bytes, bytes]:
    """The macros of a payload without its first byte, the command; a name without a value is left out."""
    strings = payload.split(b"\0")
    return dict(zip(strings[0::2], strings[1::2], strict=False))


def encode_connect(name: str, address: str, port: int = 0) -> bytes:
    """The frame that tells who the client is; address ``""`` is unknown, one with a slash a local socket."""
    if not address:
        return frame(CONNECT, name.encode() + b"\0U")
    family = b"L" if "/" in address else b"6" if ":" in address else b"4"
    return frame(CONNECT, name.encode() + b"\0" + family + port.to_bytes(2, "big") + address.encode() + b"\0")


def decode_connect(payload: bytes) -> tuple[bytes, bytes]:
    """The client's name and its IP address as text, ``b""`` if it is unknown or no IP address.

    Raises:
        ProtocolError: truncated.
    """
    name, nul, rest = payload.partition(b"\0")
    if not nul or not rest:
        raise ProtocolError("a truncated connection")
    if rest[:1] not in {b"4", b"6"}:
        return name, b""
    address, nul, _ = rest[3:].partition(b"\0")
    if not nul:
        raise ProtocolError("a truncated address")
    # Sendmail marks an IPv6 address as it does in its own tables (RFC 5321 section 4.1.3).
    return name, address.removeprefix(b"IPv6:")


def encode_reply(line: str) -> bytes:
    """The frame that answers with an SMTP line such as ``450 4.7.230 text``.

    Raises:
        ValueError: it is no refusal.
    """
    return frame(REPLY_CODE, refusal(line) + b"\0")

"""One TCP connection with bounded buffers: lines and bytes in, bytes out, TLS on the way.

asyncio's own streams would do, but for three things: their TLS upgrade leaves the reader's flow control on
the old transport (CPython before 3.12), they cannot forget what was sent before TLS, and they cannot wake who
waits for one peer when the other one has hung up.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

HIGH = 64 << 10
"""Bytes that may wait in either direction; then whoever sends more has to wait."""
_PARTING = 10.0
"""Seconds in which a peer may fetch what was said last."""


class Gone(Exception):
    """The peer has closed the connection, or it broke."""


class LineTooLong(Exception):
    """A line was longer than allowed; it was skipped."""


class Stream(asyncio.Protocol):
    """One side's connection. One task reads and writes it."""

    gone: type[Gone] = Gone
    _transport: asyncio.Transport

    def __init__(self) -> None:
        self.secure = False
        self.on_word: Callable[[], None] | None = None
        """Called when something comes in, or the connection ends, and nobody waits for it."""
        self._buffer = bytearray()
        self._ended = False
        self._lost = False
        self._held_up = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH)

    def data_received(self, data: bytes) -> None:
        """Keep what comes in, and have the peer wait when that is enough."""
        self._buffer += data
        if len(self._buffer) > HIGH and not self._held_up:
            self._held_up = True
            self._transport.pause_reading()
        self._tell()

    def eof_received(self) -> bool:
        """The peer sends no more, but may still read (TLS knows no such state)."""
        self._ended = True
        self._tell()
        return not self.secure

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake who waits."""
        self._ended = self._lost = True
        self.resume_writing()
        self._tell()

    def pause_writing(self) -> None:
        """The peer does not read as fast as we write."""
        if not self._writer:
            self._writer = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._writer and not self._writer.done():
            self._writer.set_result(None)
        self._writer = None

    def _tell(self) -> None:
        if self._reader:
            if not self._reader.done():
                self._reader.set_result(None)
        elif self.on_word:
            self.on_word()

    @property
    def quiet(self) -> bool:
        """Whether nothing is there to be read, and more may come."""
        return not self._buffer and not self._ended

    @property
    def has_line(self) -> bool:
        """Whether a whole line has come in."""
        return b"\n" in self._buffer

    def interrupt(self) -> None:
        """Have who waits to read go on with nothing."""
        if self._reader and not self._reader.done():
            self._reader.set_exception(InterruptedError())

    async def line(self, limit: int) -> bytes:
        """The next line, up to and including its LF.

        Raises:
            LineTooLong: it was, and is skipped.
            Gone: there is none.
            InterruptedError: see ``interrupt``.
        """
        searched, skipped = 0, False
        while (end := self._buffer.find(b"\n", searched)) < 0:
            if len(self._buffer) > limit:
                self._buffer.clear()
                skipped = True
            searched = len(self._buffer)
            await self._more()
        line = self._take(end + 1)
        if skipped or len(line) > limit:
            raise LineTooLong
        return line

    async def some(self, most: int = HIGH) -> bytes:
        """What has come in, at least one byte and at most so many.

        Raises:
            Gone: there is nothing more.
        """
        while not self._buffer:
            await self._more()
        return self._take(most)

    def put_back(self, data: bytes) -> None:
        """Have this read again, first."""
        self._buffer[:0] = data

    def forget(self) -> None:
        """Drop what has come in."""
        self._buffer.clear()

    def _take(self, most: int) -> bytes:
        taken = bytes(self._buffer[:most])
        del self._buffer[:most]
        return taken

    async def _more(self) -> None:
        if self._ended:
            raise self.gone("connection closed")
        if self._held_up:
            self._held_up = False
            self._transport.resume_reading()
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def write(self, data: bytes) -> None:
        """Send; what the peer does not take is kept, so ``drain`` before more of it."""
        if not self._lost:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was sent.

        Raises:
            Gone: it never will.
        """
        if self._writer:
            await self._writer
        if self._lost:
            raise self.gone("connection closed")

    async def start_tls(self, context: ssl.SSLContext, *, serve: bool, name: str | None = None) -> None:
        """Go over to TLS; ``name`` is the peer's that is verified, as far as the context says so.

        Raises:
            Gone: there is no TLS with this peer.
        """
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(
                self._transport, self, context, server_side=serve, server_hostname=name,
                ssl_handshake_timeout=30, ssl_shutdown_timeout=_PARTING,
            )  # fmt: skip
        except (OSError, ssl.CertificateError) as error:
            self._lost = self._ended = True
            raise self.gone(f"no TLS: {error}") from None
        if transport is None:
            raise self.gone("connection closed")
        self._transport = transport
        self._transport.set_write_buffer_limits(HIGH)
        self._held_up = False
        self.secure = True

    def pause(self) -> None:
        """Read nothing more before TLS."""
        self._transport.pause_reading()

    @property
    def peer_certificate(self) -> object:
        """As `ssl.SSLSocket.getpeercert` tells it: nothing of one that was not verified."""
        return self._transport.get_extra_info("peercert")

    def close(self) -> None:
        """Close once the peer has taken what was sent, or was given time to."""
        transport = self._transport
        transport.close()
        asyncio.get_running_loop().call_later(_PARTING, transport.abort)

    def abort(self) -> None:
        """Close without waiting for anything."""
        self._transport.abort()

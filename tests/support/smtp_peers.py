"""SMTP as strangers speak it: an honest client, and a next hop that takes everything."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from socket import socketpair

from wehr.doors.smtp import Proxy, Tell
from wehr.doors.smtp.settings import NextTls

ENVELOPE = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\n"
_DIALOGUE = (
    (b"", b"220"),
    (b"EHLO client.example.com\r\n", b"250"),
    *((line + b"\r\n", b"250") for line in ENVELOPE.split(b"\r\n")[:2]),
    (b"DATA\r\n", b"354"),
    (b"Received: from a by b\r\nSubject: hello\r\n\r\nHello\r\n.\r\n", b"250"),
    (b"QUIT\r\n", b"221"),
)
_ANSWERS = {
    b"EHLO": b"250-mx.example.org\r\n250-PIPELINING\r\n250 XCLIENT NAME ADDR PORT\r\n",
    b"XCLI": b"220 mx.example.org ESMTP\r\n",
    b"DATA": b"354 Go on\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}


async def deliver(address: tuple[str, int]) -> bool:
    """Hand over one message in a session of its own; whether it was taken."""
    reader, writer = await asyncio.open_connection(*address)
    well = True
    for said, code in _DIALOGUE:
        writer.write(said)
        line = await reader.readline()
        while line[3:4] == b"-":
            line = await reader.readline()
        if not (well := line.startswith(code)):
            break
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return well


class NextHop(asyncio.Protocol):
    """Takes every message, and forgets it."""

    _transport: asyncio.WriteTransport

    def __init__(self) -> None:
        self._part = b""
        self._in_message = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(b"220 mx.example.org ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer each line."""
        *lines, self._part = (self._part + data).split(b"\n")
        self._part = self._part[:1000]
        for line in lines:
            if self._in_message and line != b".\r":
                continue
            verb = line[:4].upper()
            self._in_message = verb == b"DATA"
            self._transport.write(_ANSWERS.get(verb, b"250 2.0.0 Ok\r\n"))


def proxy() -> Proxy:
    """A proxy in front of such a next hop inside this process."""

    async def connect(new: Callable[[], asyncio.Protocol]) -> object:
        loop = asyncio.get_running_loop()
        ours, theirs = socketpair()
        await loop.create_connection(NextHop, sock=theirs)
        return await loop.create_connection(new, sock=ours)

    return Proxy(lambda: "mx.example.org", connect, time.time, Tell.XCLIENT, next_tls=NextTls.OFF)

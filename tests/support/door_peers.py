"""Peers of every door, honest and hostile: what one says and hears, and how others begin and go on."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from http_asking import post
from smtp_peers import ENVELOPE, deliver, proxy

from wehr.doors.door import Door
from wehr.doors.http import HttpServer
from wehr.doors.line import LineServer
from wehr.doors.milter import AsyncMilterClient, MilterServer, Offer, codec
from wehr.doors.milter.codec import encode_connect, encode_strings, frame
from wehr.doors.policy_service import PolicyServer
from wehr.doors.smtp import SmtpServer, sink
from wehr.doors.socketmap import SocketmapServer
from wehr.evidence.types import Session

Address = tuple[str, int]


@dataclass(frozen=True)
class Peer:
    """The peers of one door.

    ``deliver`` is one honest question; it tells whether the answer was the one that refuses nothing.
    ``begun`` is a question without its end, ``more`` goes on with it byte by byte, ``much`` is the longest
    that is kept of one. ``asking`` begins a connection on which ``again`` is answered each time.
    ``cost`` is what an idle one may cost in memory, with both ends of it. A ``patient`` door speaks SMTP to
    strangers: it has the time limits of RFC 5321 in place of sweeps, and has who does not read wait.
    """

    kind: Callable[..., Door]
    deliver: Callable[[Address], Awaitable[bool]]
    begun: bytes
    much: bytes
    asking: bytes
    again: bytes
    more: bytes = b"x"
    cost: int = 12 << 10
    patient: bool = False


def _lines(question: bytes, answer: bytes) -> Callable[[Address], Awaitable[bool]]:
    async def deliver(address: Address) -> bool:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(question)
        heard = await reader.read(len(answer))
        while len(heard) < len(answer) and (more := await reader.read(len(answer) - len(heard))):
            heard += more
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return heard == answer

    return deliver


async def _milter(address: Address) -> bool:
    session = Session(client_ip="192.0.2.1", client_name="mail.example.com", helo="mail.example.com")
    client = await AsyncMilterClient.open(address, session)
    verdict = await client.deliver([("Received", "from a by b"), ("Subject", "Hello")])
    await client.close()
    return verdict == "accept"


_BEGUN = codec.encode_offer(Offer(6, 0x1FF, 0x1FFFFF)) + encode_connect("mail.example.com", "192.0.2.1")
_ENVELOPE = encode_strings(codec.MAIL, "<a@example.com>") + encode_strings(codec.RCPT, "<b@example.org>")
_FIELD = encode_strings(codec.HEADER, "Received", "x" * 8000)
_POLICY = b"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.1\nhelo_name=x\n\n"
_LINE = b"request=message\nclient_address=192.0.2.1\nhelo_name=x\nreceived=from a by b\n\n"
_SMTP = Peer(
    partial(SmtpServer, proxy=proxy()),
    deliver,
    begun=b"EHLO client.example.com\r\nMAIL FROM:<a",
    much=b"EHLO client.example.com\r\n" + ENVELOPE + b"DATA\r\nReceived: " + b"x" * 130_000,
    asking=b"EHLO client.example.com\r\n",
    again=b"NOOP\r\n",
    cost=24 << 10,  # and both ends of the connection with the next hop
    patient=True,
)

PEERS = {
    "milter": Peer(
        MilterServer,
        _milter,
        begun=_BEGUN + _ENVELOPE + (4000).to_bytes(4, "big") + b"LReceived\0",
        much=_BEGUN + _ENVELOPE + _FIELD * 14 + (100_000).to_bytes(4, "big") + b"LReceived\0" + b"x" * 90_000,
        asking=codec.encode_offer(Offer(2, 0x3F, 0)) + encode_connect("x", "192.0.2.1"),
        again=frame(codec.UNKNOWN),
    ),
    "line": Peer(
        LineServer,
        _lines(_LINE, b"action=accept\n\n"),
        begun=b"request=message\nhelo_name=",
        much=b"request=message\nreceived=" + b"x" * 200_000,
        asking=b"",
        again=_LINE,
    ),
    "policy_service": Peer(
        PolicyServer,
        _lines(_POLICY, b"action=DUNNO\n\n"),
        begun=b"request=smtpd_access_policy\nhelo_name=",
        much=b"request=smtpd_access_policy\nhelo_name=" + b"x" * 200_000,
        asking=b"",
        again=_POLICY,
    ),
    "socketmap": Peer(
        SocketmapServer,
        _lines(b"17:clients 192.0.2.1,", b"9:NOTFOUND ,"),
        begun=b"900:clients ",
        much=b"1000:clients " + b"x" * 900,
        asking=b"",
        again=b"17:clients 192.0.2.1,",
    ),
    "http": Peer(
        HttpServer,
        _lines(post("/v1/decide", {"client": {"ip": "192.0.2.1"}}), b"HTTP/1.1 200"),
        begun=b"POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        much=post("/v1/decide", b"x" * 200_000)[:-1],
        asking=b"",
        again=post("/v1/decide", {"helo": "x" * 100}),
    ),
    "smtp": _SMTP,
    "sink": replace(
        _SMTP, kind=partial(SmtpServer, proxy=sink(lambda: "mx.example.org", time.time)), cost=40 << 10
    ),
}
"""By the name of the door's table in the configuration."""

"""The next hop: connecting, TLS, and telling it who the client is."""

import asyncio
import re
import ssl
from collections.abc import Iterator
from ipaddress import ip_address

from msgspec import Struct

from wehr.doors.smtp.commands import keywords
from wehr.doors.smtp.framing import Reply
from wehr.doors.smtp.names import NO_NAME, HostName
from wehr.doors.smtp.settings import NextTls, Proxy, Tell
from wehr.doors.smtp.stream import Gone, LineTooLong, Stream

_MAX_LINE = 4096
_MAX_LINES = 100
_REPLY = re.compile(rb"([2-5][0-9][0-9])(-|[ \r\n])")
_PLAIN = re.compile(rb"[^!-*,-<>-~]")  # RFC 3461 section 4: what xtext writes as +XX
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"


class NextHopGone(Gone):
    """The next hop is away, too slow, or not to be used as configured."""


class Client(Struct, frozen=True):
    """Who is connected: canonical addresses ("" if there are none) and ports, and the verified name."""

    address: str = ""
    port: int = 0
    here: str = ""
    here_port: int = 0
    name: HostName = NO_NAME

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


class NextHop(Stream):
    """The connection to the next hop."""

    gone = NextHopGone

    def __init__(self) -> None:
        super().__init__()
        self.offers: dict[bytes, bytes] = {}

    async def ask(self, line: bytes, seconds: float) -> Reply:
        """Send a command; the reply to it.

        Raises:
            NextHopGone: there is none, in that time.
        """
        self.write(line)
        return await self.reply(seconds)

    async def reply(self, seconds: float) -> Reply:
        """The next reply. Raises as ``ask``."""
        raw = b""
        try:
            async with asyncio.timeout(seconds):
                for _ in range(_MAX_LINES):
                    line = await self.line(_MAX_LINE)
                    raw += line.rstrip(b"\r\n") + b"\r\n"
                    match = _REPLY.match(line)
                    if not match or match[1] != raw[:3]:
                        break
                    if match[2] != b"-":
                        return Reply(int(match[1]), raw)
        except TimeoutError:
            raise NextHopGone(f"no reply in {seconds:g} s") from None
        except LineTooLong:
            pass
        raise NextHopGone(f"not a reply in SMTP: {raw[:100]!r}")

    async def drained(self, seconds: float) -> None:
        """Wait until it has taken most of what was sent. Raises as ``ask``."""
        try:
            async with asyncio.timeout(seconds):
                await self.drain()
        except TimeoutError:
            raise NextHopGone(f"took nothing for {seconds:g} s") from None


async def open_next_hop(proxy: Proxy, client: Client) -> tuple[NextHop, Reply]:
    """A connection on which the next hop knows who the client is, and its greeting for it.

    Raises:
        NextHopGone: there is none to be had; the client is to come again.
    """
    try:
        return await _opened(proxy, client, proxy.next_tls)
    except _NoTls:
        if proxy.next_tls is not NextTls.OFFERED:
            raise
        return await _opened(proxy, client, NextTls.OFF)


class _NoTls(NextHopGone):
    """TLS was offered, and failed."""


async def _opened(proxy: Proxy, client: Client, tls: NextTls) -> tuple[NextHop, Reply]:
    patience = proxy.timeouts
    hop = NextHop()
    try:
        async with asyncio.timeout(patience.connect):
            await proxy.connect(lambda: hop)
    except TimeoutError:
        raise NextHopGone(f"no connection in {patience.connect:g} s") from None
    except OSError as error:
        raise NextHopGone(str(error)) from None
    try:
        return hop, await _introduced(hop, proxy, client, tls)
    except BaseException:
        hop.abort()
        raise


async def _introduced(hop: NextHop, proxy: Proxy, client: Client, tls: NextTls) -> Reply:
    patience = proxy.timeouts.reply
    if proxy.tell is Tell.PROXY:
        hop.write(proxy_header(client))
    greeting = await hop.reply(patience)
    by_command = proxy.tell in (Tell.XCLIENT, Tell.XFORWARD)
    if greeting.code != 220 or not (by_command or tls is not NextTls.OFF):
        return greeting
    await _hello(hop, proxy)
    if tls is not NextTls.OFF:
        await _encrypted(hop, proxy, tls)
    if by_command and proxy.tell.name.encode() not in hop.offers:
        # Without it the next hop would take every client for us, whom it may well trust.
        raise NextHopGone(f"it does not offer {proxy.tell.name} to us")
    if proxy.tell is Tell.XCLIENT:
        reply = await hop.ask(xclient(client, hop.offers[b"XCLIENT"]), patience)
        if 500 <= reply.code <= 509:  # of the command (RFC 5321 section 4.2.1), not of the client
            raise NextHopGone(f"XCLIENT was answered with {reply.raw[:100]!r}")
        return reply
    return greeting


async def _hello(hop: NextHop, proxy: Proxy) -> None:
    reply = await hop.ask(b"EHLO %s\r\n" % proxy.host().encode(), proxy.timeouts.reply)
    hop.offers = keywords(reply) if reply.good else {}


async def _encrypted(hop: NextHop, proxy: Proxy, tls: NextTls) -> None:
    if b"STARTTLS" not in hop.offers:
        if tls is NextTls.OFFERED:
            return
        raise NextHopGone("it does not offer STARTTLS")
    reply = await hop.ask(b"STARTTLS\r\n", proxy.timeouts.reply)
    if reply.code != 220 or not hop.quiet:
        raise _NoTls(f"STARTTLS was answered with {reply.raw[:100]!r}")
    context = proxy.next_context or unverified()
    try:
        await hop.start_tls(context, serve=False, name=proxy.next_name or None)
    except NextHopGone as error:
        raise _NoTls(str(error)) from None
    await _hello(hop, proxy)


def unverified() -> ssl.SSLContext:
    """TLS with whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def xclient(client: Client, offered: bytes) -> bytes:
    """XCLIENT (Postfix, XCLIENT_README), with those of the attributes that are offered."""
    none = b"[TEMPUNAVAIL]" if client.name.later else b"[UNAVAILABLE]"
    return _attributes(b"XCLIENT", offered, dict(_facts(client, none)))


def xforward(client: Client, offered: bytes, helo: str, protocol: str) -> bytes:
    """XFORWARD (Postfix, XFORWARD_README) for the next message."""
    values = dict(_facts(client, b"[UNAVAILABLE]"))
    values[b"HELO"] = _xtext(helo) or b"[UNAVAILABLE]"
    values[b"PROTO"] = protocol.encode()
    values[b"SOURCE"] = b"REMOTE"
    return _attributes(b"XFORWARD", offered, values)


def _facts(client: Client, none: bytes) -> Iterator[tuple[bytes, bytes]]:
    yield b"NAME", _xtext(client.name.verified) or none
    yield b"REVERSE_NAME", _xtext(client.name.reverse) or none
    yield b"ADDR", (b"IPV6:" if ":" in client.address else b"") + (client.address.encode() or none)
    yield b"PORT", b"%d" % client.port


def _attributes(verb: bytes, offered: bytes, values: dict[bytes, bytes]) -> bytes:
    known = [b"%s=%s" % (name, values[name]) for name in offered.split() if name in values]
    return b" ".join((verb, *known)) + b"\r\n"


def _xtext(text: str) -> bytes:
    return _PLAIN.sub(lambda char: b"+%02X" % char[0][0], text[:255].encode("utf-8", "replace"))


def proxy_header(client: Client) -> bytes:
    """The client's address in PROXY protocol, version 2 (haproxy, proxy-protocol.txt section 2.2).

    Raises:
        NextHopGone: there is no address to tell.
    """
    try:
        addresses = [ip_address(client.address), ip_address(client.here)]
    except ValueError:
        raise NextHopGone("a client without an address") from None
    wide = any(address.version == 6 for address in addresses)
    packed = b"".join(
        address.packed if address.version == (6 if wide else 4) else b"\0" * 10 + b"\xff\xff" + address.packed
        for address in addresses
    )
    packed += client.port.to_bytes(2) + client.here_port.to_bytes(2)
    family = b"\x21" if wide else b"\x11"
    return PROXY_V2 + b"\x21" + family + len(packed).to_bytes(2) + packed

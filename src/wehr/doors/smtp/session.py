"""One client's session: its commands go to the next hop and the replies come back, but for the header.

Rule 1: only the next hop says 250. What we say ourselves is a refusal, or 354: DATA is told to the next hop
when the header is complete and Wehr does not refuse, so a refused message never reaches it. What it answers
to DATA then is the reply to the message.
Rule 2: commands are sent on in groups as the client pipelines them (RFC 2920), but never behind one that
changes what follows it.
Rule 3: whatever becomes of the next hop or of us, the client gets a 4xx or no reply, and sends again.
Rule 4: at most two buffers' worth of a message is kept; who is slow slows down who sends.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Final

from wehr.doors.smtp import commands
from wehr.doors.smtp.commands import Command
from wehr.doors.smtp.framing import Chunk, Content, Head, Reply
from wehr.doors.smtp.next_hop import Client, NextHop, NextHopGone, open_next_hop, xforward
from wehr.doors.smtp.settings import Proxy, Tell
from wehr.doors.smtp.stream import Gone, LineTooLong, Stream
from wehr.doors.wire import MAX_DOMAINS, MAX_TRACE
from wehr.evidence.types import Session

MAX_HEAD: Final = MAX_TRACE
"""Bytes of a message that are kept back; a header that is longer is judged by these."""
_MAX_GROUP: Final = 100
"""Commands that are sent on at once."""

_NOT_IN_NAMES: Final = re.compile(r"[^0-9A-Za-z._:\[\]-]")

_GO_ON: Final = b"354 End data with <CR><LF>.<CR><LF>\r\n"
_NO_RECIPIENTS: Final = b"554 5.5.1 No valid recipients\r\n"
_FORGED: Final = b"554 5.6.0 A line with a lone dot ends in a bare LF or CR (RFC 5321 section 2.3.8)\r\n"
_ODD: Final = b"451 4.5.0 The next hop gave an odd answer; try again later\r\n"
_TLS_FIRST: Final = b"530 5.7.0 Must issue a STARTTLS command first\r\n"
_NO_RELAY: Final = b"550 5.7.1 Relaying denied\r\n"
_NOT_NOW: Final = b"503 5.5.1 Not now\r\n"
_NO_SUCH: Final = b"502 5.5.1 Command not implemented\r\n"

Decide = Callable[[Session, bytes, str], bytes]
"""From session, header and name of the message to the line that refuses it, or b"" to accept."""


class Transaction:
    """A message whose sender the next hop has taken."""

    __slots__ = ("accepted", "begun", "domains", "head", "judged")

    def __init__(self) -> None:
        self.accepted = 0
        self.domains: dict[str, None] = {}
        self.head = Head(MAX_HEAD)
        self.judged = False
        self.begun = False
        """Something of the message has been sent on (BDAT)."""


class ProxySession:
    """One client, one connection to the next hop."""

    def __init__(self, proxy: Proxy, stream: Stream, client: Client, name: str, decide: Decide) -> None:
        """``name`` is the session's own, for logs and as a message's name."""
        self.in_message = False
        """Between the beginning of a message and the next hop's word on it."""
        self._proxy = proxy
        self._stream = stream
        self._client = client
        self._name = name
        self._decide = decide
        self._ours = commands.is_for(proxy.domains) if proxy.domains else None
        self._messages = 0
        self._helo = ""
        self._esmtp = False
        self._pipelining = False
        self._authenticated = False
        self._tls_name = ""
        self._done = False
        self._transaction: Transaction | None = None
        self._next: NextHop

    async def run(self) -> None:
        """Serve the client up to the end.

        Raises:
            NextHopGone: the next hop is; the client has been told to come again.
        """
        proxy = self._proxy
        host = proxy.host.encode()
        try:
            if self._client.address:
                self._client = Client(
                    self._client.address, self._client.port, self._client.here, self._client.here_port,
                    await proxy.look_up(self._client.address),
                )  # fmt: skip
            self._next, greeting = await open_next_hop(proxy, self._client)
            self._stream.write(greeting.raw)
            self._done = greeting.code == 421
            try:
                await self._converse()
            finally:
                self._next.abort() if self.in_message else self._next.close()
        except NextHopGone:
            self._stream.write(b"421 4.4.1 %s The next hop is not available; try again later\r\n" % host)
            raise
        except TimeoutError:
            self._stream.write(b"421 4.4.2 %s Timeout exceeded\r\n" % host)
        except asyncio.CancelledError:
            if not self.in_message:
                self._stream.write(b"421 4.3.2 %s Closing; try again later\r\n" % host)
            raise
        except Gone:
            pass

    async def _converse(self) -> None:
        while not self._done:
            group = await self._group()
            if all(command.verb in commands.PIPELINED or command.wrong for command in group):
                await self._pass_group(group)
            else:
                await self._take(group[0])

    # What the client says

    async def _group(self) -> list[Command]:
        """The next command, and those that came with it whose replies need not be waited for."""
        group = [await self._first_command()]
        limit = _MAX_GROUP if self._pipelining else 1
        while group[-1].verb in commands.PIPELINED and len(group) < limit and self._stream.has_line:
            line = await self._line()
            if line.verb not in commands.PIPELINED or (
                line.verb == b"MAIL" and self._proxy.tell is Tell.XFORWARD
            ):
                self._stream.put_back(line.line)
                break
            group.append(line)
        return group

    async def _first_command(self) -> Command:
        """The next command, or word from the next hop that it goes (a 421, say), which ends the session."""
        hop = self._next
        hop.on_word = self._stream.interrupt
        try:
            if hop.quiet:
                async with asyncio.timeout(self._proxy.timeouts.command):
                    return await self._line()
        except InterruptedError:
            pass
        finally:
            hop.on_word = None
        self._stream.write((await hop.reply(self._proxy.timeouts.reply)).raw)
        raise Gone

    async def _line(self) -> Command:
        try:
            return commands.read(await self._stream.line(commands.MAX_COMMAND))
        except LineTooLong:
            return Command(b"", b"", commands.TOO_LONG)

    def _refused_here(self, command: Command) -> bytes:
        """The reply to what does not even get to the next hop."""
        if command.wrong:
            return command.wrong
        if self._proxy.tls_required and not self._stream.secure and command.verb not in commands.BEFORE_TLS:
            return _TLS_FIRST
        if command.verb == b"RCPT" and self._ours and not self._authenticated:
            return b"" if self._ours(command.line) else _NO_RELAY
        return b""

    async def _pass_group(self, group: list[Command]) -> None:
        local = [self._refused_here(command) for command in group]
        if group[0].verb == b"MAIL" and not local[0]:
            await self._forward_facts()
        self._next.write(b"".join(it.line for it, wrong in zip(group, local, strict=True) if not wrong))
        for command, wrong in zip(group, local, strict=True):
            reply = None if wrong else await self._next.reply(self._proxy.timeouts.reply)
            if reply:
                self._learn(command, reply)
            self._stream.write(reply.raw if reply else wrong)
        await self._drained()

    async def _take(self, command: Command) -> None:
        wrong = self._refused_here(command)
        if wrong:
            self._stream.write(wrong)
        elif command.verb == b"DATA":
            await self._data()
        elif command.verb == b"BDAT":
            await self._chunk(Chunk.of(command.line))
        elif command.verb == b"STARTTLS":
            await self._start_tls()
        elif command.verb == b"AUTH":
            await self._authenticate(command.line)
        else:
            reply = await self._ask(command.line)
            self._learn(command, reply)
            self._stream.write(self._offered(reply) if command.verb == b"EHLO" else reply.raw)
        await self._drained()

    async def _ask(self, line: bytes) -> Reply:
        return await self._next.ask(line, self._proxy.timeouts.reply)

    async def _drained(self) -> None:
        async with asyncio.timeout(self._proxy.timeouts.content):
            await self._stream.drain()

    def _learn(self, command: Command, reply: Reply) -> None:
        """What a reply of the next hop means for us."""
        if command.verb == b"QUIT" or reply.code == 421:
            self._done = True
        if not reply.good:
            return
        if command.verb in (b"EHLO", b"HELO"):
            self._helo = command.line[5:].strip()[:255].decode("utf-8", "replace")
            self._esmtp = command.verb == b"EHLO"
            self._pipelining = self._esmtp and b"PIPELINING" in commands.keywords(reply)
            self._transaction = None
        elif command.verb == b"RSET":
            self._transaction = None
        elif command.verb == b"MAIL":
            self._transaction = Transaction()
        elif command.verb == b"RCPT" and self._transaction:
            self._transaction.accepted += 1
            domain = commands.domain_of(commands.recipient(command.line) or b"")
            if domain and len(self._transaction.domains) <= MAX_DOMAINS:
                self._transaction.domains[domain] = None

    def _offered(self, reply: Reply) -> bytes:
        """The next hop's reply to EHLO, with what we offer and without what cannot pass."""
        if not reply.good:
            return reply.raw
        secure = self._stream.secure
        starttls = self._proxy.certificate is not None and not secure
        return commands.lines(reply.code, commands.extensions(reply, starttls=starttls, auth=secure))

    # TLS and AUTH

    async def _start_tls(self) -> None:
        certificate, stream = self._proxy.certificate, self._stream
        if certificate is None or stream.secure:
            stream.write(_NO_SUCH)
            return
        if self._transaction or not stream.quiet:
            # What comes with the command was not encrypted, and must not be taken for what comes after it.
            stream.write(_NOT_NOW)
            self._done = not stream.quiet
            return
        stream.pause()
        stream.write(b"220 2.0.0 Ready to start TLS\r\n")
        await stream.start_tls(certificate.context(), serve=True)
        self._helo, self._esmtp, self._pipelining = "", False, False
        self._tls_name = _common_name(stream.peer_certificate)

    async def _authenticate(self, line: bytes) -> None:
        """AUTH (RFC 4954), as often to and fro as the mechanism wants; a password never goes in the clear."""
        if not self._stream.secure:
            self._stream.write(_TLS_FIRST if self._proxy.certificate else _NO_SUCH)
            return
        reply = await self._ask(line)
        while reply.code == 334:
            self._stream.write(reply.raw)
            async with asyncio.timeout(self._proxy.timeouts.command):
                line = await self._stream.line(commands.MAX_COMMAND)
            if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
                line = b"*\r\n"  # that ends it
            reply = await self._ask(line)
        self._authenticated |= reply.code == 235
        self._stream.write(reply.raw)

    # The message

    async def _data(self) -> None:
        transaction = self._transaction
        if not (transaction and transaction.accepted):
            self._stream.write(_NO_RECIPIENTS)
            return
        self.in_message = True
        content = Content()
        self._stream.write(_GO_ON)
        while transaction.head.room and not content.ended:
            transaction.head.feed(content.feed(await self._some()))
        refusal = _FORGED if content.forged else self._refusal(transaction)
        if refusal:
            await self._forget_message()
        reply = refusal or await self._send(transaction, content)
        await self._skip(content)
        self._stream.write(reply)
        self._stream.put_back(content.rest)
        self._transaction = None
        self.in_message = False

    async def _send(self, transaction: Transaction, content: Content) -> bytes:
        """Have the next hop take a message; what the client is told."""
        hop, patience = self._next, self._proxy.timeouts
        try:
            reply = await hop.ask(b"DATA\r\n", patience.data)
            if reply.code != 354:
                await self._forget_message()
                return reply.raw if reply.code >= 400 else _ODD
            hop.write(self._stamp() + transaction.head.text)
            while not (content.ended or content.forged):
                await hop.drained(patience.block)
                hop.write(content.feed(await self._some()))
            if content.forged:
                hop.abort()  # without the final dot it has no message
                return _FORGED
            await hop.drained(patience.block)
            return (await hop.ask(b".\r\n", patience.end)).raw
        except NextHopGone:
            hop.abort()
            await self._skip(content)
            raise

    async def _chunk(self, chunk: Chunk | None) -> None:
        """BDAT (RFC 3030). A refused message's earlier chunks are the next hop's, but never its last."""
        if chunk is None:
            self._stream.write(b"501 5.5.4 Syntax: BDAT size [LAST]\r\n")
            self._done = True  # nobody knows what follows
            return
        self.in_message = True
        transaction = self._transaction
        first, left = b"", chunk.size
        if transaction and transaction.accepted and not transaction.judged:
            head = transaction.head
            while left and head.room:
                piece = await self._some(min(left, head.room))
                head.feed(piece)
                first += piece
                left -= len(piece)
            if chunk.last or not head.room:
                transaction.judged = True
                refusal = self._refusal(transaction)
                if refusal:
                    await self._forget_message()
                    await self._skip_bytes(left)
                    self._stream.write(refusal)
                    self._transaction = None
                    self.in_message = False
                    return
        if transaction and not transaction.begun:
            transaction.begun = True
            stamp = self._stamp()
        else:
            stamp = b""
        await self._send_chunk(chunk, stamp + first, len(stamp), left)

    async def _send_chunk(self, chunk: Chunk, first: bytes, added: int, left: int) -> None:
        hop, patience = self._next, self._proxy.timeouts
        try:
            hop.write(b"BDAT %d%s\r\n" % (chunk.size + added, b" LAST" if chunk.last else b"") + first)
            while left:
                piece = await self._some(left)
                left -= len(piece)
                hop.write(piece)
                await hop.drained(patience.block)
            reply = await hop.reply(patience.end)
        except NextHopGone:
            hop.abort()
            await self._skip_bytes(left)
            raise
        if chunk.last or not reply.good:
            self._transaction = None
        self.in_message = self._transaction is not None
        self._stream.write(reply.raw)

    async def _forget_message(self) -> None:
        """Have the next hop forget the envelope; if it is gone, the next command will tell."""
        with suppress(NextHopGone):
            if not (await self._ask(b"RSET\r\n")).good:
                self._next.abort()

    async def _some(self, most: int = 1 << 16) -> bytes:
        async with asyncio.timeout(self._proxy.timeouts.content):
            return await self._stream.some(min(most, 1 << 16))

    async def _skip(self, content: Content) -> None:
        while not content.ended:
            content.feed(await self._some())

    async def _skip_bytes(self, left: int) -> None:
        while left:
            left -= len(await self._some(left))

    def _refusal(self, transaction: Transaction) -> bytes:
        """The line to refuse the message with, or b""."""
        self._messages += 1
        if len(transaction.domains) > MAX_DOMAINS:
            return b""  # nobody could say whose it is
        listener = self._proxy.listener or str(self._client.here_port or "")
        session = Session(
            self._client.address,
            self._client.name.verified,
            self._helo,
            self._authenticated,
            self._tls_name,
            listener,
            tuple(transaction.domains),
        )
        return self._decide(session, bytes(transaction.head.text), f"{self._name}.{self._messages}")

    # Who the client is, where the next hop cannot be told at the beginning

    @property
    def _protocol(self) -> str:
        """RFC 3848."""
        if not self._esmtp:
            return "SMTP"
        return "ESMTP" + "S" * self._stream.secure + "A" * self._authenticated

    async def _forward_facts(self) -> None:
        offered = self._next.offers.get(b"XFORWARD")
        if self._proxy.tell is Tell.XFORWARD and offered:
            await self._ask(xforward(self._client, offered, self._helo, "ESMTP" if self._esmtp else "SMTP"))

    def _stamp(self) -> bytes:
        """A Received field (RFC 5321 section 4.4) where that is how the client is told."""
        if self._proxy.tell is not Tell.RECEIVED:
            return b""
        client = self._client
        helo = _NOT_IN_NAMES.sub("", self._helo) or "unknown"
        literal = f"[IPv6:{client.address}]" if ":" in client.address else f"[{client.address}]"
        return (
            f"Received: from {helo} ({client.name.verified or 'unknown'} {literal})\r\n"
            f"\tby {self._proxy.host} (Wehr) with {self._protocol} id {self._name}.{self._messages};\r\n"
            f"\t{formatdate(self._proxy.clock())}\r\n"
        ).encode()


def _common_name(certificate: object) -> str:
    """The subject's common name of a certificate that was verified (an unverified one is not shown)."""
    if not isinstance(certificate, dict):
        return ""
    names = (pair for part in certificate.get("subject", ()) for pair in part)
    return next((str(value)[:255] for key, value in names if key == "commonName"), "")

"""One client's session: its commands go to the next hop and the replies come back, but for the header.

Rule 1: only the next hop says 250. What we say ourselves is a refusal, or 354: DATA is told to the next hop
when the header is complete and Wehr does not refuse, so a refused message never reaches it. What it answers
to DATA then is the reply to the message.
Rule 2: commands are sent on in groups as the client pipelines them (RFC 2920), but never behind one that
changes what follows it.
Rule 3: whatever becomes of the next hop or of us, the client gets a 4xx or no reply, and sends again.
"""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

import msgspec

from wehr.doors.smtp import commands
from wehr.doors.smtp.commands import Command
from wehr.doors.smtp.framing import Chunk, Reply
from wehr.doors.smtp.message import NO_RECIPIENTS, Message
from wehr.doors.smtp.next_hop import Client, NextHop, NextHopGone, open_next_hop, xforward
from wehr.doors.smtp.patience import Patience
from wehr.doors.smtp.settings import Proxy, Tell
from wehr.doors.smtp.stream import Gone, LineTooLong, Stream
from wehr.evidence.types import Session

_MAX_GROUP: Final = 100
"""Commands that are sent on at once."""

_NOT_IN_NAMES: Final = re.compile(r"[^0-9A-Za-z._:\[\]-]")

_GO_ON: Final = b"354 End data with <CR><LF>.<CR><LF>\r\n"
_NO_CHUNK: Final = b"501 5.5.4 Syntax: BDAT size [LAST]\r\n"
_NO_MECHANISM: Final = b"504 5.5.4 Unrecognized authentication type\r\n"
_TLS_FIRST: Final = b"530 5.7.0 Must issue a STARTTLS command first\r\n"
_NO_RELAY: Final = b"550 5.7.1 Relaying denied\r\n"
_NOT_NOW: Final = b"503 5.5.1 Not now\r\n"
_NO_SUCH: Final = b"502 5.5.1 Command not implemented\r\n"

Decide = Callable[[Session, bytes, str], bytes]
"""From session, header and name of the message to the line that refuses it, or b"" to accept."""
DecideEarly = Callable[[Session, str], bytes]
"""The same for a recipient, without a header."""


class ProxySession:
    """One client, one connection to the next hop."""

    def __init__(
        self,
        proxy: Proxy,
        stream: Stream,
        client: Client,
        name: str,
        *,
        decide: Decide,
        decide_early: DecideEarly,
        complain: Callable[[str], None],
        part: Callable[[Stream], None],
    ) -> None:
        """Put it together.

        Args:
            proxy: what it goes by.
            stream: the connection with the client.
            client: who that is.
            name: the session's own, for logs and messages.
            decide: refuses messages.
            decide_early: refuses recipients, where the proxy is to.
            complain: told why a client was turned away for how it speaks.
            part: closes the connection to the next hop.
        """
        self._proxy = proxy
        self._stream = stream
        self._client = client
        self._name = name
        self._decide = decide
        self._decide_early = decide_early
        self._complain = complain
        self._part = part
        self.patience = Patience(proxy.timeouts)
        self._ours = commands.is_for(proxy.domains) if proxy.domains else None
        self._messages = 0
        self._helo = ""
        self._esmtp = False
        self._pipelining = False
        self._chunking = False
        self._authenticated = False
        self._tls_name = ""
        self._welcome = False
        self._done = False
        self._message: Message | None = None
        self._next: NextHop

    @property
    def in_message(self) -> bool:
        """Between the beginning of a message and the next hop's word on it."""
        return self._message is not None and self._message.begun

    async def run(self) -> None:
        """Serve the client up to the end.

        Raises:
            NextHopGone: the next hop is; the client has been told to come again.
            TimeoutError: it was silent for too long, and has been told so.
        """
        proxy = self._proxy
        host = proxy.host().encode()
        try:
            if self._client.address:
                name = await self.patience.for_command(proxy.look_up(self._client.address))
                self._client = msgspec.structs.replace(self._client, name=name)
            self._next, greeting = await open_next_hop(proxy, self._client)
            self._stream.write(greeting.raw)
            self._welcome = greeting.code == 220
            self._done = greeting.code == 421
            try:
                await self._converse()
            finally:
                self._next.abort() if self.in_message else self._part(self._next)
        except NextHopGone:
            self._stream.write(b"421 4.4.1 %s The next hop is not available; try again later\r\n" % host)
            raise
        except TimeoutError:
            self._stream.write(b"421 4.4.2 %s Timeout exceeded\r\n" % host)
            raise
        except asyncio.CancelledError:
            if not self.in_message:
                self._stream.write(b"421 4.3.2 %s Closing; try again later\r\n" % host)
            raise
        except Gone:
            pass
        finally:
            self._message = None  # they hold each other, and up to 128 KiB, until the collector comes

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
            announced = line.verb == b"MAIL" and self._proxy.tell is Tell.XFORWARD
            if not line.wrong and (announced or line.verb not in commands.PIPELINED):
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
                return await self.patience.for_command(self._line())
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

    def _refused_here(self, command: Command, message: int = 0) -> bytes:
        """The reply to what does not even get to the next hop; ``message`` is the number of a recipient's."""
        if command.wrong:
            if why := commands.LAST_WORDS.get(command.wrong):
                self._complain(why)
                self._done = True
            return command.wrong
        if not self._welcome and command.verb != b"QUIT":
            return _NOT_NOW  # RFC 5321 section 3.1; and the next hop may not know whose word it would be
        if self._proxy.tls_required and not self._stream.secure and command.verb not in commands.BEFORE_TLS:
            return _TLS_FIRST
        return self._refused_recipient(command, message) if command.verb == b"RCPT" else b""

    def _refused_recipient(self, command: Command, message: int) -> bytes:
        if self._ours and not self._authenticated and not self._ours(command.line):
            return _NO_RELAY
        if self._proxy.early:
            domain = commands.domain_of(commands.recipient(command.line) or b"")
            return self._decide_early(self._session((domain,) if domain else ()), f"{self._name}.{message}")
        return b""

    async def _pass_group(self, group: list[Command]) -> None:
        message = self._messages + any(command.verb == b"MAIL" for command in group)
        local = [self._refused_here(command, message) for command in group]
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
        elif command.verb in (b"DATA", b"BDAT"):
            self._stream.write(await self._take_message(command))
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
        await self.patience.for_reader(self._stream.drain())

    def _learn(self, command: Command, reply: Reply) -> None:
        """What a reply of the next hop means for us."""
        if command.verb == b"QUIT" or reply.code == 421:
            self._done = True
        if not reply.good:
            return
        if command.verb in (b"EHLO", b"HELO"):
            self._helo = command.line[5:].strip()[:255].decode("utf-8", "replace")
            self._esmtp = command.verb == b"EHLO"
            offered = commands.keywords(reply) if self._esmtp else {}
            self._pipelining = b"PIPELINING" in offered
            self._chunking = b"CHUNKING" in offered
            self._message = None
        elif command.verb == b"RSET":
            self._message = None
        elif command.verb == b"MAIL":
            self._message = self._new_message()
        elif command.verb == b"RCPT" and self._message:
            self._message.add(commands.domain_of(commands.recipient(command.line) or b""))

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
        if self._message or not stream.quiet:
            # What comes with the command was not encrypted, and must not be taken for what comes after it.
            stream.write(_NOT_NOW)
            self._done = not stream.quiet
            return
        stream.pause()
        stream.write(b"220 2.0.0 Ready to start TLS\r\n")
        try:
            await self.patience.for_command(stream.start_tls(certificate.context(), serve=True))
        except Gone as error:
            self._complain(str(error))
            raise
        self._helo, self._esmtp, self._pipelining, self._chunking = "", False, False, False
        self._tls_name = _common_name(stream.peer_certificate)

    async def _authenticate(self, line: bytes) -> None:
        """AUTH (RFC 4954), as often to and fro as the mechanism wants; a password never goes in the clear."""
        if not self._stream.secure:
            self._stream.write(_TLS_FIRST if self._proxy.certificate else _NO_SUCH)
            return
        if not commands.may_log_in_by(line):
            self._stream.write(_NO_MECHANISM)
            return
        reply = await self._ask(line)
        while reply.code == 334:
            self._stream.write(reply.raw)
            answer = await self.patience.for_command(self._line())
            broken = answer.wrong in (commands.TOO_LONG, commands.CUT_OFF, commands.BARE)
            reply = await self._ask(b"*\r\n" if broken else answer.line)  # an asterisk ends it
        self._authenticated |= reply.code == 235
        self._stream.write(reply.raw)

    # The message

    async def _take_message(self, command: Command) -> bytes:
        """What follows DATA or BDAT, and the reply to it."""
        message = self._message
        if command.verb == b"BDAT":
            chunk = Chunk.of(command.line)
            if chunk is None or not self._chunking:
                # Nobody knows what follows: a next hop without chunks would take it for commands of ours.
                self._done = True
                return _NO_SUCH if chunk else _NO_CHUNK
            reply = await (message or self._new_message()).take_chunk(chunk)
            if message is None:
                return reply
        elif message and message.begun:
            return _NOT_NOW  # chunks and DATA do not mix (RFC 3030 section 3)
        elif message and message.accepted:
            self._stream.write(_GO_ON)
            reply = await message.take_content()
        else:
            return NO_RECIPIENTS
        if message.over:
            self._message = None
        if message.forged:
            self._complain("a message held a lone dot that might be taken for its end")
            self._done = True
        return reply

    def _new_message(self) -> Message:
        self._messages += 1
        self.patience.renew()
        return Message(self._stream, self._next, self.patience, self._judge, self._stamp)

    def _judge(self, header: bytes, domains: tuple[str, ...]) -> bytes:
        """The line to refuse a message with, or b""."""
        return self._decide(self._session(domains), header, f"{self._name}.{self._messages}")

    def _session(self, domains: tuple[str, ...]) -> Session:
        return Session(
            self._client.address,
            self._client.name.verified,
            self._helo,
            self._authenticated,
            self._tls_name,
            self._proxy.listener or str(self._client.here_port or ""),
            domains,
        )

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
            f"\tby {self._proxy.host()} (Wehr) with {self._protocol} id {self._name}.{self._messages};\r\n"
            f"\t{format_datetime(datetime.fromtimestamp(self._proxy.clock(), UTC))}\r\n"
        ).encode()


def _common_name(certificate: object) -> str:
    """The subject's common name of a certificate that was verified (an unverified one is not shown)."""
    if not isinstance(certificate, dict):
        return ""
    names = (pair for part in certificate.get("subject", ()) for pair in part)
    return next((str(value)[:255] for key, value in names if key == "commonName"), "")

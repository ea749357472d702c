"""The mail system's side of the milter protocol, as Postfix 3.7 speaks it: for demonstration and tests."""

import asyncio
import socket
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress

from wehr.doors.milter import codec
from wehr.doors.milter.codec import Frames, Offer
from wehr.doors.wire import ProtocolError
from wehr.evidence.types import Session

POSTFIX = Offer(6, 0x1FF, 0x1FFFFF)
"""What Postfix 3.7 offers."""
OLD = Offer(2, 0x3F, 0x7F)
"""A mail system of protocol version 2: no step can go unanswered, no macros can be asked for."""

Headers = Iterable[tuple[str, str]]
Steps = Generator[bytes, tuple[int, bytes], str]
"""Yields what to write, is sent the command and payload of the answer, returns the verdict."""


class ClientSession:
    """One connection to a milter, without sockets. One client (SMTP session) at a time, then its messages."""

    def __init__(self, offer: Offer = POSTFIX) -> None:
        self.agreed = Offer(0)
        """What the milter took of the offer, once ``negotiate`` is done."""
        self._offer = offer
        self._unsent: list[bytes] = []
        self._queue_ids = 0

    def unsent(self) -> bytes:
        """What is still to be written, since no answer to it is expected."""
        unsent = b"".join(self._unsent)
        self._unsent.clear()
        return unsent

    def negotiate(self) -> Steps:
        """Come to terms.

        Raises:
            ProtocolError: the milter takes what was not offered.
        """
        command, payload = yield codec.encode_offer(self._offer)
        if command != codec.NEGOTIATE:
            raise ProtocolError("no answer to an offer")
        agreed = codec.decode_offer(payload)
        if agreed.version > self._offer.version or agreed.steps & ~self._offer.steps:
            raise ProtocolError("the milter takes what was not offered")
        self.agreed = agreed
        return "continue"

    def connect(self, session: Session) -> Steps:
        """Tell of the client: CONNECT and HELO."""
        name = session.client_name or f"[{session.client_ip}]"
        macros = {
            "j": "mx.example.org",
            "{daemon_name}": session.listener or "smtpd",
            "v": "Postfix 3.7.11",
            "_": f"{session.client_name or 'unknown'} [{session.client_ip}]",
        }
        verdict = yield from self._step(
            codec.CONNECT, macros, codec.encode_connect(name, session.client_ip, 25)
        )
        if verdict == "continue":
            macros = {"{cert_subject}": session.tls_name} if session.tls_name else {}
            verdict = yield from self._strings(codec.HELO, macros, session.helo)
        return verdict

    def deliver(self, session: Session, headers: Headers) -> Steps:
        """Tell of one message; the verdict is ``accept``, or the line to refuse it with."""
        self._queue_ids += 1
        queue_id = {"i": f"{self._queue_ids:010X}"}
        verdict = yield from self._message(session, headers, queue_id)
        self._unsent.append(codec.frame(codec.ABORT))  # as Postfix does after every message
        return "accept" if verdict == "continue" else verdict

    def quit(self) -> bytes:
        """What to write before closing."""
        return self.unsent() + codec.frame(codec.QUIT)

    def _message(self, session: Session, headers: Headers, queue_id: dict[str, str]) -> Steps:
        login = {"{auth_type}": "PLAIN", "{auth_authen}": "user"} if session.authenticated else {}
        verdict = yield from self._strings(codec.MAIL, login, "<sender@example.com>")
        for domain in session.recipients or ("example.org",):
            if verdict == "continue":
                verdict = yield from self._strings(codec.RCPT, {}, f"<user@{domain}>")
        if verdict == "continue" and self.agreed.version > 3:
            verdict = yield from self._step(codec.DATA, queue_id, codec.frame(codec.DATA))
        for name, value in headers:
            if verdict == "continue":
                verdict = yield from self._strings(codec.HEADER, queue_id, name, value)
        if verdict == "continue":
            verdict = yield from self._step(codec.END_OF_HEADERS, queue_id, codec.frame(codec.END_OF_HEADERS))
        if verdict == "continue" and not self.agreed.steps & codec.NO_BODY:
            verdict = yield from self._step(codec.BODY, queue_id, codec.frame(codec.BODY, b"Hello\r\n"))
        if verdict == "continue":
            verdict = yield from self._step(codec.END_OF_MESSAGE, queue_id, codec.frame(codec.END_OF_MESSAGE))
        return verdict

    def _strings(self, command: int, macros: dict[str, str], *texts: str) -> Steps:
        return (yield from self._step(command, macros, codec.encode_strings(command, *texts)))

    def _step(self, command: int, macros: dict[str, str], frame: bytes) -> Steps:
        """One command with its macros, which are sent even if the command was negotiated away."""
        self._unsent.append(codec.encode_macros(command, macros))
        if self.agreed.steps & _LEFT_OUT.get(command, 0):
            return "continue"
        self._unsent.append(frame)
        if self.agreed.steps & codec.QUIET.get(command, 0):
            return "continue"
        answer, payload = yield self.unsent()
        match answer:
            case codec.CONTINUE:
                return "continue"
            case codec.ACCEPT:
                return "accept"
            case codec.REPLY_CODE:
                return payload.removesuffix(b"\0").decode("ascii")
        raise ProtocolError(f"answer {chr(answer)!r} to command {chr(command)!r}")


_LEFT_OUT = {codec.DATA: codec.NO_DATA, codec.BODY: codec.NO_BODY, codec.UNKNOWN: codec.NO_UNKNOWN}


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class MilterClient:
    """A blocking client: ``with MilterClient(address, session) as client: client.deliver(headers)``.

    ``address`` is a unix socket's path or a (host, port) pair.
    """

    def __init__(
        self, address: str | tuple[str, int], session: Session, offer: Offer = POSTFIX, timeout: float = 10
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else _family(address[0])
        self.session = session
        self.protocol = ClientSession(offer)
        self._frames = Frames()
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(address)
            self._run(self.protocol.negotiate())
            self._run(self.protocol.connect(session))
        except BaseException:
            self._socket.close()
            raise

    def deliver(self, headers: Headers, recipients: Sequence[str] | None = None) -> str:
        """Hand over one message: ``accept``, or the SMTP line that refuses it.

        Raises:
            OSError: the milter is gone or too slow.
            ProtocolError: it does not speak the protocol.
        """
        session = self.session if recipients is None else _with_recipients(self.session, recipients)
        verdict = self._run(self.protocol.deliver(session, headers))
        self._socket.sendall(self.protocol.unsent())
        return verdict

    def close(self) -> None:
        """Say goodbye."""
        with self._socket, suppress(OSError):  # it may have hung up already
            self._socket.sendall(self.protocol.quit())

    def __enter__(self) -> "MilterClient":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _run(self, steps: Steps) -> str:
        try:
            out = next(steps)
            while True:
                self._socket.sendall(out)
                out = steps.send(self._read())
        except StopIteration as done:
            return str(done.value)

    def _read(self) -> tuple[int, bytes]:
        while True:
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionResetError("the milter has hung up")
            for command, buffer, start, stop in self._frames.feed(data):
                return command, buffer[start:stop]


class AsyncMilterClient:
    """The same for asyncio: ``client = await AsyncMilterClient.open(address, session)``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Session) -> None:
        self.session = session
        self.protocol = ClientSession()
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: str | tuple[str, int], session: Session) -> "AsyncMilterClient":
        """Connect and tell of the client."""
        streams = await (
            asyncio.open_unix_connection(address)
            if isinstance(address, str)
            else asyncio.open_connection(*address)
        )
        client = cls(*streams, session)
        await client._run(client.protocol.negotiate())
        await client._run(client.protocol.connect(session))
        return client

    async def deliver(self, headers: Headers, recipients: Sequence[str] | None = None) -> str:
        """Hand over one message: ``accept``, or the SMTP line that refuses it."""
        session = self.session if recipients is None else _with_recipients(self.session, recipients)
        verdict = await self._run(self.protocol.deliver(session, headers))
        self._writer.write(self.protocol.unsent())
        return verdict

    async def close(self) -> None:
        """Say goodbye."""
        self._writer.write(self.protocol.quit())
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _run(self, steps: Steps) -> str:
        try:
            out = next(steps)
            while True:
                self._writer.write(out)
                await self._writer.drain()
                prefix = await self._reader.readexactly(5)
                payload = await self._reader.readexactly(int.from_bytes(prefix[:4], "big") - 1)
                out = steps.send((prefix[4], payload))
        except StopIteration as done:
            return str(done.value)


def _with_recipients(session: Session, recipients: Sequence[str]) -> Session:
    return Session(
        session.client_ip, session.client_name, session.helo, session.authenticated, session.tls_name,
        session.listener, tuple(recipients),
    )  # fmt: skip

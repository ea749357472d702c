"""The SMTP proxy in a thread, between a client of the test's and a next hop that does as it is told."""

import asyncio
import atexit
import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import BinaryIO

from listening import on_tcp
from recording_gate import RecordingGate

from wehr.doors.smtp import Proxy, SmtpServer, Tell
from wehr.doors.smtp.names import NO_NAME, HostName
from wehr.doors.types import Event, Limits

EHLO = (
    b"250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-XCLIENT NAME ADDR PORT\r\n"
    b"250-CHUNKING\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8\r\n"
)
TRACE = b"Received: from one.example.com by x.example.com; Wed, 18 Nov 2026 10:14:05 +0100\r\n"


NewLoop = Callable[[], asyncio.AbstractEventLoop]


class NextHop:
    """A mail system that answers each command with what is set for it, and remembers what it was told."""

    def __init__(self) -> None:
        self.replies: dict[str, bytes] = {
            "GREETING": b"220 mx.example.org ESMTP\r\n",
            "EHLO": EHLO,
            "HELO": b"250 mx.example.org\r\n",
            "XCLIENT": b"220 mx.example.org ESMTP for you\r\n",
            "DATA": b"354 Go on\r\n",
            "END": b"250 2.0.0 Queued as 4Xyz\r\n",
            "QUIT": b"221 2.0.0 Bye\r\n",
            "STARTTLS": b"502 5.5.1 No\r\n",
        }
        self.told: list[bytes] = []
        """Lines, without their CR LF."""
        self.writes: list[bytes] = []
        """What came in at once."""
        self.messages: list[bytes] = []
        """Complete ones, with their dots."""
        self.cut_off: list[bytes] = []
        """Those that a connection ended in."""
        self.before: bytes = b""
        """What each connection began with, ahead of commands, if there is to be something."""
        self.tls: ssl.SSLContext | None = None
        self.hang_up_in: str = ""
        self.slow = threading.Event()
        """Cleared: it reads no message further."""
        self.attentive = threading.Event()
        """Cleared: it answers no command, and no goodbye."""
        for each in (self.slow, self.attentive):
            each.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End everything."""
        self.slow.set()
        self.attentive.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End all connections."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._sockets.clear()

    def say(self, line: bytes) -> None:
        """Say something that nobody asked for."""
        self._sockets[-1].sendall(line)

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(one)
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._converse(one)
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()

    def _converse(self, one: socket.socket) -> None:
        reader = one.makefile("rb")
        if self.before:
            self.before = reader.read(len(self.before))
        one.sendall(self.replies["GREETING"])
        while line := reader.readline():
            self.told.append(line.rstrip(b"\r\n"))
            self.attentive.wait(60)
            verb = line.split()[0].decode().upper() if line.split() else ""
            if verb == self.hang_up_in:
                return
            if verb == "BDAT":
                self._chunk(reader, line)
            one.sendall(self.replies.get(verb, b"250 2.0.0 Ok\r\n"))
            if verb == "DATA" and self.replies["DATA"].startswith(b"354"):
                self._message(reader)
                one.sendall(self.replies["END"])
            if verb == "STARTTLS" and self.tls:
                one = self.tls.wrap_socket(one, server_side=True)
                self._sockets.append(one)
                reader = one.makefile("rb")
            if verb == "QUIT":
                return

    def _message(self, reader: BinaryIO) -> None:
        text = b""
        while not text.endswith(b"\r\n.\r\n") and text != b".\r\n":
            self.slow.wait(60)
            line = reader.readline()
            text += line
            if (
                not line
                or (self.hang_up_in == "CONTENT" and len(text) > 100)
                or (self.hang_up_in == "END" and line == b".\r\n")
            ):
                self.cut_off.append(text)
                raise ValueError("cut off")
        self.messages.append(text)

    def _chunk(self, reader: BinaryIO, line: bytes) -> None:
        _, size, *last = line.split()
        self.cut_off.append(reader.read(int(size)))
        if last:
            self.messages.append(b"".join(self.cut_off))
            self.cut_off.clear()


class Client:
    """A client that sends what it is told to, line by line or not."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20, (source, 0))
        self._reader: BinaryIO = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.socket.sendall(data)

    def reply(self) -> bytes:
        """The next reply with all its lines; b"" if the connection has ended."""
        raw = line = self._reader.readline()
        while line[3:4] == b"-":
            line = self._reader.readline()
            raw += line
        return raw

    def say(self, line: bytes) -> bytes:
        """A command and its reply."""
        self.send(line + b"\r\n")
        return self.reply()

    def begin(self, *recipients: bytes) -> None:
        """Greeting, EHLO and an envelope."""
        assert self.reply().startswith(b"220 ")
        assert self.say(b"EHLO client.example.com").startswith(b"250")
        self.envelope(*recipients)

    def envelope(self, *recipients: bytes) -> None:
        """An envelope that is taken."""
        assert self.say(b"MAIL FROM:<a@example.com>").startswith(b"250 ")
        for recipient in recipients or (b"b@example.org",):
            assert self.say(b"RCPT TO:<" + recipient + b">").startswith(b"250 ")

    def starttls(self, context: ssl.SSLContext | None = None) -> None:
        """STARTTLS, and everything encrypted from now on."""
        assert self.say(b"STARTTLS").startswith(b"220 ")
        context = context or trusting()
        self._reader.close()
        self.socket = context.wrap_socket(self.socket, server_hostname="mx.example.org")
        self._reader = self.socket.makefile("rb")

    def close(self) -> None:
        """Hang up."""
        self._reader.close()
        self.socket.close()


@dataclass
class Stand:
    """All of it."""

    gate: RecordingGate
    hop: NextHop
    server: SmtpServer
    port: int
    loop: asyncio.AbstractEventLoop
    said: list[tuple[Event, str]]
    clients: list[Client] = field(default_factory=list)

    def connect(self, source: str = "127.0.0.1") -> Client:
        """A new client."""
        client = Client(self.port, source)
        self.clients.append(client)
        return client

    def close_door(self) -> None:
        """Close the door, as the service does when it ends."""
        asyncio.run_coroutine_threadsafe(self.server.close(0), self.loop).result(30)


async def named(address: str) -> HostName:
    """A look-up that asks nobody."""
    return HostName("mail.example.com", "mail.example.com") if address.startswith("127.9.") else NO_NAME


@contextlib.contextmanager
def stand(
    limits: Limits | None = None, new_loop: NewLoop = asyncio.new_event_loop, **settings: object
) -> Iterator[Stand]:
    """A proxy (``settings`` are `Proxy`'s) in front of a next hop."""
    hop = NextHop()
    with door(("127.0.0.1", hop.port), limits, new_loop, **settings) as (gate, server, port, loop, said):
        scene = Stand(gate, hop, server, port, loop, said)
        try:
            yield scene
        finally:
            for client in scene.clients:
                client.close()
            hop.close()


@contextlib.contextmanager
def door(
    next_hop: tuple[str, int],
    limits: Limits | None = None,
    new_loop: NewLoop = asyncio.new_event_loop,
    **settings: object,
) -> Iterator[tuple[RecordingGate, SmtpServer, int, asyncio.AbstractEventLoop, list[tuple[Event, str]]]]:
    """The door alone, in a thread: gate, server, port, loop and what it said."""

    async def connect(new: type[asyncio.Protocol]) -> object:
        return await asyncio.get_running_loop().create_connection(new, *next_hop)

    given = {"tell": Tell.XCLIENT, "look_up": named, "clock": time.time, **settings}
    proxy = Proxy(lambda: "proxy.example.org", connect, **given)  # type: ignore[arg-type]
    gate, said = RecordingGate(), list[tuple[Event, str]]()
    loop = new_loop()
    server = SmtpServer(gate, limits, lambda event, text: said.append((event, text)), proxy=proxy)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(on_tcp(server), loop).result(30)
        yield gate, server, port, loop, said
    finally:
        asyncio.run_coroutine_threadsafe(server.close(0), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@lru_cache(maxsize=1)
def certificates() -> Path:
    """A folder with an authority (ca.pem), a server's certificate and a client's, made by openssl."""
    folder = Path(mkdtemp(prefix="wehr-test-"))
    atexit.register(rmtree, folder)

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(*new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "3650")
    for name, host in (("server", "mx.example.org"), ("client", "mail.example.com")):
        openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={host}")
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}\n")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "3650", "-extfile", f"{name}.ext"),
        )
    return folder


def trusting(*, client: bool = False) -> ssl.SSLContext:
    """A client's TLS that trusts the authority; with ``client`` it shows its own certificate."""
    context = ssl.create_default_context(cafile=certificates() / "ca.pem")
    if client:
        context.load_cert_chain(certificates() / "client.pem", certificates() / "client.key")
    return context


def serving() -> ssl.SSLContext:
    """A server's TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates() / "server.pem", certificates() / "server.key")
    return context

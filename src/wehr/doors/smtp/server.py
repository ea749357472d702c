"""The SMTP door's sockets: a task for each client."""

import asyncio
import secrets
from collections import Counter
from typing import Final
from weakref import WeakSet

from wehr.doors.door import Door
from wehr.doors.smtp.balancer import NotSaid, announced
from wehr.doors.smtp.next_hop import Client, NextHopGone
from wehr.doors.smtp.session import ProxySession
from wehr.doors.smtp.settings import Proxy
from wehr.doors.smtp.stream import Gone, Stream
from wehr.doors.types import Event, Gate, Limits, OnEvent, Peer
from wehr.doors.wire import bounded, refusal
from wehr.evidence.address import canonical, client_network
from wehr.evidence.headers import split_headers
from wehr.evidence.types import Session

_PARTING: Final = 1.0
"""Seconds in which sessions end when the door is closed."""
_BRIEF: Final = 1.0
"""Seconds for which a client may be silent at a full door: who is only far away is not."""
_BRIEF_IN_MESSAGE: Final = 10.0
"""In a message, which has to come again: what Postfix gives a client under stress (smtpd_timeout)."""


class SmtpServer(Door):
    """Listens for clients that send mail, asks the gate, and passes on what it does not refuse."""

    def __init__(
        self, gate: Gate, limits: Limits | None = None, on_event: OnEvent | None = None, *, proxy: Proxy
    ) -> None:
        """As `Door`; ``proxy`` says where mail goes."""
        super().__init__(gate, limits, on_event)
        self.proxy = proxy
        self.tasks: set[asyncio.Task[None]] = set()
        self._networks: Counter[str] = Counter()
        self._parting: WeakSet[Stream] = WeakSet()

    def new_connection(self) -> "ClientConnection":
        """One client."""
        return ClientConnection(self)

    def sweep(self) -> None:
        """As `Door`; a session has times of its own for all that it waits for."""
        for connection in self.open:
            connection.idle_sweeps = 0
        super().sweep()

    def longest_silent(self) -> Peer | None:
        """As `Door`, but strangers are not waited for that long; and outside a message less than in one."""
        now = asyncio.get_running_loop().time()
        clients = (it for it in self.open if isinstance(it, ClientConnection))
        found = max(clients, key=lambda client: client.overdue(now), default=None)
        return found if found and found.overdue(now) > 0 else None

    def enter(self, connection: "ClientConnection", client: Client) -> bytes:
        """Give a client a place; the reply that turns it away if there is none, else b""."""
        known = client.address in self.proxy.balancers or not self.proxy.stranger(client.address)
        network = "" if known else client_network(client.address)
        if network and 0 < self.proxy.per_network <= self._networks[network]:
            why = f"{self._networks[network]} clients of {network}"
            reply = b"421 4.7.0 %s Too many connections from your network; try again later\r\n"
        elif not self.make_room():
            why = f"{len(self.open)} connections"
            reply = b"421 4.3.2 %s Too many connections; try again later\r\n"
        else:
            self.open.add(connection)
            self._networks[network] += 1
            connection.network = network
            return b""
        self.counters.overloads += 1
        self.tell(Event.OVERLOAD, f"turned away {client}: {why}")
        return reply % self.proxy.host().encode()

    def leave(self, connection: "ClientConnection") -> None:
        """Its place is free, if it had one."""
        self.open.discard(connection)
        if connection.network is not None:
            self._networks[connection.network] -= 1
            if not self._networks[connection.network]:
                del self._networks[connection.network]
        self.check_drained()

    def decide(self, session: Session, header: bytes, name: str) -> bytes:
        """The gate's answer as a line; b"" accepts."""

        def ask() -> str | None:
            return self.gate.ask(session, bounded(split_headers(header)), name)

        return self.answer(ask, lambda line: refusal(line) + b"\r\n", b"", name)

    def decide_early(self, session: Session, name: str) -> bytes:
        """The same for a recipient, before there is a header."""
        return self.answer(
            lambda: self.gate.ask_early(session, name), lambda line: refusal(line) + b"\r\n", b"", name
        )

    def part(self, stream: Stream) -> None:
        """Close a connection in peace, at the latest when the door is closed."""
        self._parting.add(stream)
        stream.close()

    async def close(self, drain: float = 5) -> None:
        """As `Door`; whoever is connected is told to come again."""
        await super().close(drain)
        for task in self.tasks:  # those who have no place yet, too
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=_PARTING)
        for stream in self._parting:  # whose peers have not said goodbye yet, as TLS wants them to
            stream.abort()
        await asyncio.sleep(0)


class ClientConnection(Stream):
    """One client."""

    def __init__(self, server: SmtpServer) -> None:
        super().__init__()
        self.idle_sweeps = 0
        self.peer = "a client"
        self.network: str | None = None
        """What it counts for while it has a place; "" if it is no stranger."""
        self._server = server
        self._session: ProxySession | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def in_message(self) -> bool:
        """Whether a message is under way."""
        return self._session is not None and self._session.in_message

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client, unless there are too many; whom a balancer stands for, it says first."""
        super().connection_made(transport)
        server = self._server
        if server.closing:  # accepted just before the listener was closed
            self._turn_away(b"421 4.3.2 %s Closing; try again later\r\n" % server.proxy.host().encode())
            return
        server.counters.connections += 1
        client = _client(transport)
        self.peer = str(client)
        if client.address not in server.proxy.balancers and (reply := server.enter(self, client)):
            self._turn_away(reply)
            return
        self._task = asyncio.get_running_loop().create_task(self._serve(client))
        server.tasks.add(self._task)
        self._task.add_done_callback(self._served)

    def _turn_away(self, reply: bytes) -> None:
        self.write(reply)
        self._server.part(self)

    def overdue(self, now: float) -> float:
        """Seconds for which it has been silent beyond what it may be where others wait for its place."""
        if self._session is None:
            return 0.0
        return self._session.patience.tried(now) - (_BRIEF_IN_MESSAGE if self.in_message else _BRIEF)

    def hang_up(self) -> None:
        """End the session; the client is told so unless a message is under way."""
        if self._task:
            self._task.cancel()

    def _complain(self, why: str) -> None:
        self._server.counters.protocol_errors += 1
        self._server.tell(Event.PROTOCOL_ERROR, f"{self.peer}: {why}")

    async def _converse(self, client: Client) -> None:
        server = self._server
        if client.address in server.proxy.balancers:
            async with asyncio.timeout(server.proxy.timeouts.announced):
                client = await announced(self, client)
            self.peer = str(client)
            if reply := server.enter(self, client):
                self.write(reply)
                return
        self._session = ProxySession(
            server.proxy,
            self,
            client,
            secrets.token_hex(5),
            decide=server.decide,
            decide_early=server.decide_early,
            complain=self._complain,
            part=server.part,
        )
        await self._session.run()

    async def _serve(self, client: Client) -> None:
        server = self._server
        try:
            await self._converse(client)
        except NotSaid as error:
            self._complain(str(error))
        except NextHopGone as error:
            server.counters.next_hop_errors += 1
            server.tell(Event.NEXT_HOP, f"{self.peer} was told to come again: {error}"[:500])
        except Gone:
            pass  # a balancer that only looks whether somebody listens
        except TimeoutError:
            server.counters.timeouts += 1
            server.tell(Event.TIMEOUT, f"{self.peer} neither spoke nor read for too long")
        except Exception as error:  # noqa: BLE001 - one client's session; it is told to come again
            server.tell(Event.GATE_ERROR, f"{self.peer} was told to come again after {error!r}"[:500])
            self.write(b"421 4.3.0 %s Try again later\r\n" % server.proxy.host().encode())

    def _served(self, task: asyncio.Task[None]) -> None:
        """Even a task that was cancelled before it began ends here."""
        self._server.tasks.discard(task)
        self._server.leave(self)
        self._session = self._task = None  # they hold each other until the collector comes
        self._server.part(self)


def _client(transport: asyncio.BaseTransport) -> Client:
    """Who is connected, and where."""
    peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    if not (isinstance(peer, tuple) and isinstance(here, tuple)):
        return Client()
    return Client(canonical(peer[0]), peer[1], canonical(here[0]), here[1])

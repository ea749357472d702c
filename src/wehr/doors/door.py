"""What all doors share: sockets, limits, counters, and that whatever goes wrong, mail flows.

One asyncio protocol object a connection, no tasks, one timer for all. A door differs from others in its
session alone, which takes bytes and gives bytes. A gate that fails means that the message is accepted,
and a connection that is cut off leaves the mail system to its own default, which is to be the same.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from wehr.doors.types import Counters, DoorSession, Event, Gate, Limits, OnEvent, Peer
from wehr.doors.wire import ProtocolError

# Linux only; elsewhere a TCP door works, but may stall on delayed acknowledgements.
_TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)

_READ = 16 << 10
"""Bytes that one connection gets read before the others have their turn: few messages have longer headers."""
_LEAST = 512
"""And so many where they hold one question after another, for no mail system asks before it is answered."""

_LINES_PER_SWEEP = 10
"""Log lines of one kind between two sweeps; the rest is summed up in one more."""


class Door:
    """Listens, and asks the gate about every message. A door of one kind makes its sessions."""

    def __init__(self, gate: Gate, limits: Limits | None = None, on_event: OnEvent | None = None) -> None:
        """Answer what ``gate`` says; tell ``on_event`` what an administrator should read, rate-limited."""
        self.limits = limits or Limits()
        self.counters = Counters()
        self.open: set[Peer] = set()
        self.held = 0
        self.buffer = memoryview(bytearray(_READ))
        self.gate = gate
        self._on_event = on_event or (lambda event, text: None)
        self._told: Counter[Event] = Counter()
        self._listeners: list[asyncio.AbstractServer] = []
        self._timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None

    async def listen_on(self, listener: socket.socket) -> None:
        """Take connections of a listening socket that other processes may share; it is closed at the end."""
        loop = asyncio.get_running_loop()
        serve = loop.create_unix_server if listener.family == socket.AF_UNIX else loop.create_server
        self._listeners.append(await serve(self.new_connection, sock=listener, backlog=1024))
        if self._timer is None:
            self._wait_for_sweep()

    async def close(self, drain: float = 5) -> None:
        """Stop listening; let messages under way be answered for up to ``drain`` seconds, then hang up."""
        for listener in self._listeners:
            listener.close()
        self._drained = asyncio.Event()
        self.check_drained()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._drained.wait(), drain)
        for connection in tuple(self.open):
            connection.hang_up()
        await asyncio.sleep(0)  # the round of the loop in which their sockets are closed
        if self._timer:
            self._timer.cancel()

    def sweep(self) -> None:
        """Hang up on who was idle for too long, and say what was left unsaid. The server's timer calls it."""
        too_long = self.limits.idle / self.limits.sweep
        for connection in tuple(self.open):
            connection.idle_sweeps += 1
            if connection.idle_sweeps > too_long:
                self.counters.timeouts += 1
                self.tell(Event.TIMEOUT, f"{connection.peer} sent nothing for {self.limits.idle:g} s")
                connection.hang_up()
        for event, count in self._told.items():
            if count > _LINES_PER_SWEEP:
                self._on_event(event, f"{count - _LINES_PER_SWEEP} more of the kind")
        self._told.clear()

    def tell(self, event: Event, text: str) -> None:
        """Tell the administrator, but not too often."""
        self._told[event] += 1
        if self._told[event] <= _LINES_PER_SWEEP:
            self._on_event(event, text)

    def make_room(self) -> bool:
        """Whether one more connection has room; if need be, the one that has been silent for longest goes."""
        if len(self.open) < self.limits.connections:
            return True
        silent = self.longest_silent()
        if silent is None:
            return False
        self.open.discard(silent)
        self.counters.overloads += 1
        self.tell(Event.OVERLOAD, f"hung up on {silent.peer}, silent longest of {self.limits.connections}")
        silent.hang_up()
        return True

    def longest_silent(self) -> Peer | None:
        """Who has been; nobody who has said something since the last sweep but one."""
        silent = max(self.open, key=lambda connection: connection.idle_sweeps, default=None)
        return silent if silent and silent.idle_sweeps >= 2 else None

    def hold(self, more: int) -> None:
        """Account for bytes held back; if all are too many, who holds back most goes."""
        self.held += more
        if self.held > self.limits.held:
            holding = (it for it in self.open if isinstance(it, Connection))
            max(holding, key=lambda connection: connection.held).cut_off("holds back too much")

    def new_connection(self) -> asyncio.BaseProtocol:
        """What takes a new connection."""
        return Connection(self)

    def new_session(self) -> DoorSession:
        """What speaks the door's protocol on a new connection."""
        raise NotImplementedError

    def answer(
        self, ask: Callable[[], str | None], encode: Callable[[str], bytes], accepted: bytes, queue_id: str
    ) -> bytes:
        """The gate's answer as it goes on the wire; an error in there is never the sender's problem."""
        self.counters.messages += 1
        try:
            line = ask()
            if line is None:
                return accepted
            answer = encode(line)
        except Exception as error:  # noqa: BLE001 - whatever it is, the message is accepted
            self.counters.gate_errors += 1
            self.tell(Event.GATE_ERROR, f"accepted {queue_id or 'a message'} after {error!r}"[:500])
            return accepted
        if line.startswith("4"):
            self.counters.refused_4xx += 1
        elif line.startswith("5"):
            self.counters.refused_5xx += 1
        return answer

    def check_drained(self) -> None:
        """While closing: notice that no message is under way any more."""
        if self._drained and not any(connection.in_message for connection in self.open):
            self._drained.set()

    @property
    def closing(self) -> bool:
        """Whether the server is being closed."""
        return self._drained is not None

    def _wait_for_sweep(self) -> None:
        def tick() -> None:
            self._wait_for_sweep()
            self.sweep()

        self._timer = asyncio.get_running_loop().call_later(self.limits.sweep, tick)


class Connection(asyncio.BufferedProtocol):
    """One connection of a mail system. A door's all read into one buffer: each read is used up at once."""

    __slots__ = ("_quick_ack", "_server", "_share", "_transport", "held", "idle_sweeps", "session")

    def __init__(self, server: Door) -> None:
        self.session = server.new_session()
        self.idle_sweeps = 0
        self.held = 0
        self._server = server
        self._share = _READ
        self._quick_ack: socket.socket | None = None

    @property
    def peer(self) -> str:
        """Who it is, for a log line."""
        peer = self._transport.get_extra_info("peername")
        return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "a local mail system"

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and is not decided."""
        return self.session.in_message

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        server = self._server
        if server.closing:  # accepted just before the listener was closed: as though it had come later
            self._transport.abort()
            return
        server.counters.connections += 1
        if not server.make_room():
            server.counters.overloads += 1
            server.tell(Event.OVERLOAD, f"turned away {self.peer}: {len(server.open)} connections")
            self._transport.abort()
            return
        server.open.add(self)
        self._transport.set_write_buffer_limits(server.limits.unread)
        sock = transport.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            self._quick_ack = sock  # TCP_NODELAY is set by the event loop

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to."""
        return self._server.buffer[: self._share]

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read; who has sent more than that waits until others had their turn.

        Otherwise one that asks without waiting for answers would be read until its kernel has no more: libuv
        goes on for 32 reads. And what it may ask in one turn becomes less, or a few of its kind would make
        a turn of the loop last for half a second.
        """
        full = nbytes == self._share
        if full:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._go_on)
        answered = self._take(bytes(self._server.buffer[:nbytes]))
        if not full:
            self._share = _READ
        elif answered:
            self._share = max(_LEAST, self._share // 2)

    def _go_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _take(self, data: bytes) -> bool:
        """Answer what is to be answered; tell whether there was anything.

        Postfix does not set TCP_NODELAY. It sends the envelope in one write, which we leave unanswered, and
        the headers in the next, which its kernel holds back (Nagle) until ours acknowledges the first; and
        that waits 40 ms for an answer to put the acknowledgement on. So wherever we do not answer, we have
        the acknowledgement sent at once. The kernel forgets the option, so it is set each time.
        """
        try:
            answers = self.session.receive(data)
        except ProtocolError as error:
            self.cut_off(str(error))
            return False
        held = self.session.pending
        if not held:  # who sends a frame drop by drop counts as idle
            self.idle_sweeps = 0
        if held != self.held:
            more, self.held = held - self.held, held
            self._server.hold(more)
        if answers:
            self._transport.write(answers)
        elif self._quick_ack and _TCP_QUICKACK is not None:
            self._quick_ack.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)
        if self.session.closed:
            self._transport.close()
        if self._server.closing:
            self._server.check_drained()
        return bool(answers)

    def pause_writing(self) -> None:
        """The peer reads no answers, though it must wait for each of them: it is none of ours."""
        self.cut_off("answers are not read")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._forget()
        self._server.check_drained()

    def hang_up(self) -> None:
        """Close without waiting for anything."""
        self._forget()
        self._transport.abort()

    def cut_off(self, why: str) -> None:
        """Close, and tell the administrator why."""
        self._server.counters.protocol_errors += 1
        self._server.tell(Event.PROTOCOL_ERROR, f"cut off {self.peer}: {why}")
        self.hang_up()

    def _forget(self) -> None:
        self._server.open.discard(self)
        self._server.held -= self.held
        self.held = 0

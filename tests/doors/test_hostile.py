"""Every door under crowds of idle, slow, greedy and vanished peers: memory is bounded, others are served."""

import asyncio
import gc
import resource
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from door_peers import PEERS, Peer
from listening import on_tcp, on_unix
from msgspec.structs import replace as changed
from recording_gate import RecordingGate
from smtp_peers import proxy
from smtp_stand import certificates

from wehr.doors.door import Door
from wehr.doors.smtp import Certificate, SmtpServer
from wehr.doors.smtp.names import NO_NAME, HostName
from wehr.doors.types import DoorSession, Event, Limits
from wehr.service.door_settings import Smtp
from wehr.service.doors import DOORS

CROWD = 500
STRANGERS = Smtp().max_connections
DESCRIPTORS = 4 * max(CROWD, STRANGERS) + 200
NEVER = Limits(idle=3000, sweep=1000)
"""No timer strikes during a test; three sweeps by hand are too long a silence."""
PATIENT = [name for name, peer in PEERS.items() if peer.patient]
SWEPT = [name for name in PEERS if name not in PATIENT]


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    """Both ends of a crowd's connections are here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip("too few file descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(name="peer", params=PEERS)
def _peer(request: pytest.FixtureRequest) -> Peer:
    return PEERS[request.param]


@pytest.fixture(name="swept", params=SWEPT)
def _swept(request: pytest.FixtureRequest) -> Peer:
    return PEERS[request.param]


@pytest.fixture(name="patient", params=PATIENT)
def _patient(request: pytest.FixtureRequest) -> Peer:
    return PEERS[request.param]


class Stand:
    """A door with a crowd in front of it."""

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self.said: list[Event] = []
        self.peer = peer
        self.door: Door = peer.kind(RecordingGate(), limits, lambda event, _: self.said.append(event))
        self.address = ("127.0.0.1", 0)
        self.crowd: list[socket.socket] = []

    async def come(self, count: int, *, saying: bytes = b"") -> None:
        """So many more connect, and say something; the door has heard it."""
        loop = asyncio.get_running_loop()
        before = self.door.counters.connections
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, self.address)
            self.crowd.append(sock)
            if saying:
                with suppress(ConnectionError):
                    await loop.sock_sendall(sock, saying)
        await until(lambda: self.door.counters.connections == before + count)
        await settled()

    async def served(self) -> bool:
        """Whether an honest peer is, and hears nothing of a refusal."""
        counters = self.door.counters
        answered = await asyncio.wait_for(self.peer.deliver(self.address), 20)
        return answered and (counters.refused_4xx, counters.refused_5xx, counters.gate_errors) == (0, 0, 0)


@asynccontextmanager
async def standing(peer: Peer, limits: Limits) -> AsyncIterator[Stand]:
    """The door open, and the crowd gone in the end."""
    stand = Stand(peer, limits)
    stand.address = ("127.0.0.1", await on_tcp(stand.door))
    try:
        yield stand
    finally:
        for sock in stand.crowd:
            sock.close()
        await stand.door.close(0)
        await settled()


async def until(true: Callable[[], object]) -> None:
    """Let the loop run until something is so."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - the peers are other sockets of this loop
            await asyncio.sleep(0)


async def settled() -> None:
    """Some rounds of the loop, in which what was sent arrives."""
    for _ in range(20):
        await asyncio.sleep(0)


def play(peer: Peer, scene: Callable[[Stand], Awaitable[None]], limits: Limits = NEVER) -> Stand:
    """Run a scene in front of a door."""

    async def run() -> Stand:
        async with standing(peer, limits) as stand:
            await scene(stand)
        return stand

    return asyncio.run(run())


def test_every_door_is_in_the_table() -> None:
    """A new one meets the same crowds."""
    assert set(PEERS) == set(DOORS)


def test_500_idle_connections_cost_little_and_stop_nobody(peer: Peer) -> None:
    """A few KB each."""

    async def scene(stand: Stand) -> None:
        assert await stand.served()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        await stand.come(CROWD)
        gc.collect()
        cost = tracemalloc.get_traced_memory()[0] - before
        assert len(stand.door.open) == CROWD
        assert await stand.served()
        assert cost / CROWD < peer.cost

    tracemalloc.start()
    try:
        assert play(peer, scene).said == []
    finally:
        tracemalloc.stop()


def test_a_question_drop_by_drop_is_no_sign_of_life(swept: Peer) -> None:
    """Slow-loris: whoever says a byte now and then is hung up on like one who says none."""

    async def scene(stand: Stand) -> None:
        await stand.come(CROWD, saying=swept.begun)
        assert len(stand.door.open) == CROWD
        for _ in range(3):
            for sock in stand.crowd:
                sock.send(swept.more)
            await settled()
            stand.door.sweep()
            assert await stand.served()
        for sock in stand.crowd:
            with suppress(ConnectionError):
                sock.send(swept.more)
        await settled()
        stand.door.sweep()
        await until(lambda: not stand.door.open)
        assert stand.door.counters.timeouts == CROWD
        assert await stand.served()

    assert set(play(swept, scene).said) == {Event.TIMEOUT}


def test_half_open_connections_are_forgotten(peer: Peer) -> None:
    """Closed on one side in the middle of a question, or cut with a reset."""

    async def scene(stand: Stand) -> None:
        await stand.come(CROWD, saying=peer.begun)
        for number, sock in enumerate(stand.crowd):
            if number % 2:
                sock.shutdown(socket.SHUT_WR)
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
        await until(lambda: not stand.door.open)
        assert stand.door.held == 0
        assert await stand.served()

    play(peer, scene)


def test_a_peer_that_never_reads_is_cut_off(swept: Peer, tmp_path: Path) -> None:
    """Its answers are not stored for it; so with many at a time."""

    async def scene(stand: Stand) -> None:
        await on_unix(stand.door, tmp_path / "door.sock")  # whose buffers in the kernel are small
        await asyncio.gather(
            *(asyncio.to_thread(_never_read, tmp_path / "door.sock", swept) for _ in range(5))
        )
        await until(lambda: not stand.door.open)
        assert stand.door.counters.protocol_errors == 5
        assert await stand.served()

    assert set(play(swept, scene).said) == {Event.PROTOCOL_ERROR}


def _never_read(path: Path, peer: Peer) -> None:
    """Ask again and again until it is cut off."""
    with socket.socket(socket.AF_UNIX) as sock, suppress(ConnectionError):
        sock.settimeout(30)
        sock.connect(str(path))
        sock.sendall(peer.asking)
        while True:
            sock.sendall(peer.again * 50)


def test_what_all_hold_back_together_is_bounded(swept: Peer) -> None:
    """Who holds back most goes first, and a small question passes."""
    limits = Limits(idle=3000, sweep=1000, held=20 * len(swept.much))

    async def scene(stand: Stand) -> None:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10):
            await stand.come(10, saying=swept.much)
            assert stand.door.held <= limits.held
        await settled()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < limits.held + 100 * (32 << 10)
        assert await stand.served()

    tracemalloc.start()
    try:
        play(swept, scene, limits)
    finally:
        tracemalloc.stop()


def test_at_a_full_door_the_longest_silent_makes_way(swept: Peer) -> None:
    """At first a newcomer is turned away (and its mail taken); later one of the silent crowd goes for it."""
    limits = Limits(connections=CROWD, idle=300_000, sweep=1000)

    async def scene(stand: Stand) -> None:
        await stand.come(CROWD, saying=swept.begun)
        await stand.come(1)
        assert (stand.door.counters.overloads, len(stand.door.open)) == (1, CROWD)
        stand.door.sweep()
        stand.door.sweep()
        for _ in range(3):
            assert await stand.served()
        assert len(stand.door.open) >= CROWD - 3

    assert set(play(swept, scene, limits).said) == {Event.OVERLOAD}


class _Overheard:
    """A session, and how much it is given at a time."""

    def __init__(self, session: DoorSession, sizes: list[int]) -> None:
        self._session = session
        self._sizes = sizes

    def receive(self, data: bytes) -> bytes:
        """As the session does."""
        self._sizes.append(len(data))
        return self._session.receive(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)


def test_who_asks_without_waiting_is_asked_less_at_a_time(
    swept: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a few of them cannot fill a turn of the loop. Later even the same one is heard whole."""
    sizes: list[int] = []

    async def scene(stand: Stand) -> None:
        new = stand.door.new_session
        monkeypatch.setattr(stand.door, "new_session", lambda: _Overheard(new(), sizes))
        await stand.come(1, saying=swept.asking)
        flood = swept.again * (65_536 // len(swept.again))
        begun = len(b"".join([swept.asking, flood]))
        await asyncio.get_running_loop().sock_sendall(stand.crowd[0], flood)
        await until(lambda: sum(sizes) == begun)
        assert max(sizes[-20:]) <= 512
        await settled()
        stand.crowd[0].send(swept.begun[:1])
        await until(lambda: sum(sizes) == begun + 1)
        stand.crowd[0].send(b"x" * 4096)
        await settled()
        assert sizes[-1] == 4096

    play(swept, scene)


def test_who_comes_while_the_door_closes_is_no_overload(peer: Peer) -> None:
    """It was accepted just before the listener was closed, and is ended without a word in the log."""

    async def scene(stand: Stand) -> None:
        await stand.door.close(0)
        ours, theirs = socket.socketpair()
        with ours:
            await asyncio.get_running_loop().connect_accepted_socket(stand.door.new_connection, theirs)
            ours.settimeout(5)
            assert await asyncio.to_thread(ours.recv, 100) == b"" or peer.patient
        assert stand.door.counters.overloads == 0

    assert play(peer, scene).said == []


# Doors that speak SMTP to strangers


def pass_time(seconds: float) -> None:
    """So many seconds are over, for all that goes by the loop's clock."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]


def test_a_command_drop_by_drop_is_given_up(patient: Peer) -> None:
    """It has the time of one command, however often a byte of it comes."""

    async def scene(stand: Stand) -> None:
        await stand.come(CROWD, saying=patient.begun)
        await until(lambda: len(stand.door.open) == CROWD)
        for _ in range(3):
            for sock in stand.crowd:
                sock.send(patient.more)
            pass_time(90)
            await settled()
            assert await stand.served()
        assert len(stand.door.open) == CROWD
        pass_time(90)
        await until(lambda: not stand.door.open)
        assert stand.door.counters.timeouts == CROWD
        assert await stand.served()

    assert set(play(patient, scene).said) == {Event.TIMEOUT}


def slow_down() -> None:
    """What crowds do takes real time, on a busy machine a lot, of which next to nothing is to count."""
    loop = asyncio.get_running_loop()
    before, start = loop.time, loop.time()
    loop.time = lambda: start + (before() - start) / 1000  # type: ignore[method-assign]


async def heard(stand: Stand) -> None:
    """Whoever is in front of the door is waited for."""
    await until(
        lambda: all(one._session and one._session.patience._since for one in stand.door.open)  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize("silent", [True, False])
def test_strangers_that_say_nothing_shut_nobody_out(patient: Peer, silent: bool) -> None:
    """At the default limit: one of them makes way as soon as it is not just far away; drops do not count."""

    async def scene(stand: Stand) -> None:
        slow_down()
        await stand.come(STRANGERS, saying=b"" if silent else patient.begun)
        await heard(stand)
        assert len(stand.door.open) == STRANGERS
        assert not await stand.served()
        pass_time(0.9)
        if not silent:
            for sock in stand.crowd:
                sock.send(patient.more)
            await settled()
        pass_time(0.2)
        for _ in range(3):
            assert await stand.served()
        assert (stand.door.counters.overloads, len(stand.door.open)) == (2, STRANGERS - 1)
        said = [b"421 4.3.2 " in await asyncio.to_thread(_all_of, sock) for sock in stand.crowd]
        assert sum(said) == 1

    assert set(play(patient, scene, Limits(connections=STRANGERS)).said) == {Event.OVERLOAD}


def test_strangers_that_do_not_go_on_with_tls_shut_nobody_out() -> None:
    """A handshake may take 30 seconds at a door that is not full. In it they hear nothing in the clear."""
    ours = Certificate(certificates() / "server.pem", certificates() / "server.key")
    peer = replace(PEERS["smtp"], kind=partial(SmtpServer, proxy=changed(proxy(), certificate=ours)))

    async def scene(stand: Stand) -> None:
        slow_down()
        await stand.come(CROWD, saying=b"EHLO client.example.com\r\nSTARTTLS\r\n")
        for sock in stand.crowd:
            await until(partial(_says, sock, b"220 2.0.0 "))
            sock.send(b"\x16\x03\x01")
        await settled()
        assert not await stand.served()
        pass_time(1.1)
        for _ in range(3):
            assert await stand.served()
        assert (stand.door.counters.overloads, len(stand.door.open)) == (2, CROWD - 1)
        assert set(stand.said) == {Event.OVERLOAD}
        assert not any(_all_of(sock) for sock in stand.crowd)

    play(peer, scene, Limits(connections=CROWD))


def test_strangers_whose_dns_is_slow_shut_nobody_out() -> None:
    """They are waited for before the greeting, and no longer than after it."""
    calls = count()

    async def look_up(_: str) -> HostName:
        if next(calls) < CROWD:
            await asyncio.Event().wait()
        return NO_NAME

    peer = replace(PEERS["smtp"], kind=partial(SmtpServer, proxy=changed(proxy(), look_up=look_up)))

    async def scene(stand: Stand) -> None:
        slow_down()
        await stand.come(CROWD)
        assert not await stand.served()
        pass_time(1.1)
        for _ in range(3):
            assert await stand.served()
        assert (stand.door.counters.overloads, len(stand.door.open)) == (2, CROWD - 1)
        assert sum(b"421 4.3.2 " in _all_of(sock) for sock in stand.crowd) == 1

    assert set(play(peer, scene, Limits(connections=CROWD)).said) == {Event.OVERLOAD}


def test_strangers_that_do_not_go_on_with_a_message_shut_nobody_out(patient: Peer) -> None:
    """At the default limit: they have a little longer, for the message would have to come again."""

    async def scene(stand: Stand) -> None:
        slow_down()
        await stand.come(STRANGERS, saying=patient.much[:200])
        await heard(stand)
        assert all(one.in_message for one in stand.door.open)
        pass_time(9)
        for sock in stand.crowd:
            sock.send(patient.more)
        await settled()
        assert not await stand.served()
        pass_time(1.1)
        for _ in range(3):
            assert await stand.served()
        assert len(stand.door.open) == STRANGERS - 1

    assert set(play(patient, scene, Limits(connections=STRANGERS)).said) == {Event.OVERLOAD}


def test_who_goes_on_makes_no_way(patient: Peer) -> None:
    """A full door of clients that speak stays theirs."""

    async def scene(stand: Stand) -> None:
        slow_down()
        await stand.come(CROWD, saying=patient.asking)
        for _ in range(3):
            await heard(stand)
            pass_time(0.9)
            assert not await stand.served()
            for sock in stand.crowd:
                sock.send(patient.again)
            await settled()
        assert len(stand.door.open) == CROWD

    assert set(play(patient, scene, Limits(connections=CROWD)).said) == {Event.OVERLOAD}


def test_a_message_drop_by_drop_is_given_up(patient: Peer) -> None:
    """It has to come at a least rate: a byte now and then holds no place for ever."""

    async def scene(stand: Stand) -> None:
        await stand.come(CROWD, saying=patient.much[:200])
        await heard(stand)
        for _ in range(3):
            pass_time(90)
            for sock in stand.crowd:
                sock.send(patient.more)
            await settled()
            await heard(stand)
            assert await stand.served()
        assert len(stand.door.open) == CROWD
        pass_time(40)
        await until(lambda: not stand.door.open)
        assert stand.door.counters.timeouts == CROWD
        assert await stand.served()

    assert set(play(patient, scene).said) == {Event.TIMEOUT}


def _all_of(sock: socket.socket) -> bytes:
    """What has come in."""
    sock.setblocking(False)
    with suppress(BlockingIOError):
        return sock.recv(65_536)
    return b""


def _says(sock: socket.socket, word: bytes) -> bool:
    return word in _all_of(sock)


def test_a_client_that_never_reads_waits_and_is_given_up(patient: Peer, tmp_path: Path) -> None:
    """It is read no further than its answers are, and hung up on in the end."""

    async def scene(stand: Stand) -> None:
        await on_unix(stand.door, tmp_path / "door.sock")
        crowd = asyncio.gather(
            *(asyncio.to_thread(_never_read, tmp_path / "door.sock", patient) for _ in range(5))
        )
        await until(lambda: sum(one._writer is not None for one in stand.door.open) == 5)  # type: ignore[attr-defined]
        assert await stand.served()
        pass_time(310)
        await until(lambda: not stand.door.open)
        assert stand.door.counters.timeouts == 5
        pass_time(11)  # in which it might have fetched what was said last
        await crowd
        assert await stand.served()

    assert set(play(patient, scene).said) == {Event.TIMEOUT}


def test_what_is_kept_of_each_header_is_bounded(patient: Peer) -> None:
    """128 KiB and a buffer, whoever else there is."""

    async def scene(stand: Stand) -> None:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        await stand.come(100, saying=patient.much)
        await settled()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 100 * (300 << 10)
        assert await stand.served()

    tracemalloc.start()
    try:
        play(patient, scene)
    finally:
        tracemalloc.stop()

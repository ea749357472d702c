"""The door under honest and hostile peers, over real sockets: mail flows, at bounded memory."""

import asyncio
import contextlib
import gc
import socket
import time
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest
from listening import on_tcp
from recording_gate import RecordingGate

from wehr.doors.milter import AsyncMilterClient, Event, Limits, MilterServer, Offer, codec
from wehr.doors.milter.codec import encode_connect, encode_strings, frame
from wehr.evidence.types import Session

SESSION = Session(client_ip="192.0.2.1", client_name="mail.example.com", helo="mail.example.com")
HEADERS = [("Received", "from a by b"), ("Subject", "Hello")]
OFFER = codec.encode_offer(Offer(6, 0x1FF, 0x1FFFFF))
PLAIN_OFFER = codec.encode_offer(Offer(2, 0x3F, 0))
BEGUN = OFFER + encode_connect("mail.example.com", "192.0.2.1")
ENVELOPE = encode_strings(codec.MAIL, "<a@example.com>") + encode_strings(codec.RCPT, "<b@example.org>")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Door:
    """A server on a free port, with what it said."""

    def __init__(self, gate: RecordingGate, limits: Limits | None = None) -> None:
        self.said: list[tuple[Event, str]] = []
        self.server = MilterServer(gate, limits, lambda event, text: self.said.append((event, text)))
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Streams:
        """A bare connection."""
        streams = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(streams[1])
        return streams

    async def deliver(self) -> str:
        """One honest message."""
        client = await AsyncMilterClient.open(("127.0.0.1", self.port), SESSION)
        try:
            return await client.deliver(HEADERS)
        finally:
            await client.close()


def play(door: Door, scene: Callable[[Door], Awaitable[None]]) -> None:
    """Run a scene with the door open."""

    async def run() -> None:
        door.port = await on_tcp(door.server)
        await scene(door)
        await door.server.close(0)
        for writer in door.writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    asyncio.run(run())


async def negotiated(reader: asyncio.StreamReader) -> None:
    """Read the answer to an offer."""
    length = int.from_bytes(await reader.readexactly(4), "big")
    await reader.readexactly(length)


async def hung_up(reader: asyncio.StreamReader) -> bool:
    """Wait until the door has hung up; what it answered before is dropped."""
    with contextlib.suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 10)
    return True


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until something is so."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


def test_several_messages_pass_over_one_connection(gate: RecordingGate) -> None:
    """Each is decided by itself, and counted."""

    async def scene(door: Door) -> None:
        client = await AsyncMilterClient.open(("127.0.0.1", door.port), SESSION)
        gate.answer = None
        assert await client.deliver(HEADERS) == "accept"
        gate.answer = "450 4.7.230 throttled, retry after 14:25 UTC"
        assert await client.deliver(HEADERS, ["One.Test", "two.test"]) == gate.answer
        gate.answer = "550 5.7.230 blocked"
        assert await client.deliver(HEADERS) == gate.answer
        await client.close()

        counters = door.server.counters
        assert (counters.connections, counters.messages) == (1, 3)
        assert (counters.refused_4xx, counters.refused_5xx) == (1, 1)
        assert gate.asked[1][0].recipients == ("one.test", "two.test")

    door = Door(gate)
    play(door, scene)
    assert door.said == []


@pytest.mark.parametrize(
    "answer", [RuntimeError("no state"), RecursionError(), MemoryError(), "250 2.0.0 nonsense", "", "450"]
)
def test_an_error_of_the_gate_accepts_the_message(gate: RecordingGate, answer: str | Exception) -> None:
    """It is counted and told, and the next message is asked about again."""

    async def scene(door: Door) -> None:
        gate.answer = answer
        assert await door.deliver() == "accept"
        gate.answer = "450 4.7.230 throttled"
        assert await door.deliver() == gate.answer
        assert door.server.counters.gate_errors == 1

    door = Door(gate)
    play(door, scene)
    assert [event for event, _ in door.said] == [Event.GATE_ERROR]


HOSTILE = {
    "oversize": (0x7FFFFFFF).to_bytes(4, "big") + b"L",
    "empty frame": b"\0\0\0\0\0",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "truncated offer": frame(codec.NEGOTIATE, b"\0\0\0\6"),
    "truncated client": OFFER + frame(codec.CONNECT, b"name"),
    "out of order": BEGUN + frame(codec.END_OF_HEADERS),
    "no offer": ENVELOPE,
    "unknown command": BEGUN + frame(ord("z")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_who_does_not_speak_the_protocol_is_cut_off_with_one_line(gate: RecordingGate, name: str) -> None:
    """And others are served."""

    async def scene(door: Door) -> None:
        reader, writer = await door.connect()
        writer.write(HOSTILE[name])
        assert await hung_up(reader)
        assert await door.deliver() == "accept"
        assert door.server.counters.protocol_errors == 1

    door = Door(gate)
    play(door, scene)
    assert [event for event, _ in door.said] == [Event.PROTOCOL_ERROR]
    assert "127.0.0.1" in door.said[0][1]


def test_endless_frames_are_cut_off_at_bounded_memory(gate: RecordingGate) -> None:
    """64 MB of headers, and a single header as long as that, leave no more than a few MB at any time."""

    async def flood(door: Door, chunk: bytes) -> None:
        reader, writer = await door.connect()
        writer.write(BEGUN + ENVELOPE)
        try:
            for _ in range((80 << 20) // len(chunk)):
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        assert await hung_up(reader)

    async def scene(door: Door) -> None:
        await flood(door, encode_strings(codec.HEADER, "Received", "x" * 4000) * 16)
        writer_starts_a_huge_frame = (codec.LIMIT - 1).to_bytes(4, "big") + b"L" + b"x" * 65_000
        await flood(door, writer_starts_a_huge_frame)
        assert await door.deliver() == "accept"

    door = Door(gate)
    gc.collect()
    tracemalloc.start()
    try:
        play(door, scene)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert [event for event, _ in door.said] == [Event.PROTOCOL_ERROR] * 2


def test_a_peer_that_never_reads_is_cut_off(gate: RecordingGate) -> None:
    """Its answers are not stored for it."""

    async def scene(door: Door) -> None:
        _, writer = await door.connect()
        writer.write(PLAIN_OFFER + encode_connect("x", "192.0.2.1"))
        chunk = frame(codec.UNKNOWN) * 10_000
        try:
            while not door.server.counters.protocol_errors:
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        assert await door.deliver() == "accept"

    door = Door(gate, Limits(unread=4096))
    play(door, scene)
    assert [event for event, _ in door.said] == [Event.PROTOCOL_ERROR]
    assert "not read" in door.said[0][1]


@pytest.mark.parametrize("drops", [[b"", b"", b""], [b"\0", b"\1", b"\0"]])
def test_a_silent_or_dripping_peer_is_cut_off_when_idle_for_too_long(
    gate: RecordingGate, drops: list[bytes]
) -> None:
    """A frame that never gets complete is no sign of life; one that works stays."""

    async def scene(door: Door) -> None:
        reader, writer = await door.connect()
        writer.write(BEGUN)
        await negotiated(reader)
        worker = await AsyncMilterClient.open(("127.0.0.1", door.port), SESSION)
        for drop in drops:
            writer.write(drop)
            await writer.drain()
            assert await worker.deliver(HEADERS) == "accept"
            door.server.sweep()
        assert await hung_up(reader)
        assert await worker.deliver(HEADERS) == "accept"
        await worker.close()
        assert door.server.counters.timeouts == 1

    door = Door(gate, Limits(idle=2, sweep=1))
    play(door, scene)
    assert [event for event, _ in door.said] == [Event.TIMEOUT]


def test_the_timer_sweeps_by_itself(gate: RecordingGate) -> None:
    """Nobody has to call it."""

    async def scene(door: Door) -> None:
        reader, _ = await door.connect()
        assert await hung_up(reader)

    door = Door(gate, Limits(idle=0.02, sweep=0.01))
    play(door, scene)
    assert door.server.counters.timeouts == 1


def test_too_many_connections_are_turned_away_and_the_others_served(gate: RecordingGate) -> None:
    """The mail system's default action takes over; when one leaves there is room again."""

    async def scene(door: Door) -> None:
        client = await AsyncMilterClient.open(("127.0.0.1", door.port), SESSION)
        reader, _ = await door.connect()
        assert await hung_up(reader)
        assert await client.deliver(HEADERS) == "accept"
        await client.close()
        await until(lambda: not door.server.open)
        assert await door.deliver() == "accept"
        assert door.server.counters.overloads == 1

    door = Door(gate, Limits(connections=1))
    play(door, scene)
    assert [event for event, _ in door.said] == [Event.OVERLOAD]


def test_400_idle_connections_cost_little_and_stop_nobody(gate: RecordingGate) -> None:
    """A few KB each, for that is what every SMTP session of the mail system is."""

    async def scene(door: Door) -> None:
        await door.deliver()
        before = tracemalloc.get_traced_memory()[0]
        socks = []
        for _ in range(400):
            sock = socket.socket()
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", door.port))
            await asyncio.get_running_loop().sock_sendall(sock, BEGUN)
            socks.append(sock)
        assert await door.deliver() == "accept"
        gc.collect()
        cost = tracemalloc.get_traced_memory()[0] - before
        for sock in socks:
            sock.close()
        assert cost / len(socks) < 8 << 10

    door = Door(gate)
    tracemalloc.start()
    try:
        play(door, scene)
    finally:
        tracemalloc.stop()


def test_a_flood_of_errors_is_summed_up(gate: RecordingGate) -> None:
    """Ten lines of a kind between two sweeps, then one that counts the rest, then it starts anew."""
    door = Door(gate)
    for _ in range(25):
        door.server.tell(Event.GATE_ERROR, "x")
    assert len(door.said) == 10

    door.server.sweep()
    assert door.said[10] == (Event.GATE_ERROR, "15 more of the kind")
    door.server.sweep()
    assert len(door.said) == 11

    door.server.tell(Event.GATE_ERROR, "x")
    assert len(door.said) == 12


def test_a_huge_message_is_accepted(gate: RecordingGate) -> None:
    """10,000 Received fields, and one of 1 MB."""

    async def scene(door: Door) -> None:
        client = await AsyncMilterClient.open(("127.0.0.1", door.port), SESSION)
        assert await client.deliver([("Received", f"from {n} by b") for n in range(10_000)]) == "accept"
        assert await client.deliver([("Received", "x" * (1 << 20))]) == "accept"
        await client.close()

    play(Door(gate), scene)
    assert [sum(map(len, trace)) < 200_000 for _, trace, _ in gate.asked] == [True, True]


def test_two_writes_over_tcp_do_not_wait_for_a_delayed_acknowledgement(gate: RecordingGate) -> None:
    """Postfix writes envelope and headers apart, with Nagle's algorithm on: 40 ms a message, if we sleep."""
    gate.answer = "450 4.7.230 throttled"
    headers = encode_strings(codec.HEADER, "Subject", "x") + frame(codec.END_OF_HEADERS)

    def mail_system(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            sock.sendall(BEGUN)
            sock.recv(1000)
            for _ in range(20):
                began = time.perf_counter()
                sock.sendall(ENVELOPE)
                sock.sendall(headers)
                assert sock.recv(1000)[4:5] == b"y"
                took.append(time.perf_counter() - began)

    async def scene(door: Door) -> None:
        await asyncio.to_thread(mail_system, door.port)

    took: list[float] = []
    play(Door(gate), scene)
    assert sorted(took)[5] < 0.02


# Closing


def test_closing_lets_a_message_under_way_be_answered(gate: RecordingGate) -> None:
    """New connections are not taken, idle ones are closed, and then it is over."""

    async def scene(door: Door) -> None:
        reader, writer = await door.connect()
        writer.write(BEGUN + ENVELOPE)
        await negotiated(reader)
        await until(lambda: any(connection.session.in_message for connection in door.server.open))
        closing = asyncio.create_task(door.server.close(30))
        await asyncio.sleep(0)
        assert not closing.done()
        with pytest.raises(ConnectionRefusedError):
            await door.connect()
        writer.write(frame(codec.END_OF_HEADERS))
        assert (await reader.readexactly(5))[4:] == b"a"
        await closing
        assert await hung_up(reader)

    play(Door(gate), scene)


def test_closing_does_not_wait_for_ever(gate: RecordingGate) -> None:
    """A message that does not go on is given up when the drain time is over."""

    async def scene(door: Door) -> None:
        reader, writer = await door.connect()
        writer.write(BEGUN + ENVELOPE)
        await negotiated(reader)
        await door.server.close(0.01)
        assert await hung_up(reader)

    play(Door(gate), scene)

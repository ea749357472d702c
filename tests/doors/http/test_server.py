"""The HTTP door on real sockets: tokens, slow and silent peers, crowds, and the end."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from http_asking import answers, post
from listening import on_tcp
from recording_gate import RecordingGate

from wehr.doors.http import HttpServer
from wehr.doors.types import Event, Limits

ASKED = post("/v1/decide", {})
LAST = post("/v1/decide", {}, Connection="close")


@asynccontextmanager
async def _door(**options: Any) -> AsyncIterator[tuple[HttpServer, int, list[Event]]]:
    said: list[Event] = []
    server = HttpServer(RecordingGate(), on_event=lambda event, _: said.append(event), **options)
    port = await on_tcp(server)
    try:
        yield server, port, said
    finally:
        await server.close(0)


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """What comes up to the end of the connection, however it ends."""
    with suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), 10)
    return b""


async def _ask(port: int, data: bytes) -> bytes:
    reader, writer = await _connect(port)
    with suppress(ConnectionError):
        writer.write(data)
    found = await _rest(reader)
    writer.close()
    return found


async def _until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110 - it waits for the peer
        await asyncio.sleep(0.01)


def _under_way(server: HttpServer) -> bool:
    return any(connection.session.in_message for connection in server.open)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer secret", 200),
        ("bearer  other", 200),
        ("Bearer wrong", 401),
        ("Basic secret", 401),
        ("secret", 401),
        ("Bearer", 401),
        ("Bearer \xff", 401),
    ],
)
def test_a_request_must_bear_one_of_the_tokens(authorization: str | None, status: int) -> None:
    """Both while one is changed for another; what is wrong with it is not told."""
    tokens = [hashlib.sha256(token).hexdigest() for token in (b"secret", b"other")]
    server = HttpServer(RecordingGate(), tokens=tokens)
    extra = {"Authorization": authorization} if authorization else {}
    for path in ("/v1/decide", "/v1/mta-hooks"):
        asked = post(path, {"context": {}}, **extra).decode("utf-8").encode("latin-1")
        (found,) = answers(server.new_session().receive(asked))

        assert found.status == status
        assert (found.headers.get("Www-Authenticate") == "Bearer") is (status == 401)


def test_the_description_needs_no_token() -> None:
    """It says that one is needed."""
    server = HttpServer(RecordingGate(), tokens=["00" * 32])
    asked = b"GET /v1/openapi.json HTTP/1.1\r\nHost: wehr\r\n\r\n"
    (found,) = answers(server.new_session().receive(asked), "GET")

    assert found.json["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_many_connections_are_served_side_by_side() -> None:
    """A peer in the middle of a request keeps nobody waiting."""

    async def story() -> None:
        async with _door() as (server, port, _):
            _, slow = await _connect(port)
            slow.write(ASKED[:-1])
            found = await asyncio.gather(*(_ask(port, LAST) for _ in range(50)))

            assert all(answers(data)[0].status == 200 for data in found)
            assert server.counters.messages == 50
            slow.close()

    asyncio.run(story())


@pytest.mark.parametrize("sent", [b"", b"POST /v1/decide HT", ASKED[:-1]])
def test_a_peer_that_is_slow_is_cut_off(sent: bytes) -> None:
    """Silent, in the middle of the header, of the body: drop by drop is no sign of life."""

    async def story() -> None:
        async with _door(limits=Limits(idle=60, sweep=30)) as (server, port, said):
            reader, writer = await _connect(port)
            writer.write(sent)
            await _until(lambda: server.open and _under_way(server) == bool(sent))
            for _ in range(3):
                server.sweep()
            await _rest(reader)
            writer.close()

            assert server.counters.timeouts == 1
            assert said == [Event.TIMEOUT]

    asyncio.run(story())


def test_a_body_drop_by_drop_does_not_keep_the_connection() -> None:
    """Only a whole request does."""

    async def story() -> None:
        async with _door(limits=Limits(idle=60, sweep=30)) as (server, port, _):
            reader, writer = await _connect(port)
            writer.write(ASKED)
            await reader.readuntil(b"}")
            head, _, _ = post("/v1/decide", b"", Content_Length="1000").partition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            await _until(lambda: _under_way(server))
            (connection,) = server.open
            for length in range(1, 4):
                writer.write(b" ")
                await _until(lambda: len(connection.session._body) == length)  # noqa: B023
                server.sweep()
            await _rest(reader)
            writer.close()

            assert server.counters.timeouts == 1

    asyncio.run(story())


def test_a_connection_too_many_is_closed() -> None:
    """And counted; those that are open are served on."""

    async def story() -> None:
        async with _door(limits=Limits(connections=2)) as (server, port, said):
            kept = [await _connect(port) for _ in range(2)]
            for reader, writer in kept:
                writer.write(ASKED)
                await reader.readuntil(b"}")

            assert await _ask(port, ASKED) == b""
            assert server.counters.overloads == 1
            assert said == [Event.OVERLOAD]
            for reader, writer in kept:
                writer.write(ASKED)
                await reader.readuntil(b"}")
                writer.close()

    asyncio.run(story())


def test_a_peer_that_reads_no_answers_is_cut_off() -> None:
    """Of what waits for it no more is held than the door's limit."""

    async def story() -> None:
        async with _door(limits=Limits(unread=64 << 10)) as (server, port, said):
            server.gate.answer = f"450 4.7.230 {'x' * 480}"
            _, writer = await _connect(port)
            with suppress(ConnectionError):
                while not said:
                    writer.write(ASKED * 50)
                    await writer.drain()
            await _until(lambda: not server.open)
            writer.close()

            assert said == [Event.PROTOCOL_ERROR]

    asyncio.run(story())


def test_requests_under_way_are_answered_at_the_end() -> None:
    """The door stops listening, waits for them, and then hangs up."""

    async def story() -> None:
        async with _door() as (server, port, _):
            reader, writer = await _connect(port)
            writer.write(ASKED[:-1])
            await _until(lambda: _under_way(server))
            closing = asyncio.create_task(server.close(5))
            await _until(lambda: server.closing)
            assert not closing.done()
            writer.write(ASKED[-1:])
            found = await reader.readuntil(b"}")
            await closing
            writer.close()

            assert answers(found)[0].status == 200
            with pytest.raises(ConnectionRefusedError):
                await _connect(port)

    asyncio.run(story())

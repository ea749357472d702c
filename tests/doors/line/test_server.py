"""The line door's sockets: answers, half-closed connections, and who is cut off."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from listening import on_tcp
from recording_gate import RecordingGate

from wehr.doors.line import LineServer
from wehr.doors.types import Event, Limits

QUESTION = b"request=message\nclient_address=192.0.2.1\nqueue_id=1\nreceived=from a by b\n\n"
ACCEPT = b"action=accept\n\n"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def talk(gate: RecordingGate, what: Talk, limits: Limits | None = None) -> tuple[LineServer, list[Event]]:
    """Let one client talk to the door."""
    said: list[Event] = []

    async def run() -> LineServer:
        server = LineServer(gate, limits, lambda event, text: said.append(event))
        reader, writer = await asyncio.open_connection("127.0.0.1", await on_tcp(server), limit=1 << 20)
        try:
            await asyncio.wait_for(what(reader, writer), 20)
        finally:
            writer.close()
            await server.close(0)
        return server

    return asyncio.run(run()), said


def test_questions_on_one_connection_are_answered_in_turn() -> None:
    """Accept, refuse, accept; what the gate was asked is what was said."""
    gate = RecordingGate()

    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (None, "450 4.7.230 later", None):
            gate.answer = answer
            writer.write(QUESTION)
            expected = f"action={answer or 'accept'}\n\n".encode()
            assert await reader.readexactly(len(expected)) == expected

    server, said = talk(gate, what)
    assert [(session.client_ip, trace, queue_id) for session, trace, queue_id in gate.asked] == [
        ("192.0.2.1", [b"from a by b"], "1")
    ] * 3
    assert (server.counters.messages, server.counters.refused_4xx) == (3, 1)
    assert said == []


def test_who_half_closes_gets_the_answer_and_then_the_end() -> None:
    """As Exim's readsocket does, and ``nc -N``."""

    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(QUESTION)
        writer.write_eof()
        assert await reader.read() == ACCEPT

    assert talk(RecordingGate(), what)[1] == []


@pytest.mark.parametrize("answer", [OSError("made up"), "nonsense", "450 5.7.230 mixed up"])
def test_an_error_while_deciding_is_not_the_senders_problem(answer: Exception | str) -> None:
    """A gate that raises, and a line that is no refusal: accepted, counted, told."""
    gate = RecordingGate()
    gate.answer = answer

    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(QUESTION)
        assert await reader.readexactly(len(ACCEPT)) == ACCEPT

    server, said = talk(gate, what)
    assert (server.counters.gate_errors, said) == (1, [Event.GATE_ERROR])


def test_a_client_is_asked_about_without_a_message() -> None:
    """``request=client``: the gate's early answer."""
    gate = RecordingGate()
    gate.answer = "550 5.7.230 no"

    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"request=client\nclient_address=192.0.2.1\nqueue_id=17\n\n")
        assert await reader.readuntil(b"\n\n") == b"action=550 5.7.230 no\n\n"

    talk(gate, what)
    assert gate.asked[0][2] == "early 17"


def test_who_speaks_something_else_is_cut_off() -> None:
    """A browser, say."""

    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionResetError):
            assert await reader.read() == b""

    server, said = talk(RecordingGate(), what)
    assert (server.counters.protocol_errors, said) == (1, [Event.PROTOCOL_ERROR])


def test_who_reads_no_answers_is_cut_off() -> None:
    """Questions without end, and nobody who takes what is answered."""
    gate = RecordingGate()
    gate.answer = f"450 4.7.230 {'x' * 480}"  # the kernel holds megabytes of answers: long ones fill it soon

    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with suppress(ConnectionError):
            while True:
                writer.write(QUESTION * 1000)
                await writer.drain()

    server, said = talk(gate, what, Limits(unread=1 << 10))
    assert (server.counters.protocol_errors, said) == (1, [Event.PROTOCOL_ERROR])

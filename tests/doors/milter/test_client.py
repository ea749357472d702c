"""The client: it speaks as Postfix and as old mail systems do, and its own filter understands it."""

import asyncio

import pytest
from listening import on_tcp
from recording_gate import RecordingGate

from wehr.doors.milter import (
    ClientSession,
    MilterClient,
    MilterServer,
    MilterSession,
    Offer,
    ProtocolError,
    codec,
)
from wehr.doors.milter.client import OLD, POSTFIX, Steps
from wehr.doors.milter.session import ACCEPTED
from wehr.evidence.types import Session

SESSION = Session(
    client_ip="2001:db8::1",
    client_name="mail.example.com",
    helo="helo.example.com",
    authenticated=True,
    tls_name="cert.example.com",
    listener="smtpd",
    recipients=("example.org", "other.test"),
)
HEADERS = [("Received", "from a\n\tby b"), ("Subject", "Hello"), ("Received", "from c by a")]


def lockstep(steps: Steps, session: MilterSession) -> tuple[str, int]:
    """Play client and filter against each other; the verdict and the number of answers."""
    answers = 0
    try:
        out = next(steps)
        while True:
            (answer,) = [
                (command, buffer[start:stop])
                for command, buffer, start, stop in codec.Frames().feed(session.receive(out))
            ]
            answers += 1
            out = steps.send(answer)
    except StopIteration as done:
        return str(done.value), answers


@pytest.mark.parametrize(
    ("offer", "answers"), [(POSTFIX, 1), (Offer(6, 0x1FF, 0), 8), (OLD, 7), (Offer(4, 0, 0x7F), 8)]
)
def test_the_filter_learns_what_the_client_was_told(offer: Offer, answers: int) -> None:
    """Whatever was negotiated; only the number of round trips differs."""
    asked = []

    def decide(*question: object) -> bytes:
        asked.append(question)
        return ACCEPTED

    client, session = ClientSession(offer), MilterSession(decide)
    lockstep(client.negotiate(), session)
    lockstep(client.connect(SESSION), session)

    for n in (1, 2):
        assert lockstep(client.deliver(SESSION, HEADERS), session) == ("accept", answers)
        assert asked == [(SESSION, [b"from a\n\tby b", b"from c by a"], f"{n:010X}")]
        asked.clear()


def test_a_filter_that_takes_what_was_not_offered_is_an_error() -> None:
    """Postfix would not work with it either."""
    steps = ClientSession(OLD).negotiate()
    next(steps)

    with pytest.raises(ProtocolError):
        steps.send((codec.NEGOTIATE, codec.encode_offer(POSTFIX)[5:]))


def test_an_answer_that_makes_no_sense_is_an_error() -> None:
    """It is not taken for a verdict."""
    client, session = ClientSession(), MilterSession(lambda *_: ACCEPTED)
    lockstep(client.negotiate(), session)
    steps = client.deliver(SESSION, HEADERS)
    next(steps)

    with pytest.raises(ProtocolError):
        steps.send((ord("?"), b""))


def test_the_blocking_client_delivers(gate: RecordingGate) -> None:
    """From a thread, over TCP, message after message."""

    def talk(port: int) -> list[str]:
        with MilterClient(("127.0.0.1", port), SESSION) as client:
            verdicts = [client.deliver(HEADERS)]
            gate.answer = "550 5.7.230 blocked"
            return [*verdicts, client.deliver(HEADERS, ["third.test"])]

    async def run() -> None:
        server = MilterServer(gate)
        port = await on_tcp(server)
        assert await asyncio.to_thread(talk, port) == ["accept", "550 5.7.230 blocked"]
        await server.close(0)

    asyncio.run(run())
    assert [asked[0].recipients for asked in gate.asked] == [SESSION.recipients, ("third.test",)]


def test_the_blocking_client_says_when_nobody_is_there(gate: RecordingGate) -> None:
    """Its socket does not leak."""

    async def run() -> int:
        server = MilterServer(gate)
        port = await on_tcp(server)
        await server.close(0)
        return port

    port = asyncio.run(run())
    with pytest.raises(ConnectionRefusedError):
        MilterClient(("127.0.0.1", port), SESSION)

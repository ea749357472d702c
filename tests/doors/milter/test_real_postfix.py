"""The door beside a real Postfix: what it tells, what it does with answers, and that nothing waits."""

import asyncio
import smtplib
import time
from collections.abc import Callable
from pathlib import Path

import postfix
import pytest
from listening import on_tcp, on_unix
from recording_gate import RecordingGate

from wehr.doors.milter import Event, MilterServer

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

MESSAGE = (
    "Received: from a.example.com (192.0.2.9)\r\n\tby b.example.com; Wed, 18 Nov 2026 10:14:05 +0100\r\n"
    "Subject: Hello\r\nreceived: from c by a\r\n\r\nText\r\n"
)
THROTTLED = "450 4.7.230 Connecting server is throttled; retry after 14:25 UTC"


def beside_postfix(
    folder: Path, gate: RecordingGate, talk: Callable[[smtplib.SMTP], None], unix: bool = False
) -> MilterServer:
    """Let a client talk to a Postfix that asks the door, over TCP or a unix socket."""
    said: list[tuple[Event, str]] = []

    def session(milter: str) -> None:
        with (
            postfix.running(folder, milter) as server,
            smtplib.SMTP(server.host, server.port, "client.example.com", timeout=30) as client,
        ):
            client.ehlo()
            client.docmd("XCLIENT", "NAME=mail.example.com ADDR=192.0.2.1")
            client.ehlo("helo.example.com")
            talk(client)

    async def run() -> MilterServer:
        server = MilterServer(gate, on_event=lambda event, text: said.append((event, text)))
        port = await on_tcp(server)
        if unix:
            path = folder / "wehr.sock"
            await on_unix(server, path, 0o666)
        try:
            await asyncio.to_thread(session, f"unix:{path}" if unix else f"inet:127.0.0.1:{port}")
        finally:
            await server.close(0)
        return server

    server = asyncio.run(run())
    assert said == []
    return server


@pytest.mark.parametrize("unix", [False, True])
def test_postfix_tells_what_the_gate_needs_and_hands_its_answers_on(
    gate: RecordingGate, open_folder: Path, unix: bool
) -> None:
    """Session, trace and queue id; the 450 word for word; the next message of the session by itself."""

    def talk(client: smtplib.SMTP) -> None:
        gate.answer = THROTTLED
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("a@example.com", ["b@example.org", "c@EXAMPLE.net"], MESSAGE)
        assert f"{refused.value.smtp_code} {refused.value.smtp_error.decode()}" == THROTTLED
        gate.answer = None
        client.sendmail("a@example.com", ["b@example.org"], MESSAGE)

    server = beside_postfix(open_folder, gate, talk, unix)
    (session, trace, queue_id), (second, _, _) = gate.asked
    assert (session.client_ip, session.client_name) == ("192.0.2.1", "mail.example.com")
    assert (session.helo, session.authenticated, session.tls_name) == ("helo.example.com", False, "")
    assert session.listener
    assert session.recipients == ("example.org", "example.net")
    assert second.recipients == ("example.org",)
    assert trace[0].startswith(b"from a.example.com (192.0.2.9)\n\tby b.example.com;")
    assert trace[1:] == [b"from c by a"]
    assert len(queue_id) > 5
    assert server.counters.refused_4xx == 1


def test_what_is_given_up_is_forgotten(gate: RecordingGate, open_folder: Path) -> None:
    """RSET after MAIL and after RCPT, a second EHLO, a refused recipient: the next message is clean."""

    def talk(client: smtplib.SMTP) -> None:
        client.mail("a@example.com")
        client.rset()
        client.mail("a@example.com")
        client.rcpt("b@example.net")
        client.rset()
        client.mail("a@example.com")
        client.rcpt("b@example.net")
        client.ehlo("again.example.com")
        client.mail("a@example.com")
        assert client.rcpt("b@elsewhere.test")[0] == 554
        assert client.rcpt("b@example.org")[0] == 250
        assert client.data(MESSAGE)[0] == 250

    beside_postfix(open_folder, gate, talk)
    assert [(session.helo, session.recipients) for session, _, _ in gate.asked] == [
        ("again.example.com", ("example.org",))
    ]


def test_odd_messages_pass(gate: RecordingGate, open_folder: Path) -> None:
    """Without header, empty, with NUL and 8-bit bytes, with a huge field, with a body of 1 MB."""
    odd = [
        b"\r\nno header\r\n",
        b"",
        b"Received: from \xff\x00 by b\r\n\r\nx\r\n",
        b"Received: from " + b"x" * 900 + b"\r\n" + (b"\t" + b"y" * 900 + b"\r\n") * 1100 + b"\r\nx\r\n",
        b"Subject: x\r\n\r\n" + (b"z" * 900 + b"\r\n") * 1100,
    ]

    def talk(client: smtplib.SMTP) -> None:
        for message in odd:
            client.mail("a@example.com")
            client.rcpt("b@example.org")
            assert client.data(message)[0] == 250

    beside_postfix(open_folder, gate, talk)
    assert [len(trace) for _, trace, _ in gate.asked] == [0, 0, 1, 1, 0]
    assert gate.asked[2][1][0].startswith(b"from \xff")


def test_no_message_waits_for_a_delayed_acknowledgement(gate: RecordingGate, open_folder: Path) -> None:
    """Over TCP, 40 ms for every message if the envelope is not acknowledged at once."""
    gate.answer = THROTTLED  # what is taken, Postfix writes to the disk, and that may take as long
    took: list[float] = []

    def talk(client: smtplib.SMTP) -> None:
        for _ in range(10):  # more errors in one session, and Postfix itself waits
            client.mail("a@example.com")
            client.rcpt("b@example.org")
            began = time.perf_counter()
            assert client.data(MESSAGE)[0] == 450
            took.append(time.perf_counter() - began)

    beside_postfix(open_folder, gate, talk)
    assert sorted(took)[3] < 0.035

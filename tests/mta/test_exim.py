"""Exim on the wire, with the very lines that docs/exim.md gives."""

import asyncio
import contextlib
import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import exim
import messages
import postfix
import pytest
from listening import on_tcp
from ports import free_port
from postfix import Answer, Peer
from recording_gate import RecordingGate
from running import Receiver, receiver

from wehr.doors.line import LineServer
from wehr.doors.types import Event

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
PEER = Peer("mail.example.com")
OUTDATED, PATCHED = "15.1.2507.16", "15.2.2562.53"
LATER = "450 4.7.230 Connecting server is throttled; retry after 14:25 UTC. See https://mx.example.org/s/abc"


def _send(mx: exim.Exim, headers: str, peer: Peer = PEER) -> Answer:
    return postfix.send(mx, peer, headers, source="127.1.1.5")


@contextlib.contextmanager
def _door(gate: RecordingGate) -> Iterator[str]:
    """The line door in a thread of its own; its address as Exim writes it."""
    said: list[tuple[Event, str]] = []
    loop = asyncio.new_event_loop()
    server = LineServer(gate, on_event=lambda event, text: said.append((event, text)))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        listening = asyncio.run_coroutine_threadsafe(on_tcp(server), loop)
        yield f"inet:127.0.0.1:{listening.result(30)}"
    finally:
        asyncio.run_coroutine_threadsafe(server.close(0), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
    assert {event for event, _ in said} <= {Event.GATE_ERROR}


@contextlib.contextmanager
def _wehr(folder: Path, kind: str = "tcp") -> Iterator[tuple[Receiver, str]]:
    """The whole service, with the line door on a socket that is returned."""
    port = free_port()
    extra = f'line.listen = ["127.0.0.1:{port}"]\n        line.socket = "line.sock"'
    with receiver(folder / "state", START, mode="enforce", extra=extra) as wehr:
        yield wehr, f"inet:127.0.0.1:{port}" if kind == "tcp" else str(wehr.folder / "line.sock")


def test_exim_tells_what_the_gate_needs_and_hands_its_answers_on(open_folder: Path) -> None:
    """Session, recipients and trace without Exim's own field, backslashes kept; 450 and 550 word for word."""
    gate = RecordingGate()
    trace = (
        "Received: from a.example.com (192.0.2.9)\n\tby b.example.com; Wed, 18 Nov 2026 10:14:05 +0100\n"
        "Subject: x\n"
        "received: from c\\n by a\\; Wed, 18 Nov 2026 10:14:04 +0100\n"
        "Received: from =?us-ascii?Q?x_by_y?= by a:::b\u00ff\n\twith x:; Wed, 18 Nov 2026 10:14:03 +0100\n"
    )
    with _door(gate) as address, exim.running(open_folder, address) as mx:
        gate.answer = LATER
        refused = _send(mx, trace)
        gate.answer = "550 5.7.230 no"
        blocked = _send(mx, trace)
        gate.answer = OSError("made up")
        after_an_error = _send(mx, trace)

    # Exim breaks a long reply into lines (RFC 5321 section 4.2.1), each with its codes.
    assert f"{refused.code} {refused.text}".replace("\n4.7.230", "") == LATER
    assert f"{blocked.code} {blocked.text}" == "550 5.7.230 no"
    assert after_an_error.code == 250
    session, fields, queue_id = gate.asked[0]
    assert (session.client_ip, session.helo) == ("127.1.1.5", "mail.example.com")
    assert (session.recipients, session.authenticated) == (("example.org",), False)
    assert fields == [
        b"from a.example.com (192.0.2.9)\n\tby b.example.com; Wed, 18 Nov 2026 10:14:05 +0100",
        b"from c\\n by a\\; Wed, 18 Nov 2026 10:14:04 +0100",
        # Not decoded (RFC 2047), or any client could put by-clauses of its own into its HELO name.
        b"from =?us-ascii?Q?x_by_y?= by a:::b\xff\n\twith x:; Wed, 18 Nov 2026 10:14:03 +0100",
    ]
    assert len(queue_id) == 16


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_unpatched_server_is_refused_until_it_is_patched(open_folder: Path, kind: str) -> None:
    """250 in stage 1, 450 in its minutes, 550 in stage 8, and 250 with the first patched message."""
    with _wehr(open_folder, kind) as (wehr, address), exim.running(open_folder, address) as mx:
        assert _send(mx, messages.exchange(OUTDATED)).code == 250
        codes = []
        for day in (25, 51):
            wehr.clock.now = START + day * DAY
            _send(mx, messages.exchange(OUTDATED))
        for minute in range(60):
            wehr.clock.now = START + 51 * DAY + minute * 60
            codes.append(_send(mx, messages.exchange(OUTDATED)).code)
        for day in (75, 95):
            wehr.clock.now = START + day * DAY
            answer = _send(mx, messages.exchange(OUTDATED))
        others = [_send(mx, it).code for it in (messages.postfix(), messages.untraced())]

        assert sorted(codes) == [250] * 40 + [450] * 20
        assert answer.code == 550
        assert answer.text.startswith("5.7.230 Connecting Exchange server version is out-of-date; ")
        assert others == [250, 250]
        assert _send(mx, messages.exchange(PATCHED)).code == 250


def test_at_rcpt_a_blocked_server_is_refused_before_its_message(open_folder: Path) -> None:
    """One session in ten minutes goes on to the headers; another HELO is another client."""
    with (
        _wehr(open_folder) as (wehr, address),
        exim.running(open_folder, address, early=True) as mx,
    ):
        for day in (0, 25, 50, 75, 95):
            wehr.clock.now = START + day * DAY
            _send(mx, messages.exchange(OUTDATED))
        asked = wehr.service.doors["line"].counters.messages
        wehr.clock.now += 60
        early = _send(mx, messages.exchange(PATCHED))
        other = _send(mx, messages.postfix(), Peer("other.example.com"))
        wehr.clock.now += 600
        cured = [_send(mx, messages.exchange(PATCHED)).code for _ in range(2)]

        assert early.code == 550
        assert early.text.startswith("5.7.230 ")
        assert other.code == 250
        assert cured == [250, 250]
        assert wehr.service.doors["line"].counters.messages - asked == 1 + 2 + 2 * 2


def test_each_transaction_of_a_connection_is_told_from_the_next(open_folder: Path) -> None:
    """One of three goes on to the headers; the others are refused at each recipient, and counted once."""
    with (
        _wehr(open_folder) as (wehr, address),
        exim.running(open_folder, address, early=True) as mx,
    ):
        for day in (0, 25, 50, 75, 95):
            wehr.clock.now = START + day * DAY
            _send(mx, messages.exchange(OUTDATED))
        counts = wehr.service.gate.counts
        before = sum(counts.values())
        wehr.clock.now += 601
        with smtplib.SMTP(
            mx.host, mx.port, local_hostname=PEER.helo, source_address=("127.1.1.5", 0)
        ) as client:
            client.ehlo()
            codes = []
            for _ in range(3):
                client.mail("someone@mail.example.com")
                codes.append([client.rcpt(f"{name}@example.org")[0] for name in ("postmaster", "a")])
                client.rset()

        assert codes == [[250, 250], [550, 550], [550, 550]]
        assert sum(counts.values()) - before == 2


def test_mail_flows_when_wehr_is_not_there(open_folder: Path) -> None:
    """Nobody listens: the recipe's last braces are the answer."""
    with exim.running(open_folder, f"inet:127.0.0.1:{free_port()}", early=True) as mx:
        assert _send(mx, messages.exchange(OUTDATED)).code == 250


def test_mail_flows_when_wehr_hangs(open_folder: Path) -> None:
    """A socket that takes the question and never answers costs three seconds."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        exim.running(open_folder, f"inet:127.0.0.1:{silent.getsockname()[1]}") as mx,
    ):
        began = time.monotonic()
        assert _send(mx, messages.exchange(OUTDATED)).code == 250
        assert 2 < time.monotonic() - began < 10

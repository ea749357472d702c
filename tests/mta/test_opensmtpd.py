"""OpenSMTPD on the wire, with ``wehr filter opensmtpd``: the ladder's end, the cure, and mail that flows."""

import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import messages
import opensmtpd
import postfix
import pytest
from ports import free_port
from postfix import Answer, Peer
from running import receiver

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
PEER = Peer("mail.example.com")
OUTDATED, PATCHED = "15.1.2507.16", "15.2.2562.53"


def _filter(address: str) -> str:
    return f"{sys.executable} -m wehr filter opensmtpd --ask {address}"


def _send(mx: opensmtpd.OpenSMTPD, headers: str) -> Answer:
    return postfix.send(mx, PEER, headers, source="127.1.1.5")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_unpatched_server_is_refused_until_it_is_patched(open_folder: Path, kind: str) -> None:
    """250 in stage 1, 450 in its minutes, 550 in stage 8, and 250 with the first patched message."""
    port = free_port()
    extra = f"""line.listen = ["127.0.0.1:{port}"]
        line.socket = "line.sock" """
    with receiver(open_folder / "state", START, mode="enforce", extra=extra) as wehr:
        address = f"127.0.0.1:{port}" if kind == "tcp" else str(wehr.folder / "line.sock")
        with opensmtpd.running(open_folder, _filter(address)) as mx:
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

            assert sorted(codes) == [250] * 40 + [450] * 20
            assert answer.code == 550
            assert answer.text.startswith("5.7.230 Connecting Exchange server version is out-of-date; ")
            assert _send(mx, messages.postfix()).code == 250
            assert _send(mx, messages.exchange(PATCHED)).code == 250


def test_mail_flows_when_wehr_is_not_there(open_folder: Path) -> None:
    """Nobody listens; smtpd and its filter live on."""
    with opensmtpd.running(open_folder, _filter(f"127.0.0.1:{free_port()}")) as mx:
        assert [_send(mx, messages.exchange(OUTDATED)).code for _ in range(5)] == [250] * 5


def test_mail_flows_when_wehr_hangs(open_folder: Path) -> None:
    """The first message waits three seconds, those after it do not."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        opensmtpd.running(open_folder, _filter(f"127.0.0.1:{silent.getsockname()[1]}")) as mx,
    ):
        took = []
        for _ in range(3):
            began = time.monotonic()
            assert _send(mx, messages.exchange(OUTDATED)).code == 250
            took.append(time.monotonic() - began)

    assert 2 < took[0] < 10
    assert max(took[1:]) < 2

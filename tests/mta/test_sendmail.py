"""Sendmail on the wire: the ladder's end, the cure, the stall over TCP, and mail that flows without Wehr."""

import time
from datetime import UTC, datetime
from pathlib import Path

import messages
import postfix
import pytest
import sendmail
from ports import free_port
from postfix import Answer, Peer
from running import receiver

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
PEER = Peer("mail.example.com")


def _send(mx: sendmail.Sendmail, build: str) -> Answer:
    return postfix.send(mx, PEER, messages.exchange(build), source="127.1.1.5")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_unpatched_server_is_refused_until_it_is_patched(open_folder: Path, kind: str) -> None:
    """250 in stage 1, 450 or 250 on the way, 550 in stage 8, and 250 with the first patched message."""
    with receiver(open_folder / "state", START, mode="enforce") as wehr:
        milter = f"inet:{wehr.port}@127.0.0.1" if kind == "tcp" else f"local:{wehr.folder / 'milter.sock'}"
        with sendmail.running(open_folder, milter) as mx:
            assert _send(mx, "15.1.2507.16").code == 250
            for day in (25, 50, 75, 95):
                wehr.clock.now = START + day * DAY
                answer = _send(mx, "15.1.2507.16")
            assert answer.code == 550
            assert answer.text.startswith("5.7.230 Connecting Exchange server version is out-of-date; ")

            assert _send(mx, "15.2.2562.53").code == 250


def test_a_throttled_server_gets_450_and_not_451(open_folder: Path) -> None:
    """Sendmail's own temporary failure is 451; the filter's line is handed on as it is."""
    with (
        receiver(open_folder / "state", START, mode="enforce") as wehr,
        sendmail.running(open_folder, f"inet:{wehr.port}@127.0.0.1") as mx,
    ):
        _send(mx, "15.1.2507.16")
        for day in (25, 51):
            wehr.clock.now = START + day * DAY
            _send(mx, "15.1.2507.16")
        answers = []
        for minute in range(60):
            wehr.clock.now = START + 51 * DAY + minute * 60
            answers.append(_send(mx, "15.1.2507.16"))

    assert sorted(answer.code for answer in answers) == [250] * 40 + [450] * 20
    assert all(answer.text.startswith("4.7.230 ") for answer in answers if answer.code == 450)


def test_mail_flows_when_wehr_is_not_there(open_folder: Path) -> None:
    """Without an F= flag Sendmail does without a filter that it cannot reach."""
    with sendmail.running(open_folder, f"inet:{free_port()}@127.0.0.1") as mx:
        assert _send(mx, "15.1.2507.16").code == 250


def test_no_message_waits_for_a_delayed_acknowledgement(open_folder: Path) -> None:
    """Over TCP, 225 ms for every message if what is not answered is not acknowledged at once."""
    with (
        receiver(open_folder / "state", START, mode="report") as wehr,
        sendmail.running(open_folder, f"inet:{wehr.port}@127.0.0.1") as mx,
    ):
        took = []
        for _ in range(12):
            began = time.perf_counter()
            assert _send(mx, "15.1.2507.16").code == 250
            took.append(time.perf_counter() - began)

    assert sorted(took)[3] < 0.150

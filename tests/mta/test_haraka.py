"""Haraka asks Wehr with the very plugin that docs/recipes holds."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import haraka
import messages
import postfix
import pytest
from ports import free_port
from postfix import Answer, Peer
from running import Receiver, receiver

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
OUTDATED, PATCHED = "15.1.2507.16", "15.2.2562.53"


def _send(mx: haraka.Haraka, headers: str) -> Answer:
    return postfix.send(mx, Peer("mail.example.com"), headers, source="127.1.1.5")


@pytest.fixture(name="wehr")
def _wehr(open_folder: Path) -> Iterator[tuple[Receiver, str]]:
    port = free_port()
    extra = f'http.listen = ["127.0.0.1:{port}"]'
    with receiver(open_folder / "state", START, mode="enforce", extra=extra) as running:
        yield running, _ini(port)


def _ini(port: int) -> str:
    return f"url=http://127.0.0.1:{port}/v1/decide\ntimeout=2 seconds\n"


def test_an_unpatched_server_is_refused_until_it_is_patched(
    open_folder: Path, wehr: tuple[Receiver, str]
) -> None:
    """250 in stage 1, 450 in its minutes, 550 in stage 8 with Wehr's own words, and 250 once patched."""
    receiving, settings = wehr
    with haraka.running(open_folder / "haraka", settings) as mx:
        first = _send(mx, messages.exchange(OUTDATED))
        for day in (25, 51):
            receiving.clock.now = START + day * DAY
            _send(mx, messages.exchange(OUTDATED))
        hour = []
        for minute in range(60):
            receiving.clock.now = START + 51 * DAY + minute * 60
            hour.append(_send(mx, messages.exchange(OUTDATED)))
        for day in (75, 95):
            receiving.clock.now = START + day * DAY
            blocked = _send(mx, messages.exchange(OUTDATED))
        others = [_send(mx, it).code for it in (messages.postfix(), messages.untraced())]
        cured = _send(mx, messages.exchange(PATCHED))

    assert (first.code, cured.code, others) == (250, 250, [250, 250])
    assert sorted(it.code for it in hour) == [250] * 40 + [450] * 20
    words = next(it.text for it in hour if it.code == 450)
    assert words.startswith("4.7.230 Connecting Exchange server version is out-of-date; ")
    assert "retry after" in words
    assert blocked.code == 550
    assert blocked.text.startswith("5.7.230 ")


def test_mail_flows_when_wehr_is_not_there_or_hangs(open_folder: Path) -> None:
    """At once, or after ``timeout``."""
    port = free_port()
    with haraka.running(open_folder / "haraka", _ini(port)) as mx:
        down = _send(mx, messages.exchange(OUTDATED))
        with socket.create_server(("127.0.0.1", port)):
            hung = _send(mx, messages.exchange(OUTDATED))
        log = mx.log

    assert (down.code, hung.code) == (250, 250)
    assert log.count("not asked: ") == 2

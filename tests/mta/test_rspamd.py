"""Debian's rspamd asks Wehr with the very module that docs/recipes holds, alone and behind Postfix."""

import contextlib
import hashlib
import smtplib
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import messages
import postfix
import pytest
import rspamd
from ports import free_port
from postfix import Answer, Peer
from running import Receiver, receiver

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
PEER = Peer("mail.example.com")
OUTDATED, PATCHED = "15.1.2507.16", "15.2.2562.53"
TEXT = "Connecting Exchange server version is out-of-date; connection to mx.example.org "
ABOUT = {
    "IP": "203.0.113.10",
    "Helo": "mail.example.com",
    "Hostname": "mail.example.com",
    "Rcpt": "postmaster@example.org",
    "Queue-Id": "4XyQueue",
}


@contextlib.contextmanager
def _wehr(folder: Path, mode: str = "enforce") -> Iterator[tuple[Receiver, str]]:
    """The whole service with the HTTP door, and what rspamd is to know of it."""
    port = free_port()
    digest = hashlib.sha256(b"secret").hexdigest()
    extra = f'http.listen = ["127.0.0.1:{port}"]\n        http.tokens = ["{digest}"]'
    with receiver(folder / "state", START, mode=mode, extra=extra) as wehr:
        yield wehr, f'{_url(port)} token = "secret"; verified_names = true;'


def _url(port: int) -> str:
    return f'url = "http://127.0.0.1:{port}/v1/decide";'


def _age(wehr: Receiver, asks: Any, *days: float) -> Any:
    for day in days:
        wehr.clock.now = START + day * DAY
        found = asks()
    return found


def test_operators_get_symbol_reply_and_the_cure_from_their_own_pipeline(open_folder: Path) -> None:
    """Along the ladder, with Postfix and rspamd as its milter: rspamd's codes with Wehr's words."""
    with (
        _wehr(open_folder) as (wehr, settings),
        rspamd.running(open_folder / "rspamd", settings) as filtering,
        postfix.running(open_folder / "postfix", filtering.milter) as mx,
    ):

        def send(build: str = OUTDATED) -> Answer:
            return postfix.send(mx, PEER, messages.exchange(build))

        def scan(headers: str = messages.exchange(OUTDATED)) -> dict[str, Any]:
            return filtering.scan(f"{headers}\nA message.\n", ABOUT)

        reported = _age(wehr, send, 0, 25)
        _age(wehr, send, 51)
        throttled: list[tuple[Answer, dict[str, Any]]] = []
        for minute in range(60):
            wehr.clock.now = START + 51 * DAY + minute * 60
            if (answer := send()).code != 250:
                throttled.append((answer, scan()))
        blocked = _age(wehr, send, 75, 95)
        symbol = scan()
        others = scan(messages.postfix())
        cured = send(PATCHED)
        entries = wehr.service.doors["http"].counters

    assert (reported.code, cured.code) == (250, 250)
    assert len(throttled) == 20
    (answer, found) = throttled[0]
    assert answer.code == 451
    assert answer.text.startswith(f"4.7.1 {TEXT}throttled for 20 mins/hr, retry after ")
    assert found["action"] == "soft reject"
    assert found["messages"]["smtp_message"] == answer.text.removeprefix("4.7.1 ")
    assert found["symbols"]["WEHR_THROTTLE"]["options"] == ["throttled", "ex01.example.com", OUTDATED, "4"]
    assert (blocked.code, symbol["action"]) == (554, "reject")
    assert blocked.text.startswith(f"5.7.1 {TEXT}blocked for 60 mins/hr.")
    assert symbol["symbols"]["WEHR_BLOCK"]["options"] == ["blocked", "ex01.example.com", OUTDATED, "8"]
    assert not {name for name in others["symbols"] if name.startswith("WEHR")}
    assert (entries.gate_errors, entries.protocol_errors) == (0, 0)


def test_what_is_only_reported_is_a_symbol_and_no_more(open_folder: Path) -> None:
    """So that operators see in their own history what enforcement would do."""
    with (
        _wehr(open_folder, mode="report") as (wehr, settings),
        rspamd.running(open_folder / "rspamd", settings) as filtering,
    ):

        def scan() -> dict[str, Any]:
            return filtering.scan(f"{messages.exchange(OUTDATED)}\nA message.\n", ABOUT)

        found = _age(wehr, scan, 0, 25, 50, 75, 95)

    assert found["action"] != "reject"
    assert "WEHR_WOULD_BLOCK" in found["symbols"]
    assert "WEHR_BLOCK" not in found["symbols"]


def _say_hello(mx: postfix.Postfix, helo: str) -> int:
    """The code for a message of a client that calls itself so, each character a byte."""
    with smtplib.SMTP(mx.host, mx.port, timeout=30) as client:
        client.command_encoding = "latin-1"
        client.ehlo()
        assert client.docmd("XCLIENT", f"ADDR={PEER.address} NAME={PEER.name}")[0] == 220
        assert client.ehlo(helo)[0] == 250
        assert client.docmd("MAIL FROM:<probe@example.com>")[0] == 250
        assert client.docmd("RCPT TO:<postmaster@example.org>")[0] == 250
        return client.data(f"{messages.exchange(OUTDATED)}\r\nA message.\r\n")[0]


def test_nobody_passes_unasked_who_says_what_is_no_utf_8(open_folder: Path) -> None:
    """JSON cannot hold it: with one such byte in its HELO, or in its DNS, a server would never be refused."""
    with (
        _wehr(open_folder) as (wehr, settings),
        rspamd.running(open_folder / "rspamd", settings) as filtering,
        postfix.running(open_folder / "postfix", filtering.milter, settings={"smtputf8_enable": "no"}) as mx,
    ):

        def scan(**about: str) -> str:
            found = filtering.scan(f"{messages.exchange(OUTDATED)}\nA message.\n", ABOUT | about)
            return str(found["action"])

        _age(wehr, scan, 0, 25, 50, 75, 95)
        actions = [scan(**{name: "mail\xff.example.com"}) for name in ("Helo", "Hostname")]
        code = _say_hello(mx, "mail\xff.example.com")
        log = filtering.log

    assert actions == ["reject", "reject"]
    assert code == 554
    assert "not asked" not in log


def test_mail_flows_when_wehr_is_not_there_or_hangs(open_folder: Path) -> None:
    """Nobody listens: at once. A socket that takes the question and never answers: after ``timeout``."""
    port = free_port()
    with (
        rspamd.running(open_folder / "rspamd", f"{_url(port)} timeout = 2s;") as filtering,
        postfix.running(open_folder / "postfix", filtering.milter) as mx,
    ):
        down = postfix.send(mx, PEER, messages.exchange(OUTDATED))
        with socket.create_server(("127.0.0.1", port)):
            began = time.monotonic()
            hung = postfix.send(mx, PEER, messages.exchange(OUTDATED))
            waited = time.monotonic() - began
        log = filtering.log

    assert (down.code, hung.code) == (250, 250)
    assert 1.5 < waited < 10
    assert log.count("not asked: ") == 2

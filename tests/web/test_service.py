"""The pages beside the doors: started, reached, reloaded and stopped with the service."""

import asyncio
import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest
from ports import free_port
from running import process, receiver, until

from wehr.ledger import open_store
from wehr.service.config import ConfigError, parse
from wehr.web.house import House

START = 1_795_000_000.0


def test_the_pages_are_beside_the_doors(tmp_path: Path) -> None:
    """On their own listeners: the public one shows nothing else."""
    web, public = free_port(), free_port()
    extra = f'web.listen = ["127.0.0.1:{web}"]\nweb.public_listen = ["127.0.0.1:{public}"]'
    with receiver(tmp_path / "state", START, "report", extra) as running:
        assert running.service.pages == [f"http://127.0.0.1:{web}/"]
        assert httpx2.get(f"http://127.0.0.1:{web}/health/ready").text == "ready\n"
        assert httpx2.get(f"http://127.0.0.1:{web}/login").status_code == 200
        assert httpx2.get(f"http://127.0.0.1:{public}/health/live").text == "alive\n"
        for path in ("/", "/login", "/api/v1/policy", "/report"):
            assert httpx2.get(f"http://127.0.0.1:{public}{path}").status_code == 404


def test_without_an_address_there_are_no_pages(tmp_path: Path) -> None:
    """And nothing listens."""
    with receiver(tmp_path / "state", START, "report") as running:
        assert running.service.pages == []


def test_a_reload_is_seen_by_the_pages(tmp_path: Path) -> None:
    """What is in force, at once; where they listen, after a restart only."""
    web = free_port()
    extra = f'web.listen = ["127.0.0.1:{web}"]'
    from running import configuration

    with receiver(tmp_path / "state", START, "report", extra) as running:
        fixed = running.reload(
            configuration(running.port, "simulate", f'{extra}\ncontact = "postmaster@example.org"')
        )
        assert fixed == ()
        assert running.service.present().facts.contact == "postmaster@example.org"
        assert running.service.present().policy.mode == "simulate"
        assert running.reload(configuration(running.port, "report")) == ("web",)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_start_prints_a_link_that_makes_an_administrator(workers: int, tmp_path: Path) -> None:
    """Again at each start, until it was used; any worker knows the session."""
    web, milter = free_port(), free_port()
    command = [sys.executable, "-m", "wehr", "serve", "--state", str(tmp_path / "state"), "--socket", ""]
    command += ["--listen", f"127.0.0.1:{milter}", "--web", f"127.0.0.1:{web}", "--workers", str(workers)]

    def started() -> tuple[subprocess.Popen[str], str]:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert running.stdout is not None
        lines = []
        for line in running.stdout:
            lines.append(line)
            if line.startswith("Ready"):
                return running, "".join(lines)
        raise AssertionError(f"ended with {running.wait(30)}: {lines}")

    def ended(running: subprocess.Popen[str]) -> None:
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
        assert running.stdout is not None
        running.stdout.close()

    first = None
    if workers == 1:
        running, said = started()
        ended(running)
        first = re.search(r"http://\S+/invitation/\S+", said)
    running, said = started()
    try:
        link = re.search(r"http://\S+/invitation/\S+", said)
        assert link
        assert first is None or first[0] != link[0]
        assert f"Pages: http://127.0.0.1:{web}/" in said
        with httpx2.Client() as browser:
            token = re.search(r'name="csrf" value="(\w+)"', browser.get(link[0]).text)
            assert token
            password = "correct horse battery staple"
            form = {"csrf": token[1], "name": "anna", "password": password, "again": password}
            assert browser.post(link[0], data=form).status_code == 303
            for _ in range(8):  # on a new connection each, so that each worker is asked
                answer = httpx2.get(f"http://127.0.0.1:{web}/account", cookies=dict(browser.cookies))
                assert answer.status_code == 200
    finally:
        ended(running)


def test_an_address_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    """And exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(
            [
                *(sys.executable, "-m", "wehr", "serve", "--state", str(tmp_path / "state")),
                *("--listen", "127.0.0.1:0", "--socket", "", "--web", f"127.0.0.1:{port}"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert f"127.0.0.1:{port} is taken by another program" in run.stderr
    assert "web.listen" in run.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('web.listen = ["nowhere"]', "is not HOST:PORT"),
        ('web.trusted_proxies = ["x"]', "does not appear to be"),
        ('web.user_header = "X-User"', "needs trusted_proxies"),
        ('web.url = "example.org"', "http or https"),
        ("web.session_hours = 0", "web.session_hours"),
    ],
)
def test_a_mistake_in_the_settings_is_named(text: str, said: str) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse(text, "wehr.toml")


def test_visitors_that_send_nothing_hold_nobody_up(tmp_path: Path) -> None:
    """Beyond the bound newcomers are told to come later; the doors take mail all the while."""
    web = free_port()
    with process(tmp_path, web=f"127.0.0.1:{web}") as running, contextlib.ExitStack() as open_:
        for _ in range(150):
            idle = open_.enter_context(socket.create_connection(("127.0.0.1", web)))
            idle.sendall(b"GET / HTTP/1.1\r\nHost: local")
        started = time.monotonic()
        answer = httpx2.get(f"http://127.0.0.1:{web}/health/live", timeout=10)
        assert answer.status_code == 200
        assert time.monotonic() - started < 5
        with socket.create_connection(("127.0.0.1", running.port), timeout=5) as milter:
            milter.sendall(b"\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
            assert milter.recv(4)


def test_a_listing_is_kept_from_the_start_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a large fleet takes seconds, which no visitor waits; and it does not outlive the service."""
    told: list[str] = []

    async def keep(_house: House, *_sums: object) -> None:
        told.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            told.append("ended")

    monkeypatch.setattr(House, "keep_listing", keep)
    with receiver(tmp_path / "state", START, "report", f'web.listen = ["127.0.0.1:{free_port()}"]'):
        until(lambda: told)
        assert told == ["begun"]
    assert told == ["begun", "ended"]


def test_a_slow_page_holds_no_loop_up(tmp_path: Path) -> None:
    """While a question waits for the store, others are answered."""
    web = free_port()
    with receiver(tmp_path / "state", START, "report", f'web.listen = ["127.0.0.1:{web}"]') as running:
        url = running.service.config.store.at(running.folder)
        with open_store(url) as store, store.writing():
            # A log-in has to write, and SQLite lets one write at a time: it waits.
            waiting = threading.Thread(
                target=lambda: httpx2.get(f"http://127.0.0.1:{web}/health/ready", timeout=30)
            )
            waiting.start()
            started = time.monotonic()
            assert httpx2.get(f"http://127.0.0.1:{web}/health/live").status_code == 200
            assert time.monotonic() - started < 2
        waiting.join(30)
        until(lambda: not waiting.is_alive())


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: local",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab",
    ],
)
def test_a_request_that_does_not_arrive_is_given_up(
    begun: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of it came; one that does arrive is answered."""
    web = free_port()
    with receiver(tmp_path / "state", START, "report", f'web.listen = ["127.0.0.1:{web}"]'):
        with monkeypatch.context() as patched:
            patched.setattr("wehr.web.protocol.ARRIVAL_SECONDS", 0.3)
            with socket.create_connection(("127.0.0.1", web), timeout=10) as late:
                late.sendall(begun)
                assert b"200" not in late.recv(1000)
        assert httpx2.get(f"http://127.0.0.1:{web}/health/live").status_code == 200

"""``wehr demo --web``: a fleet to look around in."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from fleet_site import NOW, play, site
from ports import free_port

from wehr.ledger.listing import Listing
from wehr.ledger.report import Basis
from wehr.service.clock import SetClock
from wehr.service.demonstration import Demonstration


def test_it_plays_serves_and_ends_in_order(tmp_path: Path) -> None:
    """With a link that makes an administrator, who sees the servers; nothing of it stays."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "wehr", "demo", "--web", address, "--days", "4"]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout is not None
        try:
            lines = []
            for line in running.stdout:
                lines.append(line)
                if line.startswith("Ready"):
                    break
            said = "".join(lines)
            assert f"Pages: http://{address}/" in said
            link = re.search(r"http://\S+/invitation/\S+", said)
            assert link
            with httpx2.Client(follow_redirects=True) as browser:
                token = re.search(r'name="csrf" value="(\w+)"', browser.get(link[0]).text)
                assert token
                password = "correct horse battery staple"
                form = {"csrf": token[1], "name": "anna", "password": password, "again": password}
                assert browser.post(link[0], data=form).status_code == 200
                report = browser.get(f"http://{address}/report?out_of_date=").text.replace("<wbr>", "")
        finally:
            running.send_signal(signal.SIGINT)
    assert running.returncode == 0
    assert "ex01.bakery.example" in report
    assert "ex01.library.example" in report
    assert not list(tmp_path.iterdir())


def test_an_address_that_cannot_be_had_is_one_line() -> None:
    """And exit code 2, before anything is played."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for address, said in (
            ("nowhere", "HOST:PORT"),
            (f"127.0.0.1:{taken.getsockname()[1]}", "is taken by another program"),
        ):
            command = [sys.executable, "-m", "wehr", "demo", "--web", address, "--days", "400"]
            run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert run.returncode == 2
            assert said in run.stderr
            assert run.stderr.count("\n") == 1


def test_time_never_goes_back(tmp_path: Path) -> None:
    """Or Wehr would find its clock wrong, and refuse nobody."""
    demonstration = Demonstration(tmp_path, NOW, 2)
    demonstration.clock = told = _Told(demonstration.start)

    async def play() -> None:
        async for _ in demonstration.play():
            pass

    asyncio.run(play())
    assert told.times == sorted(told.times)
    assert len(set(told.times)) >= 2 * 24 * 5  # each of the five at a minute of its own


class _Told(SetClock):
    """A clock that remembers what it told."""

    def __init__(self, now: float) -> None:
        super().__init__(now)
        self.times: list[float] = []

    def __call__(self) -> float:
        self.times.append(self.now)
        return self.now


def test_every_stage_and_story_is_among_the_fleet(tmp_path: Path) -> None:
    """After a hundred days: stages 1 to 8, cured, mixed, silent, behind a relay, held, of other software."""
    pytest.importorskip("playwright")
    play(tmp_path / "played")
    with site(tmp_path / "state", played=tmp_path / "played") as running:
        present = running.running.service.present()
        ledger = running.running.service.states()
        basis = Basis(ledger, present.catalogue, present.policy, present.holds, NOW)
        lines = Listing(ledger, basis, running.store.secret, {}).lines
        kinds = {event.kind for event in running.store.events()}

    assert {line.stage for line in lines if line.out_of_date} >= set(range(1, 9))
    assert {line.software for line in lines} == {"exchange", "exim", "sendmail"}
    assert {line.key.tenant for line in lines} == {"default", "university"}
    for name in ("mixed", "silent", "confirmed", "direct", "out_of_date"):
        assert {getattr(line, name) for line in lines} == {True, False}, name
    assert {"pause-added", "exemption-added", "cured", "detected"} <= kinds

"""What systemd is told, over a real socket, and the unit that it starts Wehr by."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import free_port
from running import workers_of

from wehr.service import systemd

UNIT = Path(__file__).resolve().parent.parent.parent / "packaging" / "systemd" / "wehr.service"


@pytest.fixture(name="notified", params=["path", "abstract"])
def _notified(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """The socket that systemd would listen on; either form of its name."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@wehr-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
        listener.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listener


def _next(notified: socket.socket) -> str:
    return notified.recv(4096).decode()


def test_a_state_is_told(notified: socket.socket) -> None:
    """As one datagram."""
    assert systemd.tell(systemd.READY)
    assert _next(notified) == "READY=1"


@pytest.mark.parametrize("address", ["", "relative", "/nonexistent/notify", "vsock:2:1"])
def test_where_nobody_listens_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Started by hand, or by a systemd that is gone."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not systemd.tell(systemd.READY)


@pytest.mark.parametrize(
    ("seconds", "process", "wanted"),
    [("30000000", "", 30.0), ("30000000", "1", None), ("0", "", None), ("x", "", None), ("", "", None)],
)
def test_the_watchdog_is_this_process_own(
    monkeypatch: pytest.MonkeyPatch, seconds: str, process: str, wanted: float | None
) -> None:
    """What is meant for another process is none of ours."""
    monkeypatch.setenv("WATCHDOG_USEC", seconds)
    monkeypatch.setenv("WATCHDOG_PID", process)
    assert systemd.watchdog() == wanted


def test_the_loop_shows_that_it_runs(notified: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in each interval; a loop that hangs sends nothing."""
    monkeypatch.setenv("WATCHDOG_USEC", "20000")

    async def live() -> None:
        alive = asyncio.create_task(systemd.keep_alive())
        while not alive.done() and len(seen) < 3:
            seen.append(await asyncio.to_thread(_next, notified))
        alive.cancel()

    seen: list[str] = []
    asyncio.run(live())
    assert seen == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_tells_its_whole_life(tmp_path: Path, notified: socket.socket, workers: int) -> None:
    """Ready, reloading and ready again, stopping; of workers the supervisor alone speaks."""
    config = tmp_path / "wehr.toml"
    config.write_text("web.listen = []\n")
    port = free_port()
    run = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "wehr",
                "serve",
                "--config",
                str(config),
                "--state",
                str(tmp_path / "state"),
            ),
            *("--listen", f"127.0.0.1:{port}", "--socket", "", "--workers", str(workers)),
        ],
        env={**os.environ, "WATCHDOG_USEC": "1000000000"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        said = {_next(notified), _next(notified)}
        assert said == {"READY=1", "WATCHDOG=1"}
        with socket.create_connection(("127.0.0.1", port), 10):
            pass
        if workers == 1:
            run.send_signal(signal.SIGHUP)
            assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", _next(notified))
            assert _next(notified) == "READY=1"
        assert len(workers_of(run.pid)) == (0 if workers == 1 else workers)
    finally:
        run.send_signal(signal.SIGTERM)
        code = run.wait(60)
    assert code == 0
    if workers == 1:
        assert _next(notified) == "STOPPING=1"
    notified.setblocking(False)
    with pytest.raises(BlockingIOError):
        notified.recv(4096)


def _analyze(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Have systemd look at the unit, with a program that is there, and without the pages that are not yet."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    text = re.sub(r"(?m)^Documentation=.*\n", "", UNIT.read_text("ascii"))
    unit = tmp_path / "wehr.service"
    unit.write_text(text.replace("/opt/wehr/bin/wehr", "/bin/true"))
    return subprocess.run(
        ["systemd-analyze", *arguments, str(unit)], check=False, capture_output=True, text=True, timeout=60
    )


def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    """No unknown key, no bad value."""
    run = _analyze(tmp_path, "verify")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_unit_is_hardened(tmp_path: Path) -> None:
    """Systemd's own figure for what a service is exposed to: 10 is everything, below 2 is well kept."""
    run = _analyze(tmp_path, "security", "--offline=yes", "--threshold=20")
    if "offline" in run.stderr:
        pytest.skip("this systemd cannot judge a unit that is not loaded")
    assert run.returncode == 0, run.stdout.splitlines()[-1]


def test_mail_systems_start_after_it_under_the_names_that_their_daemons_have() -> None:
    """Debian's postfix.service starts nothing: its daemons are postfix@-.service, which comes before it."""
    before = re.search(r"^Before=(.*)$", UNIT.read_text("ascii"), re.MULTILINE)
    assert before
    named = {"postfix@-.service", "postfix.service", "sendmail.service", "exim4.service", "opensmtpd.service"}
    assert named <= set(before[1].split())

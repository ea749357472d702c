"""Wehr itself for a test: the real service in a thread, with a clock that the test sets, or as a process."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ports import free_port

from wehr.service.clock import SetClock
from wehr.service.config import Config, parse
from wehr.service.service import Service
from wehr.service.state_folder import StateFolder


def until(true: Callable[[], object], seconds: float = 20.0) -> float:
    """Wait for what another process does; tells how long it took.

    Raises:
        AssertionError: it did not come.
    """
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds, "it did not come"
        time.sleep(0.02)
    return time.monotonic() - start


@dataclass(frozen=True)
class Receiver:
    """A running service, its clock, and how a mail system reaches it."""

    service: Service
    clock: SetClock
    folder: Path
    port: int
    loop: asyncio.AbstractEventLoop

    def reload(self, config: Config) -> tuple[str, ...]:
        """Take another configuration, as on a hangup signal."""
        return asyncio.run_coroutine_threadsafe(self.service.reload(config), self.loop).result(30)

    @property
    def milter(self) -> str:
        """For ``smtpd_milters``, over TCP."""
        return f"inet:127.0.0.1:{self.port}"

    @property
    def milter_socket(self) -> str:
        """For ``smtpd_milters``, over the unix socket."""
        return f"unix:{self.folder / 'milter.sock'}"


AGELESS = "catalogue.stale_after = 3650\n"
"""For tests that run by the real clock: the catalogue grows old, and they pass on any day."""


def configuration(port: int, mode: str, extra: str = "") -> Config:
    """What the tests run with: every client is a stranger, loopback too."""
    return parse(
        f"""
        host_name = "mx.example.org"
        receiver.networks = []
        milter.listen = ["127.0.0.1:{port}"]
        policy.mode = "{mode}"
        {"" if "web." in extra else "web.listen = []"}
        {AGELESS}
        {extra}
        """,
        "test",
    )


@contextlib.contextmanager
def receiver(folder: Path, start: float, mode: str, extra: str = "") -> Iterator[Receiver]:
    """The service in a thread of its own, until the end."""
    port = free_port()
    clock = SetClock(start)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    with StateFolder(folder) as state:
        service = Service(configuration(port, mode, extra), state, clock)
        asyncio.run_coroutine_threadsafe(service.start(), loop).result(30)
        try:
            yield Receiver(service, clock, folder, port, loop)
        finally:
            asyncio.run_coroutine_threadsafe(service.stop(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(30)
            loop.close()


@dataclass(frozen=True)
class Process:
    """``wehr serve`` as a process of its own."""

    popen: subprocess.Popen[str]
    port: int
    host: str = "127.0.0.1"

    @property
    def milter(self) -> str:
        """For ``smtpd_milters``, over TCP."""
        return f"inet:{self.host}:{self.port}"

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        os.kill(self.popen.pid, number)


def runs(pid: int) -> bool:
    """Whether there is such a process and it has not ended (proc(5)): what nobody reaps stays, in state Z."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers_of(supervisor: int) -> list[int]:
    """The processes of a supervisor's workers."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children")
    with contextlib.suppress(OSError):  # it may be gone
        return [int(number) for number in children.read_text().split()]
    return []


@contextlib.contextmanager
def process(folder: Path, config: str = "", host: str = "127.0.0.1", web: str = "") -> Iterator[Process]:
    """Start ``wehr serve`` and wait until it says that it is ready."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port(host)
    file = folder / "wehr.toml"
    file.write_text(config)
    popen = subprocess.Popen(
        [
            *(sys.executable, "-m", "wehr", "serve", "--config", str(file), "--state", str(folder / "state")),
            *("--listen", f"{host}:{port}", "--socket", "", "--web", web),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert popen.stdout is not None
    try:
        for line in popen.stdout:
            if line.startswith("Ready"):
                break
        else:
            raise AssertionError(f"wehr serve ended with {popen.wait(30)}")
        yield Process(popen, port, host)
    finally:
        for number in (signal.SIGCONT, signal.SIGTERM):
            with contextlib.suppress(ProcessLookupError):
                popen.send_signal(number)
        popen.wait(30)
        popen.stdout.close()

"""Measure the milter door with its full decision against filters that do nothing.

Started by run.sh, which builds and installs what it needs. All filters run all the time; the load client
(mload.c) visits them in turn, round after round, and the table shows medians. CPU is what the filter's
processes with all their threads used, by the kernel's account, divided by the messages.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")
MODES = {"persist": "persistent", "each": "1 message/connection"}
TARGETS = {"C": 0.4, "pymilter": 0.25}
"""What Wehr may cost at most, as a share of what they do."""


@dataclass
class Filter:
    """One contender: the command that starts it, and where it listens (the load client's way)."""

    name: str
    command: list[str]
    addresses: list[str]
    process: subprocess.Popen[bytes] | None = None

    def cpu(self) -> float:
        """Seconds of CPU used so far by the process, its threads and children."""
        assert self.process
        return cpu_of(self.process.pid)

    def settled_cpu(self) -> float:
        """The same, once what was put off is done: Wehr writes its database after it has answered."""
        used = self.cpu()
        for _ in range(20):
            time.sleep(0.5)
            before, used = used, self.cpu()
            if used - before < 0.02:
                break
        return used


@dataclass
class Row:
    """What one filter did at one address in one mode."""

    filter: str
    transport: str
    mode: str
    rate: float
    cpu: float
    p50: float
    p99: float
    worst: float


def cpu_of(pid: int) -> float:
    """Seconds of CPU of a process, its threads, and its children, those that have ended too."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended: its parent's account has it now
        return 0.0
    return sum(map(int, stat[11:15])) / TICK + sum(cpu_of(int(child)) for child in children)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def contenders(build: Path, folder: Path) -> list[Filter]:
    """Wehr, and those of its peers that could be built."""

    def libmilter(name: str, *command: str) -> Filter:
        port = free_port()
        arguments = [*command[:-1], f"inet:{port}@127.0.0.1", command[-1]]
        return Filter(name, [part for part in arguments if part], [f"127.0.0.1:{port}"])

    port, path, config = free_port(), folder / "wehr.sock", folder / "wehr.toml"
    config.write_text('host_name = "mx.example.org"\n')
    wehr = Path(sys.executable).with_name("wehr")
    found = [
        Filter(
            "Wehr",
            [str(wehr), "serve", "--config", str(config), "--state", str(folder / "state"),
             "--listen", f"127.0.0.1:{port}", "--socket", str(path), "--web", ""],
            [f"127.0.0.1:{port}", str(path)],
        )
    ]  # fmt: skip
    if (build / "empty_milter").exists():
        found.append(libmilter("C", str(build / "empty_milter"), ""))
        found.append(libmilter("C, no-reply flags", str(build / "empty_milter"), "quiet"))
    with contextlib.suppress(ImportError):
        import Milter  # noqa: F401

        found.append(libmilter("pymilter", sys.executable, str(HERE / "pymilter_empty.py"), ""))
    return found


@contextlib.contextmanager
def running(filters: list[Filter], folder: Path) -> Iterator[None]:
    """Start them all, wait until they take connections; stop them in the end."""
    try:
        for contender in filters:
            with (folder / "log").open("ab") as log:
                contender.process = subprocess.Popen(contender.command, stdout=log, stderr=log)
        for contender in filters:
            for address in contender.addresses:
                _wait_for(address, contender, folder)
        yield
    finally:
        for contender in filters:
            if contender.process:
                contender.process.send_signal(signal.SIGTERM)
        for contender in filters:
            if contender.process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    contender.process.wait(10)
                contender.process.kill()


def _wait_for(address: str, contender: Filter, folder: Path) -> None:
    family = socket.AF_UNIX if "/" in address else socket.AF_INET
    host, _, port = address.rpartition(":")
    for _ in range(600):  # a minute: on a busy machine rspamd has needed more than 15 seconds
        with socket.socket(family) as sock, contextlib.suppress(OSError):
            sock.connect(address if "/" in address else (host, int(port)))
            return
        if contender.process and contender.process.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"{contender.name} does not start: {(folder / 'log').read_text()[-2000:]}")


def measure(build: Path, contender: Filter, address: str, mode: str, args: argparse.Namespace) -> Row:
    """One visit of the load client."""
    command = [build / "mload", address, str(args.connections), str(args.seconds), mode, args.messages]
    before = contender.settled_cpu()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    count, seconds, _, *latencies = map(float, done.stdout.split())
    cpu = (contender.settled_cpu() - before) / count * 1e6
    transport = "unix" if "/" in address else "TCP"
    return Row(contender.name, transport, mode, count / seconds, cpu, *latencies)


def medians(rows: list[Row]) -> list[Row]:
    """One row for each filter, transport and mode, in the order of their first appearance."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.mode, row.filter, row.transport), []).append(row)
    return [
        Row(name, transport, mode, *(
            median(getattr(row, field) for row in group) for field in ("rate", "cpu", "p50", "p99", "worst")
        ))
        for (mode, name, transport), group in groups.items()
    ]  # fmt: skip


def show(rows: list[Row]) -> None:
    """The table, and Wehr's CPU as a share of its peers'."""
    titles = ("filter", "", "connections", "msg/s", "CPU us/msg", "p50 us", "p99 us", "worst ms")
    print("{:<18} {:<5} {:<21} {:>8} {:>11} {:>8} {:>8} {:>9}".format(*titles))
    for row in rows:
        print(
            f"{row.filter:<18} {row.transport:<5} {MODES[row.mode]:<21} {row.rate:8.0f} {row.cpu:11.1f} "
            f"{row.p50:8.0f} {row.p99:8.0f} {row.worst / 1000:9.1f}"
        )
    print()
    cpu = {(row.filter, row.transport, row.mode): row.cpu for row in rows}
    for mode, title in MODES.items():
        for peer, target in TARGETS.items():
            for transport in ("TCP", "unix"):
                if (peer, "TCP", mode) in cpu and ("Wehr", transport, mode) in cpu:
                    ratio = cpu["Wehr", transport, mode] / cpu[peer, "TCP", mode]
                    verdict = "met" if ratio <= target else "MISSED"
                    print(
                        f"Wehr ({transport}) / {peer}, {title}: {ratio:.2f} x its CPU "
                        f"(target {target}: {verdict})"
                    )


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, help="folder with mload and empty_milter")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each visit")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--messages", type=Path, default=HERE / "messages.txt", help="what is sent")
    parser.add_argument("--json", type=Path, help="write every single visit there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        filters = contenders(args.build, folder)
        rows = []
        with running(filters, folder):
            for number in range(args.rounds + 1):
                print(f"\rround {number} of {args.rounds}", end="", file=sys.stderr, flush=True)
                for mode in MODES:
                    for contender in filters:
                        for address in contender.addresses:
                            row = measure(args.build, contender, address, mode, args)
                            if number:  # the first round warms up
                                rows.append(row)
        print("\r" + " " * 20, end="\r", file=sys.stderr)
    if args.json:
        args.json.write_text(json.dumps([vars(row) for row in rows]))
    show(medians(rows))


if __name__ == "__main__":
    main()

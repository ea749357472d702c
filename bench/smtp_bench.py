"""Measure the SMTP proxy: CPU and rate for small messages, CPU and memory for a long one, and TLS.

Postfix's smtp-source sends to ``wehr serve``, which passes on to Postfix's smtp-sink. The messages show an
out-of-date Exchange, so that Wehr decides in full; the mode is report, so that all pass.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))
from messages import exchange  # noqa: E402
from ports import free_port  # noqa: E402
from running import process  # noqa: E402

MESSAGES = 3000
ROUNDS = 3
TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int, name: str) -> float:
    """MB of a process: VmRSS now, VmHWM at most."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


@contextmanager
def sink() -> Iterator[int]:
    """A next hop that drops everything."""
    port = free_port()
    drain = subprocess.Popen(
        ["/usr/sbin/smtp-sink", "-u", "nobody", "-m", "2000", f"127.0.0.1:{port}", "1024"]
    )
    time.sleep(0.5)
    try:
        yield port
    finally:
        drain.terminate()
        drain.wait()


def send(port: int, file: Path, count: int, sessions: int, *more: str) -> float:
    """Send so many copies of a message; how long it took."""
    began = time.perf_counter()
    subprocess.run(
        [
            *("/usr/sbin/smtp-source", "-m", str(count), "-s", str(sessions), *more),
            *("-f", "a@example.com", "-t", "b@example.org", "-F", str(file), f"127.0.0.1:{port}"),
        ],
        check=True,
    )
    return time.perf_counter() - began


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name, sink() as hop:
        folder, port = Path(name), free_port()
        small, big = folder / "small", folder / "big"
        small.write_text(exchange("15.1.2507.16") + "\n" + "A line of a letter.\n" * 180)
        big.write_text(
            exchange("15.1.2507.16") + "\n" + "A line of a long letter, one of many.\n" * (100 * 2**20 // 38)
        )
        config = (
            f'receiver.networks = []\n[smtp]\nlisten = ["127.0.0.1:{port}"]\nnext_hop = "127.0.0.1:{hop}"\n'
            'tell_client = "received"\ndomains = ["example.org"]\nlook_up_names = false\n'
        )
        with process(folder, config) as wehr:
            pid = wehr.popen.pid
            for kind, more in (("10 long sessions", ("-d",)), ("a session for each", ())):
                for _ in range(ROUNDS):
                    before = cpu(pid)
                    took = send(port, small, MESSAGES, 10, *more)
                    used = (cpu(pid) - before) / MESSAGES
                    print(f"{kind}: {MESSAGES / took:.0f} messages/s, {used * 1e6:.0f} us of CPU each")
            before, rss = cpu(pid), memory(pid, "VmRSS")
            took = send(port, big, 1, 1)
            print(
                f"one message of 100 MB: {took:.1f} s, {cpu(pid) - before:.2f} s of CPU, "
                f"{memory(pid, 'VmHWM') - rss:.1f} MB more at most"
            )
        for _ in range(ROUNDS):
            print(f"without the proxy: {MESSAGES / send(hop, small, MESSAGES, 10, '-d'):.0f} messages/s")


if __name__ == "__main__":
    main()

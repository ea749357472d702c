"""Measure messages through a real Postfix: with Wehr, with other filters, and with none.

One Postfix has a port for each contender; everything is delivered to ``discard:``. The load is Postfix's own
smtp-source with messages that show an Exchange, so that Wehr decides in full. Visits go round by round, and
the table shows medians. CPU is the kernel's account of all processes of the filter, or of Postfix.
"""

import argparse
import contextlib
import json
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from milter_bench import Filter, cpu_of, running
from postfix_peers import Peer, peers

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))
from ports import free_port  # noqa: E402
from postfix import Postfix  # noqa: E402
from postfix import running as postfix_running  # noqa: E402

SESSIONS = 5
"""Of each of the load clients, of which there is one for each message of the mix."""
KINDS = 4
"""How many kinds of messages: out-of-date Exchange, Exchange Online, Postfix, none."""
PACE = 60.0
"""Messages a second when latency is measured."""
LINE = "A line of an ordinary letter, of which there are many.\n"
TARGETS = (
    ("Wehr, TCP", "empty C milter", 1.2),
    ("Wehr, unix", "empty C milter", 1.3),
    ("Wehr, TCP", "rspamd, no modules", 2.2),
)
"""Throughput: the first at least so many times the second's."""


@dataclass
class Visit:
    """What one contender did in one round."""

    name: str
    rate: float
    filter_cpu: float
    postfix_cpu: float
    p50: float
    p99: float


def load(port: int, messages: list[Path], count: int) -> float:
    """Send ``count`` messages of each kind; gives messages a second."""
    began = time.perf_counter()
    clients = [
        subprocess.Popen(
            ["/usr/sbin/smtp-source", "-d", "-s", str(SESSIONS), "-m", str(count), "-F", str(message),
             "-f", "someone@example.com", "-t", "user@example.org", f"127.0.0.1:{port}"]
        )
        for message in messages
    ]  # fmt: skip
    if any(client.wait() for client in clients):
        sys.exit("smtp-source failed")
    return count * len(messages) / (time.perf_counter() - began)


def latencies(port: int, message: Path, seconds: float) -> list[float]:
    """Milliseconds from connecting to the final answer, one message a session at an even pace."""
    content = message.read_bytes().replace(b"\n", b"\r\n")
    commands = (b"EHLO client.example.com", b"MAIL FROM:<a@example.com>", b"RCPT TO:<u@example.org>", b"DATA")
    found = []
    for number in range(int(seconds * PACE)):
        next_at = number / PACE if number else 0.0
        if not number:
            start = time.perf_counter()
        time.sleep(max(0.0, start + next_at - time.perf_counter()))
        began = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rb") as answers:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _answer(answers)
            for command in commands:
                sock.sendall(command + b"\r\n")
                _answer(answers)
            sock.sendall(content + b"\r\n.\r\n")
            if not _answer(answers).startswith(b"250"):
                sys.exit("a message was refused")
            found.append((time.perf_counter() - began) * 1000)
            sock.sendall(b"QUIT\r\n")
    return found


def _answer(answers: object) -> bytes:
    while True:
        line: bytes = answers.readline()  # type: ignore[attr-defined]
        if line[3:4] != b"-":
            return line


def introduce(port: int) -> None:
    """Name a recipient twice, and send nothing: after that a greylist knows the client."""
    for _ in range(2):
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example.com") as client:
            client.ehlo()
            client.mail("someone@example.com")
            client.rcpt("user@example.org")
        time.sleep(1.1)


def visit(peer: Peer, port: int, postfix: Postfix, messages: list[Path], args: argparse.Namespace) -> Visit:
    """One visit of the load clients, then of the one that measures latency."""
    master = int((postfix.folder / "queue" / "pid" / "master.pid").read_text())
    filter_before = peer.filter.settled_cpu() if peer.filter else 0.0
    postfix_before = cpu_of(master)
    rate = load(port, messages, args.messages)
    _drained(postfix)
    count = args.messages * len(messages)
    postfix_cpu = cpu_of(master) - postfix_before
    filter_cpu = peer.filter.settled_cpu() - filter_before if peer.filter else 0.0
    cuts = quantiles(latencies(port, messages[0], args.seconds), n=100)
    _drained(postfix)
    return Visit(peer.name, rate, filter_cpu / count * 1e6, postfix_cpu / count * 1e6, cuts[49], cuts[98])


def _drained(postfix: Postfix) -> None:
    """Wait until Postfix has delivered all, so that no visit pays for another's."""
    queue = postfix.folder / "queue"
    for _ in range(600):
        if not any(path.is_file() for name in ("incoming", "active") for path in (queue / name).rglob("*")):
            return
        time.sleep(0.1)
    sys.exit("Postfix does not deliver")


def mix(folder: Path, source: Path, size: int) -> list[Path]:
    """The messages that are sent, each filled up to ``size`` bytes."""
    found = []
    for number, block in enumerate(source.read_text().split("\n\n")[:KINDS]):
        headers = block.strip().partition("\n")[2]
        if not headers:
            continue
        body = ("A line of an ordinary letter, of which there are many.\n" * 200)[
            : max(0, size - len(headers))
        ]
        found.append(folder / f"message{number}")
        found[-1].write_text(f"{headers}\n\n{body}")
    return found


@contextlib.contextmanager
def stand(folder: Path, contenders: list[Peer]) -> Iterator[tuple[Postfix, dict[str, int]]]:
    """The filters, and the Postfix in front of which each has a port."""
    ports = {peer.name: free_port() for peer in contenders}
    services = "".join(
        f"127.0.0.1:{ports[peer.name]} inet n - n - - smtpd\n"
        + "".join(f"  -o {option}\n" for option in peer.options)
        + peer.services
        for peer in contenders
    )
    filters: list[Filter] = [peer.filter for peer in contenders if peer.filter]
    settings = {"milter_default_action": "tempfail", "smtpd_client_connection_rate_limit": "0"}
    with (
        running(filters, folder),
        postfix_running(folder / "mta", "", settings=settings, services=services) as postfix,
    ):
        yield postfix, ports


def show(visits: list[Visit]) -> None:
    """The table of medians, and the targets."""
    titles = (
        "filter",
        "msg/s",
        "of none",
        "filter us",
        "Postfix us",
        "p50 ms",
        "p99 ms",
        "added p50",
        "added p99",
    )
    print("{:<22} {:>7} {:>8} {:>10} {:>11} {:>7} {:>7} {:>10} {:>10}".format(*titles))
    names = list(dict.fromkeys(it.name for it in visits))

    def of(name: str, field: str) -> list[float]:
        return [getattr(it, field) for it in visits if it.name == name]

    def against(name: str, other: str, field: str = "rate") -> float:
        """The median of the ratios round by round: what slows a whole round down is then no difference."""
        return median(a / b for a, b in zip(of(name, field), of(other, field), strict=True))

    def added(name: str, field: str) -> float:
        return median(a - b for a, b in zip(of(name, field), of("none", field), strict=True))

    for name in names:
        print(
            f"{name:<22} {median(of(name, 'rate')):7.0f} {against(name, 'none'):8.2f} "
            f"{median(of(name, 'filter_cpu')):10.0f} {median(of(name, 'postfix_cpu')):11.0f} "
            f"{median(of(name, 'p50')):7.2f} {median(of(name, 'p99')):7.2f} "
            f"{added(name, 'p50'):10.2f} {added(name, 'p99'):10.2f}"
        )
    print()
    for name, other, target in TARGETS:
        if name in names and other in names:
            ratio = against(name, other)
            verdict = "met" if ratio >= target else "MISSED"
            print(f"{name} / {other}: {ratio:.2f} x its throughput (target {target}: {verdict})")
    for name in names:
        if name.startswith("Wehr"):
            verdict = "met" if added(name, "p50") < 1 else "MISSED"
            print(f"{name}: {added(name, 'p50'):.2f} ms added at p50 (target under 1: {verdict})")


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, help="folder with empty_milter")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=300, help="of each kind in a visit")
    parser.add_argument("--size", type=int, default=5120, help="bytes of a message")
    parser.add_argument("--seconds", type=float, default=3, help="for which latency is measured")
    parser.add_argument("--only", action="append", default=[], help="name of a contender; may be repeated")
    parser.add_argument("--json", type=Path, help="write every single visit there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wehr-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postfix's own user must reach it
        messages = mix(folder, HERE / "messages.txt", args.size)
        contenders = [it for it in peers(args.build, folder) if not args.only or it.name in args.only]
        visits = []
        with stand(folder, contenders) as (postfix, ports):
            for port in ports.values():
                introduce(port)
            for number in range(args.rounds + 1):
                for peer in contenders:
                    print(
                        f"\r\033[Kround {number} of {args.rounds}: {peer.name}",
                        end="",
                        file=sys.stderr,
                        flush=True,
                    )
                    done = visit(peer, ports[peer.name], postfix, messages, args)
                    if number:  # the first round warms up
                        visits.append(done)
        print("\r\033[K", end="", file=sys.stderr)
    if args.json:
        args.json.write_text(json.dumps([vars(it) for it in visits]))
    show(visits)


if __name__ == "__main__":
    main()

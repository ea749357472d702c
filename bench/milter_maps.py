"""Messages through a real Postfix, nine of ten from a client that passes: no milter, Wehr, its map, a table.

    .venv/bin/python bench/milter_maps.py [--rounds 5] [--messages 600] [--keep] [--json FILE]

One message a session, the worst case for a map that is asked once for each session, or with ``--keep`` all of
a visit's messages in a few sessions, the best case: real mail lies in between. Unix sockets. The client
that is known well is 127.0.0.1, whose mail shows a Postfix; the other is ::1, whose mail shows an Exchange.
Visits go round by round, and the ratios are medians of the rounds' own. The table is a static file that lets
the same client pass, without a look-up and without a watched share: what any map could reach at most.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from milter_bench import cpu_of

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))
import messages  # noqa: E402
import postfix  # noqa: E402
from ports import free_port  # noqa: E402

TARGET = 0.95
"""Throughput with the map, at least so much of Postfix's without any milter."""
SHARE = 10
"""One message in so many is not from the well-known client."""
SESSIONS = 10
MAP = "Wehr with its map"


def source(port: int, count: int, message: Path, *, ipv6: bool, keep: bool) -> subprocess.Popen[bytes]:
    """A load client with so many sessions at a time, each for one message or (``keep``) for its share."""
    address = ["-6", f"[::1]:{port}"] if ipv6 else [f"127.0.0.1:{port}"]
    kept = ["-d"] if keep else []
    return subprocess.Popen(
        ["/usr/sbin/smtp-source", *kept, "-s", str(SESSIONS), "-m", str(count), "-F", str(message),
         "-f", "someone@example.com", "-t", "user@example.org", *address]
    )  # fmt: skip


def visit(port: int, count: int, folder: Path, *, keep: bool) -> float:
    """Messages a second of one contender."""
    began = time.perf_counter()
    clients = [
        source(port, count - count // SHARE, folder / "other", ipv6=False, keep=keep),
        source(port, count // SHARE, folder / "exchange", ipv6=True, keep=keep),
    ]
    if any(client.wait() for client in clients):
        sys.exit("smtp-source failed")
    return count / (time.perf_counter() - began)


def drained(queue: Path) -> None:
    """Wait until Postfix has delivered all, so that no visit pays for another's."""
    for _ in range(600):
        if not any(path.is_file() for name in ("incoming", "active") for path in (queue / name).rglob("*")):
            return
        time.sleep(0.1)
    sys.exit("Postfix does not deliver")


@contextlib.contextmanager
def wehr(folder: Path) -> Iterator[tuple[int, Path]]:
    """``wehr serve`` with a door for the map; its process, and the folder in which the sockets are."""
    config = folder / "wehr.toml"
    config.write_text(
        'host_name = "mx.example.org"\nreceiver.networks = []\nweb.listen = []\n'
        'milter.listen = []\nsocketmap.socket = "clients.sock"\nsocketmap.days = 1\nsocketmap.daily = 1\n'
    )
    command = [
        sys.executable,
        "-m",
        "wehr",
        "serve",
        "--config",
        str(config),
        "--state",
        str(folder / "state"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        try:
            if not any(line.startswith("Ready") for line in process.stdout):
                sys.exit("wehr serve does not start")
            yield process.pid, folder / "state"
        finally:
            process.terminate()
            process.wait(60)


def measure(folder: Path, args: argparse.Namespace) -> dict[str, list[tuple[float, float]]]:
    """Messages a second, and microseconds of Wehr's CPU for each, by contender, round by round."""
    body = "\n" + "A line of an ordinary letter, of which there are many.\n" * 80
    (folder / "other").write_text(messages.postfix() + body)
    (folder / "exchange").write_text(messages.exchange("15.1.2507.16") + body)
    (folder / "known").write_text("127.0.0.1/32 DISABLE\n")
    ports = {name: free_port() for name in ("no milter", "Wehr", "Wehr with a table", MAP)}
    with wehr(folder) as (pid, sockets):
        asked = f"  -o smtpd_milters=unix:{sockets}/milter.sock\n"
        options = {
            "no milter": "",
            "Wehr": asked,
            "Wehr with a table": asked + f"  -o smtpd_milter_maps=cidr:{folder}/known\n",
            MAP: asked + f"  -o smtpd_milter_maps=socketmap:unix:{sockets}/clients.sock:clients\n",
        }
        services = "".join(
            f"{host}:{port} inet n - n - - smtpd\n{options[name]}"
            for name, port in ports.items()
            for host in ("127.0.0.1", "[::1]")
        )
        settings = {"inet_protocols": "all", "smtpd_client_connection_rate_limit": "0"}
        with postfix.running(folder, "", settings=settings, services=services) as mx:
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in ports}
            for number in range(args.rounds + 1):
                for name, port in ports.items():
                    print(
                        f"\r\033[Kround {number} of {args.rounds}: {name}",
                        end="",
                        file=sys.stderr,
                        flush=True,
                    )
                    before = cpu_of(pid)
                    rate = visit(port, args.messages, folder, keep=args.keep)
                    drained(mx.folder / "queue")
                    time.sleep(1)  # in which Wehr writes its database
                    cpu = (cpu_of(pid) - before) / args.messages * 1e6
                    if number:  # the first round warms up, and makes the client known
                        found[name].append((rate, cpu))
            print("\r\033[K", end="", file=sys.stderr)
    return found


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=600, help="of each visit")
    parser.add_argument("--keep", action="store_true", help="many messages a session")
    parser.add_argument("--json", type=Path, help="write every visit there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wehr-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postfix's own user must reach it
        found = measure(folder, args)
    if args.json:
        args.json.write_text(json.dumps(found))
    none = [rate for rate, _ in found["no milter"]]
    for name, some in found.items():
        ratio = median(rate / other for (rate, _), other in zip(some, none, strict=True))
        rate, cpu = (median(column) for column in zip(*some, strict=True))
        print(f"{name:<20} {rate:7.0f} msg/s {ratio:6.2f} of none {cpu:7.0f} us of Wehr's CPU a message")
    # MAP comes last
    print(f"target: {TARGET} of none with the map: {'met' if ratio >= TARGET else 'MISSED'} ({ratio:.2f})")


if __name__ == "__main__":
    main()

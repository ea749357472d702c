"""Crowds of hostile peers before each door of a running ``wehr serve``: its memory, honest peers' latency.

    .venv/bin/python bench/hostile.py [--crowd 5000] [--doors milter,line] [--json FILE]

Each door meets, one after another, a crowd of connections that say nothing (idle), that go on with one
question byte by byte (slow), that leave the longest question unfinished that is kept (greedy), and a few that
ask all the time and never read an answer (deaf). Meanwhile an honest peer asks 200 times, each time over a
connection of its own. The SMTP proxy, which strangers reach, has its default limits; the other doors are set
to take the whole crowd, for their peers are one's own mail systems. The proxy's next hop is a process of the
bench's.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))
from door_peers import PEERS, Peer  # noqa: E402
from ports import free_port  # noqa: E402
from smtp_peers import NextHop  # noqa: E402

DEAF = 20
HONEST = 200
SETTLED = 11
"""Seconds after which a stranger that has begun a message and does not go on makes way."""


@dataclass
class Row:
    """What one crowd did to one door. Sizes in MB, latencies in milliseconds."""

    door: str
    crowd: str
    connections: int
    rss: float
    grown: float
    p50: float
    p99: float
    served: bool


def rss_of(pid: int) -> float:
    """Resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def honest(peer: Peer, port: int, times: int) -> tuple[list[float], bool]:
    """Milliseconds of each question, connecting included, and whether no answer refused anything."""
    took, served = [], True
    for _ in range(times):
        began = time.perf_counter()
        try:
            served &= await asyncio.wait_for(peer.deliver(("127.0.0.1", port)), 20)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            served = False
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.002)
    return took, served


async def crowd(count: int, port: int, saying: bytes, stack: ExitStack) -> list[socket.socket]:
    """So many connections that have said something."""
    loop = asyncio.get_running_loop()
    found = []
    for _ in range(count):
        sock = stack.enter_context(socket.socket())
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        with suppress(OSError):
            await loop.sock_sendall(sock, saying)
        found.append(sock)
    return found


def never_read(port: int, peer: Peer) -> None:
    """Ask until the door hangs up."""
    with socket.socket() as sock, suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", port))
        sock.sendall(peer.asking)
        while True:
            sock.sendall(peer.again * 100)


def never_reading(port: int, peer: Peer) -> None:
    """Some at a time, again and again."""
    with ThreadPoolExecutor(DEAF) as threads:
        while True:
            wait([threads.submit(never_read, port, peer) for _ in range(DEAF)])


def next_hop(port: int) -> None:
    """What the SMTP proxy passes mail on to."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(NextHop, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    asyncio.run(serve())


async def meet(name: str, port: int, pid: int, count: int) -> list[Row]:
    """All crowds in front of one door."""
    peer = PEERS[name]
    rows = []

    async def look(
        crowd_name: str, connections: int, before: float, more: Callable[[], None] = lambda: None
    ) -> None:
        took, served = [], True
        for _ in range(4):
            more()
            some, well = await honest(peer, port, HONEST // 4)
            took, served = took + some, served and well
        cuts, rss = quantiles(took, n=100), rss_of(pid)
        rows.append(Row(name, crowd_name, connections, rss, rss - before, cuts[49], cuts[98], served))

    await honest(peer, port, 50)
    start = rss_of(pid)
    await look("none", 0, start)
    for kind, saying in (("idle", b""), ("slow", peer.begun), ("greedy", peer.much)):
        with ExitStack() as stack:
            before = rss_of(pid)
            socks = await crowd(count, port, saying, stack)
            if peer.patient:
                await asyncio.sleep(SETTLED)

            def drip(socks: list[socket.socket] = socks) -> None:
                for sock in socks:
                    with suppress(OSError):
                        sock.send(peer.more)

            await look(kind, count, before, drip if kind == "slow" else lambda: None)
        await asyncio.sleep(0.5)
    before = rss_of(pid)
    deaf = multiprocessing.get_context("fork").Process(target=never_reading, args=(port, peer), daemon=True)
    deaf.start()
    await look("deaf", DEAF, before)
    deaf.kill()
    deaf.join()
    return rows


def before_one(name: str, count: int, hop_port: int) -> list[Row]:
    """All crowds in front of one door of a Wehr of its own."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="wehr-bench-") as folder:
        config = Path(folder) / "wehr.toml"
        config.write_text(
            'host_name = "mx.example.org"\nweb.listen = []\nmilter.socket = ""\n'
            + ("" if name == "milter" else "milter.listen = []\n")
            + f'smtp.next_hop = "127.0.0.1:{hop_port}"\nsmtp.next_hop_tls = "off"\n'
            f'smtp.look_up_names = false\n{name}.listen = ["127.0.0.1:{port}"]\n'
            + ("" if PEERS[name].patient else f"{name}.max_connections = {count + 100}\n")
        )
        command = [
            sys.executable,
            "-m",
            "wehr",
            "serve",
            "--config",
            str(config),
            "--state",
            f"{folder}/state",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as wehr:
            assert wehr.stdout
            try:
                if not any(line.startswith("Ready") for line in wehr.stdout):
                    sys.exit("wehr serve does not start")
                return asyncio.run(meet(name, port, wehr.pid, count))
            finally:
                wehr.terminate()
                wehr.wait(60)


def show(rows: list[Row]) -> None:
    """The table."""
    titles = ("door", "crowd", "connections", "RSS MB", "grown MB", "p50 ms", "p99 ms", "honest peers")
    print("{:<16} {:<8} {:>11} {:>8} {:>9} {:>8} {:>8}  {}".format(*titles))
    for row in rows:
        print(
            f"{row.door:<16} {row.crowd:<8} {row.connections:11} {row.rss:8.0f} {row.grown:9.0f} "
            f"{row.p50:8.2f} {row.p99:8.2f}  {'all served' if row.served else 'NOT ALL SERVED'}"
        )


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--crowd", type=int, default=5000)
    parser.add_argument("--doors", default=",".join(PEERS), help="names, with commas between them")
    parser.add_argument("--json", type=Path, help="write every row there")
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    hop_port = free_port()
    hop = multiprocessing.get_context("fork").Process(target=next_hop, args=(hop_port,), daemon=True)
    hop.start()
    rows = [row for name in args.doors.split(",") for row in before_one(name, args.crowd, hop_port)]
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows]))
    show(rows)


if __name__ == "__main__":
    main()

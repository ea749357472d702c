"""Measures the ledger: memory per server, start-up, the cost of a message, the journal, carrying in, workers.

    python bench/ledger.py [--sizes 10000,100000,1000000] [--store URL] [--workers 1,2] [--flood N] [--json]

``--store`` names an empty PostgreSQL database that entries are carried into as well, and that is filled;
``--workers`` has so many workers answer a load over loopback (needs cc).

Each size runs in a process of its own. Servers are made up: each with 90 days of history, seven in ten
compliant, two out of compliance, one cured. Figures are ratios for this machine, not promises.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path

from msgspec import structs

from wehr.catalogue import load
from wehr.doors.gate import Gate, Setting
from wehr.evidence import Own, Session
from wehr.evidence.types import Confidence, Relation, Sighting
from wehr.ledger import (
    Carrier,
    Entry,
    Journal,
    Ledger,
    Limits,
    Position,
    ServerState,
    Stamp,
    open_store,
    read_batch,
)
from wehr.ledger.carrier import fill
from wehr.ledger.state import DAY
from wehr.policy import Policy
from wehr.policy.types import Action, Decision, Reason, ServerKey
from wehr.service.clock import SetClock

HERE = Path(__file__).resolve().parent
START = 20_500 * DAY
NOW = START + 90 * DAY
OLD, NEW = (15, 1, 2507, 6), (15, 1, 2507, 61)
MESSAGES = 30_000
SENDERS = 10_000
"""Servers that mail comes from: the same number, however many are remembered."""


def key_of(number: int) -> ServerKey:
    """The made-up server of a number: eight to a network."""
    net = number // 8
    return ServerKey(
        "default", f"mail{number}.example.org", f"{net >> 16 & 255}.{net >> 8 & 255}.{net & 255}.0/24"
    )


def state_of(number: int, dice: random.Random) -> ServerState:
    """Ninety days of a server that sends on three days of four."""
    days = dice.getrandbits(90) | dice.getrandbits(90) | 1
    first = START + dice.random() * DAY
    kind = number % 10
    if kind < 7:
        stamps: tuple[Stamp, ...] = (Stamp(tuple(NEW), first, days, 0, 0),)
    elif kind < 9:
        stamps = (Stamp(tuple(OLD), first, 0, days, 0, (first,)),)
    else:
        half = (1 << 45) - 1
        stamps = (
            Stamp(tuple(NEW), first + 45 * DAY, days & ~half, 0, 0),
            Stamp(tuple(OLD), first, 0, days & half, 0, (first,)),
        )
    last = START + (days.bit_length() - 1) * DAY + 80_000
    return ServerState(first, max(first, last), stamps, f"192.0.2.{number % 250}", "exchange", first, first)


def sighting_of(number: int, at: float) -> Sighting:
    """A message of the server today."""
    key = key_of(number)
    return Sighting(
        at,
        key.name,
        key.network,
        "exchange",
        OLD if number % 10 in (7, 8) else NEW,
        Relation.DIRECT,
        Confidence.CONFIRMED,
        f"192.0.2.{number % 250}",
        key.name,
        "15.1.2507.61",
        f"from EX1.corp.example ([10.0.0.1]) by {key.name} with Microsoft SMTP Server id 15.1.2507.61; Sat",
    )


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def messages(numbers: Sequence[int], ledger: Ledger, at: float) -> float:
    """Microseconds of processor time to observe a message and have its server's standing."""
    spent, step = 0.0, 1000
    for first in range(0, len(numbers), step):
        some = [
            (key_of(number), sighting_of(number, at + i / 1000), number % 10 not in (7, 8))
            for i, number in enumerate(numbers[first : first + step], first)
        ]
        before = time.process_time()
        for key, sighting, compliant in some:
            ledger.observe(key, sighting, compliant)
            ledger.standing(key, sighting.at)
        spent += time.process_time() - before
    return spent / len(numbers) * 1e6


class Mail:
    """Messages through a gate: parsed, assessed, remembered, decided, in the journal."""

    def __init__(self, ledger: Ledger, journal: Journal) -> None:
        policy = Policy()
        setting = Setting(load(), policy, policy.scoping(()), Own(), "mx.example.org")
        self.clock = SetClock(NOW + 1500)
        self.gate = Gate(
            setting,
            ledger,
            secret=bytes(32),
            clock=self.clock,
            record=journal.append,
            on_error=lambda error: None,
        )

    def cost(self, asked: Iterable[tuple[Session, list[bytes]]]) -> float:
        """Seconds of processor time for these messages, one each millisecond."""
        some = list(asked)
        before = time.process_time()
        for session, trace in some:
            self.clock.now += 0.001
            self.gate.ask(session, trace, "4XyZ12345")
        return time.process_time() - before

    def each(self, numbers: Sequence[int]) -> float:
        """Microseconds for a message of the servers of these numbers."""
        spent = sum(
            self.cost(map(message_of, numbers[first : first + 1000]))
            for first in range(0, len(numbers), 1000)
        )
        return spent / len(numbers) * 1e6


def message_of(number: int) -> tuple[Session, list[bytes]]:
    """A message of a server that honestly shows what it is."""
    key = key_of(number)
    build = "15.1.2507.6" if number % 10 in (7, 8) else "15.1.2507.61"
    return message(key.name, f"{key.network.removesuffix('0/24')}7", build, key.name)


def message(name: str, ip: str, build: str, helo: str) -> tuple[Session, list[bytes]]:
    """A session and the trace that is handed over in it."""
    trace = (
        f"from EX1.corp.example (10.0.0.1) by {name} (10.0.0.2) with Microsoft SMTP Server "
        f"(version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id {build}; "
        "Wed, 18 Nov 2026 10:14:05 +0100"
    )
    return Session(ip, helo=helo, recipients=("example.org",)), [trace.encode()]


def populate(url: str, size: int) -> None:
    """Make a store of so many servers."""
    dice = random.Random(1)
    with open_store(url) as store:
        for first in range(0, size, 10_000):
            store.merge_states(
                (key_of(i), state_of(i, dice)) for i in range(first, min(size, first + 10_000))
            )


def measure(size: int, folder: Path) -> dict[str, float]:
    """All figures for one size of ledger; the mail comes from 10,000 of its servers, wherever they lie."""
    url = f"sqlite:///{folder}/wehr.sqlite"
    # By another process: what it leaves free would be counted as nothing.
    filling = get_context("fork").Process(target=populate, args=(url, size))
    filling.start()
    filling.join()
    empty = resident()
    ledger = Ledger(Limits(servers=size))
    before, spent = time.perf_counter(), time.process_time()
    with open_store(url) as store:
        fill(ledger, store)
    start_up, start_cpu = time.perf_counter() - before, time.process_time() - spent
    held = resident() - empty
    senders = random.Random(2).sample(range(size), SENDERS)
    evenly = random.Random(3).choices(senders, k=MESSAGES)
    often = list(accumulate(1 / (rank + 1) for rank in range(SENDERS)))
    skewed = random.Random(4).choices(senders, cum_weights=often, k=MESSAGES)
    everyone = random.Random(5).choices(range(size), k=MESSAGES)
    with Journal(folder / "gate", NOW) as journal:
        mail = Mail(ledger, journal)
        first_of_day = mail.each(senders)
        # The least of three: what else runs on the machine only ever adds.
        whole = {
            "message_us": min(mail.each(evenly) for _ in range(3)),
            "skewed_us": min(mail.each(skewed) for _ in range(3)),
            "from_everyone_us": min(mail.each(everyone) for _ in range(3)),
        }
        assert sum(mail.gate.counts.values()) == SENDERS + 9 * MESSAGES
    known = min(messages(evenly, ledger, NOW + 5000 + 500 * turn) for turn in range(3))
    forged = messages(range(size, size + MESSAGES), ledger, NOW + 9000)
    return {
        "servers": size,
        "start_up_s": round(start_up, 2),
        "start_up_cpu_s": round(start_cpu, 2),
        "bytes_per_server": round(held / size),
        "file_bytes_per_server": round((folder / "wehr.sqlite").stat().st_size / size),
        "first_of_day_us": round(first_of_day, 1),
        **{name: round(value, 1) for name, value in whole.items()},
        "ledger_alone_us": round(known, 1),
        "forged_us": round(forged, 1),
        "servers_after_flood": len(ledger),
    }


def flood(forged: int, folder: Path, real: int = 10_000, networks: int = 4) -> dict[str, float]:
    """What forged names from a few networks do to a receiver: gate, journal, store, report."""
    state = folder / "state"
    state.mkdir()
    url = f"sqlite:///{state}/wehr.sqlite"
    dice, today = random.Random(3), time.time()
    moved = int((today - NOW) // DAY) * DAY
    real_ones = {key_of(number): later(state_of(number, dice), moved) for number in range(real)}
    ledger = Ledger()
    with open_store(url) as store, Journal(folder / "journal", today) as journal:
        store.merge_states(real_ones.items())
        fill(ledger, store)
        mail = Mail(ledger, journal)
        mail.clock.now = today - forged / 1000
        carrier = Carrier(lambda: open_store(url), journal.folder, "bench", lambda: journal.segment)
        before, gate, carried, peak = resident(), 0.0, 0.0, 0
        for first in range(0, forged, 2000):
            gate += mail.cost(forgery(number, networks) for number in range(first, min(first + 2000, forged)))
            spent = time.process_time()
            carrier.step(mail.clock.now)
            carried += time.process_time() - spent
            peak = max(peak, resident())
        carrier.close()
        rows = store.count()["servers"]
        stored = dict(store.load_states())
    spent, begun = sum(os.times()[2:4]), time.perf_counter()
    command = [sys.executable, "-m", "wehr", "report", "--state", str(state)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    return {
        "real": real,
        "forged": forged,
        "real_unchanged": sum(ledger.get(key) == it == stored.get(key) for key, it in real_ones.items()),
        "in_memory": len(ledger),
        "in_store": rows,
        "grown_mib": round((peak - before) / 2**20, 1),
        "rss_mib": round(peak / 2**20),
        "gate_us": round(gate / forged * 1e6, 1),
        "carried_us": round(carried / forged * 1e6, 1),
        "store_mib": round(Path(url.removeprefix("sqlite:///")).stat().st_size / 2**20),
        "report_s": round(time.perf_counter() - begun, 1),
        "report_cpu_s": round(sum(os.times()[2:4]) - spent, 1),
        "forged_in_report": shown.stdout.count("forged.example"),
    }


def forgery(number: int, networks: int) -> tuple[Session, list[bytes]]:
    """A message with a name that was never seen before, out of date."""
    return message(
        f"mail{number}.forged.example", f"198.51.{number % networks}.7", "15.1.2507.6", "x.example"
    )


def later(state: ServerState, seconds: float) -> ServerState:
    """The same server, so much later."""
    return structs.replace(
        state,
        first_seen=state.first_seen + seconds,
        last_seen=state.last_seen + seconds,
        confirmed_at=state.confirmed_at + seconds,
        direct_at=state.direct_at + seconds,
        stamps=tuple(
            structs.replace(
                stamp, first_at=stamp.first_at + seconds, starts=tuple(at + seconds for at in stamp.starts)
            )
            for stamp in state.stamps
        ),
    )


def journal(folder: Path, url: str) -> dict[str, float | str]:
    """What an append costs, and how fast entries go into a store."""
    decision = Decision(Action.ACCEPT, Reason.REPORT_STAGE, stage=1, ladder="exchange-online")
    entries = [
        Entry(key_of(i % 1000), sighting_of(i % 1000, NOW + i), False, decision, "4XyZ12345")
        for i in range(50_000)
    ]
    with Journal(folder / "journal", NOW) as out, open_store(url) as store:
        spent = time.process_time()
        for entry in entries:
            out.append(entry)
        append = (time.process_time() - spent) / len(entries)
        position, before, spent = Position(), time.perf_counter(), time.process_time()
        while (batch := read_batch(folder / "journal", position)).end != position:
            store.carry("bench", position, batch.entries, batch.end, NOW)
            position = batch.end
        carry = (time.perf_counter() - before) / len(entries)
        cost = (time.process_time() - spent) / len(entries)
    size = sum(path.stat().st_size for path in (folder / "journal").iterdir())
    return {
        "store": url.partition(":")[0],
        "append_us": round(append * 1e6, 2),
        "entry_bytes": round(size / len(entries)),
        "carried_per_s": round(1 / carry),
        "carried_cpu_us": round(cost * 1e6, 1),
        "history_bytes": round(room(url) / len(entries)),
    }


def room(url: str) -> int:
    """The bytes that a store takes."""
    if url.startswith("sqlite"):
        return Path(url.removeprefix("sqlite:///")).stat().st_size
    import psycopg

    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return int(row[0]) if row else 0


def serving(count: int, folder: Path) -> dict[str, float]:
    """Messages a second that workers answer to the load client, a connection for each, and what one costs."""
    program = folder / "mload"
    subprocess.run(["cc", "-O2", "-o", program, HERE / "mload.c"], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "wehr.toml").write_text("receiver.networks = []\nlog.level = 'error'\n")
    command = [sys.executable, "-m", "wehr", "serve", "--workers", str(count), "--state", folder / "state"]
    command += ["--config", folder / "wehr.toml", "--listen", address, "--socket", "", "--web", ""]
    load = [program, address, "16", "10", "each", HERE / "messages.txt"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as wehr:
        try:
            assert wehr.stdout is not None
            while not wehr.stdout.readline().startswith("Ready"):
                pass
            before = processor_time(wehr.pid)
            done = subprocess.run(load, check=True, capture_output=True, text=True).stdout.split()
            spent = processor_time(wehr.pid) - before
        finally:
            wehr.terminate()
            wehr.wait(60)
    messages, seconds = float(done[0]), float(done[1])
    return {
        "workers": count,
        "messages_per_s": round(messages / seconds),
        "cpu_us_per_message": round(spent / messages * 1e6, 1),
        "p99_us": round(float(done[4])),
    }


def processor_time(process: int) -> float:
    """Seconds that a process and its children have used."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(processor_time(int(child)) for child in children)


def main() -> None:
    """Run all sizes, each on its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--store", help="the URL of an empty PostgreSQL database")
    parser.add_argument("--workers", default="", help="such as 1,2")
    parser.add_argument("--flood", type=int, default=0, help="so many forged names, such as 1000000")
    parser.add_argument("--names", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.one is not None:
            print(json.dumps(measure(options.one, Path(name))))
            return
        if options.names is not None:
            print(json.dumps(flood(options.names, Path(name))))
            return
    results = []

    def report(found: dict[str, float] | dict[str, float | str]) -> None:
        results.append(found)
        if not options.json:
            print("  ".join(f"{name} {value}" for name, value in found.items()), flush=True)

    def alone(*arguments: str) -> None:
        command = [sys.executable, __file__, *arguments]
        report(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))

    for size in filter(None, options.sizes.split(",")):
        alone("--one", size)
    if options.flood:
        alone("--names", str(options.flood))
    for url in filter(None, ("sqlite", options.store)):
        with tempfile.TemporaryDirectory() as name:
            report(journal(Path(name), f"sqlite:///{name}/carry.sqlite" if url == "sqlite" else url))
    for count in map(int, filter(None, options.workers.split(","))):
        with tempfile.TemporaryDirectory() as name:
            report(serving(count, Path(name)))
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()

"""Measures the ledger: memory per server, start-up, the cost of a message, the journal, carrying in, workers.

    python bench/ledger.py [--sizes 10000,100000,1000000] [--store URL] [--workers 1,2] [--flood] [--json]

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
from collections.abc import Sequence
from pathlib import Path

from msgspec import structs

from wehr.catalogue import load
from wehr.doors.gate import Gate, Setting
from wehr.evidence import Own, Session
from wehr.evidence.types import Confidence, Relation, Sighting
from wehr.ledger import Entry, Journal, Ledger, Limits, Position, ServerState, Stamp, open_store, read_batch
from wehr.ledger.carrier import fill
from wehr.ledger.state import DAY
from wehr.policy import Policy
from wehr.policy.types import Action, Decision, Reason, ServerKey
from wehr.service.clock import SetClock

HERE = Path(__file__).resolve().parent
START = 20_500 * DAY
NOW = START + 90 * DAY
OLD, NEW = (15, 1, 2507, 6), (15, 1, 2507, 61)
MESSAGES = 200_000


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
    """Microseconds to observe a message and have its server's standing."""
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


def whole_messages(numbers: Sequence[int], ledger: Ledger, folder: Path) -> float:
    """Microseconds for a message through the gate: parsed, assessed, remembered, decided, in the journal."""
    catalogue, policy, own = load(), Policy(), Own()
    setting = Setting(catalogue, policy, policy.scoping(()), own, "mx.example.org")
    clock = SetClock(NOW + 1500)
    spent, step = 0.0, 1000
    with Journal(folder / "gate", NOW) as journal:
        gate = Gate(
            setting, ledger, secret=bytes(32), clock=clock, record=journal.append, on_error=lambda error: None
        )
        for first in range(0, len(numbers), step):
            some = []
            for number in numbers[first : first + step]:
                key = key_of(number)
                ip = f"{key.network.removesuffix('0/24')}7"
                trace = (
                    f"from EX1.corp.example (10.0.0.1) by {key.name} (10.0.0.2) with Microsoft SMTP Server "
                    f"(version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id "
                    f"{'15.1.2507.6' if number % 10 in (7, 8) else '15.1.2507.61'}; "
                    "Wed, 18 Nov 2026 10:14:05 +0100"
                )
                some.append((Session(ip, helo=key.name, recipients=("example.org",)), [trace.encode()]))
            before = time.process_time()
            for session, received in some:
                gate.ask(session, received, "4XyZ12345")
            spent += time.process_time() - before
    assert sum(gate.counts.values()) == len(numbers)
    return spent / len(numbers) * 1e6


def measure(size: int, folder: Path) -> dict[str, float]:
    """All figures for one size of ledger."""
    dice = random.Random(1)
    url = f"sqlite:///{folder}/wehr.sqlite"
    with open_store(url) as store:
        for first in range(0, size, 10_000):
            store.merge_states(
                (key_of(i), state_of(i, dice)) for i in range(first, min(size, first + 10_000))
            )
    empty = resident()
    ledger = Ledger(Limits(servers=size))
    before = time.perf_counter()
    with open_store(url) as store:
        fill(ledger, store)
    start_up = time.perf_counter() - before
    held = resident() - empty
    everyone = random.Random(2).sample(range(size), min(size, MESSAGES))
    fresh = messages(everyone, ledger, NOW)
    again = messages(everyone, ledger, NOW + 1000)
    whole = whole_messages(everyone[:50_000], ledger, folder)
    flood = messages(range(size, size + 50_000), ledger, NOW + 2000)
    return {
        "servers": size,
        "start_up_s": round(start_up, 2),
        "bytes_per_server": round(held / size),
        "file_bytes_per_server": round((folder / "wehr.sqlite").stat().st_size / size),
        "first_of_day_us": round(fresh, 2),
        "message_us": round(again, 2),
        "whole_message_us": round(whole, 2),
        "forged_us": round(flood, 2),
        "servers_after_flood": len(ledger),
    }


def flood(real: int = 10_000, forged: int = 1_000_000, networks: int = 4) -> dict[str, float]:
    """What a million forged names from a few networks do to a ledger of real servers."""
    dice = random.Random(3)
    ledger = Ledger()
    for number in range(real):
        ledger.merge(key_of(number), state_of(number, dice))
    before, spent = resident(), time.process_time()
    for number in range(forged):
        network = f"198.51.{number % networks}.0/24"
        sighting = structs.replace(
            sighting_of(8, NOW + number / 100), name=f"mail{number}.forged.example", network=network
        )
        key = ServerKey("default", sighting.name, network)
        ledger.observe(key, sighting, False)
        ledger.standing(key, sighting.at)
    return {
        "real": real,
        "forged": forged,
        "real_kept": sum(key_of(number) in ledger for number in range(real)),
        "servers_after": len(ledger),
        "grown_mib": round((resident() - before) / 2**20, 1),
        "forged_us": round((time.process_time() - spent) / forged * 1e6, 1),
    }


def journal(folder: Path, url: str) -> dict[str, float | str]:
    """What an append costs, and how fast entries go into a store."""
    decision = Decision(Action.ACCEPT, Reason.REPORT_STAGE, stage=1, ladder="exchange-online")
    entries = [
        Entry(key_of(i % 1000), sighting_of(i % 1000, NOW + i), False, decision, "4XyZ12345")
        for i in range(50_000)
    ]
    with Journal(folder / "journal", NOW) as out, open_store(url) as store:
        before = time.perf_counter()
        for entry in entries:
            out.append(entry)
        append = (time.perf_counter() - before) / len(entries)
        position, before = Position(), time.perf_counter()
        while (batch := read_batch(folder / "journal", position)).end != position:
            store.carry("bench", position, batch.entries, batch.end, NOW)
            position = batch.end
        carry = (time.perf_counter() - before) / len(entries)
    size = sum(path.stat().st_size for path in (folder / "journal").iterdir())
    return {
        "store": url.partition(":")[0],
        "append_us": round(append * 1e6, 2),
        "entry_bytes": round(size / len(entries)),
        "carried_per_s": round(1 / carry),
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
    parser.add_argument("--flood", action="store_true", help="a million forged names")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.one is not None:
            print(json.dumps(measure(options.one, Path(name))))
            return
    results = []

    def report(found: dict[str, float] | dict[str, float | str]) -> None:
        results.append(found)
        if not options.json:
            print("  ".join(f"{name} {value}" for name, value in found.items()), flush=True)

    for size in map(int, filter(None, options.sizes.split(","))):
        command = [sys.executable, __file__, "--one", str(size)]
        report(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    if options.flood:
        report(flood())
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

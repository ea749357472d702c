"""The parser beside its peers: from a raw header block to who handed the message over, and which build.

`BytesHeaderParser` (standard library) and `fast-mail-parser` (Rust) only split headers; `mail-parser` reads
Received too. All get the same messages in the same run: message by message in turns, each program some
times in a row, of which the median counts. Peers that are not installed (requirements/bench.in) are left out.
"""

import argparse
import contextlib
import importlib
import json
import os
import statistics
import time
from collections.abc import Callable
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from wehr.evidence import Session, handover, inspect, split_headers

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = (
    Path(os.environ.get("WEHR_REFERENCE", ROOT.parent / "shared" / "reference")) / "corpus" / "public.jsonl"
)

Program = Callable[[bytes], object]


def main() -> None:
    """Measure and print a table: median and mean microseconds a message, and the ratio to the first peer."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "messages", nargs="?", type=Path, default=REFERENCE, help="JSONL with a headers key"
    )
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    blocks = read_blocks(options.messages)
    traces = {block: split_headers(block) for block in blocks}
    session = Session(client_ip="192.0.2.1", client_name="mail.example.org", helo="mail.example.org")
    programs: dict[str, Program] = {
        "BytesHeaderParser": BytesHeaderParser().parsebytes,
        **peers(),
        "wehr, raw block": lambda block: handover(split_headers(block), session),
        "wehr, raw block, stored": lambda block: inspect(split_headers(block)),
        "wehr, at a door": lambda block: handover(traces[block], session),
    }
    times = measure(programs, blocks, options.rounds)
    base = statistics.mean(times["BytesHeaderParser"])
    hops = statistics.mean(map(len, traces.values()))
    print(f"{len(blocks)} messages of {hops:.1f} hops, microseconds a message")
    print(f"{'':26}{'median':>9}{'mean':>9}{'ratio':>9}")
    for name, each in times.items():
        mean = statistics.mean(each)
        print(f"{name:26}{statistics.median(each) / 1e3:9.1f}{mean / 1e3:9.1f}{mean / base:9.3f}")


def read_blocks(path: Path) -> list[bytes]:
    """The header blocks of a JSONL file, or of the bench's own messages where there is none."""
    if path.is_file():
        with path.open() as lines:
            return [json.loads(line)["headers"].encode("latin-1") + b"\n\n" for line in lines]
    text = (ROOT / "bench" / "messages.txt").read_bytes()
    return [
        message.partition(b"\n")[2] + b"\n\n" for message in text.split(b"\n\n") if b"Received:" in message
    ]


def peers() -> dict[str, Program]:
    """The peers that are installed."""
    found: dict[str, Program] = {}
    for name, module, function in (
        ("fast-mail-parser", "fast_mail_parser", "parse_email"),
        ("mail-parser", "mailparser", "parse_from_bytes"),
    ):
        try:
            found[name] = _headers_of(getattr(importlib.import_module(module), function))
        except ImportError:
            print(f"{name} is not installed and left out")
    return found


def _headers_of(parse: Callable[[bytes], Any]) -> Program:
    def program(block: bytes) -> object:
        # A peer that gives up on a message has taken its time all the same.
        with contextlib.suppress(Exception):
            return parse(block).headers
        return None

    return program


def measure(programs: dict[str, Program], blocks: list[bytes], rounds: int) -> dict[str, list[float]]:
    """The median of the nanoseconds that each program took for each message."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    clock = time.perf_counter_ns
    for block in blocks:
        for name, program in programs.items():
            runs = []
            for _ in range(rounds):
                start = clock()
                program(block)
                runs.append(clock() - start)
            times[name].append(statistics.median(runs))
    return times


if __name__ == "__main__":
    main()

"""How far the evidence room agrees with a set of labelled messages: `make evidence`.

Prints a table and every disagreement by message id and hop number; no header text is printed. The reasons for
those that are known to remain are in tests/evidence/disagreements.md.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wehr.evidence import Hop, Relation, Session, handover, inspect, parse_hop, split_headers

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = Path(os.environ.get("WEHR_REFERENCE", ROOT.parent / "shared" / "reference")) / "corpus"

FAMILIES = {
    "exchange-onprem": "exchange",
    **{
        name: name
        for name in (
            "exchange-online", "smtpsvc", "exim", "sendmail", "postfix", "qmail", "domino", "mdaemon",
        )
    },
}  # fmt: skip

Finding = tuple[str, str, int | None, str]
"""(what was compared, message id, hop, how it differs; empty if it agrees)."""


def compare(folder: Path) -> Iterator[Finding]:
    """Compare every labelled message of a folder with `public.jsonl` and `public-labels.jsonl`."""
    with (folder / "public.jsonl").open() as messages, (folder / "public-labels.jsonl").open() as labels:
        for message, label in zip(map(json.loads, messages), map(json.loads, labels), strict=True):
            trace = split_headers(message["headers"].encode("latin-1"))
            identity = label["id"]
            yield "hops found", identity, None, _differ(len(trace), len(label["hops"]))
            for field, hop in zip(trace, label["hops"], strict=False):
                for what, difference in _hop(parse_hop(field), hop):
                    yield what, identity, hop["n"], difference
            yield from _boundaries(identity, trace, label)
            first = label["boundaries"][0]["hop"] if label["boundaries"] else None
            yield "receiver in stored mail", identity, first, _differ(inspect(trace).receiver, first)


def _hop(read: Hop, label: dict[str, Any]) -> Iterator[tuple[str, str]]:
    family = FAMILIES.get(label["family"], "other")
    software = read.software if read.software in FAMILIES.values() else "other"
    yield "software", _differ(software, family)
    version = ".".join(map(str, read.build)) if read.build and "exchange" in software else read.version
    if family != "other":
        yield "version", _differ(version, label.get("version") or "")
    yield "by-name", _differ(read.by, label.get("by_name") or "")
    yield "by-address", _differ(read.by_ip, label.get("by_ip") or "")
    yield "from-address", _differ(read.from_ip, label.get("from_ip") or "")


def _boundaries(identity: str, trace: list[bytes], label: dict[str, Any]) -> Iterator[Finding]:
    """Each place where a message passed from one organisation to another is a door of its own."""
    for boundary in label["boundaries"]:
        if not boundary.get("next_family"):
            continue
        start = boundary["next_hop"]
        session = Session(
            client_ip=boundary["peer_ip"] or "",
            client_name=boundary["peer_rdns"] or "",
            helo=boundary["peer_helo"] or boundary["peer_name"] or "",
        )
        found = handover(trace[start:], session)
        deeper = [hop["n"] for hop in label["hops"][start:] if hop["family"] == "exchange-onprem"]
        family = FAMILIES.get(boundary["next_family"], "other")
        if deeper:
            relation = Relation.DIRECT if deeper[0] == start else Relation.BEHIND_RELAY
            expected = (relation.value, "exchange", deeper[0] - start)
            got = (found.relation.value, found.software, found.index)
        else:
            expected, got = ("", family, 0), ("", found.software, 0)
            if found.software not in FAMILIES.values():
                got = ("", "other", 0)
        yield "handover relation", identity, start, _differ(got, expected)


def _differ(got: object, label: object) -> str:
    return "" if got == label else f"{got!r}, label {label!r}"


def main() -> int:
    """Print the table and the disagreements; 2 if there is no labelled set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT, help="where public.jsonl lies")
    folder: Path = parser.parse_args().folder
    if not (folder / "public-labels.jsonl").is_file():
        print(f"no labelled messages in {folder}; name the folder as an argument", file=sys.stderr)
        return 2
    total: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    lines = []
    for what, identity, hop, difference in compare(folder):
        total[what] += 1
        if difference:
            wrong[what] += 1
            lines.append(f"{what:24} {identity} {'' if hop is None else hop:>3}  {difference}")
    print(f"{'':24} {'compared':>9} {'agree':>9} {'share':>9}")
    for what, count in total.items():
        print(f"{what:24} {count:9} {count - wrong[what]:9} {1 - wrong[what] / count:9.3%}")
    print("\nDisagreements:")
    print("\n".join(sorted(lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Real headers through a real Postfix: who is refused in stage 8, and who never is."""

import ipaddress
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import postfix
import pytest
from postfix import Peer
from running import receiver

from wehr.evidence import client_network, split_headers

pytestmark = [
    pytest.mark.mta,
    pytest.mark.reference,
    pytest.mark.xdist_group("mta"),
    pytest.mark.timeout(240),
]

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
EACH = 15
"""Messages of each kind."""
_PICK = random.Random(7)  # noqa: S311 - the same messages in every run


@dataclass(frozen=True)
class Handed:
    """A real message at the border of the organisation that received it: the peer, and the trace below."""

    id: str
    kind: str
    peer: Peer
    headers: str
    server: tuple[str, str]


def _handed_over(folder: Path) -> Iterator[Handed]:
    messages = (folder / "public.jsonl").open(encoding="utf-8")
    labels = (folder / "public-labels.jsonl").open(encoding="utf-8")
    with messages, labels:
        for text, label_text in zip(messages, labels, strict=True):
            message, label = json.loads(text), json.loads(label_text)
            border = next(iter(label.get("boundaries", [])), None)
            if border is None or any(flag.startswith("source-anonymised") for flag in label.get("flags", [])):
                continue
            try:
                address = ipaddress.ip_address(border.get("peer_ip") or "")
            except ValueError:
                continue
            fields = split_headers(message["headers"].encode("latin-1"))[border["next_hop"] :]
            below = label["hops"][border["next_hop"] :]
            if (
                address.version == 6
                or not address.is_global
                or not 0 < len(fields) < 30
                or len(fields) != len(below)
            ):
                continue
            trace = "".join(f"Received:{field.decode('latin-1')}\n" for field in fields)
            name = border.get("peer_helo") or border.get("peer_name") or "unknown.test"
            yield Handed(
                message["id"],
                _kind(below),
                Peer(name if name.isascii() and " " not in name else "unknown.test", str(address)),
                trace + "Subject: a message of the tests\n",
                ((below[0].get("by_name") or "").lower(), client_network(str(address))),
            )


def _kind(below: list[dict[str, str]]) -> str:
    """What the label says of the top hop, and of those deeper."""
    family = below[0]["family"]
    if family == "exchange-onprem":
        numbers = (below[0].get("version") or "").split(".")
        old = len(numbers) == 4 and ".".join(numbers[:2]) in (
            "8.1",
            "8.2",
            "8.3",
            "14.1",
            "14.2",
            "14.3",
            "15.0",
        )
        return "out-of-date Exchange" if old else "other Exchange"
    if any(hop["family"] == "exchange-onprem" for hop in below[1:]):
        return "Exchange behind a relay"
    return family


def test_real_servers_are_refused_only_if_they_are_out_of_date_exchange(
    reference: Path, open_folder: Path
) -> None:
    """Old on-premises Exchange gets 550 in stage 8; Exchange Online, relays and all others 250 throughout."""
    found: dict[str, list[Handed]] = {}
    seen: set[tuple[str, str]] = set()
    for one in _handed_over(reference / "corpus"):
        if one.server not in seen and one.kind != "other Exchange":
            seen.add(one.server)
            found.setdefault(one.kind, []).append(one)
    chosen = {kind: _PICK.sample(some, min(EACH, len(some))) for kind, some in found.items()}
    assert {"out-of-date Exchange", "Exchange behind a relay", "exchange-online", "postfix", "exim"} <= set(
        chosen
    )

    codes: dict[str, dict[str, int]] = {}
    with (
        receiver(open_folder / "state", START, mode="enforce") as wehr,
        postfix.running(open_folder / "postfix", wehr.milter) as mx,
    ):
        for day in (0, 25, 50, 75, 95):
            for kind, some in chosen.items():
                for place, one in enumerate(some):
                    wehr.clock.now = START + day * DAY + place
                    codes.setdefault(kind, {})[one.id] = postfix.send(mx, one.peer, one.headers).code

    refused = codes.pop("out-of-date Exchange")
    assert refused == dict.fromkeys(refused, 550)
    for kind, taken in codes.items():
        assert taken == dict.fromkeys(taken, 250), kind

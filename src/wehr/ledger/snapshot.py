"""A node's own copy of what the store knew a while ago: for a start while the store is away.

One file of frames (length, CRC-32, MessagePack): what is not about servers, then servers by the hundred,
then an empty list. It is written beside the old one and takes its place only when it is whole.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from msgspec import Struct

from wehr.ledger.errors import StateDamaged
from wehr.ledger.journal import make_frame, open_frame
from wehr.ledger.memory import Ledger
from wehr.ledger.state import unpack_state
from wehr.ledger.store import PackedState, Store
from wehr.policy.laddering import Past
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption
from wehr.policy.types import ServerKey

_STATES: Final = 100
_HEAD: Final = 8
_MOST: Final = 64 * 2**20


class Snapshot(Struct, frozen=True):
    """What stands at the head of the file; ``change`` is the last change of servers that it holds."""

    at: float
    secret: bytes
    change: int
    pauses: tuple[Pause, ...]
    exemptions: tuple[Exemption, ...]
    past: Past


def write_snapshot(path: Path, store: Store, now: float) -> None:
    """Copy what a store knows into a file for its owner alone; whoever reads it sees the old or the new one.

    Raises:
        StoreAway: the store cannot be reached; the old file stays.
        OSError: the file cannot be written; the old one stays.
    """
    change = store.last_change()
    rules = (store.pauses(), tuple(store.exemptions().values()), store.past())
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(file, "wb") as out, closing(store.packed_states()) as states:  # noqa: PTH123 - a descriptor
        out.write(_frame(Snapshot(now, store.secret, change, *rules)))
        some: list[PackedState] = []
        for state in states:
            some.append(state)
            if len(some) == _STATES:
                out.write(_frame(some))
                some = []
        if some:
            out.write(_frame(some))
        out.write(_frame([]))
        out.flush()
        os.fsync(file)
    draft.replace(path)


def read_snapshot(path: Path, ledger: Ledger) -> Snapshot | None:
    """Tell a ledger what a snapshot holds; None if there is none, or it is not whole.

    What was read of one that is not whole stays in the ledger, and does no harm.
    """
    try:
        with path.open("rb") as file:
            frames = _frames(file)
            head = msgspec.msgpack.decode(next(frames, b""), type=Snapshot)
            for frame in frames:
                states = msgspec.msgpack.decode(frame, type=list[PackedState])
                for tenant, name, network, state in states:
                    ledger.merge(ServerKey(tenant, name, network), unpack_state(state))
                if not states:
                    return head
    except (OSError, msgspec.MsgspecError, StateDamaged):
        pass
    return None


def _frame(value: object) -> bytes:
    return make_frame(msgspec.msgpack.encode(value))


def _frames(file: BinaryIO) -> Iterator[bytes]:
    """The payloads, up to the first frame that is not whole and sound."""
    while len(head := file.read(_HEAD)) == _HEAD:
        length = int.from_bytes(head[:4], "little")
        payload = open_frame(head + file.read(min(length, _MOST)))
        if payload is None:
            return
        yield payload

"""When the store stays away too long: journal segments become a digest, which keeps sums, not messages.

A digest stands in its segments' place in the journal until it is carried in. It holds the states of servers
and the counts of outcomes, so it grows with the servers, not with the messages; what is lost is the history
of single messages.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from wehr.ledger.journal import Entry, Position, make_frame, open_frame, read_batch, segment_path, segments
from wehr.ledger.state import ServerState, day_of, observe, pack_state, unpack_state
from wehr.policy.types import ServerKey

_SUFFIX: Final = ".digest"
_KEPT: Final = 2
"""The store's position lies in one of the oldest two segments, even if its last commit was not heard of."""


class Outcome(Struct, frozen=True):
    """What `wehr.ledger.rows.Tally` counts, by the server's key."""

    day: int
    key: ServerKey
    action: str
    reason: str
    enforced: bool


class Digest(Struct, frozen=True):
    """What remains of a segment's entries."""

    entries: int
    last_at: float
    states: list[tuple[ServerKey, bytes]]
    outcomes: list[tuple[Outcome, int]]

    def servers(self) -> list[tuple[ServerKey, ServerState]]:
        """The states, unpacked."""
        return [(key, unpack_state(state)) for key, state in self.states]


class Span(Struct, frozen=True, order=True):
    """The numbers of the first and last segment that a digest stands for."""

    first: int
    last: int


def condense_oldest(folder: Path, active: int | None) -> int:
    """Add the oldest segment that may go to the digest; tells how many entries it had, 0 if none may go."""
    numbers = segments(folder)
    segment = next(iter(numbers[_KEPT:]), active)
    if segment is None or segment == active:
        return 0
    # A digest covers what lies between its ends, so it is extended only where nothing lies between.
    older = numbers[_KEPT - 1]
    before = next((span for span in _digests(folder) if older < span.first and span.last < segment), None)
    old = None if before is None else read_digest(folder, before)
    entries: list[Entry] = []
    place = Position(segment)
    while (batch := read_batch(folder, place, active=segment)).entries:
        entries += batch.entries
        place = batch.end
    span = Span(segment if before is None else before.first, segment)
    draft = _path(folder, span).with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_bytes(make_frame(msgspec.msgpack.encode(_digest(old, entries))))
    # From here on the new digest counts, and what it covers does not, whether it is removed or not.
    draft.rename(_path(folder, span))
    _remove_covered(folder)
    return len(entries)


def _digest(old: Digest | None, entries: list[Entry]) -> Digest:
    states = dict(old.servers()) if old else {}
    outcomes = Counter(dict(old.outcomes)) if old else Counter[Outcome]()
    for entry in entries:
        if entry.evident:
            states[entry.key] = observe(states.get(entry.key), entry.sighting, entry.compliant)
        decision, day = entry.decision, day_of(entry.sighting.at)
        outcomes[Outcome(day, entry.key, decision.action, decision.reason, decision.enforced)] += 1
    return Digest(
        entries=len(entries) + (old.entries if old else 0),
        last_at=max(entry.sighting.at for entry in entries) if entries else (old.last_at if old else 0.0),
        states=[(key, pack_state(state)) for key, state in states.items()],
        outcomes=list(outcomes.items()),
    )


def next_digest(folder: Path, first: int) -> Span | None:
    """The first digest that begins not before a segment; earlier ones have been carried in and go."""
    _remove_covered(folder)
    for span in _digests(folder):
        if span.first >= first:
            return span
        drop_digest(folder, span)
    return None


def read_digest(folder: Path, span: Span) -> Digest | None:
    """A digest; None if it is damaged: then it is kept aside."""
    path = _path(folder, span)
    try:
        return msgspec.msgpack.decode(open_frame(path.read_bytes()) or b"", type=Digest)
    except msgspec.MsgspecError:
        path.rename(path.with_suffix(".damaged"))
        return None


def read_digests(folder: Path) -> Iterator[Digest]:
    """All digests that a journal holds."""
    for span in _digests(folder):
        if digest := read_digest(folder, span):
            yield digest


def drop_digest(folder: Path, span: Span) -> None:
    """Remove a digest that has been carried in."""
    _path(folder, span).unlink(missing_ok=True)


def _digests(folder: Path) -> list[Span]:
    spans = (path.stem.split("-") for path in folder.glob(f"*{_SUFFIX}"))
    return sorted(Span(int(first), int(last)) for first, last in spans)


def _remove_covered(folder: Path) -> None:
    """Remove the segments and digests that a digest stands for; a crash may have left them."""
    spans = _digests(folder)
    for span in spans:
        for other in spans:
            if other != span and span.first <= other.first and other.last <= span.last:
                drop_digest(folder, other)
        for segment in segments(folder):
            if span.first <= segment <= span.last:
                segment_path(folder, segment).unlink(missing_ok=True)


def journal_bytes(folder: Path) -> int:
    """How much room a journal takes."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _path(folder: Path, span: Span) -> Path:
    return folder / f"{span.first:012d}-{span.last:012d}{_SUFFIX}"

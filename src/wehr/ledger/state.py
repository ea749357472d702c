"""What is remembered of one server, and how two memories of it become one. Pure.

A state says which build the server showed on which day and how that was judged then, and a few exact times.
It is the image of the *set* of its sightings under a map that only takes minima, maxima and unions, so
states form a join-semilattice: `merge` commutes, associates and is idempotent exactly, and any order and
repetition of the same sightings on any number of nodes gives the identical state.
"""

from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from wehr.evidence.build import Build
from wehr.evidence.types import Confidence, Relation, Sighting
from wehr.ledger.errors import StateDamaged

DAY: Final = 86_400.0
MAX_STAMPS: Final = 8
"""Builds told apart per server: two years of a well-kept server's updates. Lower ones are folded together."""
START_GAP: Final = 30
"""Days without a non-compliant sighting after which the next one's exact time is kept."""

# Beyond these a clock is broken; the bound keeps day bitmaps small. 4102444800 is the year 2100.
_FIRST_TIME: Final = 0.0
_LAST_TIME: Final = 4_102_444_800.0


class Stamp(Struct, frozen=True, gc=False, array_like=True):
    """The days on which one build was shown, by how it was judged on that day.

    ``good``, ``bad`` and ``unjudged`` are sets of UTC days as bitmaps; bit 0 is the day of the server's first
    sighting. ``build`` is () for sightings without one. ``starts`` are the exact times of the non-compliant
    sightings that came first after at least 30 days without any.
    """

    build: Build
    first_at: float
    good: int
    bad: int
    unjudged: int
    starts: tuple[float, ...] = ()

    @property
    def seen(self) -> int:
        """The days on which the build was shown at all."""
        return self.good | self.bad | self.unjudged


class ServerState(Struct, frozen=True, gc=False):
    """What is remembered of one server; times are UTC seconds since 1970, 0.0 means never.

    ``stamps`` stand highest build first. ``client_ip`` and ``software`` are those of the latest sighting.
    """

    first_seen: float
    last_seen: float
    stamps: tuple[Stamp, ...]
    client_ip: str = ""
    software: str = ""
    confirmed_at: float = 0.0
    """When the name was last seen to belong to the client."""
    direct_at: float = 0.0
    """When it last handed over itself; never, if it was only seen behind a relay."""

    @property
    def ever_bad(self) -> bool:
        """Whether the server was ever out of compliance, as far as is remembered."""
        for stamp in self.stamps:  # noqa: SIM110 - half the time of any(), and on the way of each message
            if stamp.bad:
                return True
        return False

    @property
    def first_day(self) -> int:
        """Days since 1970 of bit 0 of the bitmaps."""
        return day_of(self.first_seen)


def day_of(at: float) -> int:
    """The UTC day of a time, counted from 1970-01-01."""
    return int(at // DAY)


def observe(state: ServerState | None, sighting: Sighting, compliant: bool | None) -> ServerState:
    """The state after one more sighting.

    Args:
        state: what was remembered so far.
        sighting: the new evidence. Its name and network are not looked at: a state does not know whose it is.
        compliant: how the build was judged at the time of the sighting; None if it cannot be told.
    """
    at = min(max(sighting.at, _FIRST_TIME), _LAST_TIME)
    build = sighting.build or ()
    direct = sighting.relation is Relation.DIRECT
    # Behind a relay a server is reported, never enforced, so it must not start a clock there.
    if compliant is False and not direct:
        compliant = None
    if state is not None and at > state.last_seen and _known(state, build, at, compliant):
        return ServerState(
            state.first_seen,
            at,
            state.stamps,
            sighting.client_ip,
            sighting.software,
            at if sighting.confidence is Confidence.CONFIRMED else state.confirmed_at,
            at if direct else state.direct_at,
        )
    one = ServerState(
        first_seen=at,
        last_seen=at,
        stamps=(
            Stamp(
                build,
                at,
                good=int(compliant is True),
                bad=int(compliant is False),
                unjudged=int(compliant is None),
                starts=(at,) if compliant is False else (),
            ),
        ),
        client_ip=sighting.client_ip,
        software=sighting.software,
        confirmed_at=at if sighting.confidence is Confidence.CONFIRMED else 0.0,
        direct_at=at if direct else 0.0,
    )
    return one if state is None else merge(state, one)


def _known(state: ServerState, build: Build, at: float, compliant: bool | None) -> bool:
    """Whether this build, so judged, was already seen on this day: then only the last times move."""
    bit = 1 << (day_of(at) - state.first_day)
    for stamp in state.stamps:
        if stamp.build == build:
            days = stamp.unjudged if compliant is None else stamp.good if compliant else stamp.bad
            return days & bit != 0
    return False


def merge(a: ServerState, b: ServerState) -> ServerState:
    """The state that knows what both know (the join)."""
    if b.first_seen < a.first_seen:
        a, b = b, a
    latest = max(a, b, key=lambda s: (s.last_seen, s.client_ip, s.software))
    return ServerState(
        first_seen=a.first_seen,
        last_seen=latest.last_seen,
        stamps=_merge_stamps(a, b),
        client_ip=latest.client_ip,
        software=latest.software,
        confirmed_at=max(a.confirmed_at, b.confirmed_at),
        direct_at=max(a.direct_at, b.direct_at),
    )


def as_of(state: ServerState, at: float) -> ServerState | None:
    """What was remembered at an earlier time; None if nothing was.

    What only the last sighting says (address, software) stays. Of the day itself all is known that was seen
    on it, but for builds and starts whose exact time is later.
    """
    if at < state.first_seen:
        return None
    days = (2 << (day_of(at) - state.first_day)) - 1
    stamps = tuple(
        Stamp(
            stamp.build,
            stamp.first_at,
            stamp.good & days,
            stamp.bad & days,
            stamp.unjudged & days,
            tuple(start for start in stamp.starts if start <= at),
        )
        for stamp in state.stamps
        if stamp.first_at <= at
    )
    return replace(
        state,
        last_seen=min(state.last_seen, at),
        stamps=stamps,
        confirmed_at=min(state.confirmed_at, at),
        direct_at=min(state.direct_at, at),
    )


def _merge_stamps(a: ServerState, b: ServerState) -> tuple[Stamp, ...]:
    """Join by build. What lies below the highest eight is folded into the eighth.

    Folding is the same whatever is merged first: the eighth of a union is never lower than the eighth of a
    part, so what a part has folded the whole folds as well.
    """
    shift = b.first_day - a.first_day
    by_build = {stamp.build: stamp for stamp in a.stamps}
    for it in b.stamps:
        moved = Stamp(
            it.build, it.first_at, it.good << shift, it.bad << shift, it.unjudged << shift, it.starts
        )
        mine = by_build.get(it.build)
        by_build[it.build] = moved if mine is None else _join(mine, moved, a.first_day)
    ordered = sorted(by_build.values(), key=lambda stamp: stamp.build, reverse=True)
    while len(ordered) > MAX_STAMPS:
        lowest = ordered.pop()
        ordered[-1] = _join(ordered[-1], lowest, a.first_day)
    return tuple(ordered)


def _join(a: Stamp, b: Stamp, first_day: int) -> Stamp:
    bad = a.bad | b.bad
    starts = (
        a.starts if a.starts == b.starts and a.bad == b.bad else _starts(a.starts + b.starts, bad, first_day)
    )
    return Stamp(a.build, min(a.first_at, b.first_at), a.good | b.good, bad, a.unjudged | b.unjudged, starts)


def _starts(times: tuple[float, ...], bad: int, first_day: int) -> tuple[float, ...]:
    """The exact time of the first bad sighting on each bad day that follows 30 days without one.

    Such a day of a union is such a day in each part that has it, so no part has dropped its time.
    """
    lone = bad & ~(spread(bad, START_GAP - 1) << 1)
    first: dict[int, float] = {}
    for at in sorted(times):
        day = day_of(at) - first_day
        if lone >> day & 1:
            first.setdefault(day, at)
    return tuple(first.values())


def spread(days: int, more: int) -> int:
    """The set of days with each day's ``more`` followers added."""
    width = 1
    while width <= more:
        step = min(width, more + 1 - width)
        days |= days << step
        width += step
    return days


class _Row(Struct, frozen=True, array_like=True):
    """A state as it is stored; bitmaps as little-endian bytes, for MessagePack ends at 64 bits."""

    version: int
    first_seen: float
    last_seen: float
    stamps: list[tuple[Build, float, bytes, bytes, bytes, tuple[float, ...]]]
    client_ip: str
    software: str
    confirmed_at: float
    direct_at: float


_VERSION: Final = 1
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Row)


def pack_state(state: ServerState) -> bytes:
    """The state as bytes, for the store."""
    stamps = [
        (s.build, s.first_at, _bits(s.good), _bits(s.bad), _bits(s.unjudged), s.starts) for s in state.stamps
    ]
    return _encoder.encode(
        _Row(
            _VERSION,
            state.first_seen,
            state.last_seen,
            stamps,
            state.client_ip,
            state.software,
            state.confirmed_at,
            state.direct_at,
        )
    )


def unpack_state(data: bytes) -> ServerState:
    """The state from its bytes.

    Raises:
        StateDamaged: not a state, or one written by a newer program.
    """
    try:
        row = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise StateDamaged(f"a server state cannot be read: {error}") from None
    if row.version != _VERSION:
        raise StateDamaged(f"a server state of version {row.version}, this program knows {_VERSION}")
    return ServerState(
        row.first_seen,
        row.last_seen,
        tuple(
            Stamp(
                build,
                first_at,
                int.from_bytes(good, "little"),
                int.from_bytes(bad, "little"),
                int.from_bytes(unjudged, "little"),
                starts,
            )
            for build, first_at, good, bad, unjudged, starts in row.stamps
        ),
        row.client_ip,
        row.software,
        row.confirmed_at,
        row.direct_at,
    )


def _bits(days: int) -> bytes:
    return days.to_bytes((days.bit_length() + 7) // 8, "little")

"""Is a store sound? The present state is rebuilt from the history and the events, and compared."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, and_, func, select

from wehr.evidence.build import parse_build
from wehr.evidence.types import Confidence, Relation, Sighting
from wehr.ledger.carrying import is_open
from wehr.ledger.errors import StateDamaged
from wehr.ledger.schema import days, events, exemptions, meta, pauses, servers, sightings, tallies
from wehr.ledger.state import DAY, ServerState, day_of, merge, observe, unpack_state
from wehr.policy.laddering import Era, Past

_SHOWN: Final = 20
_ROWS: Final = 2000
_TURNS: Final = {"detected": True, "relapsed": True, "cured": False}
"""Events of a server, and whether its episode is open after them."""


def find_faults(connection: Connection) -> Iterator[str]:
    """What is wrong with a store, one line each; nothing if it is sound.

    First the database's own check. Then each server: its state must know all that its messages say, and be
    no more than they say where all of them are still kept; its episode must be as open, and its stage as
    high, as its events tell. Then the days' sums, which must hold all that is counted of the servers that are
    there. Then pauses, exemptions and ladders, which must be as their events made them.
    """
    if connection.dialect.name == "sqlite":
        for row in connection.exec_driver_sql(f"PRAGMA integrity_check({_SHOWN})"):
            if row[0] != "ok":
                yield str(row[0])
    names = ("ref", "name", "state", "stage", "memory_days", "forget_days")
    query = select(*(servers.c[name] for name in names))
    history = _Merged(_messages(connection))
    told = _Merged(_told(connection))
    counted = _Merged(_counted(connection))
    for row in _stream(connection, query.order_by(servers.c.ref)):
        name = f"server {row.ref} ({row.name})"
        try:
            state = unpack_state(row.state)
        except StateDamaged as error:
            yield f"{name}: {error}"
            continue
        counts = {count.day: count.messages for count in counted.of(row.ref)}
        if fault := _against_messages(state, history.of(row.ref), counts):
            yield f"{name}: {fault}"
        turns = [event for event in told.of(row.ref) if event.at >= state.first_seen]
        if fault := _against_events(state, row, turns):
            yield f"{name}: {fault}"
    yield from _sums(connection)
    yield from _rules(connection)


def _against_messages(state: ServerState, messages: list[Row[Any]], counts: dict[int, int]) -> str:
    kept = Counter(day_of(message.at) for message in messages)
    rebuilt = None
    for message in messages:
        if message.relation == Relation.NONE:  # refused before its headers: no evidence
            continue
        # The history still holds what came before the server was forgotten, or had to make room: then its
        # counts went.
        day = day_of(message.at)
        if message.at >= state.first_seen and kept[day] <= counts.get(day, 0):
            rebuilt = observe(rebuilt, _sighting(message), message.compliant)
    if rebuilt is None or rebuilt == state:
        return ""
    if merge(state, rebuilt) != state:
        return "its state does not know all that its history holds"
    whole = kept == counts and rebuilt.first_seen == state.first_seen
    return "its state says more than its whole history holds" if whole else ""


def _against_events(state: ServerState, row: Row[Any], told: list[Row[Any]]) -> str:
    turns = [_TURNS[event.kind] for event in told if event.kind in _TURNS]
    # By the days that its last event went by: others that are configured now say nothing against it.
    if turns and turns[-1] != is_open(state, row.memory_days, row.forget_days):
        return f"its last event says {'out of' if turns[-1] else 'in'} compliance, its state does not"
    stages = [msgspec.json.decode(event.detail)["stage"] for event in told if event.kind == "stage"]
    if stages and row.stage > 1 and stages[-1] != row.stage:
        return f"its last event says stage {stages[-1]}, its latest decision {row.stage}"
    return ""


def _sums(connection: Connection) -> Iterator[str]:
    """Compare the days' sums with the tallies.

    They may say more, for they keep what was counted of servers that are gone. Days before their first were
    removed, or are from before the sums were kept.
    """
    what = (tallies.c.day, servers.c.tenant, tallies.c.action, tallies.c.enforced)
    counted = select(*what, func.sum(tallies.c.messages).label("messages")).group_by(*what)
    first = select(func.min(days.c.day)).scalar_subquery()
    part = counted.join_from(tallies, servers, tallies.c.ref == servers.c.ref).where(tallies.c.day >= first)
    known = part.subquery()
    same = [known.c[name] == days.c[name] for name in ("day", "tenant", "action", "enforced")]
    short = select(known, days.c.messages.label("told")).join_from(known, days, and_(*same), isouter=True)
    query = short.where(known.c.messages > func.coalesce(days.c.messages, 0)).order_by(known.c.day)
    for row in connection.execute(query.limit(_SHOWN)):
        at = f"{datetime.fromtimestamp(row.day * DAY, UTC):%Y-%m-%d}, tenant {row.tenant!r}, {row.action}"
        yield f"{at}: its sum is {row.told or 0}, but {row.messages} messages are counted of its servers"


def _rules(connection: Connection) -> Iterator[str]:
    """Rebuild what people and the configuration laid down from the events, and compare."""
    told: dict[tuple[str, object], object] = {}
    eras: list[Era] = []
    query = select(events.c.detail, events.c.after).where(events.c.after != "")
    for event in _stream(connection, query.order_by(events.c.id)):
        for word, value in msgspec.json.decode(event.after).items():
            if word == "era":
                eras.append(msgspec.convert(value, Era))
            else:
                told[word, msgspec.json.decode(event.detail)["id"]] = value
    for table, word in ((pauses, "pause"), (exemptions, "exemption")):
        for row in connection.execute(select(table.c.id, table.c.value).order_by(table.c.id)):
            value = told.pop((word, row.id), None)
            try:
                kept = msgspec.json.decode(row.value)
            except msgspec.DecodeError as error:
                yield f"{word} {row.id}: it cannot be read: {error}"
                continue
            if value is None:
                yield f"{word} {row.id}: no event tells of it"
            elif value != kept:
                yield f"{word} {row.id}: it is not what its last event made it"
    for word, ident in told:
        yield f"{word} {ident}: its events tell of it, and it is not there"
    value = connection.scalar(select(meta.c.value).where(meta.c.name == "past"))
    past = msgspec.json.decode(value, type=Past) if value else Past()
    rebuilt = Past(past.eras[:1])  # no event tells of the first: it replaced nothing
    for era in eras:
        rebuilt = rebuilt.noting(era.laddering, (), era.since)
    if rebuilt.eras != past.eras:
        yield "the ladders that have been in force are not those that their events tell of"


class _Merged:
    """Rows in the order of their servers, handed out server by server in the same order."""

    def __init__(self, rows: Iterable[Row[Any]]) -> None:
        self._groups = groupby(rows, attrgetter("ref"))
        self._next = next(self._groups, None)

    def of(self, ref: str) -> list[Row[Any]]:
        """A server's rows; those of servers that are gone are passed over."""
        while self._next is not None and self._next[0] < ref:
            self._next = next(self._groups, None)
        if self._next is None or self._next[0] != ref:
            return []
        found = list(self._next[1])
        self._next = next(self._groups, None)
        return found


def _messages(connection: Connection) -> Iterator[Row[Any]]:
    columns = ("ref", "at", "software", "build", "relation", "confidence", "client_ip", "compliant")
    query = select(*(sightings.c[name] for name in columns))
    return _stream(connection, query.order_by(sightings.c.ref, sightings.c.at))


def _told(connection: Connection) -> Iterator[Row[Any]]:
    query = select(events.c.ref, events.c.at, events.c.kind, events.c.detail)
    return _stream(connection, query.where(events.c.ref != "").order_by(events.c.ref, events.c.id))


def _counted(connection: Connection) -> Iterator[Row[Any]]:
    what = (tallies.c.ref, tallies.c.day)
    query = select(*what, func.sum(tallies.c.messages).label("messages"))
    return _stream(connection, query.group_by(*what).order_by(*what))


def _stream(connection: Connection, query: Any) -> Iterator[Row[Any]]:
    with connection.execute(query, execution_options={"yield_per": _ROWS}) as rows:
        yield from rows


def _sighting(row: Row[Any]) -> Sighting:
    return Sighting(
        at=row.at,
        name="",
        network="",
        software=row.software,
        build=parse_build(row.build) if row.build else None,
        relation=Relation(row.relation),
        confidence=Confidence(row.confidence),
        client_ip=row.client_ip,
    )

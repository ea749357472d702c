"""Carrying journal entries into the store's tables; all of it runs inside one transaction of the caller's."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Insert, RowMapping, Table, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from wehr.evidence.build import format_build
from wehr.ledger.condense import Digest
from wehr.ledger.episode import FORGET_DAYS, MEMORY_DAYS, find_episode
from wehr.ledger.journal import Entry
from wehr.ledger.maintenance import bound_networks
from wehr.ledger.memory import Limits, reference
from wehr.ledger.rows import Event
from wehr.ledger.schema import counter, days, events, servers, sightings, tallies
from wehr.ledger.state import ServerState, day_of, merge, observe, pack_state, unpack_state
from wehr.policy.types import Episode, ServerKey

CHANNEL: Final = "wehr"
"""What other nodes listen on, with PostgreSQL."""
_CHUNK: Final = 500
"""Bound values per statement stay far below the databases' limits."""
_TOGETHER: Final = 256
"""Rows in one statement of SQLite's, which takes 32,766 values."""

Row = dict[str, Any]


def write_entries(
    connection: Connection, entries: Sequence[Entry], node: str, secret: bytes, limits: Limits
) -> None:
    """Add what a journal's entries say to servers, history, tallies and events."""
    if not entries:
        return
    by_key: dict[ServerKey, list[Entry]] = {}
    for entry in entries:
        by_key.setdefault(entry.key, []).append(entry)
    refs = {key: reference(key, secret) for key in by_key}
    history = [_sighting(entry, refs[entry.key], node) for entry in entries]
    execute_many(connection, sightings.insert(), history)
    # From here on other nodes wait: what is read of servers now stays true until the commit.
    change = bump(connection, "change")
    known = _known(connection, list(refs.values()))
    rows: list[Row] = []
    found: list[Event] = []
    for key, some in by_key.items():
        evident = [entry for entry in some if entry.evident]
        if not evident:
            continue
        server = _Server(refs[key], key, known.get(refs[key]), limits)
        for entry in sorted(evident, key=lambda item: item.sighting.at):
            server.add(entry)
        rows.append(server.row(change))
        found += server.events
    upsert(connection, servers, ("ref",), rows)
    new = {(row["tenant"], row["network"]) for row in rows if row["ref"] not in known}
    gone = bound_networks(connection, new, limits)
    outcomes = Counter(_outcome(entry, refs[entry.key]) for entry in entries if refs[entry.key] not in gone)
    _count(connection, outcomes, {ref: key.tenant for key, ref in refs.items()})
    write_events(connection, [event for event in found if event.ref not in gone])


def write_states(
    connection: Connection, states: Iterable[tuple[ServerKey, ServerState]], secret: bytes, limits: Limits
) -> int:
    """Join states into the servers' rows: for what is known without its journal. Tells how many are new."""
    new = 0
    found: list[Event] = []
    places: set[tuple[str, str]] = set()
    by_ref = {reference(key, secret): (key, state) for key, state in states}
    refs = list(by_ref)
    for first in range(0, len(refs), _CHUNK):
        part = refs[first : first + _CHUNK]
        change = bump(connection, "change")
        known = _known(connection, part)
        rows = []
        for ref in part:
            key, state = by_ref[ref]
            old = known.get(ref)
            row = _new_row(ref, key) if old is None else dict(old)
            before = None if old is None else unpack_state(row["state"])
            was_open = before is not None and is_open(before, row["memory_days"], row["forget_days"])
            state = state if before is None else merge(before, state)
            rows.append({**row, **_columns(state, limits), "change": change})
            if kind := _turn(state, limits, was_open=was_open):
                found.append(Event(state.last_seen, kind, key.tenant, ref, key.name))
            if old is None:
                new += 1
                places.add((key.tenant, key.network))
        upsert(connection, servers, ("ref",), rows)
    gone = bound_networks(connection, places, limits)
    write_events(connection, [event for event in found if event.ref not in gone])
    return new


def write_digest(connection: Connection, digest: Digest, node: str, secret: bytes, limits: Limits) -> None:
    """Add what a digest holds to servers and tallies, and say that its messages are gone."""
    write_states(connection, digest.servers(), secret, limits)
    outcomes: Counter[_Outcome] = Counter()
    tenants: dict[str, str] = {}
    for it, count in digest.outcomes:
        ref = reference(it.key, secret)
        tenants[ref] = it.key.tenant
        outcomes[it.day, ref, it.action, it.reason, it.enforced] += count
    _count(connection, outcomes, tenants)
    detail: dict[str, str | int | float | bool | None] = {"node": node, "messages": digest.entries}
    write_events(connection, [Event(at=digest.last_at, kind="history-lost", detail=detail)])


def write_events(connection: Connection, found: Sequence[Event]) -> None:
    """Add to the list of what was changed."""
    if found:
        connection.execute(
            events.insert(),
            [
                {
                    "at": event.at,
                    "kind": event.kind,
                    "tenant": event.tenant,
                    "ref": event.ref,
                    "name": event.name,
                    "actor": event.actor,
                    "detail": msgspec.json.encode(event.detail).decode(),
                    "after": msgspec.json.encode(event.after).decode() if event.after else "",
                }
                for event in found
            ],
        )


def bump(connection: Connection, name: str) -> int:
    """The next number of a counter. Holds its row, so that numbers are in the order of commits."""
    value: int = connection.execute(
        update(counter)
        .where(counter.c.name == name)
        .values(value=counter.c.value + 1)
        .returning(counter.c.value)
    ).scalar_one()
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(CHANNEL, name)))  # heard when this is committed
    return value


def upsert(connection: Connection, table: Table, key: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Insert rows, or overwrite those of the same key."""
    if not rows:
        return
    insert = _insert(connection)(table)
    others = {column: insert.excluded[column] for column in rows[0] if column not in key}
    execute_many(connection, insert.on_conflict_do_update(index_elements=key, set_=others), rows)


def execute_many(connection: Connection, statement: Insert, rows: Sequence[Row]) -> None:
    """Insert all rows; a third of the time that it takes through SQLAlchemy's parameters.

    All values are of types that the drivers take as they are.
    """
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
    if compiled.positiontup is None:
        connection.exec_driver_sql(str(compiled), [_clean(row) for row in rows])
    else:
        _insert_together(connection, str(compiled), itemgetter(*compiled.positiontup), rows)


def _insert_together(
    connection: Connection, statement: str, pick: Callable[[Row], tuple[Any, ...]], rows: Sequence[Row]
) -> None:
    """With SQLite: many rows in one statement.

    Its driver gives up the interpreter's lock and asks for it again at every step, which is once a row with
    ``executemany``, and each time interrupts the thread that answers mail (measured: 10 to 20 us a message).
    """
    one = f"({', '.join('?' * len(pick(rows[0])))})"
    before, _, after = statement.partition(one)
    for first in range(0, len(rows), _TOGETHER):
        part = rows[first : first + _TOGETHER]
        together = f"{before}{', '.join([one] * len(part))}{after}"
        connection.exec_driver_sql(together, tuple(chain.from_iterable(map(pick, part))))


def _clean(row: Row) -> Row:
    """PostgreSQL takes no NUL in a text, and one such row would hold up its whole journal for ever."""
    return {
        name: value.replace("\0", "?") if isinstance(value, str) and "\0" in value else value
        for name, value in row.items()
    }


def _insert(connection: Connection) -> Any:
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


def _known(connection: Connection, refs: Sequence[str]) -> dict[str, RowMapping]:
    found: dict[str, RowMapping] = {}
    for first in range(0, len(refs), _CHUNK):
        query = select(servers).where(servers.c.ref.in_(refs[first : first + _CHUNK]))
        found.update({row["ref"]: row for row in connection.execute(query).mappings()})
    return found


class _Server:
    """One server while entries are added to it."""

    def __init__(self, ref: str, key: ServerKey, old: RowMapping | None, limits: Limits) -> None:
        self.events: list[Event] = []
        self._row: Row = _new_row(ref, key) if old is None else dict(old)
        self._ref = ref
        self._key = key
        self._limits = limits
        self._state = None if old is None else unpack_state(old["state"])
        # Events go by the days that were configured when they were told: other days are told at the next
        # message, so the last event always says whether the clock runs.
        self._days = (self._row["memory_days"], self._row["forget_days"])
        self._seen_at: float = self._row["seen_at"]
        self._stage: int = self._row["stage"]
        self._latest: Entry | None = None

    def add(self, entry: Entry) -> None:
        before = self._state
        after = self._state = observe(before, entry.sighting, entry.compliant)
        days = (self._limits.memory_days, self._limits.forget_days)
        if before is None or after.stamps is not before.stamps or self._days != days:
            was_open = before is not None and is_open(before, *self._days)
            if kind := _turn(after, self._limits, was_open=was_open):
                self._tell(entry, kind)
        self._days = days
        if entry.sighting.at >= self._seen_at:
            self._seen_at = entry.sighting.at
            self._latest = entry
            self._tell_stage(entry)

    def row(self, change: int) -> Row:
        """The server's row with all that was added."""
        if self._state is not None:
            self._row.update(_columns(self._state, self._limits))
        if self._latest is not None:
            self._row.update(_evidence(self._latest), seen_at=self._seen_at)
        return {**self._row, "change": change}

    def _tell_stage(self, entry: Entry) -> None:
        decision = entry.decision
        before, self._stage = self._stage, decision.stage
        # The first stage begins with the detection, which is an event of its own.
        if decision.stage and decision.stage != (before or 1):
            self._tell(
                entry,
                "stage",
                previous=before,
                stage=decision.stage,
                throttle=decision.throttle,
                block=decision.block,
                enforced=decision.enforced,
            )

    def _tell(self, entry: Entry, kind: str, **detail: int | bool) -> None:
        build = format_build(entry.sighting.build or ())
        self.events.append(
            Event(
                at=entry.sighting.at,
                kind=kind,
                tenant=self._key.tenant,
                ref=self._ref,
                name=self._key.name,
                detail={"build": build, **detail},
            )
        )


def is_open(state: ServerState, memory_days: int, forget_days: int) -> bool:
    """Whether a server's clock runs."""
    return state.ever_bad and _runs(find_episode(state, memory_days=memory_days, forget_days=forget_days))


def _turn(state: ServerState, limits: Limits, *, was_open: bool) -> str:
    """The event that came with a state: "" if the clock neither started nor stopped."""
    new = None
    if state.ever_bad:
        new = find_episode(state, memory_days=limits.memory_days, forget_days=limits.forget_days)
    if new is not None and _runs(new) and not was_open:
        return "relapsed" if len(new.intervals) > 1 else "detected"
    return "cured" if was_open and not _runs(new) else ""


def _runs(episode: Episode | None) -> bool:
    return episode is not None and episode.intervals[-1][1] is None


def _new_row(ref: str, key: ServerKey) -> Row:
    texts = ("build", "version", "relation", "client_ip", "client_name", "line", "action", "reason")
    return {
        "ref": ref,
        "tenant": key.tenant,
        "name": key.name,
        "network": key.network,
        "seen_at": 0.0,
        **dict.fromkeys(texts, ""),
        "enforced": False,
        "stage": 0,
        "memory_days": MEMORY_DAYS,
        "forget_days": FORGET_DAYS,
    }


def _columns(state: ServerState, limits: Limits) -> Row:
    return {
        "state": pack_state(state),
        "first_seen": state.first_seen,
        "last_seen": state.last_seen,
        "confirmed": state.confirmed_at > 0.0,
        "software": state.software,
        "memory_days": limits.memory_days,
        "forget_days": limits.forget_days,
    }


def _evidence(entry: Entry) -> Row:
    sighting, decision = entry.sighting, entry.decision
    return {
        "build": format_build(sighting.build or ()),
        "version": sighting.version,
        "relation": sighting.relation.value,
        "client_ip": sighting.client_ip,
        "client_name": sighting.client_name,
        "line": sighting.line,
        "action": decision.action.value,
        "reason": decision.reason.value,
        "enforced": decision.enforced,
        "stage": decision.stage,
    }


def _sighting(entry: Entry, ref: str, node: str) -> Row:
    return {
        **_evidence(entry),
        "ref": ref,
        "at": entry.sighting.at,
        "node": node,
        "software": entry.sighting.software,
        "confidence": entry.sighting.confidence.value,
        "compliant": entry.compliant,
        "throttle": entry.decision.throttle,
        "block": entry.decision.block,
        "until": entry.decision.until,
        "ladder": entry.decision.ladder,
        "queue_id": entry.queue_id,
        "door": entry.door,
    }


_Outcome = tuple[int, str, str, str, bool]


def _outcome(entry: Entry, ref: str) -> _Outcome:
    decision = entry.decision
    return (day_of(entry.sighting.at), ref, decision.action.value, decision.reason.value, decision.enforced)


def _count(connection: Connection, outcomes: Counter[_Outcome], tenants: Mapping[str, str]) -> None:
    """Add to the tallies of servers, and to the days of their tenants."""
    by_day: Counter[tuple[int, str, str, bool]] = Counter()
    for (day, ref, action, _, enforced), count in outcomes.items():
        by_day[day, tenants[ref], action, enforced] += count
    _add(connection, tallies, outcomes)
    _add(connection, days, by_day)


def _add(connection: Connection, table: Table, counted: Mapping[tuple[Any, ...], int]) -> None:
    """Add to the messages of rows, by their primary keys."""
    if not counted:
        return
    names = table.primary_key.columns.keys()
    rows = [{**dict(zip(names, key, strict=True)), "messages": count} for key, count in counted.items()]
    insert = _insert(connection)(table)
    more = table.c.messages + insert.excluded.messages
    statement = insert.on_conflict_do_update(index_elements=names, set_={"messages": more})
    execute_many(connection, statement, rows)

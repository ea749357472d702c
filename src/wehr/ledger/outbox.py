"""The outbox: what is to be written to others, by whichever node comes first, and never twice.

A row is `waiting` until a node has claimed it and handed it over. The moment before the last byte that makes
the other side take the message the row becomes `handing-over`; when the other side has said that it took it,
`sent`. A node that dies before the first change leaves a row that another one claims. One that dies between
the two leaves a row of which nobody can tell (RFC 1047): for a notice that is `doubtful`, and only a person
sends it again; whatever may come twice, to one's own, goes back to `waiting`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, RowMapping, delete, func, or_, select, text, update

from wehr.ledger import carrying
from wehr.ledger.database import Database
from wehr.ledger.outbox_rows import POSTED, Draft, Item, Kind, State, Stopped, item_of, key_of, row_of
from wehr.ledger.rows import Detail, Event
from wehr.ledger.schema import events, journals, meta, outbox, stopped_contacts

__all__ = ["POSTED", "Draft", "Item", "Kind", "Outbox", "State", "Stopped"]

_LOCK: Final = 0x5745484F
_HOUR: Final = 3600.0
_STOPPED: Final = "notices-stopped"
_SAID: Final = 500


class Outbox:
    """The outbox of an open store. Each method is one transaction, and raises what the store's raise."""

    def __init__(self, store: Database) -> None:
        self._store = store

    # Filling it

    def plan(
        self,
        kind: Kind,
        choose: Callable[[Sequence[Item]], tuple[Iterable[Draft], Sequence[int]]],
        now: float,
        *,
        by: str = "wehr",
        why: str = "",
        ref: str = "",
    ) -> list[Draft]:
        """Add what ``choose`` says is due, given all rows of the kind; no other node can plan in between.

        What ``choose`` raises is passed on, and nothing is written.

        Args:
            kind: the kind of rows.
            choose: gives what to add, and the ids of waiting rows that are not to be sent any more.
            now: UTC seconds since 1970.
            by: who wants it, for the audit.
            why: the reason, where a person wants it.
            ref: the server on whose account, where a person wants it.

        Returns:
            What was added.
        """
        with _alone(self._store) as connection:
            columns = [column for column in outbox.c if column.name != "body"]
            query = select(*columns).where(outbox.c.kind == kind).order_by(outbox.c.id)
            known = [item_of(row) for row in connection.execute(query).mappings()]
            drafts, withdrawn = choose(known)
            self._withdraw(connection, withdrawn, now)
            rows = {key_of(item): item for item in known}
            added = [draft for draft in drafts if key_of(draft) not in rows]
            _insert(connection, added, now)
            for draft in drafts:
                blank = rows.get(key_of(draft))
                if blank is not None and blank.state is State.UNADDRESSED and draft.recipients:
                    # Somebody to write to has come to be known.
                    filled = update(outbox).where(outbox.c.id == blank.id).values(**row_of(draft, now))
                    connection.execute(filled)
                    added.append(draft)
            planned = [
                _event(draft, "notice-planned", now, actor=by) for draft in added if kind is Kind.NOTICE
            ]
            because: Detail = {"why": why} if why else {}
            carrying.write_events(
                connection, [replace(it, ref=ref, detail={**it.detail, **because}) for it in planned]
            )
            return added

    def plan_news(
        self,
        kind: Kind,
        targets: Mapping[str, Sequence[str]],
        make: Callable[[str, Sequence[Event]], Iterable[Draft]],
        now: float,
    ) -> int:
        """Add what each target is to hear of the events since the last time; tells how many rows.

        A target that is new hears of what happens from now on.

        Args:
            kind: one of `POSTED`.
            targets: where to, and the kinds of events that it hears of; empty: all.
            make: gives what is sent to a target of some events, of which there is one at least, in order.
            now: UTC seconds since 1970.
        """
        with _alone(self._store) as connection:
            if connection.dialect.name == "postgresql":
                # Numbers are given out before commits: wait for those under way, lest one be passed over.
                connection.execute(text("LOCK TABLE events IN SHARE MODE"))
            newest = connection.scalar(select(func.coalesce(func.max(events.c.id), 0))) or 0
            added = 0
            for target, kinds in targets.items():
                name = f"{kind} {target}"
                seen = connection.scalar(select(meta.c.value).where(meta.c.name == name))
                if seen is not None and int(seen) < newest:
                    query = select(events).where(events.c.id > int(seen), events.c.id <= newest)
                    if kinds:
                        query = query.where(events.c.kind.in_(kinds))
                    rows = connection.execute(query.order_by(events.c.id)).mappings().all()
                    drafts = list(make(target, [_event_of(row) for row in rows])) if rows else []
                    _insert(connection, drafts, now)
                    added += len(drafts)
                carrying.upsert(connection, meta, ("name",), [{"name": name, "value": str(newest)}])
            return added

    def _withdraw(self, connection: Connection, ids: Sequence[int], now: float) -> None:
        if not ids:
            return
        connection.execute(
            update(outbox)
            .where(outbox.c.id.in_(ids), outbox.c.state == State.WAITING, outbox.c.held_until <= now)
            .values(state=State.WITHDRAWN.value, changed=now, said="overtaken before it was sent", body=b"")
        )

    def note_once(self, found: Iterable[Event]) -> None:
        """Add events to the audit that are not in it yet, with the same kind, name and detail."""
        with _alone(self._store) as connection:
            for event in found:
                same = select(events.c.id).where(
                    events.c.kind == event.kind,
                    events.c.name == event.name,
                    events.c.detail == msgspec.json.encode(event.detail).decode(),
                )
                if connection.execute(same.limit(1)).first() is None:
                    carrying.write_events(connection, [event])

    # Sending from it

    def claim(self, holder: str, now: float, *, lease: float, most: int) -> Item | None:
        """The next row that is due, which is this holder's for ``lease`` seconds; None if there is none.

        Args:
            holder: names the node and the attempt.
            now: UTC seconds since 1970.
            lease: how long nobody else takes it.
            most: notices in an hour, of all nodes together.
        """
        with _alone(self._store) as connection:
            stopped = _stopped(connection) is not None or _written(connection, now) >= most
            query = select(outbox).where(
                outbox.c.state == State.WAITING, outbox.c.due <= now, outbox.c.held_until <= now
            )
            if stopped:
                query = query.where(outbox.c.kind != Kind.NOTICE)
            row = connection.execute(query.order_by(outbox.c.due, outbox.c.id).limit(1)).mappings().first()
            if row is None:
                return None
            held = {"holder": holder, "held_until": now + lease, "attempts": row["attempts"] + 1}
            connection.execute(update(outbox).where(outbox.c.id == row["id"]).values(**held))
            return item_of({**row, **held})

    def hand_over(self, item: Item, now: float) -> bool:
        """Note that the last byte goes out next; false, and nothing may go out, if the claim has passed."""
        with self._store._write() as connection:  # noqa: SLF001 - of this room
            if item.kind is Kind.NOTICE and _stopped(connection):
                return False
            result = connection.execute(
                update(outbox)
                .where(
                    outbox.c.id == item.id,
                    outbox.c.state == State.WAITING,
                    outbox.c.holder == item.holder,
                    outbox.c.held_until > now,
                )
                .values(state=State.HANDING_OVER.value, changed=now)
            )
            return result.rowcount == 1

    def finish(self, item: Item, state: State, now: float, *, said: str = "", due: float = 0.0) -> bool:
        """Note how it ended: `sent`, `refused`, or `waiting` until ``due``.

        Returns:
            Whether this holder's word still counted; a person may have decided meanwhile.
        """
        mine = outbox.c.state.in_((State.WAITING, State.HANDING_OVER, State.DOUBTFUL))
        values: dict[str, Any] = {
            "state": state.value,
            "changed": now,
            "said": said[:_SAID],
            "due": due,
            "held_until": 0.0,
        }
        if state is State.SENT:
            values["body"] = b""
        with self._store._write() as connection:  # noqa: SLF001
            result = connection.execute(
                update(outbox)
                .where(outbox.c.id == item.id, outbox.c.holder == item.holder, mine)
                .values(**values)
            )
            if result.rowcount and item.kind not in POSTED and (kind := _EVENTS.get(state)):
                carrying.write_events(connection, [_event(item, kind, now, said)])
            return result.rowcount == 1

    def postpone(self, kind: Kind, target: str, now: float, due: float) -> None:
        """Let all that waits for a target wait for the same time: it is away, and others are not to wait."""
        rest = (outbox.c.kind == kind) & (outbox.c.organisation == target)
        waiting = rest & (outbox.c.state == State.WAITING) & (outbox.c.held_until <= now)
        with self._store._write() as connection:  # noqa: SLF001
            connection.execute(update(outbox).where(waiting, outbox.c.due < due).values(due=due))

    def sweep(self, now: float) -> list[Item]:
        """Settle what nodes that died left between handing over and the answer; tells what is doubtful."""
        with _alone(self._store) as connection:
            left = (outbox.c.state == State.HANDING_OVER) & (outbox.c.held_until <= now)
            rows = connection.execute(select(outbox).where(left)).mappings().all()
            found = [item_of(row) for row in rows if row["kind"] == Kind.NOTICE]
            values: dict[str, Any] = {"changed": now, "said": "handed over, but no answer was heard"}
            notices = outbox.c.kind == Kind.NOTICE
            connection.execute(
                update(outbox).where(left, notices).values(state=State.DOUBTFUL.value, **values)
            )
            connection.execute(
                update(outbox).where(left, ~notices).values(state=State.WAITING.value, **values)
            )
            carrying.write_events(connection, [_event(it, "notice-doubtful", now) for it in found])
            return found

    # What people do

    def settle(self, item_id: int, state: State, now: float, by: str) -> Item | None:
        """A person's word on a row that is doubtful, refused or waiting: send it again, or let it be."""
        settled = (State.WAITING, State.DOUBTFUL, State.REFUSED, State.UNADDRESSED)
        with _alone(self._store) as connection:
            row = connection.execute(select(outbox).where(outbox.c.id == item_id)).mappings().first()
            if row is None or row["state"] not in settled or (state is State.WAITING and not row["body"]):
                return None
            item = item_of(row)
            values: dict[str, Any] = {"holder": "", "held_until": 0.0}
            values |= {"state": state.value, "changed": now, "due": now}
            connection.execute(update(outbox).where(outbox.c.id == item_id).values(**values))
            kind = "notice-retried" if state is State.WAITING else "notice-withdrawn"
            carrying.write_events(connection, [_event(item, kind, now, actor=by)])
            return item

    def stop(self, now: float, by: str, why: str) -> None:
        """Throw the kill switch: no notice leaves any node until `start`."""
        value = msgspec.json.encode(Stopped(now, by, why)).decode()
        with _alone(self._store) as connection:
            carrying.upsert(connection, meta, ("name",), [{"name": _STOPPED, "value": value}])
            carrying.write_events(connection, [Event(now, "notices-stopped", actor=by, detail={"why": why})])

    def start(self, now: float, by: str) -> bool:
        """Let notices go out again; false if they were not stopped."""
        with _alone(self._store) as connection:
            if connection.execute(delete(meta).where(meta.c.name == _STOPPED)).rowcount == 0:
                return False
            carrying.write_events(connection, [Event(now, "notices-started", actor=by)])
            return True

    def stopped(self) -> Stopped | None:
        """Who has stopped the notices, if somebody has."""
        with self._store._read() as connection:  # noqa: SLF001
            return _stopped(connection)

    def stop_contact(self, address: str, now: float, why: str, by: str = "wehr") -> None:
        """Write to an address no more."""
        row = {"address": address.lower(), "at": now, "why": why[:_SAID]}
        detail: Detail = {"address": address.lower(), "why": why[:_SAID]}
        with self._store._write() as connection:  # noqa: SLF001
            carrying.upsert(connection, stopped_contacts, ("address",), [row])
            carrying.write_events(connection, [Event(now, "contact-stopped", actor=by, detail=detail)])

    def resume_contact(self, address: str, now: float, by: str) -> bool:
        """Write to an address again; false if that was never stopped."""
        with self._store._write() as connection:  # noqa: SLF001
            gone = delete(stopped_contacts).where(stopped_contacts.c.address == address.lower())
            if connection.execute(gone).rowcount == 0:
                return False
            event = Event(now, "contact-resumed", actor=by, detail={"address": address.lower()})
            carrying.write_events(connection, [event])
            return True

    # What people and the room ask

    def stopped_contacts(self) -> dict[str, str]:
        """The addresses that are not written to any more, and why."""
        with self._store._read() as connection:  # noqa: SLF001
            query = select(stopped_contacts.c.address, stopped_contacts.c.why)
            return {row[0]: row[1] for row in connection.execute(query.order_by(stopped_contacts.c.address))}

    def items(
        self,
        *,
        kind: Kind | None = None,
        states: Sequence[State] = (),
        organisation: str = "",
        since: float = 0.0,
        limit: int = 1000,
    ) -> list[Item]:
        """Rows, newest first."""
        query = select(outbox).where(outbox.c.changed >= since)
        if kind is not None:
            query = query.where(outbox.c.kind == kind)
        if states:
            query = query.where(outbox.c.state.in_(states))
        if organisation:
            query = query.where(outbox.c.organisation == organisation)
        with self._store._read() as connection:  # noqa: SLF001
            rows = connection.execute(query.order_by(outbox.c.id.desc()).limit(limit)).mappings()
            return [item_of(row) for row in rows]

    def count(self) -> dict[State, int]:
        """How many rows have not come to an end, by state; those of notices, digests, webhooks and chats."""
        ended = (State.SENT, State.WITHDRAWN)
        open_states = [state for state in State if state not in ended]
        query = (
            select(outbox.c.state, func.count())
            .where(outbox.c.state.in_(open_states))
            .group_by(outbox.c.state)
        )
        with self._store._read() as connection:  # noqa: SLF001
            found = {State(row[0]): row[1] for row in connection.execute(query)}
        return {state: found.get(state, 0) for state in open_states}

    def nodes(self) -> dict[str, float]:
        """When each node's journal was last carried in."""
        with self._store._read() as connection:  # noqa: SLF001
            return {row[0]: row[1] for row in connection.execute(select(journals.c.node, journals.c.at))}

    def of_message(self, message_id: str) -> Item | None:
        """The row that a Message-ID (without brackets) is of."""
        with self._store._read() as connection:  # noqa: SLF001
            query = select(outbox).where(outbox.c.message_id == message_id, outbox.c.message_id != "")
            row = connection.execute(query).mappings().first()
            return None if row is None else item_of(row)


_EVENTS: Final = {State.SENT: "sent", State.REFUSED: "refused", State.DOUBTFUL: "doubtful"}


@contextmanager
def _alone(store: Database) -> Iterator[Connection]:
    """A transaction of which there is one at a time in the whole fleet: so what it counts stays true."""
    with store._write() as connection:  # noqa: SLF001
        if connection.dialect.name == "postgresql":  # SQLite's BEGIN IMMEDIATE does the same
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        yield connection


def _stopped(connection: Connection) -> Stopped | None:
    value = connection.scalar(select(meta.c.value).where(meta.c.name == _STOPPED))
    return None if value is None else msgspec.json.decode(value, type=Stopped)


def _written(connection: Connection, now: float) -> int:
    """Notices handed over in the last hour, or about to be."""
    ended = outbox.c.state.in_((State.SENT, State.HANDING_OVER, State.DOUBTFUL))
    recent = ended & (outbox.c.changed > now - _HOUR)
    held = (outbox.c.state == State.WAITING) & (outbox.c.held_until > now)
    query = select(func.count()).where(outbox.c.kind == Kind.NOTICE, or_(recent, held))
    return int(connection.execute(query).scalar_one())


def _insert(connection: Connection, drafts: Sequence[Draft], now: float) -> None:
    rows = [row_of(draft, now) for draft in drafts]
    if rows:
        carrying.execute_many(connection, outbox.insert(), rows)


def _event_of(row: RowMapping) -> Event:
    taken = {name: row[name] for name in ("at", "kind", "tenant", "ref", "name", "actor", "id")}
    return Event(**taken, detail=msgspec.json.decode(row["detail"]))


def _event(draft: Draft, kind: str, now: float, said: str = "", actor: str = "wehr") -> Event:
    """The audit's line on a notice or digest."""
    word = kind if kind.startswith("notice-") else f"{draft.kind}-{kind}"
    detail: Detail = {
        "reason": draft.reason,
        "episode": draft.episode,
        "to": ", ".join(draft.recipients),
        "servers": len(draft.servers),
    }
    if said:
        detail["said"] = said[:_SAID]
    return Event(now, word, draft.tenant, name=draft.organisation, actor=actor, detail=detail)

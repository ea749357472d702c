"""What people do: pauses and exemptions, each in one transaction with the event that says who, when and why.

``now`` is UTC seconds since 1970, ``by`` the doer's name for the audit. ``sees`` tells of which tenants the
doer may touch anything; what is another's is not there for them. All raise what the store's methods raise.
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec.structs import replace

from wehr.ledger.memory import reference
from wehr.ledger.rows import Detail, Event, ServerRow
from wehr.ledger.store import Store
from wehr.policy import pauses
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption

Sees = Callable[[str], bool]
_LONGEST: Final = 1000


class NotThere(ValueError):
    """There is no such pause or exemption, or it is not the doer's to touch."""


class Conflict(ValueError):
    """It is there already, or has changed meanwhile."""


def everybody(_tenant: str) -> bool:
    """The ``sees`` of those who may touch all."""
    return True


def pause(
    store: Store,
    tenant: str,
    server: ServerRow | None,
    *,
    start: float | None,
    days: int,
    why: str,
    by: str,
    now: float,
    quota: int,
    ident: str = "",
) -> Pause:
    """Stop the clocks of a tenant, or of one server, whose tenant counts then; from now on without ``start``.

    With an ``ident`` of one's own, what is asked twice is done once.

    Raises:
        QuotaExceeded: it needs more days than are left.
        Conflict: there is one of the same tenant or server that holds as long: asking again makes no second.
        ValueError: it cannot be: in the past, too long, without a reason, or its ``ident`` is there already.
    """
    new = Pause(
        ident or secrets.token_hex(4),
        server.key.tenant if server else tenant,
        now if start is None else start,
        days,
        now,
        server.key if server else None,
        by=by,
        why=_said(why),
    )
    detail: Detail = {"id": new.id, "days": days, "from": _iso(new.start), "why": new.why}
    ref, name = (server.ref, server.key.name) if server else ("", "")
    event = Event(now, "pause-added", new.tenant, ref, name, by, detail)

    def change(old: tuple[Pause, ...]) -> tuple[Pause, ...]:
        for one in old:
            same = (one.tenant, one.server) == (new.tenant, new.server)
            if same and one.start <= new.start and one.end >= new.end:
                raise Conflict(f"there is a pause until {_iso(one.end)} already: {one.id!r}")
        return pauses.request(old, new, now, quota)

    store.change_pauses(change, event)
    return new


def extend_pause(
    store: Store,
    pause_id: str,
    days: int,
    *,
    why: str,
    by: str,
    now: float,
    quota: int,
    sees: Sees = everybody,
    was: int | None = None,
) -> Pause:
    """Make a pause longer by some days.

    With ``was``, the days that it is thought to have, what is asked twice is done once.

    Raises:
        NotThere: there is none with this id.
        QuotaExceeded: it needs more days than are left.
        Conflict: it has other days than ``was``.
        ValueError: it has ended, or would be too long.
    """
    detail: Detail = {"id": pause_id, "days": days, **({"why": why} if why else {})}
    event = Event(now, "pause-extended", actor=by, detail=detail)
    event = _with_server(event, store, _find(store.pauses(), pause_id, sees))

    def change(old: tuple[Pause, ...]) -> tuple[Pause, ...]:
        if was not in (None, _find(old, pause_id, sees).days):
            raise Conflict(f"somebody else has changed the pause {pause_id!r}")
        return pauses.extend(old, pause_id, days, now, quota)

    return _find(store.change_pauses(change, event), pause_id, sees)


def cancel_pause(
    store: Store, pause_id: str, *, why: str, by: str, now: float, sees: Sees = everybody
) -> Pause:
    """End a pause now; the days that it has not started are given back.

    Raises:
        NotThere: there is none with this id.
        ValueError: it has ended already.
    """
    detail: Detail = {"id": pause_id, **({"why": why} if why else {})}
    event = Event(now, "pause-cancelled", actor=by, detail=detail)
    event = _with_server(event, store, _find(store.pauses(), pause_id, sees))

    def change(old: tuple[Pause, ...]) -> tuple[Pause, ...]:
        _find(old, pause_id, sees)
        return pauses.cancel(old, pause_id, now)

    return _find(store.change_pauses(change, event), pause_id, sees)


def _with_server(event: Event, store: Store, known: Pause) -> Event:
    """The event of a pause, so that it is found with the server that the pause is of."""
    key = known.server
    ref, name = (reference(key, store.secret), key.name) if key else ("", "")
    return replace(event, tenant=known.tenant, ref=ref, name=name)


def exempt(
    store: Store,
    *,
    server: str = "",
    network: str = "",
    domain: str = "",
    tenant: str = "",
    until: float | None = None,
    why: str,
    by: str,
    now: float,
    ref: str = "",
    ident: str = "",
) -> tuple[str, Exemption]:
    """Leave alone who meets all conditions that are named; gives the exemption and its id.

    ``ref`` is the server that it is made for, where it is for one, so that the event is found with it.
    With an ``ident`` of one's own, what is asked twice is done once.

    Raises:
        Conflict: there is one for the same that lasts as long: asking again makes no second.
        ValueError: it names nobody, ends before it begins, has no reason, or its ``ident`` is there already.
    """
    exemption = Exemption(
        datetime.fromtimestamp(now, UTC),
        _said(why),
        None if until is None else datetime.fromtimestamp(until, UTC),
        server.strip().lower().rstrip("."),
        network.strip(),
        domain.strip().lower(),
        tenant,
        by,
    )
    for known, old in store.exemptions().items():
        if known == ident:
            raise ValueError(f"there is an exemption {ident!r} already")
        lasts = old.until is None or (exemption.until is not None and old.until >= exemption.until)
        if lasts and _named(old) == _named(exemption):
            raise Conflict(f"there is an exemption that lasts as long already: {known!r}")
    ident = ident or secrets.token_hex(4)
    detail: Detail = {
        "id": ident,
        "network": exemption.network,
        "domain": exemption.domain,
        "until": None if until is None else _iso(until),
        "reason": exemption.reason,
    }
    event = Event(now, "exemption-added", tenant, ref, exemption.server, by, detail)
    store.put_exemption(ident, exemption, event)
    return ident, exemption


def end_exemption(
    store: Store, ident: str, *, why: str, by: str, now: float, sees: Sees = everybody, ref: str = ""
) -> Exemption:
    """End an exemption now; the clocks that it stopped go on from where they stood.

    Raises:
        NotThere: there is none with this id.
        ValueError: it has ended already.
    """
    old = store.exemptions().get(ident)
    if old is None or not sees(old.tenant):
        raise NotThere(f"there is no exemption {ident!r}")
    if old.until and old.until.timestamp() <= now:
        raise ValueError(f"exemption {ident!r} has ended on {_iso(old.until.timestamp())} already")
    # One that was made at this very moment ends right after it began.
    end = max(datetime.fromtimestamp(now, UTC), old.since + timedelta(microseconds=1))
    ended = replace(old, until=end)
    detail: Detail = {"id": ident, **({"why": why} if why else {})}
    event = Event(now, "exemption-cancelled", old.tenant, ref, old.server, by, detail)
    store.put_exemption(ident, ended, event)
    return ended


def _named(it: Exemption) -> tuple[str, ...]:
    return it.server, it.network, it.domain, it.tenant


def _find(found: tuple[Pause, ...], pause_id: str, sees: Sees) -> Pause:
    for one in found:
        if one.id == pause_id and sees(one.tenant):
            return one
    raise NotThere(f"there is no pause {pause_id!r}")


def _said(why: str) -> str:
    if not why.strip():
        raise ValueError("a reason must be given")
    if len(why) > _LONGEST:  # every node holds it in memory
        raise ValueError(f"a reason has {_LONGEST} characters at most")
    return why.strip()


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Pauses and exemptions as deeds: what each would change, in words, and how it is done."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from starlette.exceptions import HTTPException

from wehr.ledger import Store, deeds
from wehr.ledger.listing import ServerQuery
from wehr.ledger.memory import reference
from wehr.ledger.rows import ServerRow
from wehr.policy import Holds, ServerKey
from wehr.policy import pauses as pausing
from wehr.policy.pauses import Pause, QuotaExceeded, used
from wehr.policy.phrases import Phrase, Value
from wehr.policy.scope import Exemption, exemption_stops, tenant_names
from wehr.web.deed import DONE_ALREADY, Impossible, Plan
from wehr.web.effects import effect, moment
from wehr.web.languages import N_
from wehr.web.visit import Visit

_LONGEST: Final = 366
_YEARS: Final = range(1970, 2200)


class Scene(Struct, frozen=True):
    """What the store holds that a deed goes by: what was done a moment ago, too."""

    now: float
    pauses: tuple[Pause, ...]
    exemptions: Mapping[str, Exemption]
    secret: bytes
    row: ServerRow | None = None
    """The server that the deed was asked for on the page of."""


def tenants_of(visit: Visit) -> list[str]:
    """The tenants that are the visitor's to touch."""
    every = tenant_names(visit.house.present.policy.tenants)
    return [name for name in every if visit.visitor.sees(name)]


def days_left(visit: Visit, known: Sequence[Pause], tenant: str) -> int:
    """Days of this year's quota that are left to a tenant."""
    year = datetime.fromtimestamp(visit.house.now(), UTC).year
    return max(0, visit.house.present.policy.pause_days - used(known, tenant, year))


# The deeds


async def pause(visit: Visit, once: str) -> Plan:
    """Pause a server, or a whole tenant."""
    scene, given = await _scene(visit), visit.query
    tenant = scene.row.key.tenant if scene.row else given.get("tenant", "")
    if tenant not in tenants_of(visit):
        raise HTTPException(404)
    start = _first_moment(given.get("from", ""), scene.now)
    key = scene.row.key if scene.row else None
    new = Pause(once, tenant, start, _days(given), scene.now, key)
    for old in scene.pauses:
        if old.id == once:
            raise Impossible(DONE_ALREADY, status=409)
        if old.tenant == tenant and old.server in (None, key) and old.start <= start and old.end >= new.end:
            raise Impossible(N_("It is paused until %(end)s already."), {"end": moment(old.end)}, status=409)
    quota = visit.house.present.policy.pause_days
    planned = _changed(partial(pausing.request, scene.pauses, new, scene.now, quota), scene, new, quota)
    values: dict[str, Value] = {"tenant": tenant, "start": moment(start), "end": moment(new.end)}
    if key:
        values["server"] = key.name
    text = _PAUSED[bool(key), start > scene.now]
    return Plan(
        N_("Pause"),
        (
            Phrase(text, values),
            *await _effects(visit, scene, key if start == scene.now else None, planned),
            *_cost(scene.pauses, planned, new, quota),
        ),
        partial(
            deeds.pause,
            tenant=tenant,
            server=scene.row,
            start=start if start > scene.now else None,
            days=new.days,
            quota=quota,
            ident=once,
        ),
        _back(visit, scene),
        await _concerned(visit, new),
    )


_PAUSED: Final = {
    (True, False): N_("%(server)s (tenant %(tenant)s) is paused from now until %(end)s."),
    (True, True): N_("%(server)s (tenant %(tenant)s) is paused from %(start)s until %(end)s."),
    (False, False): N_("All servers of the tenant %(tenant)s are paused from now until %(end)s."),
    (False, True): N_("All servers of the tenant %(tenant)s are paused from %(start)s until %(end)s."),
}


async def extend(visit: Visit, _once: str) -> Plan:
    """Make a pause longer."""
    scene = await _scene(visit)
    old, days = _pause_of(visit, scene), _days(visit.query)
    quota = visit.house.present.policy.pause_days
    longer = replace(old, days=old.days + days)
    planned = _changed(
        partial(pausing.extend, scene.pauses, old.id, days, scene.now, quota), scene, longer, quota
    )
    values = {**_pause_values(old), "later": moment(longer.end)}
    return Plan(
        N_("Extend the pause"),
        (
            Phrase(_ENDS_LATER[bool(old.server)], values),
            *await _effects(visit, scene, old.server, planned),
            *_cost(scene.pauses, planned, longer, quota),
        ),
        partial(
            deeds.extend_pause, pause_id=old.id, days=days, quota=quota, sees=visit.visitor.sees, was=old.days
        ),
        _back(visit, scene),
        await _concerned(visit, old),
    )


_ENDS_LATER: Final = {
    True: N_("The pause of %(server)s (tenant %(tenant)s) ends on %(later)s instead of %(end)s."),
    False: N_("The pause of all servers of the tenant %(tenant)s ends on %(later)s instead of %(end)s."),
}


async def end_pause(visit: Visit, _once: str) -> Plan:
    """End a pause before its time."""
    scene = await _scene(visit)
    old, now = _pause_of(visit, scene), scene.now
    planned = _changed(partial(pausing.cancel, scene.pauses, old.id, now), scene, old, 0)
    year = datetime.fromtimestamp(now, UTC).year
    back = sum(
        used(scene.pauses, old.tenant, it) - used(planned, old.tenant, it) for it in range(year, year + 3)
    )
    return Plan(
        N_("End the pause"),
        (
            Phrase(_ENDS_NOW[bool(old.server)], _pause_values(old)),
            Phrase(N_("Days that are given back to the tenant: %(days)s."), {"days": back}),
            *await _effects(visit, scene, old.server, planned),
        ),
        partial(deeds.cancel_pause, pause_id=old.id, sees=visit.visitor.sees),
        _back(visit, scene),
        await _concerned(visit, old),
    )


_ENDS_NOW: Final = {
    True: N_("The pause of %(server)s (tenant %(tenant)s) ends now instead of %(end)s."),
    False: N_("The pause of all servers of the tenant %(tenant)s ends now instead of %(end)s."),
}


async def exempt(visit: Visit, once: str) -> Plan:
    """Leave a server alone."""
    scene = await _scene(visit)
    row, now = scene.row, scene.now
    if row is None:
        raise HTTPException(404)
    until = _last_moment(visit.query.get("until", ""))
    if until is not None and until <= now:
        raise Impossible(N_("The last day has passed."))
    key = row.key
    for ident, old in scene.exemptions.items():
        if ident == once:
            raise Impossible(DONE_ALREADY, status=409)
        lasts = old.until is None or (until is not None and old.until.timestamp() >= until)
        if lasts and exemption_stops((old,), key, row.state.client_ip, row.client_name):
            raise Impossible(N_("It is exempt already, for as long or longer."), status=409)
    # From the second on that has begun: a time to the microsecond may be rounded to after now.
    start, end = moment(int(now)), None if until is None else moment(until)
    new = Exemption(start, "-", end, key.name, key.network, "", key.tenant)
    text = N_("%(server)s in the network %(network)s (tenant %(tenant)s) is left alone until %(end)s.")
    values: dict[str, Value] = {"server": key.name, "network": key.network, "tenant": key.tenant}
    if until is None:
        text = N_(
            "%(server)s in the network %(network)s (tenant %(tenant)s) is left alone until somebody "
            "ends the exemption."
        )
    else:
        values["end"] = moment(until)
    then = replace(scene, exemptions={**scene.exemptions, once: new})
    return Plan(
        N_("Exempt"),
        (Phrase(text, values), *await _effects(visit, then, key, scene.pauses)),
        partial(
            deeds.exempt,
            server=key.name,
            network=key.network,
            tenant=key.tenant,
            until=until,
            ref=row.ref,
            ident=once,
        ),
        _back(visit, scene),
    )


async def end_exemption(visit: Visit, _once: str) -> Plan:
    """End an exemption before its time."""
    scene = await _scene(visit)
    row, ident = scene.row, visit.query.get("exemption", "")
    old = scene.exemptions.get(ident)
    if old is None or row is None or not visit.visitor.sees(old.tenant):
        raise HTTPException(404)
    if old.until and old.until.timestamp() <= scene.now:
        raise Impossible(N_("It ended on %(end)s already."), {"end": old.until}, status=409)
    named = {"server": old.server, "network": old.network, "domain": old.domain, "tenant": old.tenant}
    then = replace(scene, exemptions={name: it for name, it in scene.exemptions.items() if name != ident})
    who = ", ".join(value for value in named.values() if value)
    return Plan(
        N_("End the exemption"),
        (
            Phrase(
                N_("The exemption of %(who)s ends now. Nobody whom it names is left alone any more."),
                {"who": who},
            ),
            *await _effects(visit, then, row.key, scene.pauses),
        ),
        partial(deeds.end_exemption, ident=ident, sees=visit.visitor.sees, ref=row.ref),
        _back(visit, scene),
    )


# What they have in common


async def _scene(visit: Visit) -> Scene:
    ref, now = visit.query.get("ref", ""), visit.house.now()

    def look(store: Store) -> Scene:
        row = store.server(ref) if ref else None
        row = row if row and row.ref == ref else None
        return Scene(now, store.pauses(), store.exemptions(), store.secret, row)

    scene = await visit.house.ask(look)
    if ref and (scene.row is None or not visit.visitor.sees(scene.row.key.tenant)):
        raise HTTPException(404)
    return scene


def _pause_of(visit: Visit, scene: Scene) -> Pause:
    ident = visit.query.get("pause", "")
    found = next((it for it in scene.pauses if it.id == ident and visit.visitor.sees(it.tenant)), None)
    if found is None:
        raise HTTPException(404)
    if found.cancelled is not None or found.end <= scene.now:
        raise Impossible(N_("It ended on %(end)s already."), {"end": moment(found.end)}, status=409)
    return found


def _pause_values(known: Pause) -> dict[str, Value]:
    server: dict[str, Value] = {"server": known.server.name} if known.server else {}
    return {**server, "tenant": known.tenant, "end": moment(known.end)}


def _changed(
    change: Callable[[], tuple[Pause, ...]], scene: Scene, wanted: Pause, quota: int
) -> tuple[Pause, ...]:
    """The pauses as they would be."""
    try:
        return change()
    except QuotaExceeded:
        every = [*(it for it in scene.pauses if it.id != wanted.id), wanted]
        year = next((it for it in _years(wanted) if used(every, wanted.tenant, it) > quota), 0)
        left = max(0, quota - used(scene.pauses, wanted.tenant, year))
        raise Impossible(
            N_("So many days are not left: the tenant %(tenant)s has %(left)s more in %(year)s."),
            {"tenant": wanted.tenant, "left": left, "year": str(year)},
            status=409,
        ) from None
    except ValueError:
        raise Impossible(N_("A pause has 366 days at most.")) from None


def _cost(old: Sequence[Pause], new: Sequence[Pause], wanted: Pause, quota: int) -> list[Phrase]:
    """How many days of each year's quota it takes."""
    found = []
    for year in _years(wanted):
        before, after = used(old, wanted.tenant, year), used(new, wanted.tenant, year)
        values: dict[str, Value] = {"year": str(year), "days": after - before, "left": max(0, quota - after)}
        text = N_("Days of the tenant's quota of %(year)s that it takes: %(days)s. Left after it: %(left)s.")
        found.append(Phrase(text, values))
    return found


def _years(wanted: Pause) -> list[int]:
    ends = (wanted.start, wanted.end - 1)
    first, last = (datetime.fromtimestamp(at, UTC).year for at in ends)
    return list(range(first, last + 1))


async def _effects(
    visit: Visit, scene: Scene, key: ServerKey | None, planned: tuple[Pause, ...]
) -> list[Phrase]:
    """What becomes of a server now; without one, what a pause is."""
    if key is None:
        return [
            Phrase(
                N_(
                    "While a clock stands, a server stays in its stage and nothing of it is delayed or "
                    "refused; then it goes on where it stood."
                )
            )
        ]
    row, ref = scene.row, reference(key, scene.secret)
    if row is None or row.ref != ref:
        row = await visit.house.ask(lambda store: store.server(ref))
    if row is None:  # forgotten meanwhile
        return []
    known, basis = row, visit.house.basis([key])
    holds = Holds.of(basis.policy, planned, tuple(scene.exemptions.values()))
    then = replace(basis, holds=holds, now=scene.now)
    return await visit.house.work(lambda: effect(known, then, scene.secret))


async def _concerned(visit: Visit, known: Pause) -> tuple[Phrase, ...]:
    """How many servers a tenant's pause concerns at present."""
    if known.server:
        return ()
    listing = await visit.house.listing()
    query = ServerQuery(tenant=known.tenant, out_of_date=True, silent=False)
    found = await visit.house.work(lambda: len(listing.find(query)))
    return (Phrase(N_("Servers of the tenant that are out of date now: %(count)s."), {"count": found}),)


def _back(visit: Visit, scene: Scene) -> str:
    """The page to come back to: the one that it was asked for on."""
    return visit.url("server", ref=scene.row.ref) if scene.row else visit.url("policy")


def _days(given: Mapping[str, str]) -> int:
    text = given.get("days", "").strip()
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:4]) <= _LONGEST or len(text) > 3:
        raise Impossible(N_("Say for how many days, from 1 to 366."))
    return int(text)


def _first_moment(text: str, now: float) -> float:
    """The beginning of a day (UTC); now for today and for no day."""
    day = _day(text)
    start = now if day is None else datetime.combine(day, time.min, UTC).timestamp()
    if start < now and day != datetime.fromtimestamp(now, UTC).date():
        raise Impossible(N_("The first day has passed."))
    return max(now, start)


def _last_moment(text: str) -> float | None:
    """The end of a day (UTC); None for no day."""
    day = _day(text)
    return None if day is None else datetime.combine(day, time.max, UTC).timestamp()


def _day(text: str) -> date | None:
    if not text.strip():
        return None
    try:
        day = datetime.fromisoformat(text.strip()).date()
    except ValueError:
        day = date.min
    if day.year not in _YEARS:
        raise Impossible(N_("Write the day as YYYY-MM-DD."))
    return day

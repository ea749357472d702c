"""Pauses and exemptions: listed, made, and ended."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

from msgspec import Meta, Struct

from wehr.ledger import Store, deeds
from wehr.policy.pauses import Pause, QuotaExceeded, used
from wehr.policy.scope import Exemption
from wehr.web.api.operation import (
    Call,
    Instant,
    Nothing,
    Operation,
    Reason,
    maybe,
    missing,
    moment,
    problem,
    seconds,
)
from wehr.web.api.servers import known_server
from wehr.web.holding import tenants_of
from wehr.web.visit import Need, Visit

T = TypeVar("T")

_Name = Annotated[str, Meta(max_length=300)]
_Days = Annotated[int, Meta(ge=1, le=366, description="Started days (UTC), the first one included.")]


class PauseShown(Struct, frozen=True):
    """The clocks of a tenant, or of one server, stopped."""

    id: str
    tenant: str
    server: str | None
    network: str | None
    start: datetime
    end: datetime
    days: int
    """The days that it uses of the year's quota."""
    by: str
    why: str
    cancelled: datetime | None


class Pauses(Struct, frozen=True):
    """The pauses there are and have been."""

    items: tuple[PauseShown, ...]
    year: int
    quota: int
    days_left: dict[str, int]
    """Days of this year's quota that are left to each tenant."""


class PauseWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """A pause to make: of a tenant, or of the server of a reference."""

    days: _Days
    why: Reason
    tenant: _Name = ""
    server: Annotated[str, Meta(pattern="^([a-z2-7]{16})?$", description="A server's reference.")] = ""
    start: Instant | None = None


class Extension(Struct, frozen=True, forbid_unknown_fields=True):
    """A pause made longer."""

    days: _Days
    why: Reason
    was: Annotated[int | None, Meta(description="The days that it has: with others it is left as it is.")] = (
        None
    )


class Because(Struct, frozen=True, forbid_unknown_fields=True):
    """Why something is ended."""

    why: Reason


class ExemptionShown(Struct, frozen=True):
    """Who is left alone; one of the configuration is ended there, not here."""

    id: str
    server: str
    network: str
    domain: str
    tenant: str
    since: datetime
    until: datetime | None
    by: str
    reason: str
    configured: bool


class ExemptionWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """An exemption to make: of whoever meets all conditions that are named."""

    why: Reason
    server: Annotated[_Name, Meta(description="The name that it stamps.")] = ""
    network: Annotated[_Name, Meta(description="A client address or network.")] = ""
    domain: _Name = ""
    tenant: Annotated[_Name, Meta(description="Empty: all tenants.")] = ""
    until: Instant | None = None


async def _pauses(call: Call[Nothing, None]) -> Pauses:
    house = call.visit.house
    sees = call.visit.visitor.sees
    every = await house.ask(Store.pauses)
    quota, year = house.present.policy.pause_days, datetime.fromtimestamp(house.now(), UTC).year
    left = {name: max(0, quota - used(every, name, year)) for name in tenants_of(call.visit)}
    return Pauses(tuple(pause_shown(it) for it in every if sees(it.tenant)), year, quota, left)


async def _add_pause(call: Call[Nothing, PauseWanted]) -> PauseShown:
    wanted, visit = call.body, call.visit
    if bool(wanted.tenant) == bool(wanted.server):
        raise problem(HTTPStatus.UNPROCESSABLE_ENTITY, "name either a tenant or a server")
    server = await known_server(visit, wanted.server) if wanted.server else None
    if wanted.tenant:
        _check_tenant(visit, wanted.tenant)
    deed = partial(
        deeds.pause,
        tenant=wanted.tenant,
        server=server,
        start=seconds(wanted.start) if wanted.start else None,
        days=wanted.days,
        quota=visit.house.present.policy.pause_days,
    )
    return pause_shown(await _done(visit, deed, wanted.why))


async def _extend_pause(call: Call[Nothing, Extension]) -> PauseShown:
    deed = partial(
        deeds.extend_pause,
        pause_id=call.path("id"),
        days=call.body.days,
        was=call.body.was,
        quota=call.visit.house.present.policy.pause_days,
        sees=call.visit.visitor.sees,
    )
    return pause_shown(await _done(call.visit, deed, call.body.why))


async def _cancel_pause(call: Call[Nothing, Because]) -> PauseShown:
    deed = partial(deeds.cancel_pause, pause_id=call.path("id"), sees=call.visit.visitor.sees)
    return pause_shown(await _done(call.visit, deed, call.body.why))


async def _exemptions(call: Call[Nothing, None]) -> tuple[ExemptionShown, ...]:
    house, sees = call.visit.house, call.visit.visitor.sees
    stored = await house.ask(Store.exemptions)
    configured = house.present.facts.configured_exemptions
    return (
        *(exemption_shown(f"configuration-{n}", it, configured=True) for n, it in enumerate(configured, 1)
          if sees(it.tenant)),
        *(exemption_shown(ident, it) for ident, it in stored.items() if sees(it.tenant)),
    )  # fmt: skip


async def _exempt(call: Call[Nothing, ExemptionWanted]) -> ExemptionShown:
    wanted, visit = call.body, call.visit
    if wanted.tenant:
        _check_tenant(visit, wanted.tenant)
    elif not visit.visitor.sees(""):
        raise problem(HTTPStatus.FORBIDDEN, "name a tenant of yours")
    deed = partial(
        deeds.exempt,
        server=wanted.server,
        network=wanted.network,
        domain=wanted.domain,
        tenant=wanted.tenant,
        until=seconds(wanted.until) if wanted.until else None,
    )
    ident, exemption = await _done(visit, deed, wanted.why)
    return exemption_shown(ident, exemption)


async def _end_exemption(call: Call[Nothing, Because]) -> ExemptionShown:
    ident = call.path("id")
    deed = partial(deeds.end_exemption, ident=ident, sees=call.visit.visitor.sees)
    return exemption_shown(ident, await _done(call.visit, deed, call.body.why))


async def _done(visit: Visit, deed: Callable[..., T], why: str) -> T:
    """Do it, in the visitor's name; what cannot be is a conflict with what there is."""
    by, now = visit.visitor.name, visit.house.now()

    def do(store: Store) -> T:
        return deed(store, why=why, by=by, now=now)

    try:
        return await visit.house.ask(do)
    except deeds.NotThere as error:
        raise missing(str(error)) from None
    except (deeds.Conflict, QuotaExceeded) as error:
        raise problem(HTTPStatus.CONFLICT, str(error)) from None
    except ValueError as error:
        raise problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None


def _check_tenant(visit: Visit, name: str) -> None:
    if name not in tenants_of(visit):
        raise problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"no tenant is called {name[:100]!r}")


def pause_shown(it: Pause) -> PauseShown:
    """A pause as it is told."""
    return PauseShown(
        it.id,
        it.tenant,
        it.server.name if it.server else None,
        it.server.network if it.server else None,
        moment(it.start),
        moment(it.end),
        len(it.touched),
        it.by,
        it.why,
        maybe(it.cancelled),
    )


def exemption_shown(ident: str, it: Exemption, *, configured: bool = False) -> ExemptionShown:
    """An exemption as it is told."""
    return ExemptionShown(
        ident, it.server, it.network, it.domain, it.tenant, it.since, it.until, it.by, it.reason, configured
    )


def _operation(method: str, path: str, name: str, summary: str, *about: Any, **more: Any) -> Operation:
    tag = "pauses" if path.startswith("/pauses") else "exemptions"
    needs = Need.READ if method == "GET" else Need.OPERATE
    more["errors"] = () if method == "GET" else (404, 409)
    return Operation(method, path, name, summary, tag, needs, *about, **more)


OPERATIONS: Final = (
    _operation("GET", "/pauses", "list-pauses", "The pauses there are and have been.", _pauses, Pauses),
    _operation(
        "POST", "/pauses", "add-pause", "Stop the clock of a tenant or server for some days.", _add_pause,
        PauseShown, body=PauseWanted, status=201,
    ),
    _operation(
        "POST", "/pauses/{id}/extension", "extend-pause", "Make a pause longer.", _extend_pause,
        PauseShown, body=Extension,
    ),
    _operation(
        "POST", "/pauses/{id}/cancellation", "cancel-pause",
        "End a pause now; the days that it has not started are given back.", _cancel_pause,
        PauseShown, body=Because,
    ),
    _operation(
        "GET", "/exemptions", "list-exemptions", "The exemptions there are and have been.", _exemptions,
        tuple[ExemptionShown, ...],
    ),
    _operation(
        "POST", "/exemptions", "add-exemption", "Leave a server, network or domain alone.", _exempt,
        ExemptionShown, body=ExemptionWanted, status=201,
    ),
    _operation(
        "POST", "/exemptions/{id}/cancellation", "cancel-exemption", "End an exemption now.", _end_exemption,
        ExemptionShown, body=Because,
    ),
)  # fmt: skip

"""Servers: the report with its filters, histories and events, and why things were decided."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from wehr.catalogue.types import State
from wehr.ledger import Event, ServerRow, SightingRow, Store
from wehr.ledger.explaining import Explanation, explain_message, explain_server
from wehr.ledger.listing import BadCursor, Entering, ServerQuery, Sort
from wehr.ledger.report import ReportRow
from wehr.ledger.state import DAY
from wehr.web.api.operation import (
    Call,
    Cursor,
    Found,
    Instant,
    Limit,
    Nothing,
    Operation,
    maybe,
    missing,
    moment,
    problem,
    seconds,
)
from wehr.web.visit import Need, Visit

_LOOK_BACK: Final = 7 * DAY
_BUILD = r"^[0-9]{1,9}(\.[0-9]{1,9}){0,3}$"


class ServersAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which servers, in which order. What is not given lets all through."""

    out_of_date: Annotated[bool | None, Meta(description="Whether the policy's rules say no.")] = None
    state: Annotated[State | None, Meta(description="What the catalogue says of the build today.")] = None
    stage: Annotated[Annotated[int, Meta(ge=0, le=1000)] | None, Meta(description="0: on no ladder.")] = None
    product: Annotated[str, Meta(max_length=200, description="Such as Exchange Server 2016.")] = ""
    branch: Annotated[
        Annotated[str, Meta(pattern=_BUILD)] | None, Meta(description="First numbers of the build.")
    ] = None
    product_branch: Annotated[
        str, Meta(max_length=300, description="Both by name, such as Exchange Server 2016 CU23.")
    ] = ""
    build: Annotated[str, Meta(max_length=50, description="The whole build.")] = ""
    cve: Annotated[str, Meta(max_length=30, description="A hole that the build certainly has.")] = ""
    exploited: Annotated[
        bool | None, Meta(description="Whether it certainly has a hole that is known to be exploited.")
    ] = None
    tenant: Annotated[str, Meta(max_length=200)] = ""
    software: Annotated[str, Meta(max_length=50, description="Such as exchange.")] = ""
    silent: Annotated[bool | None, Meta(description="Whether it has not been seen lately.")] = None
    mixed: Annotated[bool | None, Meta(description="Whether an old build goes on beside a new one.")] = None
    entering: Annotated[Entering | None, Meta(description="What comes for it within some days.")] = None
    within_days: Annotated[int, Meta(ge=1, le=366, description="The days of `entering`.")] = 30
    text: Annotated[
        str, Meta(max_length=200, description="Part of a name, network or address, or a reference.")
    ] = ""
    sort: Sort = Sort.STANDING
    order: Literal["ascending", "descending"] = "ascending"
    after: Cursor = ""
    limit: Limit = 50


class Passage(Struct, frozen=True):
    """One message's evidence, and what was decided on it."""

    id: int
    at: datetime
    queue_id: str
    door: str
    node: str
    build: str | None
    software: str
    relation: str
    confidence: str
    client_ip: str
    client_name: str
    line: str
    compliant: bool | None
    action: str
    reason: str
    enforced: bool
    stage: int
    until: datetime | None
    ladder: str


class Told(Struct, frozen=True):
    """What a person or the ladder changed."""

    id: int
    at: datetime
    kind: str
    tenant: str
    reference: str
    name: str
    actor: str
    detail: dict[str, str | int | float | bool | None]


class HistoryAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of a history, newest first."""

    after: Annotated[str, Meta(pattern="^[0-9]{0,18}$", description="From `next` of the page before.")] = ""
    limit: Limit = 100


class MessageAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """How far to look back for a message, newest first."""

    since: Annotated[Instant | None, Meta(description="By default the last seven days are looked at.")] = None


class EventsAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events, newest first."""

    since: Instant | None = None
    until: Instant | None = None
    kind: Annotated[str, Meta(max_length=50, description="Such as detected.")] = ""
    server: Annotated[str, Meta(max_length=300, description="A reference or name.")] = ""
    tenant: Annotated[str, Meta(max_length=200)] = ""
    by: Annotated[str, Meta(max_length=200, description="Who did it, or wehr.")] = ""
    after: Annotated[str, Meta(pattern="^[0-9]{0,18}$", description="From `next` of the page before.")] = ""
    limit: Limit = 100


async def _servers(call: Call[ServersAsked, None]) -> Found[ReportRow]:
    given = {name: getattr(call.query, name) for name in call.query.__struct_fields__ if name != "order"}
    query = ServerQuery(
        **{**given, "branch": call.query.branch or ""},
        descending=call.query.order == "descending",
        tenants=call.visit.visitor.tenants,
    )
    listing = await call.visit.house.listing()
    try:
        page = await call.visit.house.work(lambda: listing.page(query))
    except BadCursor as error:
        raise problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    found = await call.visit.house.report([line.ref for line in page.lines])
    return Found(tuple(row for _, row in found), page.next or None, page.total)


async def known_server(visit: Visit, ref: str) -> ServerRow:
    """A server that the visitor may see.

    Raises:
        HTTPException: there is none of this reference (404).
    """
    row = await visit.house.ask(lambda store: store.server(ref))
    if row is None or not visit.visitor.sees(row.key.tenant):
        raise missing(f"there is no server {ref!r}")
    return row


async def _messages(call: Call[HistoryAsked, None]) -> Found[Passage]:
    row = await known_server(call.visit, call.path("ref"))
    before = int(call.query.after) if call.query.after else None
    limit = call.query.limit
    rows = await call.visit.house.ask(lambda store: store.history(row.ref, limit=limit, before=before))
    more = len(rows) == limit
    return Found(tuple(map(_passage, rows)), str(rows[-1].id) if more else None)


async def _server_events(call: Call[HistoryAsked, None]) -> Found[Told]:
    row = await known_server(call.visit, call.path("ref"))
    before, limit = int(call.query.after) if call.query.after else None, call.query.limit
    tenants = call.visit.visitor.tenants
    rows = await call.visit.house.ask(
        lambda store: store.events(ref=row.ref, tenants=tenants, before=before, limit=limit)
    )
    return _told(rows, limit)


async def _server_explained(call: Call[Nothing, None]) -> Explanation:
    row = await known_server(call.visit, call.path("ref"))
    basis = call.visit.house.basis([row.key])
    return await call.visit.house.ask(lambda store: explain_server(row, basis, store.secret))


async def _message_explained(call: Call[MessageAsked, None]) -> tuple[Explanation, ...]:
    visit, queue_id, asked = call.visit, call.path("queue_id"), call.query.since
    since = seconds(asked) if asked else visit.house.now() - _LOOK_BACK

    def find(store: Store) -> tuple[bytes, list[tuple[SightingRow, ServerRow]]]:
        rows = [(it, store.server(it.ref)) for it in store.message(queue_id, since=since)]
        return store.secret, [(message, row) for message, row in rows if row is not None]

    secret, found = await visit.house.ask(find)
    seen = [(message, row) for message, row in found if visit.visitor.sees(row.key.tenant)]
    if not seen:
        raise missing(f"nothing is known of a message {queue_id[:100]!r}")
    basis = visit.house.basis([row.key for _, row in seen])
    return await visit.house.work(
        lambda: tuple(explain_message(message, row, basis, secret) for message, row in seen)
    )


async def _events(call: Call[EventsAsked, None]) -> Found[Told]:
    asked, tenants = call.query, call.visit.visitor.tenants

    def find(store: Store) -> list[Event]:
        return store.events(
            server=asked.server or None,
            since=seconds(asked.since) if asked.since else 0.0,
            until=seconds(asked.until) if asked.until else None,
            kinds=(asked.kind,) if asked.kind else (),
            tenant=asked.tenant or None,
            actor=asked.by or None,
            tenants=tenants,
            before=int(asked.after) if asked.after else None,
            limit=asked.limit,
        )

    return _told(await call.visit.house.ask(find), asked.limit)


def _passage(row: SightingRow) -> Passage:
    values = {name: getattr(row, name) for name in Passage.__struct_fields__}
    return Passage(**{**values, "at": moment(row.at), "until": maybe(row.until), "build": row.build or None})


def _told(rows: list[Event], limit: int) -> Found[Told]:
    found = tuple(
        Told(it.id, moment(it.at), it.kind, it.tenant, it.ref, it.name, it.actor, it.detail) for it in rows
    )
    return Found(found, str(rows[-1].id) if len(rows) == limit else None)


_SERVER: Final = "/servers/{ref}"
OPERATIONS: Final = (
    Operation(
        "GET", "/servers", "list-servers", "The report: servers by filters, sorted and paged.", "servers",
        Need.READ, _servers, Found[ReportRow], ServersAsked, paged=True,
    ),
    Operation(
        "GET", f"{_SERVER}/messages", "list-messages", "A server's messages, newest first.", "servers",
        Need.READ, _messages, Found[Passage], HistoryAsked, paged=True, errors=(404,),
    ),
    Operation(
        "GET", f"{_SERVER}/events", "list-server-events", "What changed for a server.", "servers",
        Need.READ, _server_events, Found[Told], HistoryAsked, paged=True, errors=(404,),
    ),
    Operation(
        "GET", f"{_SERVER}/explanation", "explain-server", "What its mail meets now, and why.", "servers",
        Need.READ, _server_explained, Explanation, errors=(404,),
    ),
    Operation(
        "GET", "/messages/{queue_id}/explanation", "explain-message", "Why a message was treated as it was.",
        "servers", Need.READ, _message_explained, tuple[Explanation, ...], MessageAsked, errors=(404,),
    ),
    Operation(
        "GET", "/events", "list-events", "What people and the ladder changed.", "events",
        Need.READ, _events, Found[Told], EventsAsked, paged=True,
    ),
)  # fmt: skip

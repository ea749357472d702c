"""The report: Microsoft's columns first, then ours; filtered, sorted and paged here, and as a file."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from wehr.catalogue.types import State
from wehr.ledger.exporting import to_csv, to_html, to_parquet
from wehr.ledger.listing import BadCursor, Entering, ServerQuery, Sort
from wehr.ledger.report import ReportRow
from wehr.policy.phrases import encoded
from wehr.web.asking import FIELDS, BadQuery, server_query
from wehr.web.languages import N_
from wehr.web.visit import Need, Page, Visit

_CHUNK: Final = 500
"""Servers that an export judges at a time, so that pages and mail come in between."""

COLUMNS: Final[tuple[tuple[str, Sort | None], ...]] = (
    (N_("Server"), Sort.NAME),
    (N_("Build"), Sort.BUILD),
    (N_("Product"), Sort.PRODUCT),
    (N_("First detected"), Sort.FIRST_DETECTED),
    (N_("Recommended builds"), None),
    (N_("Throttled from"), None),
    (N_("Blocked from"), None),
    (N_("Next stage"), Sort.NEXT_STAGE),
    (N_("Stage now"), Sort.STAGE),
    (N_("Verdict"), Sort.STATE),
    (N_("Missing updates"), None),
    (N_("Exploited holes"), None),
    (N_("Taken"), None),
    (N_("Delayed"), None),
    (N_("Refused"), None),
    (N_("Confidence"), None),
    (N_("Last seen"), Sort.LAST_SEEN),
)
"""The heads of the table, with the order that each is for."""

STATES: Final[Mapping[str, str]] = {
    State.CURRENT: N_("current"),
    State.OUTDATED: N_("outdated"),
    State.UNSUPPORTED: N_("unsupported"),
    State.UNKNOWN: N_("unknown"),
}

ENTERING: Final[Mapping[str, str]] = {
    Entering.THROTTLING: N_("throttling begins"),
    Entering.BLOCKING: N_("blocking begins"),
    Entering.REFUSING: N_("nothing is taken any more"),
}


async def _report(visit: Visit) -> Response:
    query = _asked(visit)
    listing = await visit.house.listing()
    try:
        page = await visit.house.work(lambda: listing.page(query))
    except BadCursor as error:
        raise HTTPException(400, str(error)) from error
    rows = await visit.house.report([line.ref for line in page.lines])
    basis = listing.basis
    return await visit.page(
        "report.html",
        query=query,
        page=page,
        rows=[row for _, row in rows],
        columns=COLUMNS,
        states=STATES,
        entering=ENTERING,
        products=[it.name for it in basis.catalogue.products],
        tenants=_tenants(visit),
        link=_linker(visit),
        mine="out_of_date" in visit.query,
    )


def _asked(visit: Visit) -> ServerQuery:
    # What is out of date is what the page is for; who wants all says so.
    chosen: dict[str, object] = {} if "out_of_date" in visit.query else {"out_of_date": True}
    try:
        return server_query(visit.query, visit.visitor, **chosen)
    except BadQuery as error:
        raise HTTPException(400, str(error)) from error


def _tenants(visit: Visit) -> list[str]:
    names = ("default", *(tenant.name for tenant in visit.house.present.policy.tenants))
    return sorted({name for name in names if visit.visitor.sees(name)})


def _linker(visit: Visit) -> Callable[..., str]:
    """Makes links to this page with some parameters changed; None takes one away."""
    given = {name: visit.query[name] for name in FIELDS if name in visit.query}

    def link(path: str = "/report", /, **changed: object) -> str:
        merged = {**given, **changed}
        kept = {name: str(value) for name, value in merged.items() if value is not None}
        return f"{path}?{urlencode(kept)}" if kept else path

    return link


async def _export(visit: Visit) -> Response:
    shape = visit.path["shape"]
    if shape not in _SHAPES:
        raise HTTPException(404)
    query = _asked(visit)
    listing = await visit.house.listing()
    refs = [line.ref for line in await visit.house.work(lambda: listing.find(query))]
    kind, write = _SHAPES[shape]
    headers = {"Content-Disposition": f'attachment; filename="wehr-report.{shape}"'}
    if write is None:
        maker = _json if shape == "json" else _csv
        return StreamingResponse(maker(visit, refs), media_type=kind, headers=headers)
    rows = [row async for part in _parts(visit, refs) for row in part]
    try:
        content = await visit.house.work_long(lambda: write(rows))
    except ImportError:
        raise HTTPException(501) from None
    return Response(content, media_type=kind, headers=headers)


async def _parts(visit: Visit, refs: Sequence[str]) -> AsyncIterator[list[ReportRow]]:
    for first in range(0, len(refs), _CHUNK):
        yield [row for _, row in await visit.house.report(refs[first : first + _CHUNK])]


async def _csv(visit: Visit, refs: Sequence[str]) -> AsyncIterator[str]:
    yield to_csv([])
    async for rows in _parts(visit, refs):
        yield await visit.house.work(partial(to_csv, rows, head=False))


async def _json(visit: Visit, refs: Sequence[str]) -> AsyncIterator[bytes]:
    separator, encode = b"[", msgspec.json.Encoder(enc_hook=encoded).encode
    async for rows in _parts(visit, refs):
        yield separator + b",\n".join(encode(row) for row in rows)
        separator = b",\n"
    yield b"[]\n" if separator == b"[" else b"]\n"


_Writer = Callable[[Sequence[ReportRow]], str | bytes]
_SHAPES: Final[Mapping[str, tuple[str, _Writer | None]]] = {
    "csv": ("text/csv; charset=utf-8", None),
    "json": ("application/json", None),
    "html": ("text/html; charset=utf-8", to_html),
    "parquet": ("application/vnd.apache.parquet", to_parquet),
}
"""Each form's media type and writer; without a writer it is sent as it is made."""

PAGES: Final = (
    Page("/report", _report, Need.READ, "report", menu=N_("Servers")),
    Page("/report.{shape}", _export, Need.READ, "report_file"),
)

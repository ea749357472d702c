"""``wehr report``: the out-of-date servers."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from wehr.catalogue.types import State
from wehr.cli.output import BadUse, print_table
from wehr.cli.stored import limit_option, opened, store_options
from wehr.ledger.crowds import part_crowds
from wehr.ledger.exporting import to_csv, to_html, to_parquet
from wehr.ledger.listing import Line, Listing, ServerQuery, Sort
from wehr.ledger.report import ReportRow
from wehr.ledger.selecting import client_names, rows_of
from wehr.ledger.state import DAY
from wehr.policy.phrases import encoded

FORMATS = ("table", "json", "csv", "html", "parquet")


@click.command("report")
@store_options
@click.option("--format", "shape", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file; no table."
)
@click.option("--all", "everything", is_flag=True, help="Up-to-date and unknown servers as well.")
@click.option(
    "--assessment",
    type=click.Choice([it.value for it in State]),
    help="Only those that the catalogue calls this, in compliance or not.",
)
@click.option("--stage", type=click.IntRange(0), help="Only those in this stage.")
@click.option("--product", default="", help='Only of this product, such as "Exchange Server 2016".')
@click.option("--branch", default="", help="Only builds that begin with these numbers, such as 15.1.2507.")
@click.option("--cve", default="", help="Only those that certainly have this hole.")
@click.option("--exploited", is_flag=True, help="Only those that have a hole that is known to be exploited.")
@click.option("--tenant", default="", help="Only of this tenant.")
@click.option("--text", default="", help="Only those with this in their name, network or address.")
@click.option("--sort", type=click.Choice([it.value for it in Sort]), help="Order; without it by standing.")
@limit_option(10_000, "Servers")
def command(
    *,
    file: Path | None,
    state: Path | None,
    shape: str,
    as_json: bool,
    out: Path | None,
    everything: bool,
    assessment: str | None,
    limit: int,
    sort: str | None,
    exploited: bool,
    **filters: Any,
) -> None:
    """List the out-of-date servers: since when, at which stage, and what comes next."""
    shape = "json" if as_json else shape
    _check(shape, out)
    query = ServerQuery(
        **filters,
        state=State(assessment) if assessment else None,
        out_of_date=None if everything or assessment else True,
        exploited=exploited or None,
        sort=Sort(sort or Sort.STANDING),
    )
    with opened(file, state) as stored:
        store, basis = stored.store, stored.basis
        listing = Listing(basis.ledger, basis, store.secret, client_names(store))
        kept, crowd = part_crowds(listing.lines)
        likely = {line.ref for line in (listing.lines if everything else kept)}
        found = [line for line in listing.find(query) if line.ref in likely]
        surest = {line.ref for line in sorted(found, key=_doubt)[:limit]}
        place = {line.ref: number for number, line in enumerate(found) if line.ref in surest}
        rows = stored.report(rows_of(store, list(place)))
        stale = basis.catalogue.stale(basis.today, timedelta(days=stored.config.catalogue.stale_after))
    rows.sort(key=lambda row: place[row.reference])
    if shape == "table":
        print_report(rows, "such" if everything or assessment else "out-of-date")
    else:
        _write(_content(rows, shape), out)
    if len(found) > limit:
        left_out = len(found) - limit
        click.echo(f"{left_out} more servers, the least sure, are left out; --limit shows more.", err=True)
    if crowd.names and not everything:
        click.echo(crowd, err=True)
    if stale:
        click.echo(
            f"The catalogue is of {basis.catalogue.date}: newer versions and holes are not known to it.",
            err=True,
        )


def _doubt(line: Line) -> tuple[bool, bool, float]:
    """The surest first: those confirmed, those seen on several days, the one seen last."""
    return not line.confirmed, line.last_seen - line.first_seen <= DAY, -line.last_seen


def _check(shape: str, out: Path | None) -> None:
    if shape == "table" and out:
        raise BadUse(f"a table is for people; name another --format for {out}")
    if shape == "parquet" and not out and sys.stdout.isatty():
        raise BadUse("Parquet is no text: write it to a file with -o FILE")


def _content(rows: Sequence[ReportRow], shape: str) -> bytes:
    if shape == "json":
        return msgspec.json.encode(rows, enc_hook=encoded) + b"\n"
    if shape == "csv":
        return to_csv(rows).encode()
    if shape == "html":
        return to_html(rows).encode()
    try:
        return to_parquet(rows)
    except ImportError:
        raise BadUse("Parquet needs pyarrow, which comes with the extra survey") from None


def _write(content: bytes, out: Path | None) -> None:
    if out is None:
        click.echo(content, nl=False)
        return
    try:
        out.write_bytes(content)
    except OSError as error:
        raise BadUse(f"{out}: cannot be written: {error.strerror}") from None


def print_report(rows: Sequence[ReportRow], kind: str = "out-of-date") -> None:
    """Print the report on a kind of servers as a table for people."""
    if not rows:
        click.echo(f"No {kind} server has been seen.")
    else:
        print_table("", _COLUMNS, (_short(row) for row in rows))


_COLUMNS = ("server", "network", "product", "build", "since", "stage", "next stage", "450", "550", "why")


def _short(row: ReportRow) -> tuple[object, ...]:
    following = ""
    if row.next_stage_start_date:
        rates = f"{row.next_stage_throttle_rate}/{row.next_stage_block_rate} min/h"
        following = f"{row.next_stage_start_date:%Y-%m-%d}: {rates}"
    since = row.first_detected_date and f"{row.first_detected_date:%Y-%m-%d}"
    refused = (
        _count(row.messages_throttled, row.would_throttle),
        _count(row.messages_blocked, row.would_block),
    )
    stage = row.relation.replace("_", " ") if row.relation != "direct" else row.stage
    return (
        row.server_fqdn,
        row.network,
        (row.exchange_server or row.software).removeprefix("Exchange Server "),
        row.build,
        since,
        stage,
        following,
        *refused,
        row.why,
    )


def _count(done: int, would: int) -> str:
    return f"{done} (+{would} not enforced)" if would else str(done)

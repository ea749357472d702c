"""``wehr report``: the out-of-date servers."""

import csv
import html
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import rich_click as click

from wehr.cli.output import print_json, print_table
from wehr.cli.stored import limit_option, opened, store_options
from wehr.ledger.report import ReportRow

FORMATS = ("table", "json", "csv", "html")


@click.command("report")
@store_options
@click.option("--format", "shape", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--all", "everything", is_flag=True, help="Up-to-date and unknown servers as well.")
@limit_option(10_000, "Servers")
def command(
    file: Path | None, state: Path | None, shape: str, as_json: bool, everything: bool, limit: int
) -> None:
    """List the out-of-date servers: since when, at which stage, and what comes next."""
    with opened(file, state) as stored:
        rows = stored.report(stored.store.servers(limit=limit))
        catalogue, today = stored.basis.catalogue, stored.basis.today
        stale = catalogue.stale(today, timedelta(days=stored.config.catalogue.stale_after))
    print_report([row for row in rows if everything or row.out_of_date], "json" if as_json else shape)
    if stale:
        click.echo(
            f"The catalogue is of {catalogue.date}: newer versions and holes are not known to it.", err=True
        )


def print_report(rows: Sequence[ReportRow], shape: str) -> None:
    """Print the report as a table for people, or whole for programs."""
    if shape == "json":
        print_json(rows)
    elif shape == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(ReportRow.__struct_fields__)
        writer.writerows([_cell(value) for value in _plain(row)] for row in rows)
    elif shape == "html":
        click.echo(_html(rows))
    elif not rows:
        click.echo("No out-of-date server has been seen.")
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


def _plain(row: ReportRow) -> list[object]:
    # As JSON has them: times in ISO 8601.
    return list(msgspec.to_builtins(row).values())


def _cell(value: object) -> object:
    """A value for a spreadsheet, in which a text that a stranger wrote must not begin a formula."""
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return f"'{value}"
    return value


def _html(rows: Sequence[ReportRow]) -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in ReportRow.__struct_fields__)
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td>{html.escape(str('' if value is None else _cell(value)))}</td>" for value in _plain(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        '<!doctype html>\n<html lang="en">\n'
        '<head><meta charset="utf-8"><title>Out-of-date servers</title></head>\n'
        "<body><h1>Out-of-date servers</h1>\n"
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></body></html>"
    )

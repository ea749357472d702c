"""How every command prints: a table for people, JSON for programs."""

from collections.abc import Iterable, Sequence

import msgspec
import rich_click as click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


class BadUse(click.ClickException):
    """Bad use or configuration: one line on standard error, and exit code 2."""

    exit_code = 2


def print_json(value: object) -> None:
    """Print one JSON document on one line; dates and times as ISO 8601."""
    Console().file.write(msgspec.json.encode(value).decode() + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; cells are shown as plain text, so that nothing stamped by a stranger is markup."""
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            *(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row)
        )
    Console().print(table)

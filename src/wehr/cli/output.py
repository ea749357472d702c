"""How every command prints: a table for people, JSON for programs."""

import os
import sys
from collections.abc import Iterable, Sequence

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 200


class BadUse(Exception):
    """Bad use or configuration: one line on standard error, and exit code 2."""


def print_json(value: object) -> None:
    """Print one JSON document on one line; dates and times as ISO 8601."""
    from wehr.policy.phrases import encoded  # not for --help, which would wait for the whole room

    sys.stdout.write(msgspec.json.encode(value, enc_hook=encoded).decode() + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; nothing stamped by a stranger is markup or steers the terminal."""
    table = Table(
        title=_plain(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD, header_style="bold"
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(_plain, row))
    console().print(table)


def _plain(cell: object) -> Text:
    text = "" if cell is None else str(cell)
    return Text("".join(letter if letter.isprintable() else "?" for letter in text))


def console() -> Console:
    """Standard output: as wide as the terminal, and wide where there is none (a file, a pipe)."""
    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if wide else _PIPE_WIDTH)

"""The report as files, all with one schema: the fields of `ReportRow` in order, times in ISO 8601 UTC."""

import csv
import html
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from wehr.ledger.report import ReportRow
from wehr.policy.phrases import encoded

FIELDS: Final = ReportRow.__struct_fields__


def to_csv(rows: Sequence[ReportRow], *, head: bool = True) -> str:
    """Comma-separated, for spreadsheets; several values in a cell are parted by spaces."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if head:
        writer.writerow(FIELDS)
    writer.writerows([cell(value) for value in _plain(row)] for row in rows)
    return out.getvalue()


def to_html(rows: Sequence[ReportRow]) -> str:
    """A page of its own, to be kept or mailed."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in FIELDS)
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td>{html.escape(str('' if value is None else cell(value)))}</td>" for value in _plain(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        '<!doctype html>\n<html lang="en">\n'
        '<head><meta charset="utf-8"><title>Out-of-date servers</title></head>\n'
        "<body><h1>Out-of-date servers</h1>\n"
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></body></html>\n"
    )


def to_parquet(rows: Sequence[ReportRow]) -> bytes:
    """Apache Parquet; times are timestamps in UTC, and several values a list.

    Raises:
        ImportError: Wehr was installed without its extra ``survey``.
    """
    import pyarrow
    from pyarrow import parquet

    columns = [pyarrow.field(name, _arrow(pyarrow, kind)) for name, kind in _kinds().items()]
    data = {name: [_flat(getattr(row, name)) for row in rows] for name in FIELDS}
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(data, schema=pyarrow.schema(columns)), sink)
    return sink.getvalue()


def _kinds() -> Mapping[str, str]:
    """What each field holds: ``text``, ``texts``, ``number``, ``truth`` or ``time``."""
    marks = {"tuple": "texts", "datetime": "time", "bool": "truth", "int": "number", "str": "text"}
    return {
        field.name: next(kind for mark, kind in marks.items() if mark in str(field.type))
        for field in msgspec.structs.fields(ReportRow)
    }


def _arrow(pyarrow: Any, kind: str) -> Any:
    makers: Mapping[str, Callable[[], Any]] = {
        "text": pyarrow.string,
        "texts": lambda: pyarrow.list_(pyarrow.string()),
        "number": pyarrow.int64,
        "truth": pyarrow.bool_,
        "time": lambda: pyarrow.timestamp("s", tz="UTC"),
    }
    return makers[kind]()


def _flat(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int | datetime) else str(value)


def _plain(row: ReportRow) -> list[object]:
    return list(msgspec.to_builtins(row, enc_hook=encoded).values())


def cell(value: object) -> object:
    """A value for a spreadsheet, in which a text that a stranger wrote must not begin a formula."""
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return f"'{value}"
    return value

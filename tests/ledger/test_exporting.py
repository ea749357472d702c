"""The report as files: one schema, whatever the form."""

import csv
import io
from datetime import UTC, datetime

import msgspec
from ledger_stories import entry, sighting
from pyarrow import parquet

from wehr.catalogue import load
from wehr.ledger import Ledger
from wehr.ledger.exporting import FIELDS, to_csv, to_html, to_parquet
from wehr.ledger.journal import Position
from wehr.ledger.report import Basis, ReportRow, report
from wehr.ledger.store import open_store
from wehr.policy import Holds, Policy


def rows(url: str) -> list[ReportRow]:
    """The report on one out-of-date server and one that shows no build."""
    with open_store(url) as store:
        entries = [entry(sighting(0)), entry(sighting(1, None, name="=cmd()"), None)]
        store.carry("mx1", Position(), entries, Position(1, 1), entries[-1].sighting.at)
        ledger = Ledger()
        for key, state in store.load_states():
            ledger.merge(key, state)
        now = entries[-1].sighting.at
        return report(store.servers(), Basis(ledger, load(), Policy(), Holds.of(Policy(), (), ()), now))


def test_all_forms_have_the_fields_of_the_report_in_their_order(sqlite_url: str) -> None:
    """CSV, HTML and Parquet alike."""
    given = rows(sqlite_url)

    table = list(csv.reader(io.StringIO(to_csv(given))))
    frame = parquet.read_table(io.BytesIO(to_parquet(given)))

    assert tuple(table[0]) == tuple(frame.column_names) == FIELDS
    assert all(f'<th scope="col">{name}</th>' in to_html(given) for name in FIELDS)
    assert len(table) - 1 == frame.num_rows == len(given) == 2


def test_parquet_keeps_times_numbers_and_lists(sqlite_url: str) -> None:
    """What is read back equals the rows."""
    given = rows(sqlite_url)

    back = parquet.read_table(io.BytesIO(to_parquet(given))).to_pylist()

    for row, found in zip(given, back, strict=True):
        for name, value in msgspec.structs.asdict(row).items():
            expected = list(value) if isinstance(value, tuple) else value
            assert found[name] == expected, name
    assert isinstance(back[0]["last_seen"], datetime)
    assert back[0]["last_seen"].tzinfo is not None
    assert back[0]["last_seen"].astimezone(UTC) == given[0].last_seen


def test_no_cell_begins_a_formula(sqlite_url: str) -> None:
    """A name that a stranger chose is text to a spreadsheet."""
    table = list(csv.DictReader(io.StringIO(to_csv(rows(sqlite_url)))))

    assert "'=cmd()" in {row["server_fqdn"] for row in table}


def test_an_empty_report_is_a_file_all_the_same(sqlite_url: str) -> None:
    """With its head, and no rows."""
    assert to_csv([]).strip() == ",".join(FIELDS)
    assert parquet.read_table(io.BytesIO(to_parquet([]))).num_rows == 0
    assert "<tbody>" in to_html([])

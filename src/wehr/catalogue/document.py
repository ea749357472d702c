"""The form of a catalogue file: TOML, with tables as aligned text, one figure a line.

``docs/catalogue.md`` describes it for those who correct it by hand.
"""

import datetime as dt
import re
import tomllib
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from wehr.catalogue.facts import Provenance
from wehr.evidence.build import Build, parse_build

SCHEMA = 1
MAX_BYTES = 4_000_000

_CVE = re.compile(r"CVE-\d{4}-\d{4,10}|ADV\d{6,8}|GCVE-\d{1,5}(?:-\d{1,10}){2,5}")


class CatalogueError(ValueError):
    """A catalogue file cannot be used; the text names the file, the line or key, and what to do."""


class ProductEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A product as written. An overlay needs no more than the name and the builds that it adds."""

    name: str
    software: str = ""
    branch_numbers: int = 0
    released: dt.date | None = None
    mainstream_ends: dt.date | None = None
    support_ends: dt.date | None = None
    esu: tuple[tuple[dt.date, dt.date], ...] = ()
    successor: str = ""
    serviced: tuple[tuple[dt.date, int], ...] = ()
    branch_ends: dict[str, dt.date] = {}
    branch_ends_source: str = ""
    security: tuple[str, ...] = ()
    security_source: str = ""
    stamped_from: dt.date | None = None
    after_end: tuple[str, ...] = ()
    """Updates that came out for branches or products whose support had ended."""
    backported: bool = False
    source: str = ""
    builds: str = ""


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """A catalogue file as written."""

    schema: int
    date: dt.date | None = None
    software: str = ""
    sources: dict[str, str] = {}
    product: tuple[ProductEntry, ...] = ()
    fixes: str = ""
    published: dict[str, dt.date] = {}
    introduced: dict[str, str] = {}
    exploited: str = ""
    status: dict[str, str] = {}
    notes: dict[str, str] = {}
    provenance: tuple[Provenance, ...] = ()
    name: str = ""
    """The file it was read from; not written in it."""
    text: str = ""


class BuildRow(Struct, frozen=True):
    """A line of a ``builds`` table: build, update, day, KB or ``-``, sources."""

    build: Build
    update: str
    released: dt.date
    kb: str
    sources: tuple[str, ...]


class FixRow(Struct, frozen=True):
    """A line of a ``fixes`` table: CVE, update or builds, products or ``-``, sources."""

    cve: str
    update: str
    builds: tuple[Build, ...]
    products: tuple[str, ...]
    sources: tuple[str, ...]


class ExploitRow(Struct, frozen=True):
    """A line of an ``exploited`` table: CVE, day of listing, ``known`` ransomware use or ``-``, sources."""

    cve: str
    listed: dt.date
    ransomware: bool
    sources: tuple[str, ...]


def parse_document(text: str, name: str) -> Document:
    """Read one catalogue file.

    Raises:
        CatalogueError: not TOML, an unknown key, a value of the wrong kind, another schema.
    """
    try:
        raw = tomllib.loads(text)
        document = msgspec.convert({**raw, "name": name, "text": text}, Document)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise CatalogueError(
            f"{name}: {error}; correct it there (docs/catalogue.md describes the form)"
        ) from None
    except RecursionError:
        raise CatalogueError(f"{name}: nested too deep for a catalogue file; remove it") from None
    if document.schema != SCHEMA:
        raise CatalogueError(
            f"{name}: schema {document.schema}, but this Wehr reads {SCHEMA}; get a file that fits it"
        )
    return document


def build_rows(document: Document, entry: ProductEntry) -> Iterator[BuildRow]:
    """The builds of a product.

    Raises:
        CatalogueError: a line that is no build, update, day, KB, sources.
    """
    for fields, where in _lines(document, entry.builds, 5):
        build, update, released, kb, sources = fields
        yield BuildRow(
            _build(build, where), update, _day(released, where), "" if kb == "-" else kb, _list(sources)
        )


def fix_rows(document: Document) -> Iterator[FixRow]:
    """The vulnerabilities with what fixes them.

    Raises:
        CatalogueError: a line that is no CVE, update or builds, products, sources.
    """
    for fields, where in _lines(document, document.fixes, 4):
        cve, by, products, sources = fields
        builds = tuple(_build(text, where) for text in by.split(",")) if by[0].isdigit() else ()
        yield FixRow(
            _cve(cve, where),
            "" if builds else by,
            builds,
            () if products == "-" else _list(products),
            _list(sources),
        )


def exploit_rows(document: Document) -> Iterator[ExploitRow]:
    """What is known to be exploited.

    Raises:
        CatalogueError: a line that is no CVE, day, ``known`` or ``-``, sources.
    """
    for fields, where in _lines(document, document.exploited, 4):
        cve, listed, ransomware, sources = fields
        if ransomware not in {"known", "-"}:
            raise CatalogueError(f"{where}: ransomware use is 'known' or '-', not {ransomware!r}")
        yield ExploitRow(_cve(cve, where), _day(listed, where), ransomware == "known", _list(sources))


class _Where:
    """Where a line stands; worked out only when somebody asks."""

    __slots__ = ("document", "index", "table")

    def __init__(self, document: Document, table: str, index: int) -> None:
        self.document, self.table, self.index = document, table, index

    def __str__(self) -> str:
        start = self.document.text.find(self.table)
        first = self.document.text.count("\n", 0, start) + 1 if start >= 0 else 1
        return f"{self.document.name}, line {first + self.index}"


def _lines(document: Document, table: str, width: int) -> Iterator[tuple[list[str], _Where]]:
    for index, line in enumerate(table.split("\n")):
        fields = line.split("#", 1)[0].split()
        if not fields:
            continue
        where = _Where(document, table, index)
        if len(fields) != width:
            raise CatalogueError(
                f"{where}: {len(fields)} columns where {width} are needed: {line.strip()[:80]!r}"
            )
        yield fields, where


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _build(text: str, where: _Where) -> Build:
    try:
        return parse_build(text)
    except ValueError as error:
        raise CatalogueError(f"{where}: {error}; write it as 15.1.2507.61") from None


def _day(text: str, where: _Where) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise CatalogueError(f"{where}: not a day: {text[:20]!r}; write it as 2025-10-14") from None


def _cve(text: str, where: _Where) -> str:
    if not _CVE.fullmatch(text):
        raise CatalogueError(f"{where}: not a CVE number: {text[:30]!r}")
    return text

"""``wehr catalogue``: what is known of a build, and where it comes from."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from wehr.catalogue import Catalogue, CatalogueError
from wehr.catalogue.document import Document
from wehr.catalogue.facts import Product, Provenance
from wehr.catalogue.load import read
from wehr.cli.catalogue_view import (
    assessment_json,
    build_rows,
    flaw_rows,
    print_changes,
    print_products,
    print_rows,
    product_row,
    show_assessment,
)
from wehr.cli.config import file_option, state_folder, state_option
from wehr.cli.config import read as read_config
from wehr.cli.output import BadUse, print_json, print_table
from wehr.cli.times import Day
from wehr.evidence.build import format_build, parse_build

if TYPE_CHECKING:
    from wehr.catalogue.importers import Reading

_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


def _laid_over(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what lies over the built-in data: by name, or as the service has it."""
    overlay = click.option(
        "--overlay",
        "overlays",
        multiple=True,
        type=click.Path(path_type=Path, exists=True),
        help="Catalogue file or folder to lay over the built-in data; default: the configured folder.",
    )
    return overlay(file_option(state_option(command)))


_product = click.option(
    "--product", default="", help='Software ("exim") or product ("Exchange Server 2016").'
)


_at = click.option("--at", type=Day(), help="As of this day (UTC), such as 2025-10-14; default: today.")


@click.group("catalogue")
def command() -> None:
    """Ask what is known of a build, on any day, and keep that knowledge fresh."""


@command.command()
@click.argument("build")
@_product
@_at
@_laid_over
@_json
def assess(
    build: str,
    product: str,
    at: date | None,
    overlays: tuple[Path, ...],
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Tell whether BUILD was in support and up to date, and which holes it has.

    BUILD is dotted, such as 15.1.2507.61 or 15.01.2507.061.
    """
    day = at or _today()
    catalogue = _built(_read(None, overlays or _configured(file, state)))
    software, wanted = _chosen(catalogue, product)
    try:
        numbers = parse_build(build if software in {"", "exchange"} else _version(build))
    except ValueError as error:
        raise BadUse(f"{error}; write it as 15.1.2507.61") from None
    found = catalogue.assess(numbers, day, software or "exchange")
    if wanted and found.product and found.product != wanted.name:
        raise BadUse(f"{format_build(numbers)} is a build of {found.product}, not of {wanted.name}")
    if as_json:
        print_json(assessment_json(found, day, catalogue))
    else:
        show_assessment(found, day, catalogue)


@command.command("list")
@_product
@click.option("--vulnerabilities", is_flag=True, help="The holes and what fixes them, instead of builds.")
@_laid_over
@_json
def list_(
    product: str,
    vulnerabilities: bool,
    overlays: tuple[Path, ...],
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """List the products, or the builds of one (--product), or vulnerabilities."""
    catalogue = _built(_read(None, overlays or _configured(file, state)))
    software, wanted = _chosen(catalogue, product)
    chosen = [
        one
        for one in catalogue.products
        if (wanted is None or one is wanted) and (not software or one.software == software)
    ]
    if vulnerabilities:
        rows = [*flaw_rows(catalogue, chosen, all_of_it=wanted is None)]
    elif product:
        rows = [row for one in chosen for row in build_rows(one)]
    else:
        rows = [product_row(one) for one in chosen]
    if as_json:
        print_json(rows)
    elif product or vulnerabilities:
        hidden = ("sources", "note", *(("product",) if wanted else ()))
        print_rows(f"Catalogue of {catalogue.date}", rows, hidden)
        click.echo("  --json shows the sources and notes, too.")
    else:
        print_products(f"Catalogue of {catalogue.date}", chosen)


@command.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@_laid_over
@_json
def lint(
    folder: Path | None, overlays: tuple[Path, ...], file: Path | None, state: Path | None, as_json: bool
) -> None:
    """Check catalogue files: order, dates, names, sources; exit code 1 if something is wrong."""
    from wehr.catalogue.lint import lint as check

    if not folder:
        overlays = overlays or _configured(file, state)
    found = check(_read(folder, overlays))
    if as_json:
        print_json(found)
    elif found:
        print_table(
            "Wrong", ["file", "what", ""], [(Path(one.file).name, one.subject, one.text) for one in found]
        )
    else:
        click.echo("Nothing is wrong.")
    if found:
        raise SystemExit(1)


@command.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[OLD [NEW]]")
@_laid_over
@_json
def diff(
    folders: tuple[Path, ...],
    overlays: tuple[Path, ...],
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Show what differs: the built-in data against its overlays, or one folder against another."""
    from wehr.catalogue.changes import changes

    if len(folders) > 2:
        raise BadUse("name at most two folders: OLD and NEW")
    old = _built(_read(folders[0] if folders else None, ()))
    if len(folders) == 2:
        new = _built(_read(folders[1], ()))
    else:
        new = _built(_read(None, overlays or _configured(file, state)))
    found = changes(old, new)
    if as_json:
        print_json(found)
    else:
        print_changes(found)


@command.command()
@_at
@click.option("--check", is_flag=True, help="Exit code 1 if the catalogue is stale.")
@_laid_over
@_json
def status(
    at: date | None,
    check: bool,
    overlays: tuple[Path, ...],
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Show how old the catalogue is, what it knows last, and what was imported."""
    day = at or _today()
    documents = _read(None, overlays or _configured(file, state))
    catalogue = _built(documents)
    after = timedelta(days=read_config(file).catalogue.stale_after)
    stale = catalogue.stale(day, after)
    imported = [one for document in documents for one in document.provenance]
    newest = [product_row(one) for one in catalogue.products]
    if as_json:
        print_json(
            {
                "date": catalogue.date,
                "age_days": catalogue.age(day).days,
                "stale_after_days": after.days,
                "stale": stale,
                "products": newest,
                "imported": imported,
            }
        )
    else:
        word = "STALE: a newer one is due, `wehr catalogue import` adds to it" if stale else "fresh"
        click.echo(f"Catalogue of {catalogue.date}, {catalogue.age(day).days} days old on {day}: {word}.")
        print_products("Newest known", catalogue.products)
        if imported:
            columns = ["document", "dated", "from", "read"]
            print_table(
                "Imported", columns, [(one.document, one.dated, one.source, one.read) for one in imported]
            )
    if check and stale:
        raise SystemExit(1)


@command.command("import")
@click.argument("sources", nargs=-1, required=True, metavar="FILE|URL...")
@click.option("--yes", is_flag=True, help="Write without asking.")
@click.option(
    "--overlay",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that the new file is written to; default: the configured folder.",
)
@click.option(
    "--complete-to",
    type=Day(),
    help="Vouch that with this import nothing up to this day is missing: the catalogue takes that date.",
)
@file_option
@state_option
@_json
def import_(
    sources: tuple[str, ...],
    yes: bool,
    folder: Path | None,
    complete_to: date | None,
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Take in CVE records, MSRC's CSAF and CVRF documents, and CISA's KEV catalogue.

    Prints what would change, asks, and writes a file of its own beside the built-in data. Importing the same
    again changes nothing.
    """
    from wehr.catalogue.importers.plan import plan
    from wehr.catalogue.importers.source import write_atomically

    if complete_to and complete_to > _today():
        raise BadUse(f"--complete-to {complete_to} is still to come: nobody can vouch for it")
    found = (folder,) if folder else _configured(file, state)
    if not found:
        raise BadUse("the configuration has no folder for overlays; name one with --overlay")
    [folder] = found
    documents = _read(None, (folder,))
    readings, provenance = _readings(sources)
    try:
        planned = plan(documents, readings, provenance, _today(), complete_to)
    except CatalogueError as error:
        raise BadUse(f"the documents contradict the catalogue: {error}") from None
    if not as_json:
        print_changes(planned.changes)
        if planned.complaints:
            complaints = [(one.subject, one.text) for one in planned.complaints]
            print_table("Not taken as it stands", ["", ""], complaints)
    files = {folder / name: text for name, text in planned.files.items()}
    wanted = yes or (files and not as_json and _agreed(files))
    for path, text in files.items() if wanted else ():
        try:
            write_atomically(path, text)
        except OSError as error:
            raise BadUse(f"{path}: {error.strerror}; name another folder with --overlay") from None
    written = [str(path) for path in files] if wanted else []
    if as_json:
        print_json({"changes": planned.changes, "complaints": planned.complaints, "written": written})
    elif files:
        click.echo(f"Written: {', '.join(written)}" if written else "Nothing written.")


def _agreed(files: Iterable[Path]) -> bool:
    try:
        return click.confirm(f"Write {', '.join(map(str, files))}?", default=False)
    except click.Abort:  # no terminal to ask at
        click.echo()
        return False


def _readings(sources: Sequence[str]) -> "tuple[list[Reading], list[Provenance]]":
    from wehr.catalogue.importers import BadFeed
    from wehr.catalogue.importers import read as read_feed
    from wehr.catalogue.importers.source import fetch, sha256

    readings, provenance = [], []
    for source in sources:
        try:
            raw = fetch(source)
        except BadFeed as error:
            raise BadUse(str(error)) from None
        try:
            reading = read_feed(raw)
        except BadFeed as error:
            raise BadUse(f"{source}: {error}") from None
        readings.append(reading)
        provenance.append(Provenance(source, sha256(raw), _today(), reading.document, reading.dated))
    return readings, provenance


def _version(text: str) -> str:
    """The numbers of a version as other software prints it: 4.90_1, 4.96.2-12-g29d01ae2a."""
    found = re.match(r"\d+(?:[._]\d+)*", text)
    return found[0].replace("_", ".") if found else text


def _today() -> date:
    return datetime.now(UTC).date()


def _configured(file: Path | None, state: Path | None) -> tuple[Path, ...]:
    """The folder of overlays that the service with this configuration and state folder has, if any."""
    overlays = read_config(file).catalogue.overlays
    return (state_folder(state) / overlays,) if overlays else ()


def _read(folder: Path | None, overlays: Sequence[Path]) -> tuple[Document, ...]:
    try:
        return read(folder, overlays)
    except CatalogueError as error:
        raise BadUse(str(error)) from None


def _built(documents: Sequence[Document]) -> Catalogue:
    try:
        return Catalogue.of(documents)
    except CatalogueError as error:
        raise BadUse(str(error)) from None


def _plain(name: str) -> str:
    return " ".join(word for word in name.lower().split() if word not in {"microsoft", "server"})


def _chosen(catalogue: Catalogue, text: str) -> tuple[str, Product | None]:
    """What ``--product`` means: a software, or one product and its software."""
    if not text:
        return "", None
    wanted = _plain(text)
    if wanted in catalogue.software():
        return wanted, None
    for product in catalogue.products:
        if wanted in {_plain(product.name), _plain(product.name).removeprefix("exchange ")}:
            return product.software, product
    names = ", ".join((*catalogue.software(), *(product.name for product in catalogue.products)))
    raise BadUse(f"unknown product {text!r}; known are: {names}")

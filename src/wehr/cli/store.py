"""``wehr store``: look after the place where everything is remembered."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wehr.cli.config import file_option, read, state_option
from wehr.cli.output import BadUse, print_json
from wehr.ledger import LedgerError, Store, StoreNewer, StoreUnreadable, open_store
from wehr.service.config import Config
from wehr.service.memory import limits_of
from wehr.service.state_folder import default_state, serving

_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.group("store")
def command() -> None:
    """Migrate, check, back up, restore or copy the store."""


@command.command()
@file_option
@state_option
@_json
def migrate(file: Path | None, state: Path | None, as_json: bool) -> None:
    """Make the store if there is none, and bring its tables up to date. `wehr serve` does so too."""
    config, folder = read(file), _folder(state)
    with _open(config.store.at(folder), config, create=True) as store:
        rows = store.count()
    if as_json:
        print_json({"store": store.name, "rows": rows})
    else:
        click.echo(f"{store.name}: up to date, {rows['servers']} servers, {rows['sightings']} messages.")


@command.command()
@file_option
@state_option
@_json
def check(file: Path | None, state: Path | None, as_json: bool) -> None:
    """Rebuild the present state from history and events, and compare; exit code 1 if something is wrong."""
    config, folder = read(file), _folder(state)
    with _open(config.store.at(folder), config) as store:
        faults = list(store.check())
        rows = store.count()
    if as_json:
        print_json({"store": store.name, "ok": not faults, "faults": faults, "rows": rows})
    else:
        for fault in faults:
            click.echo(fault)
        found = f"{len(faults)} faults" if faults else "sound"
        click.echo(f"{store.name}: {found}; {rows['servers']} servers, {rows['events']} events.")
    sys.exit(1 if faults else 0)


@command.command()
@click.argument("target", type=click.Path(path_type=Path), metavar="FILE")
@file_option
@state_option
def backup(target: Path, file: Path | None, state: Path | None) -> None:
    """Copy the store, while it is in use, into a new file that `wehr store restore` takes."""
    config, folder = read(file), _folder(state)
    with _open(config.store.at(folder), config) as store, _bar() as bar:
        store.back_up(target, bar.show)
    click.echo(f"{store.name} is backed up in {target}.")


@command.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--force",
    is_flag=True,
    help="Replace what the store holds; a file that is damaged or too new is moved aside.",
)
@file_option
@state_option
def restore(source: Path, force: bool, file: Path | None, state: Path | None) -> None:
    """Fill the store from a backup, while no Wehr uses it."""
    config, folder = read(file), _folder(state)
    if process := serving(folder):
        raise BadUse(f"process {process} uses {folder}: stop it first")
    if not source.is_file():
        raise BadUse(f"{source}: there is no such file")
    url = config.store.at(folder)
    with _open(f"sqlite:///{source.absolute()}", config) as backed_up:
        if force:
            _make_room(url, config)
        with _open(url, config, create=True) as store:
            _copy(backed_up, store, replace=force)


@command.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@file_option
def copy_store(source: str, target: str, file: Path | None) -> None:
    """Copy a whole store into an empty one, of any engine; each is a file or a URL."""
    config = read(file)
    with _open(_url(source), config) as old, _open(_url(target), config, create=True) as new:
        _copy(old, new, replace=False)


def _copy(source: Store, target: Store, *, replace: bool) -> None:
    with _bar() as bar:
        try:
            copied = source.copy_to(target, replace=replace, progress=bar.show)
        except LedgerError as error:
            hint = "" if replace else "; name an empty one, or restore a backup with --force"
            raise BadUse(f"{target.name}: {error}{hint}") from None
    rows = ", ".join(f"{count} {name}" for name, count in copied.items() if count)
    click.echo(f"{source.name} is copied into {target.name}: {rows}.")


def _make_room(url: str, config: Config) -> None:
    """Make room where a file lies that is damaged, or that a newer Wehr has written."""
    try:
        open_store(url, limits=limits_of(config)).close()
    except (StoreUnreadable, StoreNewer) as error:
        path = Path(url.removeprefix("sqlite:///"))
        if not path.is_file():
            raise
        for name in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            if name.exists():
                name.rename(f"{name}.{'newer' if isinstance(error, StoreNewer) else 'damaged'}")


@contextmanager
def _open(url: str, config: Config, *, create: bool = False) -> Iterator[Store]:
    try:
        with open_store(url, create=create, limits=limits_of(config)) as store:
            yield store
    except LedgerError as error:
        raise BadUse(str(error)) from None


def _folder(state: Path | None) -> Path:
    return (state or default_state()).absolute()


def _url(place: str) -> str:
    return place if "://" in place else f"sqlite:///{Path(place).absolute()}"


class _Bar:
    """A bar per table, on standard error; nothing where that is no terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, object] = {}

    def show(self, table: str, done: int, total: int) -> None:
        """Tell how far a table is."""
        if table not in self._tasks:
            self._tasks[table] = self._progress.add_task(table, total=total)
        self._progress.update(self._tasks[table], completed=done)  # type: ignore[arg-type]


@contextmanager
def _bar() -> Iterator[_Bar]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield _Bar(progress)

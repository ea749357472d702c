"""What the commands that ask the store have in common: finding it, and reading what they judge by."""

import getpass
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rich_click as click
from msgspec import Struct

from wehr.catalogue import CatalogueError, load
from wehr.cli.config import file_option, read, state_option
from wehr.cli.output import BadUse
from wehr.ledger import Ledger, LedgerError, Limits, Store, open_store
from wehr.ledger.report import Basis, ReportRow, report
from wehr.ledger.rows import ServerRow
from wehr.policy import Holds
from wehr.policy.laddering import facts
from wehr.policy.scope import tenant_names
from wehr.service.advice import Seen
from wehr.service.config import Config
from wehr.service.state_folder import default_state


class Stored(Struct, frozen=True):
    """An open store, and what its contents are judged by."""

    store: Store
    config: Config
    basis: Basis

    def report(self, rows: list[ServerRow]) -> list[ReportRow]:
        """The report on these servers."""
        return report(rows, self.basis, self.store.sums())


def store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name configuration and state."""
    return file_option(state_option(command))


def limit_option(default: int, what: str) -> Callable[..., Any]:
    """The option that bounds a list; SQL's numbers end somewhere, so its own do, too."""
    return click.option(
        "--limit",
        type=click.IntRange(1, 1_000_000),
        default=default,
        show_default=True,
        help=f"{what} at most.",
    )


def _login_name() -> str:
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user may be only a number
        return f"uid {os.getuid()}"


actor_option = click.option(
    "--by",
    default=_login_name,
    show_default="your login name",
    help="Who does this, for the audit.",
)


def _filled(_ctx: click.Context, _option: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("it must say something")
    return value


why_option = click.option(
    "--why",
    "--reason",
    "why",
    required=True,
    callback=_filled,
    help="The reason, shown to operators and kept in the audit.",
)

ending_why_option = click.option("--why", "--reason", "why", default="", help="The reason, for the audit.")


def checked_tenant(stored: Stored, name: str) -> str:
    """The same name, if there is such a tenant: what is asked for another would do nothing."""
    names = tenant_names(stored.config.policy.tenants)
    if name not in names:
        raise BadUse(f"no tenant is called {name!r}; there are {', '.join(names)}")
    return name


def servers_of(stored: Stored, name: str, limit: int = 10_000) -> list[ServerRow]:
    """The servers of this reference, name or address. "" is nobody, though many have no verified name."""
    name = name.rstrip(".")
    known = stored.store.server(name)
    return [known] if known else stored.store.servers(name=name, limit=limit) if name else []


def one_server(stored: Stored, name: str) -> ServerRow:
    """The server of this reference or name; it must be one."""
    rows = servers_of(stored, name)
    if len(rows) != 1:
        found = "no server is" if not rows else f"{len(rows)} servers are"
        raise BadUse(f"{found} known as {name!r}; 'wehr server list' shows the references")
    return rows[0]


def seen(stored: Stored) -> Seen:
    """What the store says that bears on a configuration."""
    rows = stored.store.servers()
    address = {row.ref: row.client_ip for row in rows}
    enforced = {row.ref for row in rows if row.enforced}
    counted: Counter[str] = Counter()
    for tally in stored.store.sums():
        counted[address.get(tally.ref, "")] += tally.messages
    messages = counted.total()
    del counted[""]
    busiest, most = next(iter(counted.most_common(1)), ("", 0))
    refused = [
        row
        for row in stored.report(rows)
        if (row.throttle_rate or row.block_rate)
        and row.relation == "direct"
        and row.software in stored.config.policy.enforce_software
        and not row.silent
        and row.reference not in enforced
    ]
    return Seen(messages, busiest, most, len(refused))


@contextmanager
def opened(file: Path | None, state: Path | None) -> Iterator[Stored]:
    """Open the store beside a running service, which goes on writing; bad ends have exit code 2."""
    with store_in((state or default_state()).absolute(), read(file)) as stored:
        yield stored


@contextmanager
def store_in(folder: Path, config: Config) -> Iterator[Stored]:
    """Open the store of a folder, to be judged by a configuration; bad ends have exit code 2."""
    if os.access(folder, os.F_OK) and not os.access(folder, os.R_OK | os.X_OK):
        raise BadUse(f"{folder} is closed to this user; run it as root, or as the user that Wehr runs as")
    if not config.store.url and not (folder / "wehr.sqlite").is_file():
        raise BadUse(
            f"there is no store in {folder}: start 'wehr serve' once, or name its folder with --state"
        )
    policy = config.policy
    try:
        ledger = Ledger(
            Limits(memory_days=policy.memory_days, forget_days=policy.forget_days),
            mixed_enforced=policy.mixed == "enforce",
        )
        with open_store(config.store.at(folder), create=False) as store:
            for key, known in store.load_states():
                ledger.merge(key, known)
            catalogue = load(overlays=config.catalogue.files(folder))
            holds = Holds.of(policy, store.pauses(), tuple(store.exemptions().values()))
            now = time.time()
            # A configuration that is not loaded yet is taken as one that is loaded now.
            past = store.past().noting(policy.laddering, facts(catalogue), now)
            yield Stored(store, config, Basis(ledger, catalogue, policy.after(past), holds, now))
    except (LedgerError, CatalogueError) as error:
        raise BadUse(str(error)) from None

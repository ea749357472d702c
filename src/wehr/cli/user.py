"""``wehr user``: who may log in to the pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click

from wehr.cli.config import read
from wehr.cli.output import BadUse, print_json, print_table
from wehr.cli.stored import actor_option, store_options
from wehr.cli.times import iso
from wehr.ledger import LedgerError, Store, open_store
from wehr.policy.scope import tenant_names
from wehr.service.clock import system_clock
from wehr.service.config import Config
from wehr.service.state_folder import default_state
from wehr.web.access.accounts import INVITED_HOURS, Account, AccountError, Accounts
from wehr.web.visit import Role

ROLES = click.Choice([role.value for role in Role])
_role = click.option(
    "--role", type=ROLES, default=Role.VIEWER.value, show_default=True, help="What it may do."
)
_tenants = click.option(
    "--tenant", "tenants", multiple=True, help="A tenant that a tenant operator sees; repeatable."
)
_hours = click.option(
    "--hours",
    type=click.IntRange(1, 168),
    default=INVITED_HOURS,
    show_default=True,
    help="How long the link is good.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@contextmanager
def opened_store(file: Path | None, state: Path | None) -> Iterator[tuple[Store, Config]]:
    """Open the store beside a running service; what cannot be done ends with one line and exit code 2."""
    config = read(file)
    try:
        with open_store(config.store.at((state or default_state()).absolute()), create=False) as store:
            yield store, config
    except (LedgerError, AccountError) as error:
        raise BadUse(str(error)) from None


@click.group("user")
def command() -> None:
    """Let people in to the pages, and shut them out."""


@command.command()
@click.argument("name")
@_role
@_tenants
@_hours
@actor_option
@store_options
@json_option
def add(
    name: str,
    role: str,
    tenants: tuple[str, ...],
    hours: int,
    by: str,
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Add an account, and print the one-time link by which its owner sets the password."""
    now = system_clock()
    with opened_store(file, state) as (store, config):
        accounts = Accounts(store, tenant_names(config.policy.tenants))
        account = accounts.add(name, Role(role), tenants, by=by, now=now)
        secret = accounts.invite(account.name, account.role, tenants, by=by, now=now, hours=hours)
    _print_link(config, secret, hours, as_json=as_json)


@command.command()
@click.argument("name")
@_hours
@actor_option
@store_options
@json_option
def invite(name: str, hours: int, by: str, file: Path | None, state: Path | None, as_json: bool) -> None:
    """Print a one-time link by which somebody sets another password; what was invited to before is void."""
    with opened_store(file, state) as (store, config):
        accounts = Accounts(store)
        account = accounts.get(name)
        if account is None:
            raise BadUse(f"there is no account {name!r}; 'wehr user add' makes one")
        secret = accounts.invite(
            account.name, account.role, account.tenants, by=by, now=system_clock(), hours=hours
        )
    _print_link(config, secret, hours, as_json=as_json)


@command.command("list")
@store_options
@json_option
def list_users(file: Path | None, state: Path | None, as_json: bool) -> None:
    """List the accounts."""
    with opened_store(file, state) as (store, _):
        found = Accounts(store).every()
    if as_json:
        print_json([_plain(account) for account in found])
    elif not found:
        click.echo("Nobody can log in yet; 'wehr serve' prints a link for the first administrator.")
    else:
        columns = ("name", "role", "tenants", "state", "since")
        print_table(
            "",
            columns,
            ((it.name, it.role, ", ".join(it.tenants), _state(it), iso(it.created)) for it in found),
        )


@command.command("role")
@click.argument("name")
@click.argument("role", type=ROLES)
@_tenants
@actor_option
@store_options
def set_role(
    name: str, role: str, tenants: tuple[str, ...], by: str, file: Path | None, state: Path | None
) -> None:
    """Give an account another role, at once."""
    with opened_store(file, state) as (store, config):
        accounts = Accounts(store, tenant_names(config.policy.tenants))
        account = accounts.change(name, Role(role), tenants, by=by, now=system_clock())
    click.echo(f"{account.name} is {account.role}.")


@command.command()
@click.argument("name")
@click.option("--off", is_flag=True, help="Let the account in again.")
@actor_option
@store_options
def disable(name: str, off: bool, by: str, file: Path | None, state: Path | None) -> None:
    """Shut an account out, and end its sessions, at once."""
    with opened_store(file, state) as (store, _):
        account = Accounts(store).disable(name, by=by, now=system_clock(), disabled=not off)
    click.echo(f"{account.name} is {_state(account)}.")


def _state(account: Account) -> str:
    return "disabled" if account.disabled else "in use" if account.password else "no password"


def _plain(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "role": account.role,
        "tenants": account.tenants,
        "state": _state(account),
        "created": iso(account.created),
    }


def _print_link(config: Config, secret: str, hours: int, *, as_json: bool) -> None:
    home = config.web.url or (f"http://{config.web.listen[0]}" if config.web.listen else "")
    link = f"{home.rstrip('/')}/invitation/{secret}"
    if as_json:
        print_json({"link": link, "hours": hours})
    else:
        click.echo(f"This link works once, within {hours} hours:\n{link}")

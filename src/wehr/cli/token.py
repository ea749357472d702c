"""``wehr token``: what programs log in to the API with."""

from pathlib import Path

import msgspec
import rich_click as click

from wehr.cli.output import print_json, print_table
from wehr.cli.stored import actor_option, store_options
from wehr.cli.times import iso
from wehr.cli.user import json_option, opened_store
from wehr.policy.scope import tenant_names
from wehr.service.clock import system_clock
from wehr.web.access.tokens import LONGEST_DAYS, Scope, Token, Tokens


@click.group("token")
def command() -> None:
    """Make tokens for the API, list them, and take their force."""


@command.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    default=Scope.READ.value,
    show_default=True,
    help="What it may do: read; operate: pause and exempt as well; admin: accounts and tokens as well.",
)
@click.option("--tenant", "tenants", multiple=True, help="Bind it to a tenant; repeatable. Without: all.")
@click.option(
    "--days", type=click.IntRange(1, LONGEST_DAYS), default=90, show_default=True, help="How long it is good."
)
@actor_option
@store_options
@json_option
def create(
    name: str,
    scope: str,
    tenants: tuple[str, ...],
    days: int,
    by: str,
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Make a token and print it. It is not shown again: only a hash of it is kept."""
    with opened_store(file, state) as (store, config):
        known = Tokens(store, tenant_names(config.policy.tenants))
        token, text = known.create(name, Scope(scope), tenants, days=days, by=by, now=system_clock())
    if as_json:
        print_json({**_plain(token), "token": text})
    else:
        click.echo(
            f"{text}\nGood until {iso(token.expires)}. Send it as: Authorization: Bearer {text[:12]}..."
        )


@command.command("list")
@store_options
@json_option
def list_tokens(file: Path | None, state: Path | None, as_json: bool) -> None:
    """List the tokens, the newest first."""
    with opened_store(file, state) as (store, _):
        found = Tokens(store).every()
    if as_json:
        print_json([_plain(token) for token in found])
    elif not found:
        click.echo("There is no token.")
    else:
        columns = ("id", "name", "scope", "tenants", "by", "until", "last used")
        now = system_clock()
        print_table(
            "",
            columns,
            (
                (
                    it.id,
                    it.name,
                    it.scope,
                    ", ".join(it.tenants) or "all",
                    it.by,
                    iso(it.expires) if it.valid(now) else "revoked" if it.revoked else "over",
                    iso(it.used or None),
                )
                for it in found
            ),
        )


@command.command()
@click.argument("token_id", metavar="ID")
@actor_option
@store_options
def revoke(token_id: str, by: str, file: Path | None, state: Path | None) -> None:
    """Take a token's force, at once."""
    with opened_store(file, state) as (store, _):
        token = Tokens(store).revoke(token_id, by=by, now=system_clock())
    click.echo(f"Token {token.id} ({token.name}) opens nothing any more.")


def _plain(token: Token) -> dict[str, object]:
    return {
        **msgspec.structs.asdict(token),
        "created": iso(token.created),
        "expires": iso(token.expires),
        "used": iso(token.used or None),
    }

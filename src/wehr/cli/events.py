"""``wehr events``: what people and the ladder changed; the list is only ever added to."""

from pathlib import Path

import msgspec
import rich_click as click

from wehr.cli.config import file_option, read, state_option
from wehr.cli.output import BadUse, print_json, print_table
from wehr.cli.stored import limit_option
from wehr.cli.times import Instant, iso
from wehr.ledger import LedgerError, open_store
from wehr.service.state_folder import default_state


@click.command("events")
@click.option("--since", type=Instant(), default=0.0, help="Only from this time on.")
@click.option("--until", type=Instant(), help="Only before this time.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only of this kind, such as detected.")
@click.option("--server", metavar="REF|NAME", help="Only of this server.")
@click.option("--tenant", help="Only of this tenant.")
@click.option("--by", help="Only what this person did, or wehr.")
@limit_option(1000, "Events")
@file_option
@state_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line.")
def command(
    since: float,
    until: float | None,
    kinds: tuple[str, ...],
    server: str | None,
    tenant: str | None,
    by: str | None,
    limit: int,
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """List what people and the ladder changed, newest first."""
    url = read(file).store.at((state or default_state()).absolute())
    try:
        with open_store(url, create=False) as store:
            found = store.events(
                server=server, since=since, until=until, kinds=kinds, tenant=tenant, actor=by, limit=limit
            )
    except LedgerError as error:
        raise BadUse(str(error)) from None
    if as_json:
        for event in found:
            print_json({**msgspec.to_builtins(event), "at": iso(event.at)})
    elif not found:
        click.echo("No such event.")
    else:
        print_table(
            "",
            ("when", "what", "tenant", "server", "who", "detail"),
            (
                (
                    iso(event.at),
                    event.kind,
                    event.tenant,
                    event.name or event.ref,
                    event.actor,
                    ", ".join(f"{key}: {value}" for key, value in event.detail.items()),
                )
                for event in found
            ),
        )

"""``wehr exempt``: leave a server, network or domain alone."""

from datetime import datetime
from pathlib import Path

import msgspec
import rich_click as click

from wehr.cli.output import BadUse, print_json, print_table
from wehr.cli.stored import actor_option, checked_tenant, ending_why_option, opened, store_options, why_option
from wehr.cli.times import Instant, iso
from wehr.ledger import deeds
from wehr.policy.scope import Exemption


@click.group("exempt")
def command() -> None:
    """Leave a server, network or domain alone; what is in force is lifted at once."""


@command.command()
@click.option("--server", default="", metavar="NAME", help="The name that the server stamps.")
@click.option("--network", default="", metavar="CIDR", help="A client address or network.")
@click.option("--domain", default="", help="Servers whose stamped or verified name is in this domain.")
@click.option("--tenant", default="", help="Only for this tenant; without it, for all.")
@click.option("--until", type=Instant(), help="When it ends; without it, never.")
@why_option
@actor_option
@store_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def add(
    server: str,
    network: str,
    domain: str,
    tenant: str,
    until: float | None,
    why: str,
    by: str,
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Exempt who meets all conditions that are named."""
    with opened(file, state) as stored:
        try:
            name, exemption = deeds.exempt(
                stored.store,
                server=server,
                network=network,
                domain=domain,
                tenant=checked_tenant(stored, tenant) if tenant else "",
                until=until,
                why=why,
                by=by,
                now=stored.basis.now,
            )
        except ValueError as error:
            raise BadUse(str(error)) from None
    if as_json:
        print_json(_plain(name, exemption))
    else:
        click.echo(f"Exemption {name}: {_who(exemption)}, until {iso(until) or 'it is cancelled'}.")


@command.command("list")
@store_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_exemptions(file: Path | None, state: Path | None, as_json: bool) -> None:
    """List the exemptions there are and have been, those of the configuration too."""
    with opened(file, state) as stored:
        exemptions = stored.config.policy.exemptions
        configured = {f"configuration {number}": item for number, item in enumerate(exemptions, 1)}
        found = {**configured, **stored.store.exemptions()}
    if as_json:
        print_json([_plain(name, item) for name, item in found.items()])
    elif not found:
        click.echo("Nobody is exempt.")
    else:
        columns = ("id", "who", "since", "until", "by", "reason")
        print_table(
            "",
            columns,
            (
                (
                    name,
                    _who(it),
                    iso(it.since.timestamp()),
                    it.until and iso(it.until.timestamp()),
                    it.by,
                    it.reason,
                )
                for name, it in found.items()
            ),
        )


@command.command()
@click.argument("exemption_id", metavar="ID")
@ending_why_option
@actor_option
@store_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def cancel(
    exemption_id: str, why: str, by: str, file: Path | None, state: Path | None, as_json: bool
) -> None:
    """End an exemption now; the clocks that it stopped go on from where they stood."""
    with opened(file, state) as stored:
        try:
            ended = deeds.end_exemption(stored.store, exemption_id, why=why, by=by, now=stored.basis.now)
        except deeds.NotThere as error:
            raise BadUse(f"{error}; 'wehr exempt list' shows those there are") from None
        except ValueError as error:
            raise BadUse(str(error)) from None
    if as_json:
        print_json(_plain(exemption_id, ended))
    else:
        click.echo(f"Exemption {exemption_id} has ended: {_who(ended)}.")


def _who(item: Exemption) -> str:
    parts = {"server": item.server, "network": item.network, "domain": item.domain, "tenant": item.tenant}
    return ", ".join(f"{kind} {value}" for kind, value in parts.items() if value)


def _plain(name: str, item: Exemption) -> dict[str, object]:
    return {"id": name, **msgspec.to_builtins(item, builtin_types=(datetime,))}

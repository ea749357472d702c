"""``wehr pause``: stop the clock of a tenant or of one server, inside the yearly quota."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import rich_click as click

from wehr.cli.output import BadUse, print_json, print_table
from wehr.cli.stored import (
    Stored,
    actor_option,
    checked_tenant,
    ending_why_option,
    one_server,
    opened,
    store_options,
    why_option,
)
from wehr.cli.times import Instant, iso
from wehr.ledger import deeds
from wehr.policy.pauses import Pause, used
from wehr.policy.scope import DEFAULT_TENANT


@click.group("pause")
def command() -> None:
    """Stop the clock of a tenant or server for some days; on resume it stands where it stood."""


@command.command()
@click.option(
    "--days", type=click.IntRange(1, 366), required=True, help="Started days (UTC), the first one included."
)
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="The tenant whose quota is used.")
@click.option("--server", "name", metavar="REF|NAME", help="Only this server; without it, the whole tenant.")
@click.option("--from", "start", type=Instant(), help="When it begins; without it, now.")
@why_option
@actor_option
@store_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def add(
    days: int,
    tenant: str,
    name: str | None,
    start: float | None,
    why: str,
    by: str,
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Pause a tenant, or one of its servers."""
    with opened(file, state) as stored:
        server = one_server(stored, name) if name is not None else None
        pause = _done(
            partial(
                deeds.pause,
                stored.store,
                server.key.tenant if server else checked_tenant(stored, tenant),
                server,
                start=start,
                days=days,
                why=why,
                by=by,
                now=stored.basis.now,
                quota=stored.config.policy.pause_days,
            )
        )
        _say(stored, pause.id, as_json=as_json)


@command.command("list")
@store_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_pauses(file: Path | None, state: Path | None, as_json: bool) -> None:
    """List the pauses there are and have been, and what is left of each tenant's quota this year."""
    with opened(file, state) as stored:
        pauses = stored.store.pauses()
        year = datetime.fromtimestamp(stored.basis.now, UTC).year
        quota = stored.config.policy.pause_days
        left = {it.tenant: max(0, quota - used(pauses, it.tenant, year)) for it in pauses}
    if as_json:
        print_json({"pauses": [_plain(pause) for pause in pauses], "year": year, "days_left": left})
    elif not pauses:
        click.echo(f"No pause. Each tenant has {quota} days in {year}.")
    else:
        columns = ("id", "tenant", "server", "from", "to", "days", "by", "why")
        print_table("", columns, (tuple(_plain(pause).values()) for pause in pauses))
        for tenant, days in left.items():
            click.echo(f"  {tenant}: {days} of {quota} days left in {year}")


@command.command("extend")
@click.argument("pause_id", metavar="ID")
@click.option("--days", type=click.IntRange(1, 366), required=True, help="Days to add.")
@ending_why_option
@actor_option
@store_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def extend_pause(
    pause_id: str, days: int, why: str, by: str, file: Path | None, state: Path | None, as_json: bool
) -> None:
    """Make a pause longer."""
    with opened(file, state) as stored:
        now, quota = stored.basis.now, stored.config.policy.pause_days
        change = partial(deeds.extend_pause, stored.store, pause_id, days)
        _done(partial(change, why=why, by=by, now=now, quota=quota))
        _say(stored, pause_id, as_json=as_json)


@command.command("cancel")
@click.argument("pause_id", metavar="ID")
@ending_why_option
@actor_option
@store_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def cancel_pause(
    pause_id: str, why: str, by: str, file: Path | None, state: Path | None, as_json: bool
) -> None:
    """End a pause now; the days that it has not started are given back."""
    with opened(file, state) as stored:
        _done(partial(deeds.cancel_pause, stored.store, pause_id, why=why, by=by, now=stored.basis.now))
        _say(stored, pause_id, as_json=as_json)


def _done(deed: Callable[[], Pause]) -> Pause:
    try:
        return deed()
    except ValueError as error:  # QuotaExceeded among them
        raise BadUse(str(error)) from None


def _say(stored: Stored, pause_id: str, *, as_json: bool) -> None:
    pauses = stored.store.pauses()
    pause = next(it for it in pauses if it.id == pause_id)
    if as_json:
        print_json(_plain(pause))
        return
    year = datetime.fromtimestamp(stored.basis.now, UTC).year
    left = stored.config.policy.pause_days - used(pauses, pause.tenant, year)
    who = pause.server.name if pause.server else f"tenant {pause.tenant}"
    click.echo(
        f"Pause {pause.id}: {who}, {iso(pause.start)} to {iso(pause.end)}. {left} days left in {year}."
    )


def _plain(pause: Pause) -> dict[str, object]:
    return {
        "id": pause.id,
        "tenant": pause.tenant,
        "server": pause.server.name if pause.server else None,
        "from": iso(pause.start),
        "to": iso(pause.end),
        "days": len(pause.touched),
        "by": pause.by,
        "why": pause.why,
    }

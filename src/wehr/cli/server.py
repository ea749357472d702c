"""``wehr server``: the servers seen."""

from pathlib import Path

import msgspec
import rich_click as click

from wehr.cli.output import BadUse, print_json, print_table
from wehr.cli.stored import Stored, limit_option, opened, servers_of, store_options
from wehr.cli.times import iso
from wehr.evidence import Relation
from wehr.ledger import ServerRow
from wehr.ledger.report import ReportRow
from wehr.policy.phrases import encoded


@click.group("server")
def command() -> None:
    """List the servers seen, or show one."""


@command.command("list")
@store_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@limit_option(100, "Servers")
def list_servers(file: Path | None, state: Path | None, as_json: bool, limit: int) -> None:
    """List the servers seen, the latest first."""
    with opened(file, state) as stored:
        rows = sorted(
            stored.report(stored.store.servers(limit=limit)), key=lambda row: row.last_seen, reverse=True
        )
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("No server has been seen.")
    else:
        print_table(
            "",
            ("reference", "server", "network", "product", "build", "state", "stage", "last seen"),
            map(_line, rows),
        )


def _line(row: ReportRow) -> tuple[object, ...]:
    product = (row.exchange_server or row.software).removeprefix("Exchange Server ")
    seen = f"{row.last_seen:%Y-%m-%d %H:%M}"
    state = "mixed" if row.mixed else row.state
    return (row.reference, row.server_fqdn, row.network, product, row.build, state, row.stage or "", seen)


@command.command()
@click.argument("server", metavar="REF|NAME|ADDRESS")
@store_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document a server.")
@limit_option(20, "Messages")
def show(server: str, file: Path | None, state: Path | None, as_json: bool, limit: int) -> None:
    """Show what is known of a server: its report, its events and its latest messages."""
    with opened(file, state) as stored:
        rows = servers_of(stored, server)
        if not rows:
            raise BadUse(f"no server is known as {server!r}; 'wehr server list' shows those that are")
        for row in rows:
            _show(row, stored, limit, as_json=as_json)


def _show(row: ServerRow, stored: Stored, limit: int, *, as_json: bool) -> None:
    store = stored.store
    report = stored.report([row])[0]
    events = store.events(ref=row.ref)
    history = store.history(row.ref, limit=limit)
    if as_json:
        messages = [
            {**msgspec.to_builtins(message), "at": iso(message.at), "until": iso(message.until)}
            for message in history
        ]
        changes = [{**msgspec.to_builtins(event), "at": iso(event.at)} for event in events]
        print_json({"server": report, "evidence": row.line, "events": changes, "messages": messages})
        return
    facts = msgspec.to_builtins(report, enc_hook=encoded)
    print_table(
        report.server_fqdn, ("", ""), ((key.replace("_", " "), _text(value)) for key, value in facts.items())
    )
    click.echo(f"  Received: {row.line}\n")
    print_table(
        "Events",
        ("when", "what", "who", "detail"),
        ((iso(it.at), it.kind, it.actor, _text(it.detail)) for it in events),
    )
    print_table(
        "Latest messages",
        ("when", "build", "decision", "reason", "stage", "door", "queue id"),
        (
            (
                iso(it.at),
                it.build,
                it.action if it.enforced else f"{it.action} (not enforced)",
                it.reason,
                it.stage or "",
                it.door if it.relation != Relation.NONE else f"{it.door}, before its headers",
                it.queue_id,
            )
            for it in history
        ),
    )


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {inner}" for key, inner in value.items())
    return (
        ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
    )

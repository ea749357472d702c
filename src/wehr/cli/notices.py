"""``wehr notices``: what is written to the administrators of out-of-date servers."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
import rich_click as click
from jinja2 import TemplateError
from msgspec import Struct

from wehr.cli.output import BadUse, print_json, print_table
from wehr.cli.stored import Stored, actor_option, one_server, opened, store_options, why_option
from wehr.cli.times import Instant, iso
from wehr.ledger.outbox import Item, Kind, Outbox, State
from wehr.ledger.report import Basis
from wehr.notices import by_hand
from wehr.notices.office import Round, choose, look_round, open_office, plan_notices
from wehr.notices.settings import LANGUAGES, Notices
from wehr.notices.types import Notice, Reason
from wehr.service.state_folder import default_state

_NOBODY = "nobody@unknown.invalid"
"""Stands in a message that is only looked at, where no address is known."""
_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.group("notices")
def command() -> None:
    """Write to the administrators of out-of-date servers, or see what would be written."""


class Due(Struct, frozen=True):
    """A notice that is due, as it is printed."""

    tenant: str
    organisation: str
    reason: Reason
    episode: str
    to: tuple[str, ...]
    languages: tuple[str, ...]
    subject: str
    servers: tuple[str, ...]


@command.command()
@click.argument("server", metavar="REF|NAME")
@click.option("--reason", type=click.Choice([it.value for it in Reason]), help="Without it, what is next.")
@click.option("--language", type=click.Choice(LANGUAGES), help="Without it, those that would be used.")
@click.option("--at", type=Instant(), help="The time that counts as the present; without it, now.")
@click.option("--eml", is_flag=True, help="The message as it would be sent, with headers and attachments.")
@click.option("--html", is_flag=True, help="Its HTML part.")
@store_options
def preview(
    *,
    server: str,
    reason: str | None,
    language: str | None,
    at: float | None,
    eml: bool,
    html: bool,
    file: Path | None,
    state: Path | None,
) -> None:
    """Show a notice about a server, whether it is due or not. Nothing is sent."""
    with opened(file, state) as stored:
        row = one_server(stored, server)
        with _round(stored, state, at, (row.key.tenant,)) as one:
            if row.ref not in one.found:
                raise BadUse(f"{server}: shows no build, stands behind a relay, or has not been seen lately")
            notice = _imagined(one, row.ref, reason)
            _, to = one.whom_to(notice)
            if eml:
                message = one.message(notice, to or (_NOBODY,))
                sys.stdout.write(message.decode("ascii").replace("\r\n", "\n"))
                return
            for text in one.texts(notice):
                if language in (None, text.language):
                    if not html:
                        click.echo(f"To: {', '.join(to) or 'nobody: no address is known'}")
                        click.echo(f"Subject: {text.subject}\n")
                    click.echo(text.html if html else text.text)


def _imagined(one: Round, ref: str, reason: str | None) -> Notice:
    """The notice about a server that is due, or else one as it would be."""
    place = one.found[ref].place
    if reason is None:
        notices, _, _ = choose(one, ())
        due = next((notice for notice in notices if ref in notice.servers), None)
        if due is not None:
            return due
    cves = tuple(sorted(cve for cve, _ in place.exploited))
    wanted = Reason(reason or (Reason.CURED if place.detected is None else Reason.DETECTED))
    episode = "1"
    if wanted is Reason.EXPLOITED:
        if not cves:
            raise BadUse("no hole of this server is known to be exploited")
        episode = " ".join(cves)
    elif wanted is Reason.FLOOR:
        if not place.floors:
            raise BadUse("no floor to come touches this server")
        episode = place.floors[0]
    return Notice(place.tenant, place.organisation, wanted, episode, (ref,), cves)


@command.command()
@click.option("--really", is_flag=True, help="Send; without it nothing is written or sent.")
@click.option("--at", type=Instant(), help="The time that counts as the present, to see what is due then.")
@store_options
@_json
def send(*, really: bool, at: float | None, file: Path | None, state: Path | None, as_json: bool) -> None:
    """Show what is due now; with --really put it into the outbox and deliver it.

    A running service does so by itself, every ten minutes, for the tenants of notices.tenants.
    """
    if really and at is not None:
        raise BadUse("--at is for looking ahead; it does not go with --really")
    with opened(file, state) as stored:
        settings = stored.config.notices
        tenants = settings.tenants or ("default",)
        if really and not settings.tenants:
            raise BadUse("notices.tenants is empty: nobody is to be written to")
        with _round(stored, state, at, tenants) as one:
            outbox = Outbox(stored.store)
            notices, _, _ = choose(one, outbox.items(kind=Kind.NOTICE, limit=1_000_000))
            found = [_due(one, notice) for notice in notices]
            if as_json:
                print_json(found)
            else:
                _print_due(found)
            if not really:
                if not as_json:
                    click.echo("Nothing was sent: this was a dry run. With --really it is sent.")
                return
            if stopped := outbox.stopped():
                raise BadUse(f"notices are stopped since {iso(stopped.at)} by {stopped.by}: {stopped.why}")
            plan_notices(one, outbox)
        failed = asyncio.run(_deliver(outbox, settings, _folder(state)))
    sys.exit(1 if failed else 0)


@command.command()
@click.argument("server", metavar="REF|NAME")
@why_option
@actor_option
@store_options
def write(server: str, why: str, by: str, file: Path | None, state: Path | None) -> None:
    """Put the notice about a server that is due into the outbox, without waiting for gather_hours.

    A running service delivers it; 'wehr notices preview' shows it first.
    """
    with opened(file, state) as stored:
        row = one_server(stored, server)
        if row.key.tenant not in stored.config.notices.tenants:
            raise BadUse(f"notices.tenants does not name {row.key.tenant!r}: nobody is to be written to")
        with _round(stored, state, None, (row.key.tenant,)) as one:
            try:
                notice = by_hand.write(one, Outbox(stored.store), row.ref, why=why, by=by)
            except by_hand.Barred as error:
                raise BadUse(f"{server}: {error}") from None
            found = _due(one, notice)
    click.echo(f"In the outbox, {found.reason}: {found.subject}\nTo: {', '.join(found.to)}")


async def _deliver(outbox: Outbox, settings: Notices, folder: Path) -> int:
    """Deliver all that is due; tells how much of it failed."""
    from wehr.notices.courier import Courier

    failed = 0
    courier = Courier(outbox, settings, folder, node="cli", clock=time.time)
    while errand := await courier.deliver_next():
        item = errand.item
        failed += errand.state is not State.SENT
        click.echo(
            f"{errand.state}: {item.kind} {item.reason} for {item.organisation}: {errand.said}", err=True
        )
    return failed


def _due(one: Round, notice: Notice) -> Due:
    _, to = one.whom_to(notice)
    texts = one.texts(notice)
    names = tuple(one.found[ref].row.key.name for ref in notice.servers)
    return Due(
        notice.tenant,
        notice.organisation,
        notice.reason,
        notice.episode,
        to,
        tuple(text.language for text in texts),
        texts[0].subject,
        names,
    )


def _print_due(found: list[Due]) -> None:
    if not found:
        click.echo("No notice is due.")
        return
    print_table(
        "",
        ("organisation", "reason", "servers", "to", "subject"),
        (
            (it.organisation, it.reason, ", ".join(it.servers), ", ".join(it.to) or "nobody", it.subject)
            for it in found
        ),
    )


@command.command("list")
@click.option(
    "--state-of", "states", multiple=True, type=click.Choice([it.value for it in State]), help="Only these."
)
@click.option("--organisation", default="", help="Only to this one.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Rows at most.")
@store_options
@_json
def list_items(
    *,
    states: tuple[str, ...],
    organisation: str,
    limit: int,
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """List what was written, and what waits, newest first."""
    with opened(file, state) as stored:
        outbox = Outbox(stored.store)
        found = outbox.items(states=[State(it) for it in states], organisation=organisation, limit=limit)
        stopped, contacts = outbox.stopped(), outbox.stopped_contacts()
    if as_json:
        print_json(
            {
                "stopped": stopped and {**msgspec.to_builtins(stopped), "at": iso(stopped.at)},
                "stopped_contacts": contacts,
                "items": [_item(it) for it in found],
            }
        )
        return
    if stopped:
        click.echo(f"Notices are stopped since {iso(stopped.at)} by {stopped.by}: {stopped.why}")
    if not found:
        click.echo("Nothing was written yet.")
        return
    print_table(
        "",
        ("id", "changed", "state", "kind", "reason", "for", "to", "said"),
        (
            (
                it.id,
                iso(it.changed),
                it.state,
                it.kind,
                it.reason,
                it.organisation,
                ", ".join(it.recipients),
                it.said,
            )
            for it in found
        ),
    )


def _item(item: Item) -> dict[str, object]:
    values: dict[str, object] = msgspec.to_builtins(msgspec.structs.replace(item, body=b""))
    for name in ("body", "holder", "held_until"):
        del values[name]
    return values | {name: iso(getattr(item, name)) for name in ("created", "due", "changed")}


@command.command()
@click.option("--why", default="", help="The reason, for the audit.")
@actor_option
@store_options
def stop(why: str, by: str, file: Path | None, state: Path | None) -> None:
    """The kill switch: from now on no node sends a notice. Digests and webhooks go on."""
    with opened(file, state) as stored:
        Outbox(stored.store).stop(time.time(), by, why)
    click.echo("Notices are stopped on all nodes; 'wehr notices start' lets them go out again.")


@command.command()
@actor_option
@store_options
def start(by: str, file: Path | None, state: Path | None) -> None:
    """Let notices go out again."""
    with opened(file, state) as stored:
        was = Outbox(stored.store).start(time.time(), by)
    click.echo("Notices go out again." if was else "Notices were not stopped.")


@command.command()
@click.argument("item_id", metavar="ID", type=int)
@actor_option
@store_options
def retry(item_id: int, by: str, file: Path | None, state: Path | None) -> None:
    """Send a doubtful or refused notice again, after seeing that it did not arrive."""
    _settle(item_id, State.WAITING, by, file, state)


@command.command()
@click.argument("item_id", metavar="ID", type=int)
@actor_option
@store_options
def withdraw(item_id: int, by: str, file: Path | None, state: Path | None) -> None:
    """Let a waiting, doubtful or refused notice be."""
    _settle(item_id, State.WITHDRAWN, by, file, state)


def _settle(item_id: int, to: State, by: str, file: Path | None, state: Path | None) -> None:
    with opened(file, state) as stored:
        item = Outbox(stored.store).settle(item_id, to, time.time(), by)
    if item is None:
        raise BadUse(f"{item_id} is no notice that can be settled so; 'wehr notices list' shows them")
    click.echo(f"{item_id}: {item.state} to {to}.")


@command.command()
@click.argument("message", type=click.File("rb"), default="-")
@store_options
def bounce(message: BinaryIO, file: Path | None, state: Path | None) -> None:
    """Take a bounce (RFC 3464) from MESSAGE or standard input, as an alias pipes it.

    An address that does not exist is not written to any more. Ends with 0 whatever the message is, and with
    75 where the store cannot be used: then the mail system is to try again.
    """
    from wehr.notices.bounce import MOST_BYTES, take_bounce

    content = message.read(MOST_BYTES)
    try:
        with opened(file, state) as stored:
            gone = take_bounce(Outbox(stored.store), content, time.time())
    except BadUse as error:
        click.echo(f"wehr: {error}", err=True)
        sys.exit(os.EX_TEMPFAIL)
    click.echo(
        "\n".join(f"{address} is not written to any more." for address in gone) or "No bounce of a notice."
    )


@command.command()
@click.argument("address", required=False)
@actor_option
@store_options
def resume(address: str | None, by: str, file: Path | None, state: Path | None) -> None:
    """Write to an ADDRESS again that mail came back from; without one, list those."""
    with opened(file, state) as stored:
        outbox = Outbox(stored.store)
        if address is None:
            for known, why in outbox.stopped_contacts().items():
                click.echo(f"{known}  {why}")
        elif not outbox.resume_contact(address, time.time(), by):
            raise BadUse(f"{address} was never stopped; 'wehr notices resume' lists those that were")


@command.command()
def schema() -> None:
    """Print the JSON schema of webhooks."""
    from wehr.notices.webhook import SCHEMA

    print_json(SCHEMA)


def _folder(state: Path | None) -> Path:
    return (state or default_state()).absolute()


@contextmanager
def _round(stored: Stored, state: Path | None, at: float | None, tenants: tuple[str, ...]) -> Iterator[Round]:
    """How the servers stand; a template that is wrong ends with one line."""
    config, old = stored.config, stored.basis
    now = old.now if at is None else at
    basis = Basis(old.ledger, old.catalogue, old.policy, old.holds, now)
    office = open_office(
        config.notices,
        _folder(state),
        host=config.name,
        status_url=config.status_url,
        contact=config.contact,
        now=now,
    )
    try:
        yield look_round(office, stored.store, basis, tenants)
    except TemplateError as error:
        raise BadUse(f"a template is wrong: {error}") from None

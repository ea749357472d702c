"""``wehr explain``: why a message was, or would be, treated as it is."""

import re
import time
from pathlib import Path

import rich_click as click

from wehr.cli.config import catalogue_of, read
from wehr.cli.output import BadUse, print_json
from wehr.cli.stored import Stored, opened, servers_of, store_options
from wehr.cli.times import iso
from wehr.evidence import Own, Session, inspect, sighting, split_headers
from wehr.ledger import Ledger, SightingRow
from wehr.ledger.explaining import Explanation, explain_message, explain_server, explain_sighting
from wehr.ledger.report import Basis
from wehr.policy import Holds, ServerKey
from wehr.service.config import Config
from wehr.survey.readers import UnreadableSource, read_path


@click.command("explain")
@click.argument("subject", metavar="REF|SERVER|QUEUE-ID|FILE")
@store_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(subject: str, file: Path | None, state: Path | None, as_json: bool) -> None:
    """Explain a decision.

    Takes the reference in a reply (or its link), the name or address of a server, the queue id of a message
    that was decided on, or a message file, which is explained as if a newcomer handed it over now.
    """
    if Path(subject).is_file():
        found = _of_file(Path(subject), read(file), state)
    else:
        with opened(file, state) as stored:
            found = _of_stored(subject, stored)
    if as_json:
        print_json(found)
    else:
        for one in found:
            _print(one)


def _of_stored(subject: str, stored: Stored) -> list[Explanation]:
    store = stored.store
    reference = re.search(r"[a-z2-7]{16}$", subject.rstrip(")."))
    row = store.server(reference[0]) if reference else None
    if rows := [row] if row else servers_of(stored, subject, limit=20):
        return [explain_server(row, stored.basis, store.secret) for row in rows]
    if messages := store.message(subject):
        return [_past(message, stored) for message in messages]
    raise BadUse(
        f"nothing is known of {subject!r}: it is no reference, server name, address or queue id "
        "in the store, and no file"
    )


def _past(message: SightingRow, stored: Stored) -> Explanation:
    row = stored.store.server(message.ref)
    if row is None:
        raise BadUse(f"the server of message {message.queue_id} is forgotten")
    return explain_message(message, row, stored.basis, stored.store.secret)


def _of_file(path: Path, config: Config, state: Path | None) -> list[Explanation]:
    """A message file, as if a newcomer handed it over now."""
    now, receiver, policy = time.time(), config.receiver, config.policy
    own = Own(receiver.names, receiver.networks, receiver.relays)
    basis = Basis(Ledger(), catalogue_of(config, state), policy, Holds.of(policy, (), ()), now)
    found = []
    try:
        for _, block in read_path(path):
            seen_in = inspect(split_headers(block), session=Session(), stored=True, own=own)
            seen = sighting(seen_in.handover, Session(), now)
            key = ServerKey("default", seen.name if seen else "", seen.network if seen else "")
            decision, items = explain_sighting(seen, key, basis, b"")
            found.append(Explanation(key.name, key.network, "", iso(now), decision, items))
    except UnreadableSource as error:
        raise BadUse(str(error)) from None
    return found


def _print(one: Explanation) -> None:
    head = one.server or "No server"
    if one.network:
        head += f" on {one.network}"
    if one.reference:
        head += f" (ref {one.reference})"
    click.secho(f"{head}, {one.at}", bold=True)
    for item in one.items:
        click.echo(click.wrap_text(f"{item.heading}: {item.text}", 100, "  ", "    "))
    click.echo()

"""``wehr inspect``: who handed a stored message over, and which build it shows."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import rich_click as click

from wehr.catalogue import Catalogue
from wehr.cli.config import catalogue_of, read
from wehr.cli.output import BadUse, print_json, print_table
from wehr.evidence import Handover, Hop, Inspection, Own, Session, format_build, inspect, split_headers
from wehr.evidence.address import canonical
from wehr.survey.readers import UnreadableSource, read_path, read_stream


@click.command("inspect")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--as",
    "view",
    type=click.Choice(["stored", "handed-over"]),
    default="stored",
    show_default=True,
    help="stored: the receiver's own hops stand on top; handed-over: the top hop is the handover hop.",
)
@click.option("--client-ip", default="", help="The client's address.")
@click.option("--helo", default="", help="The name that the client gave in HELO.")
@click.option("--client-name", default="", help="The client's verified host name.")
@click.option(
    "--own", multiple=True, metavar="NAME", help="A host name of the receiver's own; may be repeated."
)
@click.option(
    "--relay", multiple=True, metavar="NAME", help="A trusted relay in front of it; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line per message.")
def command(
    files: tuple[str, ...],
    view: str,
    client_ip: str,
    helo: str,
    client_name: str,
    own: tuple[str, ...],
    relay: tuple[str, ...],
    as_json: bool,
) -> None:
    """Tell who handed a stored message over, and which build it shows.

    FILE is a message, an mbox, a Maildir, JSON lines with the key "headers", or - for standard input.
    """
    address = canonical(client_ip)
    if client_ip and not address:
        raise BadUse(f"--client-ip: {client_ip!r} is no address such as 192.0.2.1 or 2001:db8::1")
    session = Session(client_ip=address, client_name=client_name, helo=helo)
    try:
        receiver = Own(names=own, relays=relay)
    except ValueError as error:
        raise BadUse(f"--relay: {error}") from None
    catalogue = catalogue_of(read(None), None)
    try:
        for name, block in _messages(files):
            found = inspect(split_headers(block), session=session, stored=view == "stored", own=receiver)
            if as_json:
                print_json(_as_json(name, found, catalogue))
            else:
                _print(name, found, catalogue)
    except UnreadableSource as error:
        raise BadUse(str(error)) from None


def _messages(files: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        if file == "-":
            yield from read_stream(sys.stdin.buffer if sys.stdin else BytesIO(), "-")
        else:
            yield from read_path(Path(file))


def _as_json(name: str, found: Inspection, catalogue: Catalogue) -> dict[str, object]:
    """The documented shape, which programs build on."""
    over = found.handover
    return {
        "id": name,
        "hops": [
            {
                "by": hop.by or None,
                "from": hop.helo or hop.from_name or None,
                "from_ip": hop.from_ip or None,
                "protocol": hop.protocol or None,
                **_software(hop, catalogue),
            }
            for hop in found.hops
        ],
        "receiver": found.receiver,
        "handover": {
            "index": over.index,
            **_software(over, catalogue),
            "name": over.name or None,
            "relation": over.relation,
            "confidence": over.confidence,
        },
    }


def _software(seen: Hop | Handover, catalogue: Catalogue) -> dict[str, object]:
    return {
        "software": seen.software,
        "version": seen.version or None,
        "product": catalogue.product_of(seen.software, seen.build) if seen.build else None,
        "build": format_build(seen.build) if seen.build else None,
    }


def _print(name: str, found: Inspection, catalogue: Catalogue) -> None:
    over = found.handover
    roles = {found.receiver: "received here", over.index: f"handover: {over.relation}"}
    print_table(
        name,
        ["hop", "stamped by", "from", "address", "software", "version", ""],
        [
            (
                number,
                hop.by,
                hop.helo or hop.from_name,
                hop.from_ip,
                hop.software,
                hop.version,
                roles.get(number, ""),
            )
            for number, hop in enumerate(found.hops)
        ],
    )
    if over.build is None:
        click.echo(f"  {over.name or 'The client'} shows no build ({over.software}, {over.relation}).\n")
        return
    today = datetime.now(UTC).date()
    state = catalogue.assess(over.build, today, over.software).state
    product = catalogue.product_of(over.software, over.build) or over.software
    click.echo(
        f"  {over.name}: {product}, build {format_build(over.build)} or later, {state} on {today} "
        f"({over.relation}, {over.confidence}).\n"
    )

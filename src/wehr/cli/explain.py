"""``wehr explain``: why a message was, or would be, treated as it is."""

import re
import time
from pathlib import Path

import rich_click as click
from msgspec import Struct

from wehr.cli.config import read
from wehr.cli.output import BadUse, print_json
from wehr.cli.stored import Stored, opened, store_options
from wehr.cli.times import iso
from wehr.evidence import (
    Confidence,
    Relation,
    Session,
    Sighting,
    inspect,
    parse_build,
    sighting,
    split_headers,
)
from wehr.ledger import Ledger, ServerRow, SightingRow
from wehr.ledger.report import Basis
from wehr.policy import Action, Decision, Holds, Policy, Reason, Scope, ServerKey, decide
from wehr.policy.explain import Item, explain
from wehr.survey.readers import UnreadableSource, read_path


class Explanation(Struct, frozen=True):
    """What is printed: who, when, what was decided, and the paragraphs that tell why."""

    server: str
    network: str
    reference: str
    at: str | None
    decision: Decision
    items: tuple[Item, ...]


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
        found = _of_file(Path(subject), read(file).policy)
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
    rows = [row] if row else store.servers(name=subject, limit=20)
    if rows:
        return [_present(row, stored) for row in rows]
    if messages := store.message(subject):
        return [_past(message, stored) for message in messages]
    raise BadUse(
        f"nothing is known of {subject!r}: it is no reference, server name, address or queue id "
        "in the store, and no file"
    )


def _present(row: ServerRow, stored: Stored) -> Explanation:
    """What a message with the server's latest stamp would meet now."""
    basis = stored.basis
    confidence = Confidence.CONFIRMED if row.state.confirmed_at else Confidence.PLAUSIBLE
    seen = _sighting(row.key, row, row.state.software, confidence, basis.now)
    decision, items = _explained(seen, row.key, basis, stored.store.secret)
    return Explanation(row.key.name, row.key.network, row.ref, iso(basis.now), decision, items)


def _past(message: SightingRow, stored: Stored) -> Explanation:
    """What was decided on a message when it came."""
    store, basis = stored.store, stored.basis
    row = store.server(message.ref)
    if row is None:
        raise BadUse(f"the server of message {message.queue_id} is forgotten")
    seen = _sighting(row.key, message, message.software, Confidence(message.confidence), message.at)
    decision = Decision(
        Action(message.action),
        Reason(message.reason),
        message.enforced,
        message.stage,
        message.throttle,
        message.block,
        message.until,
        message.ladder,
    )
    then = Basis(basis.ledger, basis.catalogue, basis.policy, basis.holds, message.at)
    _, items = _explained(seen, row.key, then, store.secret, decision)
    return Explanation(row.key.name, row.key.network, row.ref, iso(message.at), decision, items)


def _sighting(
    key: ServerKey, row: ServerRow | SightingRow, software: str, confidence: Confidence, at: float
) -> Sighting:
    """A stored row as the sighting that it was."""
    return Sighting(
        at=at,
        name=key.name,
        network=key.network,
        software=software,
        build=parse_build(row.build) if row.build else None,
        relation=Relation(row.relation),
        confidence=confidence,
        client_ip=row.client_ip,
        client_name=row.client_name,
        version=row.version,
        line=row.line,
    )


def _of_file(path: Path, policy: Policy) -> list[Explanation]:
    """A message file, as if a newcomer handed it over now."""
    from wehr.catalogue import load

    now = time.time()
    found = []
    try:
        for _, block in read_path(path):
            seen_in = inspect(split_headers(block), session=Session(), stored=True)
            seen = sighting(seen_in.handover, Session(), now)
            basis = Basis(Ledger(), load(), policy, Holds.of(policy, (), ()), now)
            key = ServerKey("default", seen.name if seen else "", seen.network if seen else "")
            decision, items = _explained(seen, key, basis, b"")
            found.append(Explanation(key.name, key.network, "", iso(now), decision, items))
    except UnreadableSource as error:
        raise BadUse(str(error)) from None
    return found


def _explained(
    seen: Sighting | None, key: ServerKey, basis: Basis, secret: bytes, decision: Decision | None = None
) -> tuple[Decision, tuple[Item, ...]]:
    policy, catalogue = basis.policy, basis.catalogue
    assessment = effective = None
    if seen and seen.build:
        assessment = effective = catalogue.assess(seen.build, basis.today, seen.software)
    standing = basis.ledger.standing(key, basis.now)
    if seen and standing and standing.effective_build:
        effective = catalogue.assess(standing.effective_build, basis.today, seen.software)
    held = basis.holds.stops(key, seen.client_ip, seen.client_name) if seen else ()
    if decision is None:
        decision = decide(
            seen,
            assessment,
            standing,
            effective,
            scope=_scope(key, seen, policy),
            policy=policy,
            stops=held,
            key=secret,
            now=basis.now,
        )
    items = explain(
        decision,
        seen,
        assessment,
        standing,
        effective=effective,
        server=key,
        policy=policy,
        catalogue=catalogue,
        stops=held,
        key=secret,
        now=basis.now,
    )
    return decision, items


def _scope(key: ServerKey, seen: Sighting | None, policy: Policy) -> Scope:
    """The scope of a message from this client to the server's tenant."""
    domains = next((tenant.domains for tenant in policy.tenants if tenant.name == key.tenant), ())
    session = Session(
        client_ip=seen.client_ip if seen else "",
        client_name=seen.client_name if seen else "",
        recipients=tuple(domain.removeprefix(".") for domain in domains[:1]),
    )
    return policy.scoping().resolve(session)[0]


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

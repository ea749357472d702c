"""Why a stored decision was taken, or what a server would meet now: for the command line, pages and API."""

from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct

from wehr.evidence import Confidence, Relation, Session, Sighting, parse_build
from wehr.ledger.report import Basis
from wehr.ledger.rows import ServerRow, SightingRow
from wehr.policy import Action, Decision, Mode, Policy, Reason, Scope, ServerKey, decide
from wehr.policy.explain import Item, explain
from wehr.policy.scope import Connector, Scoping, Tenant


class Explanation(Struct, frozen=True):
    """Who, when, what was decided, and the paragraphs that tell why."""

    server: str
    network: str
    reference: str
    at: str | None
    decision: Decision
    items: tuple[Item, ...]


def explain_server(row: ServerRow, basis: Basis, secret: bytes) -> Explanation:
    """What a message with the server's latest stamp would meet now; ``secret`` is the fleet's."""
    confidence = Confidence.CONFIRMED if row.state.confirmed_at else Confidence.PLAUSIBLE
    seen = _sighting(row.key, row, row.state.software, confidence, basis.now)
    decision, items = explain_sighting(seen, row.key, basis, secret)
    return Explanation(row.key.name, row.key.network, row.ref, _iso(basis.now), decision, items)


def explain_message(message: SightingRow, row: ServerRow, basis: Basis, secret: bytes) -> Explanation:
    """What was decided on a message of this server when it came."""
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
    _, items = explain_sighting(seen, row.key, then, secret, decision)
    return Explanation(row.key.name, row.key.network, row.ref, _iso(message.at), decision, items)


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


def explain_sighting(
    seen: Sighting | None, key: ServerKey, basis: Basis, secret: bytes, decision: Decision | None = None
) -> tuple[Decision, tuple[Item, ...]]:
    """The decision on a sighting, and its explanation; without ``decision``, what is decided now."""
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
            scope=scope_of(key, seen.client_ip if seen else "", seen.client_name if seen else "", policy),
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


def scope_of(key: ServerKey, client_ip: str, client_name: str, policy: Policy) -> Scope:
    """The scope of a message from this client to the server's tenant.

    A connector that goes by the listener or a certificate is not found, for neither is kept.
    """
    tenant = next((it for it in policy.tenants if it.name == key.tenant), None)
    # What begins with a dot stands for what is below it.
    domains = [f"any{it}" if it.startswith(".") else it for it in tenant.domains[:1]] if tenant else []
    session = Session(client_ip=client_ip, client_name=client_name, recipients=tuple(domains))
    found = _scoping(policy.mode, policy.tenants, policy.connectors).resolve(session)[0]
    if found.tenant == key.tenant:
        return found
    mode = (tenant and tenant.mode) or policy.mode
    return Scope(key.tenant, mode, skip=Reason.OFF if mode is Mode.OFF else None)


@lru_cache(maxsize=4)
def _scoping(mode: Mode, tenants: tuple[Tenant, ...], connectors: tuple[Connector, ...]) -> Scoping:
    return Scoping(mode, tenants, connectors, ())


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Sightings of an example server, for the tests of this room."""

from wehr.evidence.build import Build
from wehr.evidence.types import Confidence, Relation, Sighting
from wehr.ledger.journal import Entry
from wehr.ledger.state import DAY, ServerState, observe
from wehr.policy.types import Action, Decision, Reason, ServerKey

START = 20_000 * DAY + 10 * 3600
"""Ten o'clock on some day."""
OLD: Build = (15, 1, 2507, 6)
NEW: Build = (15, 1, 2507, 61)


def at(day: float) -> float:
    """So many days after the start."""
    return START + day * DAY


def sighting(
    day: float,
    build: Build | None = OLD,
    *,
    name: str = "mail.example.org",
    network: str = "192.0.2.0/24",
    client_ip: str = "192.0.2.25",
    confidence: Confidence = Confidence.PLAUSIBLE,
    relation: Relation = Relation.DIRECT,
) -> Sighting:
    """A message of the example server on a day."""
    return Sighting(
        at=at(day),
        name=name,
        network=network,
        software="exchange",
        build=build,
        relation=relation,
        confidence=confidence,
        client_ip=client_ip,
        client_name="out.example.org",
        version=".".join(map(str, build or ())),
        line="from ex by mail.example.org with Microsoft SMTP Server",
    )


def seen(*story: tuple[float, Build, bool | None]) -> ServerState:
    """The state after messages on these days, with these builds, so judged."""
    state = None
    for day, build, compliant in story:
        state = observe(state, sighting(day, build), compliant)
    assert state is not None
    return state


def daily(
    first: int, last: int, build: Build, compliant: bool | None
) -> list[tuple[float, Build, bool | None]]:
    """A message on each day from the first to the last."""
    return [(float(day), build, compliant) for day in range(first, last + 1)]


def key_of(sighted: Sighting, tenant: str = "default") -> ServerKey:
    """The server that a sighting is of."""
    return ServerKey(tenant, sighted.name, sighted.network)


def entry(sighted: Sighting, compliant: bool | None = False, stage: int = 1, queue_id: str = "4XYZ") -> Entry:
    """A journal entry of a sighting that was accepted."""
    decision = Decision(Action.ACCEPT, Reason.REPORT_STAGE, stage=stage)
    return Entry(key_of(sighted), sighted, compliant, decision, queue_id, "milter")

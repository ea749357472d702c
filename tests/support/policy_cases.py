"""Sightings and assessments for the tests of the policy: an unpatched Exchange 2016 unless told otherwise."""

from datetime import UTC, date, datetime

from hypothesis import strategies as st

from wehr.catalogue.types import Assessment, MissingUpdate, State
from wehr.evidence.build import parse_build
from wehr.evidence.types import Confidence, Relation, Sighting
from wehr.policy.types import Episode, ServerKey, Standing

KEY = b"a secret of sixteen or more bytes"
DAY = 86_400.0
START = datetime(2026, 10, 1, 9, 17, 33, tzinfo=UTC).timestamp()
OLD = "15.1.2507.17"
NEW = "15.1.2507.61"
SERVER = ServerKey("default", "ex01.corp.example", "192.0.2.0/24")


def assessment(build: str = OLD, **changes: object) -> Assessment:
    """What a catalogue would say of an Exchange build; out of support and missing an update if it is old."""
    old = parse_build(build) < (15, 1, 2507, 61)
    values: dict[str, object] = {
        "software": "exchange",
        "product": "Exchange Server 2016",
        "branch": "CU23",
        "update": None,
        "build": parse_build(build),
        "released": date(2022, 5, 10),
        "state": State.OUTDATED if old else State.CURRENT,
        "branch_supported": True,
        "support_ends": None,
        "missing_updates": (missing(),) if old else (),
        "branch_key": parse_build(build)[:3],
    }
    return Assessment(**(values | changes))


def missing(name: str = "Aug23SU", released: date = date(2023, 8, 8), **changes: object) -> MissingUpdate:
    """A security update that is missing."""
    return MissingUpdate(name, (15, 1, 2507, 31), released, **changes)


def sighting(build: str | None = OLD, **changes: object) -> Sighting:
    """One message's evidence about the server."""
    values: dict[str, object] = {
        "at": START,
        "name": SERVER.name,
        "network": SERVER.network,
        "software": "exchange",
        "build": parse_build(build) if build else None,
        "relation": Relation.DIRECT,
        "confidence": Confidence.CONFIRMED,
        "client_ip": "192.0.2.7",
        "line": "from client by ex01.corp.example with Microsoft SMTP Server",
    }
    return Sighting(**(values | changes))


def standing(build: str = OLD, started: float | None = START, **changes: object) -> Standing:
    """A server out of compliance since ``started``."""
    episode = None if started is None else Episode(started, ((started, None),))
    values: dict[str, object] = {
        "first_seen": START,
        "last_seen": START,
        "effective_build": parse_build(build),
        "episode": episode,
    }
    return Standing(**(values | changes))


def day_after(days: float) -> date:
    """The UTC day so many days after the start."""
    return datetime.fromtimestamp(START + days * DAY, UTC).date()


names = st.text(max_size=40)
servers = st.builds(ServerKey, names, names, names)
moments = st.floats(0, 200 * DAY).map(lambda seconds: START + seconds)

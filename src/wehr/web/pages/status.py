"""The public page behind the link in a refusal: what one server's administrator, far away, wants to know."""

from typing import Final

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wehr.catalogue import links as known
from wehr.catalogue.links import Link
from wehr.catalogue.types import MissingUpdate, Release, State, Vulnerability
from wehr.evidence import format_build
from wehr.ledger import Store
from wehr.ledger.report import Basis
from wehr.ledger.rows import ServerRow
from wehr.ledger.story import Story, story
from wehr.policy.types import Action
from wehr.web.access.attempts import network_of
from wehr.web.pages.server import Shown, builds_of
from wehr.web.visit import Need, Page, Visit

_UPDATES: Final = 6
"""So many missing updates are named, the newest; the rest is counted."""


class Cure(Struct, frozen=True):
    """A release that may be installed."""

    release: Release
    leaves: tuple[str, ...]
    """Holes that are known to be exploited and that it leaves open."""


class Told(Struct, frozen=True):
    """What the page says of a server, beside its story."""

    verdict: str
    """What mail meets now: mixed, current, taken, held, reported, open, throttled or blocked."""
    until: float | None
    """When mail is taken again, in UTC seconds since 1970; None if it is, or if that is not near."""
    missing: tuple[MissingUpdate, ...]
    missing_more: int
    paid: tuple[str, ...]
    """Missing updates that cost money and that nobody asks for."""
    backported: bool
    """Whether the version convicts nobody, for distributions mend the software under it."""
    holes: tuple[Vulnerability, ...]
    """Known to be exploited, and certain."""
    wanted: tuple[Cure, ...]
    """What to install, the least that is accepted first."""
    updates: Link | None
    break_in: tuple[Link, ...]
    beside: tuple[Shown, ...] = ()
    """Other builds that a mixed server shows, the highest first."""


async def _status(visit: Visit) -> Response:
    client = visit.request.client
    if not visit.house.public_rate.allows(network_of(client.host if client else ""), visit.house.now()):
        raise HTTPException(429, headers={"Retry-After": "60"})
    ref = visit.path["ref"]

    def look_up(store: Store) -> tuple[ServerRow | None, bytes]:
        # By its reference alone: a name or an address opens nothing here.
        row = store.server(ref)
        return (row if row and row.ref == ref else None), store.secret

    row, key = await visit.house.ask(look_up)
    if row is None:
        return await visit.page("status_unknown.html", 404)
    basis = visit.house.basis([row.key])
    found = await visit.house.work(lambda: story(row, (), basis, key))
    response = await visit.page(
        "status.html",
        story=found,
        told=tell(found, basis, visit.language, doubted=bool(visit.house.present.doubt)),
        links=known,
    )
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response


def tell(found: Story, basis: Basis, language: str, *, doubted: bool = False) -> Told:
    """What the page says of a server; ``doubted``: nobody at all is refused at the moment."""
    assessment = found.assessment
    missing = basis.asked(assessment) if assessment else ()
    holes = assessment.attacked if assessment else ()
    verdict, until = _now(found, basis, doubted=doubted)
    software = found.row.state.software
    return Told(
        verdict,
        until,
        tuple(sorted(missing, key=lambda it: it.released, reverse=True)[:_UPDATES]),
        max(0, len(missing) - _UPDATES),
        tuple(it.name for it in assessment.missing_updates if it not in missing) if assessment else (),
        bool(assessment and assessment.backported and software not in basis.policy.compliance.trust_versions),
        holes,
        _wanted(found, basis),
        known.updates(software),
        known.break_in(software, language) if holes else (),
        tuple(it for it in builds_of(found.row) if it.build and format_build(it.build) != found.report.build)
        if found.report.mixed
        else (),
    )


def _now(found: Story, basis: Basis, *, doubted: bool) -> tuple[str, float | None]:
    """What a message of the server meets at this moment."""
    excuses = {
        "mixed": found.report.mixed and basis.policy.mixed != "enforce",
        "current": not found.report.out_of_date and _up_to_date(found, basis),
        "taken": not found.report.out_of_date,
        "held": found.excuse is not None,
        "reported": not found.enforced,
        "open": doubted or found.action is Action.ACCEPT,
    }
    if excuse := next((name for name, holds in excuses.items() if holds), None):
        return excuse, None
    return ("blocked" if found.action is Action.BLOCK else "throttled"), found.until


def _up_to_date(found: Story, basis: Basis) -> bool:
    """Whether nothing is missing, which is more than that the policy takes no offence."""
    known = found.assessment
    return bool(known and known.state is State.CURRENT and not (basis.asked(known) or known.attacked))


def _wanted(found: Story, basis: Basis) -> tuple[Cure, ...]:
    if not found.assessment:
        return ()
    least = basis.least(found.assessment) if found.report.out_of_date else None
    software = found.assessment.software
    builds = dict.fromkeys((*([least] if least else []), *found.assessment.recommended_builds))
    return tuple(
        Cure(it, tuple(hole.cve for hole in basis.catalogue.assess(build, basis.today, software).attacked))
        for build in builds
        if (it := basis.catalogue.release_of(software, build))
    )


PAGES: Final = (Page("/s/{ref}", _status, Need.NOTHING, "status"),)

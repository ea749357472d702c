"""All servers with what they count as at one moment, to be filtered, sorted and paged in memory.

What a server counts as depends on the day, the policy and its neighbours, so no column could hold it. A line
is small, and made of values that other lines share: a hundred thousand of them are looked through in a blink.
"""

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from heapq import merge
from operator import attrgetter
from typing import Annotated, Any, Final, TypeVar, TypeVarTuple, cast

import msgspec
from msgspec import Meta, Struct

from wehr.catalogue.types import Assessment, State
from wehr.evidence import format_build
from wehr.ledger.memory import reference
from wehr.ledger.report import Basis, Course, judge
from wehr.ledger.state import DAY, ServerState
from wehr.policy import ServerKey
from wehr.policy.ladder import Stage
from wehr.policy.scope import a_labels

_T = TypeVar("_T")
_Given = TypeVarTuple("_Given")
_BREATH: Final = 64
"""Servers between two breaths."""
_RUN: Final = 4096
_MOST: Final = 1000
"""Servers on a page."""
_HOUR: Final = 60
"""Minutes."""


class Sort(StrEnum):
    """The orders of servers."""

    STANDING = "standing"
    """The out-of-date ones first, the highest stage first, then by name."""
    NAME = "name"
    BUILD = "build"
    PRODUCT = "product"
    STATE = "state"
    STAGE = "stage"
    FIRST_DETECTED = "first_detected"
    NEXT_STAGE = "next_stage"
    """The next to enter another stage first; those that enter none last."""
    LAST_SEEN = "last_seen"
    NETWORK = "network"


class Entering(StrEnum):
    """What the stages ahead of a server may bring that the present one does not."""

    THROTTLING = "throttling"
    """The first delays or refusals."""
    BLOCKING = "blocking"
    REFUSING = "refusing"
    """Nothing is taken any more."""

    def means(self, stage: Stage) -> bool:
        """Whether a stage is so."""
        if self is Entering.THROTTLING:
            return bool(stage.throttle or stage.block)
        return stage.block >= (_HOUR if self is Entering.REFUSING else 1)


class ServerQuery(Struct, frozen=True):
    """Which servers, in which order, and which page of them. What is not set lets all through."""

    out_of_date: bool | None = None
    state: State | None = None
    """What the catalogue says of the build today."""
    stage: int | None = None
    product: str = ""
    branch: str = ""
    """First numbers of the builds, such as 15.1.2507."""
    product_branch: str = ""
    """A line's own ``product_branch``, the whole of it."""
    build: str = ""
    """The whole build."""
    cve: str = ""
    """A hole that the build certainly has."""
    exploited: bool | None = None
    """Whether the build certainly has a hole that is known to be exploited."""
    tenant: str = ""
    software: str = ""
    silent: bool | None = None
    mixed: bool | None = None
    entering: Entering | None = None
    """What comes within some days."""
    within_days: Annotated[int, Meta(ge=1, le=366)] = 30
    text: str = ""
    """Part of a name, network or address, or a reference; in any case of letters and either spelling."""
    tenants: frozenset[str] | None = None
    """The tenants that the asker may see; None: all."""
    sort: Sort = Sort.STANDING
    descending: bool = False
    after: str = ""
    """Where the page before ended; a page gives it as ``next``."""
    before: str = ""
    """Where the page after began; a page gives it as ``previous``."""
    limit: int = 50


class Line(Struct, frozen=True, gc=False):
    """One server in short; times are UTC seconds since 1970, None where there is none."""

    ref: str
    key: ServerKey
    client_ip: str
    client_name: str
    software: str
    build: str
    """Empty if it shows none."""
    assessment: Assessment | None
    state: str
    out_of_date: bool
    why: str
    stage: int
    throttle: int
    block: int
    mixed: bool
    silent: bool
    confirmed: bool
    direct: bool
    """Whether it ever handed over itself."""
    first_seen: float
    last_seen: float
    first_detected: float | None
    throttled_from: float | None
    blocked_from: float | None
    next_stage: float | None
    next_throttle: int | None
    next_block: int | None
    course: Course | None

    def reaches(self, what: Entering) -> float | None:
        """When that begins for it; None: never, or it has begun."""
        return self.course.reaches(what.means) if self.course else None

    @property
    def product(self) -> str:
        """The product's name; empty if it is not known."""
        return (self.assessment and self.assessment.product) or ""

    @property
    def product_branch(self) -> str:
        """By name, such as ``Exchange Server 2016 CU23``; the software if the product is not known."""
        name, branch = self.product or self.software, self.assessment and self.assessment.branch
        return f"{name} {branch}" if branch else name


class ServerPage(Struct, frozen=True):
    """Some servers of those that a query finds."""

    lines: tuple[Line, ...]
    total: int
    """How many there are on all pages."""
    next: str = ""
    """For ``after``; empty on the last page."""
    previous: str = ""
    """For ``before``; empty on the first page."""


class BadCursor(ValueError):
    """``after`` or ``before`` is none that a page gave."""


_Place = tuple[float, str, str]
"""Where a line stands in an order; its reference last, so that no two stand at the same."""


class Listing:
    """All servers at one moment. What it says never changes, so any thread may ask it.

    Args:
        servers: all servers with their states, as ``basis.ledger`` holds them.
        basis: what they are judged by.
        secret: the fleet's, for references.
        names: the verified names of the clients, by reference.
        breathe: called now and then, to let others work.
    """

    def __init__(
        self,
        servers: Iterable[tuple[ServerKey, ServerState]],
        basis: Basis,
        secret: bytes,
        names: Mapping[str, str],
        breathe: Callable[[], None] = lambda: None,
    ) -> None:
        self.basis = basis
        lines = []
        for number, (key, state) in enumerate(servers):
            if number % _BREATH == 0:
                breathe()
            ref = reference(key, secret)
            lines.append(_line(ref, key, state, names.get(ref, ""), basis))
        self.lines: tuple[Line, ...] = tuple(lines)
        self._orders: dict[Sort, list[Line]] = {}
        self._made: dict[tuple[Any, ...], object] = {}

    def once(self, make: Callable[["Listing", *_Given], _T], *given: *_Given) -> _T:
        """What ``make(listing, *given)`` gives, made when first asked for: it is the same for all who ask."""
        key = (make, *given)
        if key not in self._made:
            self._made[key] = make(self, *given)
        return cast("_T", self._made[key])

    @property
    def asked(self) -> tuple[tuple[Sort, ...], tuple[tuple[Any, ...], ...]]:
        """The orders and the sums that were asked for."""
        return tuple(self._orders), tuple(self._made)

    def prepare(self, orders: Iterable[Sort], sums: Iterable[tuple[Any, ...]] = ()) -> None:
        """Sort and sum up already now, as was asked of an earlier one, so that nobody waits for it again."""
        for order in orders:
            if order not in self._orders:
                self._orders[order] = _sorted(self.lines, _PLACES[order])
        for make, *given in sums:
            self.once(make, *given)

    def page(self, query: ServerQuery) -> ServerPage:
        """The servers of one page.

        Raises:
            BadCursor: ``after`` or ``before`` is none that a page gave.
        """
        place_of = _PLACES[query.sort]
        found = self._ascending(query)
        limit = max(1, min(query.limit, _MOST))
        cursor = query.before or query.after
        if bool(query.before) == query.descending:
            first = bisect_right(found, _decoded(cursor), key=place_of) if cursor else 0
            end = min(len(found), first + limit)
        else:
            end = bisect_left(found, _decoded(cursor), key=place_of) if cursor else len(found)
            first = max(0, end - limit)
        lines = found[first:end]
        earlier, later = first > 0, end < len(found)
        if query.descending:
            lines.reverse()
            earlier, later = later, earlier
        return ServerPage(
            tuple(lines),
            len(found),
            _encoded(place_of(lines[-1])) if lines and later else "",
            _encoded(place_of(lines[0])) if lines and earlier else "",
        )

    def find(self, query: ServerQuery) -> list[Line]:
        """All servers that a query finds, in its order; its page is passed over."""
        found = self._ascending(query)
        return found[::-1] if query.descending else found

    def _ascending(self, query: ServerQuery) -> list[Line]:
        self.prepare((query.sort,))
        found = list(self._orders[query.sort])
        for condition in _conditions(query, self.basis.now):
            found = [line for line in found if condition(line)]
        return found


def _sorted(lines: Sequence[Line], place: Callable[[Line], _Place]) -> list[Line]:
    """The lines in an order. Sorted in pieces, for a sort of all would let no other thread work for long."""
    runs = [sorted(lines[first : first + _RUN], key=place) for first in range(0, len(lines), _RUN)]
    return list(merge(*runs, key=place))


def _enters(what: Entering, end: float, line: Line) -> bool:
    if line.next_stage is None or line.next_stage > end:  # most of them, told at once
        return False
    at = line.reaches(what)
    return at is not None and at <= end


def _conditions(query: ServerQuery, now: float) -> Iterator[Callable[[Line], bool]]:
    """What a line must meet, what costs least or leaves least first."""
    if query.entering:
        yield partial(_enters, query.entering, now + query.within_days * DAY)
    if (tenants := query.tenants) is not None:
        yield lambda line: line.key.tenant in tenants
    for name in ("out_of_date", "stage", "silent", "mixed"):
        wanted = getattr(query, name)
        if wanted is not None:
            yield partial(_equals, attrgetter(name), wanted)
    for name in ("state", "software", "build", "product_branch"):
        if wanted := getattr(query, name):
            yield partial(_equals, attrgetter(name), str(wanted))
    if query.tenant:
        yield lambda line: line.key.tenant == query.tenant
    if query.branch:
        below = query.branch.rstrip(".") + "."
        yield lambda line: f"{line.build}.".startswith(below)
    if query.product or query.cve or query.exploited is not None:
        fits = _Once(partial(_fits, query))
        yield lambda line: fits(line.assessment)
    if text := a_labels(query.text.strip().lower()):
        yield (
            lambda line: (
                text in line.key.name
                or text in line.key.network
                or text in line.client_name
                or text in line.client_ip
                or text == line.ref
            )
        )


def _equals(get: Callable[[Line], object], wanted: object, line: Line) -> bool:
    return get(line) == wanted


class _Once:
    """Asks once about each assessment: there are few of them, shared by all servers of a build."""

    def __init__(self, ask: Callable[[Assessment], bool]) -> None:
        self._ask = ask
        self._known: dict[int, bool] = {}

    def __call__(self, assessment: Assessment | None) -> bool:
        if assessment is None:
            return False
        known = self._known.get(id(assessment))
        if known is None:
            known = self._known[id(assessment)] = self._ask(assessment)
        return known


def _fits(query: ServerQuery, assessment: Assessment) -> bool:
    if query.product and query.product != assessment.product:
        return False
    certain = (hole.cve for hole in assessment.vulnerabilities if hole.certain)
    if query.cve and query.cve.upper() not in certain:
        return False
    return query.exploited is None or query.exploited == bool(assessment.attacked)


def _by_build(line: Line) -> str:
    """Builds in the order of their numbers; those of another software apart."""
    return f"{line.software} " + ".".join(part.zfill(10) for part in line.build.split("."))


_NEVER: Final = 1e11
_PLACES: Final[Mapping[Sort, Callable[[Line], _Place]]] = {
    Sort.STANDING: lambda it: (-it.stage if it.out_of_date else 1.0, it.key.name, it.ref),
    Sort.NAME: lambda it: (0.0, it.key.name, it.ref),
    Sort.BUILD: lambda it: (0.0, _by_build(it), it.ref),
    Sort.PRODUCT: lambda it: (0.0, f"{it.product} {it.key.name}", it.ref),
    Sort.STATE: lambda it: (0.0, f"{it.state} {it.key.name}", it.ref),
    Sort.STAGE: lambda it: (it.stage, it.key.name, it.ref),
    Sort.FIRST_DETECTED: lambda it: (it.first_detected or it.first_seen, it.key.name, it.ref),
    Sort.NEXT_STAGE: lambda it: (it.next_stage or _NEVER, it.key.name, it.ref),
    Sort.LAST_SEEN: lambda it: (it.last_seen, it.key.name, it.ref),
    Sort.NETWORK: lambda it: (0.0, f"{it.key.network} {it.key.name}", it.ref),
}


def _encoded(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _decoded(cursor: str) -> _Place:
    try:
        text = base64.b64decode(cursor[:2000] + "==", altchars=b"-_", validate=False)
        place: _Place = msgspec.json.decode(text, type=_Place)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise BadCursor("no page gave this cursor") from error
    return place


def _line(ref: str, key: ServerKey, state: ServerState, client_name: str, basis: Basis) -> Line:
    judged = judge(key, state, client_name, basis)
    dates, (stage, rates) = judged.dates, judged.stage
    detected = dates.first_detected_date or None
    return Line(
        ref,
        key,
        state.client_ip,
        client_name,
        state.software,
        format_build(judged.build) if judged.build else "",
        judged.assessment,
        judged.assessment.state if judged.assessment else State.UNKNOWN,
        judged.out_of_date,
        judged.verdict.why if judged.verdict else "",
        stage,
        rates.throttle,
        rates.block,
        judged.mixed,
        basis.silent(state),
        state.confirmed_at > 0,
        state.direct_at > 0,
        state.first_seen,
        state.last_seen,
        detected,
        dates.throttle_enabled_date,
        dates.blocking_enabled_date,
        dates.next_stage_start_date,
        dates.next_stage_throttle_rate,
        dates.next_stage_block_rate,
        judged.course,
    )

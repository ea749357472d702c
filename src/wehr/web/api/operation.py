"""What a program can ask or do: one value says how it is asked, who may, what is answered, and how."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Generic, TypeVar

from msgspec import Meta, Struct
from starlette.exceptions import HTTPException

from wehr.web.visit import Need, Visit

Q = TypeVar("Q")
B = TypeVar("B")
S = TypeVar("S")
T = TypeVar("T")


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is asked or answered beyond the path and the status."""


class Found(Struct, Generic[T], frozen=True):
    """A page of a list."""

    items: tuple[T, ...]
    next: str | None = None
    """For ``after``: where the next page begins; null on the last one. Also in the Link field."""
    total: int | None = None
    """How many there are on all pages, where that is known."""


class Call(Struct, Generic[Q, B], frozen=True):
    """One request: the visit, the parameters behind the question mark, and the body."""

    visit: Visit
    query: Q
    body: B

    def path(self, name: str) -> str:
        """A part of the path."""
        return self.visit.path[name]


class Operation(Struct, frozen=True):
    """One thing to ask or do. ``query`` and ``body`` are what is checked before ``handler`` is called."""

    method: str
    path: str
    name: str
    summary: str
    tag: str
    needs: Need
    handler: Callable[[Call[Any, Any]], Awaitable[Any]]
    answer: Any = Nothing
    query: Any = Nothing
    body: Any = None
    status: int = 200
    paged: bool = False
    errors: tuple[int, ...] = ()
    """What it may answer beside what every operation may."""


Id = Annotated[str, Meta(pattern="^[0-9a-f]{1,32}$", description="As the list shows it.")]
Reference = Annotated[str, Meta(pattern="^[a-z2-7]{16}$", description="A server's reference.")]
Limit = Annotated[int, Meta(ge=1, le=1000, description="Items at most.")]
Cursor = Annotated[str, Meta(max_length=4000, description="From `next` of the page before.")]
Place = Annotated[str, Meta(pattern="^[0-9]{0,9}$", description="From `next` of the page before.")]
Instant = Annotated[datetime, Meta(tz=True, description="A time with its zone (RFC 3339).")]
Reason = Annotated[
    str, Meta(min_length=1, max_length=1000, pattern=r"\S", description="Why; kept in the audit.")
]

_YEARS: Final = range(1970, 2200)


def problem(status: int, detail: str) -> HTTPException:
    """An error to raise."""
    return HTTPException(status, detail)


def missing(what: str = "there is no such thing") -> HTTPException:
    """The error that something is not there, or not for this visitor."""
    return problem(HTTPStatus.NOT_FOUND, what)


def seconds(at: datetime) -> float:
    """A time as UTC seconds since 1970.

    Raises:
        HTTPException: it is out of all reason (400).
    """
    if at.year not in _YEARS:
        raise problem(HTTPStatus.BAD_REQUEST, f"times are in the years {_YEARS[0]} to {_YEARS[-1]}")
    return at.timestamp()


def moment(at: float) -> datetime:
    """UTC seconds since 1970 as a time, to the second."""
    return datetime.fromtimestamp(int(at), UTC)


def today(visit: Visit) -> date:
    """The UTC day."""
    return moment(visit.house.now()).date()


def part(every: Sequence[S], after: str, limit: int, shown: Callable[[S], T]) -> Found[T]:
    """A page of what is all at hand: from the `Place` on where the page before ended."""
    start = int(after or 0)
    end = start + limit
    return Found(tuple(map(shown, every[start:end])), str(end) if end < len(every) else None, len(every))


def maybe(at: float | None) -> datetime | None:
    """The same of what may not be known."""
    return None if at is None else moment(at)

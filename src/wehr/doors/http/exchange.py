"""One exchange over HTTP, whatever it is about, and the question to the gate that comes out of it."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TypeVar

import msgspec
from msgspec import Struct

from wehr.doors.verdict import Verdict
from wehr.doors.wire import MAX_DOMAINS
from wehr.evidence.types import Session

_T = TypeVar("_T")

JSON = "application/json"
PROBLEM = "application/problem+json"


class Request(Struct, frozen=True, gc=False):
    """A request. Of a body that is longer than may be kept, ``cut`` is set and ``body`` its beginning."""

    method: str
    path: str
    content_type: str = ""
    authorization: str = ""
    body: bytes = b""
    cut: bool = False


class Response(Struct, frozen=True, gc=False):
    """What is answered."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Problem(Struct, frozen=True):
    """Why a request was not answered otherwise (RFC 9457)."""

    title: str
    status: int
    detail: str = ""
    type: str = "about:blank"


class Refused(Exception):
    """The request cannot be used; the response says why."""

    def __init__(self, status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        body = msgspec.json.encode(Problem(HTTPStatus(status).phrase, status, detail))
        self.response = Response(status, body, PROBLEM, headers)


class Question(Struct, frozen=True, gc=False):
    """What the gate is asked; ``early`` where there are no headers yet."""

    session: Session
    trace: tuple[bytes, ...]
    queue_id: str
    early: bool = False


class Form(Struct, frozen=True):
    """A way to put the question and to give the answer; ``summary`` says which."""

    summary: str
    asks: type[Struct]
    answers: type[Struct]
    read: Callable[[Request], Question | None]
    """None: there is nothing to decide yet. Raises `Refused`."""
    write: Callable[[Verdict], bytes]


def decoded(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """The value of a body.

    Raises:
        Refused: it is not JSON, or not of the form.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(422, str(error)) from None
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"not JSON: {error}") from None


def domains(addresses: Iterable[str]) -> tuple[str, ...]:
    """The recipients' domains, each once; nothing is kept of the local parts."""
    found: dict[str, None] = {}
    for address in addresses:
        domain = address.rpartition("@")[2].strip("<> \t").lower()
        if domain and len(found) <= MAX_DOMAINS:
            found[domain[:255]] = None
    return tuple(found)


def received(headers: Iterable[tuple[str, str]]) -> list[bytes]:
    """The bodies of the ``Received`` fields, top first."""
    return [value.encode("utf-8", "replace") for name, value in headers if name.lower() == "received"]

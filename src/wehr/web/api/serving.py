"""Operations as pages: parameters and bodies checked, answers encoded, tagged, and paged."""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec import inspect
from starlette.responses import Response

from wehr.policy.phrases import encoded
from wehr.web.api.operation import Call, Found, Nothing, Operation, problem
from wehr.web.rate import Rate
from wehr.web.visit import Page, Visit

ROOT: Final = "/api/v1"
_JSON: Final = "application/json"
_INTEGER: Final = re.compile("-?[0-9]{1,18}")


def pages_of(operations: Sequence[Operation], a_minute: int) -> tuple[Page, ...]:
    """The pages that answer operations, each token being let through so many times a minute."""
    rate = Rate(a_minute)
    return tuple(
        Page(ROOT + it.path, _endpoint(it, rate), it.needs, f"api-{it.name}", (it.method,), token=True)
        for it in operations
    )


def _endpoint(operation: Operation, rate: Rate) -> Callable[[Visit], Awaitable[Response]]:
    read = _reader(operation.query)

    async def answer(visit: Visit) -> Response:
        if not rate.allows(visit.visitor.token or _client(visit), visit.house.now()):
            error = problem(HTTPStatus.TOO_MANY_REQUESTS, "too many requests with this token; wait a moment")
            error.headers = {"Retry-After": "5"}
            raise error
        call = Call(visit, _query(operation, read, visit), await _body(operation, visit))
        return _encoded(operation, visit, await operation.handler(call))

    return answer


def _client(visit: Visit) -> str:
    return visit.request.client.host if visit.request.client else ""


def _reader(query: Any) -> Callable[[str, str], object]:
    """Reads numbers and truth values of a query; all else is text, or told from it by the types."""
    kinds = {}
    for field in inspect.type_info(query).fields:  # type: ignore[attr-defined]
        kinds[field.encode_name] = set(_kinds(field.type))

    def read(name: str, value: str) -> object:
        kind = kinds.get(name, set())
        if inspect.IntType in kind and _INTEGER.fullmatch(value):
            return int(value)
        if inspect.BoolType in kind and value in {"true", "false"}:
            return value == "true"
        return value

    return read


def _kinds(kind: inspect.Type) -> Iterator[type]:
    if isinstance(kind, inspect.Metadata):
        yield from _kinds(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _kinds(one)
    else:
        yield type(kind)


def _query(operation: Operation, read: Callable[[str, str], object], visit: Visit) -> Any:
    given = visit.request.query_params.multi_items()
    names = [name for name, _ in given]
    if len(names) != len(set(names)):
        raise problem(HTTPStatus.BAD_REQUEST, "a parameter is there twice")
    try:
        return msgspec.convert({name: read(name, value) for name, value in given}, operation.query)
    except msgspec.ValidationError as error:
        raise problem(HTTPStatus.BAD_REQUEST, _said(error)) from None


async def _body(operation: Operation, visit: Visit) -> Any:
    if operation.body is None:
        return None
    kind = visit.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send the body as {_JSON}")
    try:
        body = msgspec.json.decode(await visit.request.body(), type=operation.body)
    except msgspec.ValidationError as error:
        raise problem(HTTPStatus.UNPROCESSABLE_ENTITY, _said(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise problem(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {_said(error)}") from None
    if _holds_nul(msgspec.to_builtins(body)):  # PostgreSQL takes no such text, and nobody means it
        raise problem(HTTPStatus.UNPROCESSABLE_ENTITY, "no text may hold NUL")
    return body


def _holds_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_nul, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\0" in value


def _said(error: Exception) -> str:
    return str(error)[:500].replace("`$.", "`").replace(" - at `$`", "")


def _encoded(operation: Operation, visit: Visit, found: Any) -> Response:
    if operation.answer is Nothing:
        return Response(status_code=operation.status)
    content = msgspec.json.encode(found, enc_hook=encoded)
    headers = {}
    if isinstance(found, Found) and found.next:
        others = {name: value for name, value in visit.query.items() if name != "after"}
        place = f"{visit.request.url.path}?{urlencode({**others, 'after': found.next})}"
        headers["Link"] = f'<{place}>; rel="next"'
    if operation.method == "GET":
        headers["Cache-Control"] = "private, no-cache"  # to be kept, and asked for again by its tag
        headers["ETag"] = tag = f'"{blake2b(content, digest_size=12).hexdigest()}"'
        if tag in [it.strip().removeprefix("W/") for it in _matches(visit)]:
            return Response(status_code=304, headers=headers)
    return Response(content, operation.status, headers, _JSON)


def _matches(visit: Visit) -> list[str]:
    return visit.request.headers.get("if-none-match", "")[:1000].split(",")

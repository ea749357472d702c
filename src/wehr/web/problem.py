"""Errors as programs are told them."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from msgspec import Struct
from starlette.responses import Response


class Problem(Struct, frozen=True):
    """An error, as RFC 9457 has it. ``detail`` is for people."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str = ""


def is_api(path: str) -> bool:
    """Whether it is a program that asks."""
    return path.startswith("/api/")


def problem_response(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """An error as an answer."""
    content = msgspec.json.encode(Problem(HTTPStatus(status).phrase, status, detail=detail))
    return Response(content, status, headers, "application/problem+json")

"""The API: what the pages show and do, for programs. One list of operations makes pages and document."""

from functools import cache
from typing import Any, Final

from wehr.web.api import administration, catalogue, forecast, holds, notices, policy, servers, standing
from wehr.web.api.openapi import document
from wehr.web.api.operation import Call, Nothing, Operation
from wehr.web.api.serving import pages_of
from wehr.web.visit import Need, Page


async def _document(_call: Call[Nothing, None]) -> dict[str, Any]:
    return _made()


@cache
def _made() -> dict[str, Any]:
    """Once, for it takes longer than a message may wait, and anybody may ask for it."""
    return document(OPERATIONS)


OPERATIONS: Final = (
    *servers.OPERATIONS,
    *standing.OPERATIONS,
    *holds.OPERATIONS,
    *notices.OPERATIONS,
    *catalogue.OPERATIONS,
    *policy.OPERATIONS,
    *forecast.OPERATIONS,
    *administration.OPERATIONS,
    Operation(
        "GET", "/openapi.json", "get-document", "This document.", "system", Need.NOTHING, _document,
        dict[str, Any],
    ),
)  # fmt: skip
"""Everything that can be asked or done."""


def api_pages(a_minute: int) -> tuple[Page, ...]:
    """The pages of the API, for so many requests a minute with one token."""
    return pages_of(OPERATIONS, a_minute)

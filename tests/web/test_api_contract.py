"""The API does what its document says, whatever is sent."""

import os
from collections.abc import Iterator

import httpx2
import msgspec
import pytest
import schemathesis
from browsing import house, learn, listening, token
from hypothesis import HealthCheck, settings
from ledger_stories import at, entry, sighting
from schemathesis.specs.openapi.checks import positive_data_acceptance

from wehr.ledger.journal import Position
from wehr.web.access.tokens import Scope
from wehr.web.api import OPERATIONS, document
from wehr.web.settings import WebSettings

_MORE_TO_IT = {
    "list-servers",
    "list-events",
    "add-pause",
    "cancel-pause",
    "extend-pause",
    "add-exemption",
    "cancel-exemption",
    "explain-message",
    "get-notice",
    "send-notice",
    "assess-build",
    "get-timeline",
    "what-if",
    "simulate-policy",
    "invite",
    "create-token",
    "change-account",
}
"""What fits the schema may still be refused: a cursor that is none, days out of order, NUL, nobody named or
to write to."""

schema = schemathesis.openapi.from_dict(document(OPERATIONS))


@pytest.fixture(name="running", scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a site with a server that is out of date, and a token that may all."""
    folder = tmp_path_factory.mktemp("api")
    with house(folder, at(40)) as (given, source, store):
        store.carry("mx1", Position(), [entry(sighting(day)) for day in (0, 20, 40)], Position(1, 1), at(40))
        learn(source, store)
        text = token(store, Scope.ADMIN, now=at(0))
        with listening(given, WebSettings(api_per_minute=1_000_000)) as address:
            yield address, text


@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_keeps_to_its_document(case: schemathesis.Case, running: tuple[str, str]) -> None:
    """Statuses, shapes and headers are documented; what is wrong is refused, and nothing fails."""
    address, text = running
    more_to_it = case.operation.definition.raw["operationId"] in _MORE_TO_IT
    case.call_and_validate(
        base_url=f"{address}/api/v1",
        headers={"Authorization": f"Bearer {text}"},
        excluded_checks=[positive_data_acceptance] if more_to_it else [],
    )


def test_the_document_is_served_to_everybody(running: tuple[str, str]) -> None:
    """Without a token, as it was made."""
    answer = httpx2.get(f"{running[0]}/api/v1/openapi.json")

    assert answer.status_code == 200
    assert answer.content == msgspec.json.encode(document(OPERATIONS))
    assert answer.json()["openapi"] == "3.1.0"

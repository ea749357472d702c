"""The OpenAPI 3.1 description of the door, made from the very types that requests are checked against."""

from collections.abc import Mapping
from typing import Any

import msgspec

from wehr.doors.http.exchange import JSON, PROBLEM, Form, Problem

_ERRORS = {
    400: "The body is not JSON, or the request not HTTP",
    401: "No valid token",
    413: "The body is longer than max_body",
    415: "The body is declared to be something else than JSON",
    422: "The body is not of the form",
}
_REFERENCES = "#/components/schemas/{name}"
_BEARER = "token"


def document(forms: Mapping[str, Form], own_path: str, *, secured: bool) -> bytes:
    """The description as JSON.

    Args:
        forms: the question's forms by their paths.
        own_path: where the description itself is found.
        secured: whether a token is asked for.
    """
    types = [Problem, *(kind for form in forms.values() for kind in (form.asks, form.answers))]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCES)
    problem, *others = schemas
    pairs = zip(others[::2], others[1::2], strict=True)
    paths: dict[str, Any] = {
        path: {"post": _operation(form, asks, answers, problem, secured=secured)}
        for (path, form), (asks, answers) in zip(forms.items(), pairs, strict=True)
    }
    paths[own_path] = {
        "get": {
            "operationId": "openapi",
            "summary": "This description",
            "responses": {"200": _body("An OpenAPI document", JSON, {"type": "object"})},
        }
    }
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Wehr's HTTP door",
            "version": "1",
            "description": "Mail systems ask what is to be done with a message. Errors are problem details "
            "(RFC 9457); to a mail system each of them means: accept.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    if secured:
        found["components"]["securitySchemes"] = {_BEARER: {"type": "http", "scheme": "bearer"}}
    return msgspec.json.encode(found)


def _operation(form: Form, asks: Any, answers: Any, problem: Any, *, secured: bool) -> dict[str, Any]:
    responses = {"200": _body("What is to be done", JSON, answers)}
    for status, text in _ERRORS.items():
        if status != 401 or secured:
            responses[str(status)] = _body(text, PROBLEM, problem)
    operation: dict[str, Any] = {
        "operationId": form.asks.__name__,
        "summary": form.summary,
        "requestBody": {"required": True, "content": {JSON: {"schema": asks}}},
        "responses": responses,
    }
    if secured:
        operation["security"] = [{_BEARER: []}]
    return operation


def _body(description: str, media: str, schema: Any) -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": schema}}}

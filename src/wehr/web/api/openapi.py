"""The OpenAPI 3.1 document, made of the operations: they are its one source."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from wehr import __version__
from wehr.web.api.operation import Nothing, Operation
from wehr.web.api.serving import ROOT
from wehr.web.problem import Problem
from wehr.web.visit import Need

_SCHEMAS: Final = "#/components/schemas/{name}"
_USUAL: Final = (400, 401, 403, 429, 503)
"""Errors that every operation may answer."""
_SCOPES: Final = {Need.NOTHING: "", Need.READ: "read", Need.OPERATE: "operate", Need.ADMIN: "admin"}
_PATH_PARTS: Final = {
    "ref": {"type": "string", "pattern": "^[a-z2-7]{16}$", "description": "A server's reference."},
    "id": {"type": "string", "pattern": "^[0-9a-z-]{1,40}$"},
    "queue_id": {"type": "string", "minLength": 1, "maxLength": 200},
    "name": {"type": "string", "minLength": 1, "maxLength": 100},
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole document, ready for JSON."""
    types = [Problem]
    for operation in operations:
        types += [it for it in (operation.answer, operation.query, operation.body) if it]
    types = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(types, ref_template=_SCHEMAS)
    found: Mapping[Any, dict[str, Any]] = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        about = _operation(operation, found, components)
        paths.setdefault(operation.path, {})[operation.method.lower()] = about
    for operation in operations:
        components.pop(getattr(operation.query, "__name__", ""), None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wehr",
            "version": __version__,
            "description": "Everything that the pages show and do. Times are UTC (RFC 3339), errors problems "
            "(RFC 9457). A token is made with `wehr token create`.",
        },
        "servers": [{"url": ROOT}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": components,
        },
    }


def _operation(
    operation: Operation, schemas: Mapping[Any, dict[str, Any]], components: Mapping[str, Any]
) -> dict[str, Any]:
    scope = _SCOPES[operation.needs]
    query = components.get(getattr(operation.query, "__name__", ""), {})
    about: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs scope {scope}." if scope else "Open to everybody.",
        "tags": [operation.tag],
        "parameters": [*_path_parts(operation.path), *_query_parts(query)],
        "responses": {
            str(operation.status): _answer(operation, schemas),
            **{str(status): _problem(status) for status in _errors(operation)},
        },
    }
    if operation.method == "GET":
        about["responses"]["304"] = {"description": "As the ETag in If-None-Match says, nothing is new."}
    if operation.body is not None:
        about["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[operation.body]}},
        }
    if not scope:
        about["security"] = []
    return about


def _path_parts(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH_PARTS[name]}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _query_parts(query: Mapping[str, Any]) -> list[dict[str, Any]]:
    required = query.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(schema)}
        for name, schema in query.get("properties", {}).items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema: one that may be null is one that may be left out."""
    kinds = [it for it in schema.get("anyOf", ()) if it.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    if len(kinds) == 1:
        return {**kinds[0], **rest}
    return schema if schema.get("default", "") not in {None, ""} else rest or schema


def _answer(operation: Operation, schemas: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    phrase = HTTPStatus(operation.status).phrase
    if operation.answer is Nothing:
        return {"description": phrase}
    answer: dict[str, Any] = {
        "description": phrase,
        "content": {"application/json": {"schema": schemas[operation.answer]}},
    }
    if operation.paged:
        link = {"description": "The next page (RFC 8288).", "schema": {"type": "string"}}
        answer["headers"] = {"Link": link}
    return answer


def _errors(operation: Operation) -> list[int]:
    body = (413, 415, 422) if operation.body is not None else ()
    return sorted({*_USUAL, *body, *operation.errors})


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": _SCHEMAS.format(name="Problem")}
    return {
        "description": HTTPStatus(status).phrase,
        "content": {"application/problem+json": {"schema": schema}},
    }

"""The contract, OpenAPI 3.1, generated from the routes and their models; the copy in git is what outsiders rely on."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from geodispatch.authority import ALLOWED, Part, is_in_scope, is_open, is_personal
from geodispatch.errors import (
    ForeignPage,
    GeodispatchError,
    NotAllowed,
    SecondFactorNeeded,
    SessionOver,
    Unavailable,
    UnknownKey,
)
from geodispatch.web.api import ROUTES
from geodispatch.web.call import JSON, NDJSON, PREFIX, Route
from geodispatch.web.cookies import Cookie
from geodispatch.web.errors import PROBLEM_JSON, STATUS, Problem, kind_of
from geodispatch.web.visitor import CSRF_HEADER

_SCHEMES = {
    "agencyKey": {Part.VIEWER, Part.REQUESTER, Part.SUPERVISOR, Part.ADMIN},
    "ownerToken": {Part.OWNER},
    "operatorKey": {Part.OPERATOR},
}

_HEADERS: dict[int, dict[str, Any]] = {
    401: {"headers": {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}}},
    503: {"headers": {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}},
}


def document() -> dict[str, Any]:
    """Generate the OpenAPI document."""
    schema_of = _Schemas(ROUTES)
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(f"{PREFIX}/{route.path}", {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "geodispatch",
            "version": version("geodispatch"),
            "summary": "Geofenced, public, consent-first requests to the owners of private cameras",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schema_of.components,
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer", "description": f"gd_{name[: -len(kind)].lower()}_…"}
                for name, kind in (("agencyKey", "Key"), ("ownerToken", "Token"), ("operatorKey", "Key"))
            }
            | {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": Cookie.SESSION,
                    "description": "set by `POST session`; over https its name begins with __Host-; "
                    f"a change needs {CSRF_HEADER} too",
                }
            },
        },
    }


def text() -> str:
    """Write the document as it stands in git."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


class _Schemas:
    """The JSON Schemas of all models, and references to them."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        taken = [model for route in routes for model in (route.body, route.ndjson, route.query) if model]
        given: list[type[BaseModel]] = [Problem, *(route.reply for route in routes if route.reply)]
        modes: dict[JsonSchemaMode, list[type[BaseModel]]] = {"validation": taken, "serialization": given}
        self._references, definitions = models_json_schema(
            [(model, mode) for mode, models in modes.items() for model in dict.fromkeys(models)],
            ref_template="#/components/schemas/{model}",
        )
        self.components: dict[str, Any] = definitions["$defs"]

    def taken(self, model: type[BaseModel]) -> dict[str, Any]:
        return self._references[model, "validation"]

    def given(self, model: type[BaseModel]) -> dict[str, Any]:
        return self._references[model, "serialization"]


def _operation(route: Route, schema_of: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": " ".join((route.handler.__doc__ or "").split()),
        "parameters": _parameters(route, schema_of),
        "responses": _responses(route, schema_of),
    }
    if not is_open(route.action):
        operation["security"] = _security(route)
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema_of.taken(route.body)}}}
    if route.ndjson is not None:
        line = {"schema": schema_of.taken(route.ndjson)}
        operation["requestBody"] = {
            "required": True,
            "description": "one such object a line",
            "content": {NDJSON: line},
        }
    return operation


def _security(route: Route) -> list[dict[str, list[str]]]:
    """Return by what a caller may be known: the keys of those who may, where the action takes a key, and a session."""
    parts = set(ALLOWED[route.action])
    keys = [] if is_personal(route.action) else [name for name, holders in _SCHEMES.items() if holders & parts]
    if "agencyKey" in keys and not is_in_scope(route.action):
        keys.remove("agencyKey")
    return [{name: []} for name in [*keys, *([] if parts == {Part.OWNER} else ["session"])]]


def _parameters(route: Route, schema_of: _Schemas) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"} if name == "slug" else dict(route.id_schema),
        }
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query is not None:
        properties = schema_of.components[schema_of.taken(route.query)["$ref"].rsplit("/", 1)[1]]["properties"]
        parameters += [
            {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()
        ]
    parameters += [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 255}}
        for name in route.header_names
    ]
    return parameters


def _responses(route: Route, schema_of: _Schemas) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "done"}
    if route.reply is not None:
        success["content"] = {JSON: {"schema": schema_of.given(route.reply)}}
    if (media_type := route.stream_type or route.text_type) is not None:
        success["content"] = {media_type: {"schema": {"type": "string"}}}
    if route.status == 201 and "{" not in route.path:
        success["headers"] = {"Location": {"schema": {"type": "string"}}}
    unchanged: dict[str, Any] = {}
    if route.max_age_s is not None:
        headers = {name: {"schema": {"type": "string"}} for name in ("ETag", "Cache-Control")}
        success["headers"] = headers
        unchanged["304"] = {"description": "what If-None-Match names is still so", "headers": headers}
    errors: list[type[GeodispatchError]] = [*route.errors, Unavailable]
    if not is_open(route.action):
        errors += [UnknownKey, NotAllowed]
        if {"session": []} in _security(route):
            errors += [SessionOver, SecondFactorNeeded, *([] if route.method == "GET" else [ForeignPage])]
    titles: dict[int, list[str]] = {}
    for error in dict.fromkeys(errors):
        titles.setdefault(STATUS[error], []).append(kind_of(error).title)
    problem = {PROBLEM_JSON: {"schema": schema_of.given(Problem)}}
    return (
        {str(route.status): success}
        | unchanged
        | {
            str(status): _HEADERS.get(status, {}) | {"description": "; ".join(names), "content": problem}
            for status, names in sorted(titles.items())
        }
    )

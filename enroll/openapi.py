"""The OpenAPI 3.1 document, made of the routes and of the types that they take and tell: it cannot say otherwise."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from enroll import messages
from enroll.routes import PREFIX, Route
from enroll.table import ROUTES

_REFERENCE = "#/components/schemas/{model}"
_REFUSALS: Mapping[int, str] = {
    400: "Malformed",
    401: "No client certificate",
    403: "Not permitted, or not eligible",
    404: "Unknown",
    409: "Not now",
    413: "Too large",
    415: "Not JSON",
    422: "Fields are wrong",
    429: "Locked out for a while",
    500: "Failed",
    503: "Away for a while",
}
_NAMES: Mapping[str, tuple[str, str]] = {
    "campaign": ("The number of a campaign.", r"^[0-9]{1,9}$"),
    "number": ("A case number, as people write it.", r"^[0-9]{6}-[0-9A-Z]{4}-[0-9A-Z]{4}$"),
    "code": ("A holder code, or a counter's.", r"^[A-Za-z0-9_-]{1,64}$"),
    "serial": ("A serial: 32 hexadecimal digits, 0x…, colons, or decimal.", r"^(0x)?[0-9A-Fa-f:]{1,60}$"),
    "event": ("The number of a resident event.", r"^[0-9]{1,18}$"),
    "id": ("A clerk's id.", r"^[a-z0-9-]{1,32}$"),
}
KEY_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"


def document(base_url: str, routes: Sequence[Route] = ROUTES) -> dict[str, Any]:
    """Return the document; `base_url` is where the doors answer."""
    modes: dict[type[Any], JsonSchemaMode] = {messages.Problem: "serialization"}
    for route in routes:
        modes[route.tells] = "serialization"
        if route.takes is not None:
            modes[route.takes] = "validation"
    _, schemas = models_json_schema(list(modes.items()), ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(openapi_path(route), {})[route.method.lower()] = _operation(route, schemas["$defs"])
    return {
        "openapi": "3.1.0",
        "info": {"title": "JPKI Authority: the registration office", "version": "1"},
        "servers": [{"url": f"{base_url}{PREFIX}"}],
        "security": [{"clerk": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "clerk": {"type": "mutualTLS", "description": "A clerk's client certificate (`jpki clerk add`)."}
            },
        },
    }


def openapi_path(route: Route) -> str:
    """Return the path as OpenAPI writes it."""
    return re.sub(r"<(\w+)>", r"{\1}", route.path)


def _operation(route: Route, schemas: Mapping[str, Any]) -> dict[str, Any]:
    roles = ", ".join(sorted(route.permission.roles))
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary.en,
        "description": f"{route.summary.ja}\n\nRoles: {roles} ({route.permission.scope}).",
        "parameters": [*_named(route), *_queried(route, schemas), *_repeatable(route)],
        "responses": _responses(route),
    }
    if route.takes is not None and route.method == "POST":
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(route.takes)}}}
    return operation


def _named(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _NAMES[name][0],
            "schema": {"type": "string", "pattern": _NAMES[name][1]},
        }
        for name in re.findall(r"<(\w+)>", route.path)
    ]


def _queried(route: Route, schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    if route.takes is None or route.method != "GET":
        return []
    model = schemas[route.takes.__name__]
    required = model.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(schema)}
        for name, schema in model["properties"].items()
    ]


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a query's schema: what is left out is absent there, and never null."""
    kept = {name: value for name, value in schema.items() if name not in ("anyOf", "default", "title")}
    choices = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    return {**kept, **choices[0]} if choices else kept


def _repeatable(route: Route) -> list[dict[str, Any]]:
    if route.method != "POST":
        return []
    return [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "For a day the same key and body get the same reply; another body is refused (422).",
            "schema": {"type": "string", "pattern": KEY_PATTERN},
        }
    ]


def _responses(route: Route) -> dict[str, Any]:
    told = {"description": route.summary.en, "content": {"application/json": {"schema": _schema(route.tells)}}}
    problem = {"application/problem+json": {"schema": _schema(messages.Problem)}}
    refusals = {str(status): {"description": why, "content": problem} for status, why in _REFUSALS.items()}
    return {str(route.status): told, **refusals}


def _schema(model: type[Any]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}

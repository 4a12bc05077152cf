"""The OpenAPI document: error responses, API keys, and parameters without null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from snellen.serve.api.middleware.api_keys import OPEN_PATHS, scope_of
from snellen.serve.api.problems import MEDIA_TYPE
from snellen.serve.api.schemas import ProblemDocument

_MEANINGS = {
    400: "Malformed request, or an unknown host name.",
    401: "An API key is required.",
    403: "Not allowed: a path outside the roots, a page of another origin, or a key without the "
    "scope.",
    404: "No such training job, checkpoint or page.",
    408: "The request did not arrive in time.",
    409: "The class names do not match the checkpoint, or another training job has the name.",
    413: "Too many bytes or pixels.",
    415: "Not an image in a supported format.",
    422: "Invalid parameters, or an image or checkpoint that cannot be used.",
    500: "Model output that is not finite, or an internal error.",
    503: "Overloaded, stopping or not available. Retry-After says when to try again.",
    507: "No space left to record the request.",
}
_REFERENCE = "#/components/schemas/{model}"
_ALWAYS = (400, 401, 403, 500)
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    503: {
        "Retry-After": {
            "description": "Time to wait before the next attempt (s).",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
        }
    },
}
_SCHEMES: dict[str, Any] = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route: these statuses and those of every route."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {
        status: {
            "description": _MEANINGS[status],
            "content": content,
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
        for status in sorted({*_ALWAYS, *statuses})
    }


def drop_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove null from the schema of a text parameter: absent parameters are omitted."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    return {**kinds[0], **rest}


def customize_openapi(app: FastAPI, *, keys: bool, bodies: Sequence[type[BaseModel]] = ()) -> None:
    """Add to the OpenAPI document what FastAPI does not generate.

    Args:
        app: the application, with all of its routes.
        keys: requests need an API key.
        bodies: bodies that routes read themselves, and refer to.
    """
    build = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = build()
            components = document.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            schemas["ProblemDocument"] = _problem_schema()
            for body in bodies:
                schema = body.model_json_schema(ref_template=_REFERENCE)
                schemas |= {**schema.pop("$defs", {}), body.__name__: schema}
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    for parameter in operation.get("parameters", ()):
                        schema = parameter["schema"] = drop_null(parameter["schema"])
                        if "description" in schema:
                            parameter.setdefault("description", schema["description"])
                    if path not in OPEN_PATHS:
                        operation["x-scope"] = scope_of(method.upper(), path)
            if keys:
                components["securitySchemes"] = _SCHEMES
                document["security"] = [{name: []} for name in _SCHEMES]
                for path in OPEN_PATHS:
                    document["paths"][path]["get"]["security"] = []
        return app.openapi_schema or build()

    app.openapi = openapi  # type: ignore[method-assign]


def _problem_schema() -> dict[str, Any]:
    schema = ProblemDocument.model_json_schema()
    for one in schema["properties"].values():
        one.pop("default", None)  # omitted when absent, never null
    return schema

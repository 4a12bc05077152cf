"""The error answers that a route may give, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from snellen.serve.api.middleware import OPEN_PATHS
from snellen.serve.api.problems import MEDIA_TYPE
from snellen.serve.api.schemas import ProblemDocument

_MEANINGS = {
    400: "Malformed, or a host name that is not served here.",
    401: "An API key is needed.",
    403: "Not allowed: outside of the configured roots, or a page of another origin.",
    404: "There is no such training job, checkpoint or page.",
    408: "The request did not arrive in time.",
    409: "The class names do not fit the checkpoint.",
    413: "Too many bytes, or too many pixels.",
    415: "Not an image of a format that is read.",
    422: "A parameter, the image or the checkpoint cannot be used.",
    500: "The model's output is not finite, or an unforeseen error.",
    503: "Overloaded, being stopped, or not available; Retry-After says when to ask again.",
    507: "No space left to record the request.",
}
_ALWAYS = (400, 401, 403, 500)
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    503: {
        "Retry-After": {
            "description": "Seconds.",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
        }
    },
}
_SCHEMES: dict[str, Any] = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses`` of a route that may answer so, besides what every route may."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {
        status: {
            "description": _MEANINGS[status],
            "content": content,
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
        for status in sorted({*_ALWAYS, *statuses})
    }


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of what travels as text, where null is said by leaving it out."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    return {**kinds[0], **rest}


def complete(app: FastAPI, *, keys: bool) -> None:
    """Let the OpenAPI document tell what FastAPI does not see.

    Args:
        app: with all of its routes.
        keys: callers need an API key.
    """
    build = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = build()
            components = document.setdefault("components", {})
            components.setdefault("schemas", {})["ProblemDocument"] = _problem_schema()
            for path in document["paths"].values():
                for operation in path.values():
                    for parameter in operation.get("parameters", ()):
                        parameter["schema"] = without_null(parameter["schema"])
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
        one.pop("default", None)  # left out where there is nothing to say, never null
    return schema

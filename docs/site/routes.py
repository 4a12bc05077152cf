"""Routes of the HTTP service, from its OpenAPI document."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snellen.serve.api.app import create_app
from snellen.serve.api.state import make_state
from snellen.serve.config import ServeConfig
from snellen.serve.inference.messages import InferenceReply, InferenceRequest, ModelRef
from snellen.store.sql.database import Database

Document = dict[str, Any]


class _NoModels:
    """Backend of an application that is never started."""

    async def infer(self, request: InferenceRequest) -> InferenceReply:
        raise NotImplementedError

    async def preload(self, model: ModelRef) -> InferenceReply:
        raise NotImplementedError

    async def ping(self) -> None:
        raise NotImplementedError


def openapi() -> Document:
    """Return the OpenAPI document of the service."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database.open(f"sqlite:///{folder}/runs.db")
        state = make_state(ServeConfig(), db, _NoModels(), Path(folder))
        document = create_app(state, keys=(), loopback=True).openapi()
        db.close()
    return document


def routes_page() -> str:
    """Return the page of all routes."""
    document = openapi()
    lines = [
        "# Routes",
        "",
        "*Reference, generated from the OpenAPI document*, which a running service has at "
        "`/openapi.json`, with pages to try it at `/docs`. [HTTP service](../serve.md) and "
        "[runs over HTTP](../runs-over-http.md) explain the routes.",
        "",
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if isinstance(operation, dict) and method != "head":
                lines += _operation(method.upper(), path, operation, document)
    return "\n".join(lines)


def _operation(method: str, path: str, operation: Document, document: Document) -> list[str]:
    scope = operation.get("x-scope")
    lines = [f"## {method} `{path}`", "", f"{operation.get('summary', '')}.", ""]
    lines += [operation.get("description", ""), ""]
    if scope:
        lines += [f"Scope: `{scope}`", ""]
    rows = [*_parameters(operation), *_body(operation, document)]
    if rows:
        lines += ["| parameter | in | type | meaning |", "|---|---|---|---|", *rows, ""]
    lines += ["| status | meaning |", "|---|---|"]
    for status, response in operation["responses"].items():
        lines.append(f"| {status} | {_cell(response['description'])} |")
    return [*lines, ""]


def _parameters(operation: Document) -> Iterator[str]:
    for one in operation.get("parameters", ()):
        yield _row(one["name"], one["in"], one.get("schema", {}), one.get("description", ""))


def _body(operation: Document, document: Document) -> Iterator[str]:
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content.get("schema", {})
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        for name, value in schema.get("properties", {}).items():
            place = "form" if "form" in kind else "body"
            yield _row(name, place, value, value.get("description", ""))


def _row(name: str, place: str, schema: Document, meaning: str) -> str:
    return f"| `{name}` | {place} | {_type(schema)} | {_cell(meaning)} |"


def _type(schema: Document) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    return str(schema.get("type") or schema.get("$ref", "any").rpartition("/")[2])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")

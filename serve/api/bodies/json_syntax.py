"""Stricter JSON than Python's: no duplicate keys, of which one would be ignored, and no NaN."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from snellen.serve.api.problems import Problem


async def check_json(request: Request) -> None:
    """Check the JSON body of a request, as a dependency; malformed JSON is left to FastAPI.

    Raises:
        Problem: 422, a duplicate key or a number that JSON does not have.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            json.loads(await request.body(), object_pairs_hook=_pairs, parse_constant=_constant)
        except (ValueError, RecursionError):
            return


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Problem(
                422,
                "VALIDATION",
                f"Duplicate key {key[:80]!r} in a JSON object. Expected each key once.",
            )
        found[key] = value
    return found


def _constant(text: str) -> Any:
    raise Problem(422, "VALIDATION", f"{text} is not JSON. Expected a number or null.")

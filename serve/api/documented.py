"""The error answers that a route may give, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from serve.api.problems import MEDIA_TYPE
from serve.api.schemas import ProblemDocument

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


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses`` of a route that may answer so, besides what every route may."""
    schema = {"schema": ProblemDocument.model_json_schema()}
    return {
        status: {"description": _MEANINGS[status], "content": {MEDIA_TYPE: schema}}
        for status in sorted({*_ALWAYS, *statuses})
    }

"""Errors as RFC 9457 problem documents: a status, a code, and a detail that names no path.

Messages of the command line name files and databases, which clients must not learn. The detail of
a response is therefore chosen here, by code; the full message goes to the log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import Scope

from snellen.adapters.errors import ErrorCode, SnellenError
from snellen.adapters.types import InferenceResult
from snellen.serve.api.redaction import without_paths

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("snellen.serve")


class _OneLine(logging.Filter):
    """Escape line breaks in messages: they quote client input, which must not forge log lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        record.msg = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        record.args = ()
        return True


log.addFilter(_OneLine())

_IMAGE_STATUS: dict[ErrorCode, int] = {
    ErrorCode.EMPTY: 400,
    ErrorCode.UNSUPPORTED: 415,
    ErrorCode.TRUNCATED: 422,
    ErrorCode.CORRUPT: 422,
    ErrorCode.DIMENSION: 422,
    ErrorCode.PIXEL_LIMIT: 413,
    ErrorCode.BYTE_LIMIT: 413,
    ErrorCode.NONFINITE: 500,
    ErrorCode.INTERNAL: 500,
}
_LIMIT_OF = {
    ErrorCode.PIXEL_LIMIT: "limits.max_pixels",
    ErrorCode.BYTE_LIMIT: "limits.max_image_bytes",
}
_RETRY = "The service cannot do this now. Try again later."
_CHECKPOINT = "The checkpoint cannot be used. See the log of the service for the reason."
_KNOWN: dict[str, tuple[int, str]] = {
    "JOB_NOT_FOUND": (404, "There is no such training job."),
    "RUN_BUSY": (409, "A process is working on this run. Cancel it first."),
    "JOB_NAME_TAKEN": (409, "Another training job has this name."),
    "CHECKPOINT_NOT_FOUND": (404, "The training job has no such checkpoint."),
    "CHECKPOINT_MISSING": (404, "The training job has no such checkpoint."),
    "CLASS_COUNT": (409, "The number of class names does not match the outputs of the checkpoint."),
    "CLASS_NAMES_DUPLICATE": (409, "Duplicate class names."),
    "REMOTE_REFUSED": (403, "Remote addresses are rejected: the service downloads nothing."),
    "DATABASE_LOCKED": (503, _RETRY),
    "DATABASE_CONNECTION": (503, _RETRY),
    "DATABASE_UNREACHABLE": (503, _RETRY),
    "DATABASE_GONE": (503, _RETRY),
    "DATABASE_READONLY": (503, _RETRY),
    "OUTPUT_NOT_WRITABLE": (503, _RETRY),
    "DISK_FULL": (507, "No space left to record the request."),
    "EXPLAIN_UNSUPPORTED": (
        422,
        "This model cannot be explained. Expected a timm classifier with feature maps. Leave out "
        "explain.",
    ),
    "OUT_OF_MEMORY": (503, "The device has not enough free memory for this image."),
    "MODEL_ERROR": (500, "The model raised an error on this request."),
}
_STATUS_WITH_MESSAGE: dict[str, int] = {
    "RUN_NOT_FOUND": 404,
    "RUN_COMPLETED": 409,
    "RUN_STATUS": 409,
    "RESUME_CHANGED": 409,
    "CLASS_MAP_MISMATCH": 409,
    "RUN_NOT_COMPLETED": 409,
    "RUN_NOT_STARTED": 409,
    "RUN_IS_READ": 409,
    "RUN_IS_RESCORE": 409,
    "RUN_IS_IMPORTED": 409,
    "JOB_IS_RECORDED": 409,
    "RUN_IS_TAGGED": 409,
    "RESULTS_MISSING": 409,
    "DATASET_NOT_FOUND": 404,
    "DATASET_NOT_REGISTERED": 404,
    "DATASET_NAME_TAKEN": 409,
    "TAG_NOT_FOUND": 404,
    "ANALYSIS_NOT_FOUND": 404,
    "IMAGE_NOT_FOUND": 404,
    "REVIEW_NOT_FOUND": 404,
}
"""Codes whose message is the detail, without its paths."""
_WITH_MESSAGE = (
    *("CLASS_", "COMPARE_", "CONFIG_", "DATASET_", "ERROR_CODE", "EXPORT"),
    *("METRIC", "OPTION_", "PLAN_", "SLICE_", "SORT_", "TAG_", "TASK_", "MODEL_MISSING"),
    "RUN_DIRECTORY_",
    *("GROUP_", "THRESHOLD_"),
)
"""Beginnings of further such codes; their status is 422."""
_UNAVAILABLE = 503
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Problem(HTTPException):
    """An error response; raised anywhere below a route.

    It is an HTTPException because FastAPI propagates only those while it reads a body.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.status = status
        self.code = code
        self.members = members

    def document(self) -> dict[str, Any]:
        """Return the body of the response."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.members,
        }

    def response(self) -> Response:
        """Return the response."""
        return JSONResponse(
            self.document(), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def overloaded(retry_after_s: int, code: str, detail: str) -> Problem:
    """Create a 503 problem with an integer ``Retry-After`` (s)."""
    return Problem(503, code, detail, headers={"Retry-After": str(retry_after_s)})


def problem_from_error(error: SnellenError, retry_after_s: int = 1) -> Problem:
    """Convert an error to a problem and log its message; codes not listed here are 422."""
    return problem_from_code(error.code, error.message, retry_after_s)


def problem_from_code(code: str, message: str, retry_after_s: int = 1) -> Problem:
    """Convert the code and message of an error from another process, as `problem_from_error`."""
    log.warning("%s: %s", code, message)
    status, detail = _known(code, message)
    if status == _UNAVAILABLE:
        return overloaded(retry_after_s, code, detail)
    return Problem(status, code, detail)


def _known(code: str, message: str) -> tuple[int, str]:
    """Return the status and the detail of a code."""
    if code in _KNOWN:
        return _KNOWN[code]
    if code in _STATUS_WITH_MESSAGE:
        return _STATUS_WITH_MESSAGE[code], without_paths(message)
    if code.startswith(_WITH_MESSAGE):
        return 422, without_paths(message)
    return 422, _CHECKPOINT


def problem_from_image(result: InferenceResult) -> Problem:
    """Convert the result of an image that failed."""
    code = result.error_code or ErrorCode.INTERNAL
    status = _IMAGE_STATUS.get(code, 422)
    name = "MODEL_NONFINITE" if code is ErrorCode.NONFINITE else str(code)
    # Decoders print objects with their memory address.
    detail = re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "the file", result.error_message or "")
    if code in _LIMIT_OF and "more than the limit" in detail:
        detail += f" ({_LIMIT_OF[code]})"
    if code is ErrorCode.INTERNAL:
        log.error("image failed: %s", result.error_message)
        detail = "The image could not be processed."
    return Problem(status, name, detail, stage=str(result.error_stage))


def validation_problem(errors: list[Any]) -> Problem:
    """Create a 422 problem from pydantic's errors: which parameters are invalid, and why."""
    shown = [
        {"loc": [_short(part) for part in one["loc"]], "msg": str(one["msg"])}
        for one in errors[:20]
    ]
    places = [".".join(one["loc"]) for one in shown[:3]]
    words = "; ".join(
        f"{place}: {one['msg']}" if place else str(one["msg"])
        for place, one in zip(places, shown, strict=False)
    )
    return Problem(422, "VALIDATION", words or "The request is invalid.", errors=shown)


def _short(part: object) -> str:
    """Shorten a part of a location: a key chosen by a client may be megabytes long."""
    text = str(part)
    return text if len(text) <= 80 else f"{text[:80]}..."


def install(app: FastAPI, retry_after_s: int) -> None:
    """Install exception handlers that turn every error of ``app`` into a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(SnellenError)
    async def _snellen(_: Request, error: SnellenError) -> Response:
        return problem_from_error(error, retry_after_s).response()

    @app.exception_handler(RequestValidationError)
    async def _request(_: Request, error: RequestValidationError) -> Response:
        return validation_problem(list(error.errors())).response()

    @app.exception_handler(ValidationError)
    async def _validation(_: Request, error: ValidationError) -> Response:
        return validation_problem(list(error.errors(include_url=False))).response()

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        code = HTTPStatus(error.status_code).name
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = _allowed(app, request.scope)
        detail = {404: "There is no such page.", 405: "Method not allowed; see the Allow header."}
        text = detail.get(error.status_code, HTTPStatus(error.status_code).phrase)
        return Problem(error.status_code, code, text, headers=headers).response()


def _allowed(app: FastAPI, scope: Scope) -> str:
    """Return the methods of a path; the router lists only those of its first route."""
    found = {
        method
        for method in _METHODS
        if any(one.matches({**scope, "method": method})[0] is Match.FULL for one in app.routes)
    }
    if "GET" in found:
        found.add("HEAD")
    return ", ".join(method for method in _METHODS if method in found)


def internal_error() -> Problem:
    """Create a 500 problem; the traceback is in the log."""
    return Problem(500, "INTERNAL", "Internal error. See the log of the service for details.")

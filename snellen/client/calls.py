"""Requests as steps, which a synchronous and an asynchronous client carry out alike.

A generator yields what is to be sent, receives the response, and returns its result: the order of
requests, their bodies and the meaning of responses are written once.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from snellen.adapters.errors import SnellenError

T = TypeVar("T")
Body = TypeVar("Body", bound=BaseModel)
_NOT_RETRIED = {"REQUEST_TIMEOUT"}
"""The service may still be working on such a request; a retry would double the load."""


class ServiceError(SnellenError):
    """Error response of the service, with its ``code``, ``message`` and HTTP ``status``."""

    exit_code = 1

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        super().__init__(code, message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """A request: method, path, and keyword arguments of ``httpx``."""

    method: str
    path: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pause:
    """A time to wait, in seconds."""

    seconds: float


Steps = Generator[Call | Pause, httpx.Response, T]
"""Requests and pauses, and the result that they lead to."""


def ask(method: str, path: str, **options: Any) -> Steps[httpx.Response]:
    """Send one request and return its response."""
    return (yield Call(method, path, options))


def asked(kind: type[Body], method: str, path: str, **options: Any) -> Steps[Body]:
    """Send one request and return its body, validated."""
    response = yield Call(method, path, options)
    return parsed(kind, response)


def parsed(kind: type[Body], answer: httpx.Response) -> Body:
    """Validate the body of a response.

    Raises:
        ServiceError: SERVICE_ANSWER, it is no response of a Snellen service.
    """
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        raise ServiceError(
            "SERVICE_ANSWER",
            f"unexpected response with {error.error_count()} invalid values. Expected a response "
            "of a Snellen service; check the URL.",
            answer.status_code,
        ) from error


def problem_of(answer: httpx.Response) -> ServiceError:
    """Return the error of a response without success."""
    try:
        body = answer.json()
        return ServiceError(str(body["code"]), str(body["detail"]), answer.status_code)
    except (ValueError, KeyError, TypeError):
        text = answer.text.strip()[:300] or answer.reason_phrase
        return ServiceError(f"HTTP_{answer.status_code}", text, answer.status_code)


def unreachable(url: str, error: httpx.HTTPError) -> ServiceError:
    """Return the error for a service that does not respond."""
    return ServiceError(
        "SERVICE_UNREACHABLE",
        f"{url} does not respond: {error or type(error).__name__}. Expected a Snellen service. "
        "Start one with: snellen serve",
    )


def retry_after(answer: httpx.Response, left: int) -> float | None:
    """Return the seconds after which a request is sent again, or None to give up."""
    if answer.status_code != 503 or not left or problem_of(answer).code in _NOT_RETRIED:
        return None
    text = answer.headers.get("retry-after", "1")
    return min(float(text), 60.0) if text.isdecimal() else 1.0

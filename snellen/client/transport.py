"""Carry out the steps of a client over HTTP, synchronously or asynchronously."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any, TypeVar

import httpx

from snellen.client.calls import (
    Call,
    Pause,
    ServiceError,
    Steps,
    problem_of,
    retry_after,
    unreachable,
)

KEY_VARIABLE = "SNELLEN_API_KEY"
T = TypeVar("T")


def connection(url: str, api_key: str | None, timeout_s: float) -> Mapping[str, Any]:
    """Return the settings of the HTTP connection."""
    key = api_key or os.environ.get(KEY_VARIABLE)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {"base_url": url.rstrip("/"), "headers": headers, "timeout": timeout_s}


class Transport:
    """Carries out steps with blocking calls. Thread-safe."""

    def __init__(self, settings: Mapping[str, Any], retries: int) -> None:
        self.http = httpx.Client(**settings)
        self._url = settings["base_url"]
        self._retries = retries

    def run(self, steps: Steps[T]) -> T:
        """Send each request, and return the result of the steps.

        Raises:
            ServiceError: an error response; SERVICE_UNREACHABLE.
        """
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = next(steps)
                else:
                    step = _resumed(steps, self._outcome(step))
        except StopIteration as ended:
            result: T = ended.value
            return result

    def _outcome(self, call: Call) -> httpx.Response | ServiceError:
        try:
            return self._send(call)
        except ServiceError as error:
            return error

    def _send(self, call: Call) -> httpx.Response:
        for left in range(self._retries, -1, -1):
            try:
                answer = self.http.request(call.method, call.path, **call.options)
            except httpx.HTTPError as error:
                raise unreachable(self._url, error) from error
            if answer.is_success:
                return answer
            pause = retry_after(answer, left)
            if pause is None:
                raise problem_of(answer)
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


class AsyncTransport:
    """Carries out steps in an event loop."""

    def __init__(self, settings: Mapping[str, Any], retries: int) -> None:
        self.http = httpx.AsyncClient(**settings)
        self._url = settings["base_url"]
        self._retries = retries

    async def run(self, steps: Steps[T]) -> T:
        """Send each request, and return the result of the steps; see `Transport.run`."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = next(steps)
                else:
                    step = _resumed(steps, await self._outcome(step))
        except StopIteration as ended:
            result: T = ended.value
            return result

    async def _outcome(self, call: Call) -> httpx.Response | ServiceError:
        try:
            return await self._send(call)
        except ServiceError as error:
            return error

    async def _send(self, call: Call) -> httpx.Response:
        for left in range(self._retries, -1, -1):
            try:
                answer = await self.http.request(call.method, call.path, **call.options)
            except httpx.HTTPError as error:
                raise unreachable(self._url, error) from error
            if answer.is_success:
                return answer
            pause = retry_after(answer, left)
            if pause is None:
                raise problem_of(answer)
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


def _resumed(steps: Steps[T], outcome: httpx.Response | ServiceError) -> Call | Pause:
    """Return the next step after a response, or after an error, which the steps may handle.

    Raises:
        StopIteration: the steps have ended.
        ServiceError: the steps did not handle it.
    """
    if isinstance(outcome, ServiceError):
        return steps.throw(outcome)
    return steps.send(outcome)

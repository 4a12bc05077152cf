"""Load the models of ``model.preload`` before the service is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from operator import not_

from tenacity import AsyncRetrying, retry_if_result, wait_fixed

from snellen.adapters.errors import SnellenError
from snellen.serve.api import problems
from snellen.serve.api.backend import Busy, Unavailable
from snellen.serve.api.model_resolver import ModelResolver, ResolvedModel
from snellen.serve.api.state import State
from snellen.serve.config import ServeConfig
from snellen.store.sql.database import Database

_RETRY_S = 1.0


def preloaded_models(config: ServeConfig, db: Database) -> Iterator[ResolvedModel]:
    """Find the models of ``model.preload``.

    Raises:
        SnellenError: an entry that the run tables do not have; the message names its key.
    """
    resolver = ModelResolver(db, config.model)
    for number, entry in enumerate(config.model.preload):
        try:
            yield resolver.resolve(entry.job, str(entry.checkpoint))
        except SnellenError as error:
            raise type(error)(error.code, f"model.preload[{number}]: {error.message}") from error


async def preload(state: State) -> None:
    """Load the models of ``model.preload``, retrying until all are loaded.

    Then the service is ready.
    """
    retrying = AsyncRetrying(wait=wait_fixed(_RETRY_S), retry=retry_if_result(not_))
    for number in range(len(state.config.model.preload)):
        await retrying(_try_entry, state, number)
    state.preloaded = True


async def _try_entry(state: State, number: int) -> bool:
    """Load the model of one entry; return True if it is loaded."""
    entry = state.config.model.preload[number]
    try:
        resolved = await asyncio.to_thread(state.resolver.resolve, entry.job, str(entry.checkpoint))
        reply = await state.backend.preload(resolved.model)
    except SnellenError as error:
        return _failed(state, number, error.code, error.message)
    except (Unavailable, Busy):
        return False
    if reply.failure is not None:
        return _failed(state, number, reply.failure.code, reply.failure.message)
    return True


def _failed(state: State, number: int, code: str, message: str) -> bool:
    entry = state.config.model.preload[number]
    if state.preload_failure is None:
        problems.log.error("model.preload[%d], job %s: %s: %s", number, entry.job, code, message)
    state.preload_failure = f"model.preload[{number}] cannot be loaded: {code}."
    return False

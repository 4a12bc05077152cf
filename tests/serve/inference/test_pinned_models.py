"""Models of ``model.preload`` stay loaded, until their checkpoint is overwritten."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import InputError
from snellen.adapters.types import AdapterSpec
from snellen.serve.api.model_resolver import ModelResolver
from snellen.serve.api.preload import preloaded_models
from snellen.serve.config import ServeConfig
from snellen.serve.inference.messages import ModelRef
from snellen.serve.inference.pinned_models import PinnedModels
from snellen.store.sql.database import Database
from snellen.store.views import JobView

pytestmark = pytest.mark.anyio


def ref(key: str, pin: str | None = "1@best") -> ModelRef:
    return ModelRef(key, AdapterSpec("noop"), pin)


async def test_a_model_is_loaded_once_and_replaced_with_its_checkpoint() -> None:
    pinned: PinnedModels[str] = PinnedModels()
    loaded: list[str] = []

    def loader(name: str) -> Any:
        async def load() -> str:
            await asyncio.sleep(0)
            loaded.append(name)
            return name

        return load

    assert pinned.get(ref("a")) is None
    found = await asyncio.gather(*(pinned.load(ref("a"), loader("a")) for _ in range(3)))
    assert (found, loaded) == (["a"] * 3, ["a"])
    # The same file by another name of its checkpoint, and another model.
    assert await pinned.load(ref("a", "1@3"), loader("again")) == "a"
    assert await pinned.load(ref("b", "2@best"), loader("b")) == "b"
    assert pinned.get(ref("a", None)) == "a"
    # Training overwrites `best`: epoch 3 stays.
    assert await pinned.load(ref("c"), loader("c")) == "c"
    assert [pinned.get(ref(key)) for key in "abc"] == ["a", "b", "c"]
    await pinned.load(ref("d", "1@3"), loader("d"))
    assert [pinned.get(ref(key)) for key in "acd"] == [None, "c", "d"]

    async def fail() -> str:
        raise InputError("CHECKPOINT_INVALID", "broken")

    with pytest.raises(InputError):
        await pinned.load(ref("e"), fail)
    assert pinned.get(ref("c")) == "c"


async def test_requests_are_pinned_by_the_entries_of_preload(
    db: Database, jobs: dict[str, JobView], tmp_path: Path
) -> None:
    detect, pose = jobs["detect"], jobs["pose"]
    config = ServeConfig.model_validate(
        {"model": {"preload": [{"job": "tiny-detect"}, {"job": pose.id, "checkpoint": "last"}]}}
    )
    resolver = ModelResolver(db, config.model)
    pins: dict[tuple[int | str, str], str | None] = {
        (detect.id, "best"): f"{detect.id}@best",
        ("tiny-detect", "best"): f"{detect.id}@best",
        (detect.id, "last"): None,
        (pose.id, "last"): f"{pose.id}@last",
        (pose.id, "best"): None,
        ("tiny-classify", "best"): None,
    }
    for (job, checkpoint), pin in pins.items():
        assert resolver.resolve(job, checkpoint).model.pin == pin, (job, checkpoint)
    assert [one.model.pin for one in preloaded_models(config, db)] == [
        f"{detect.id}@best", f"{pose.id}@last"]  # fmt: skip
    wrong = ServeConfig.model_validate({"model": {"preload": [{"job": 1}, {"job": "no such"}]}})
    with pytest.raises(InputError, match=r"model\.preload\[1\]: there is no .* 'no such'"):
        list(preloaded_models(wrong, db))

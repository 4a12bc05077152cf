"""Model processes load the models of ``model.preload`` first, and never look for them again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.types import AdapterSpec
from snellen.serve.api.model_resolver import ModelResolver
from snellen.serve.config import ServeConfig
from snellen.serve.inference.messages import InferenceRequest
from snellen.serve.inference.model_host import LoadedModel
from snellen.serve.ray.model_replica import ModelProcess
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import add_job

pytestmark = pytest.mark.anyio


class Counting(ModelProcess):
    """A model process that notes what it loads, and keeps nothing that is not pinned."""

    def __init__(self, config: ServeConfig) -> None:
        super().__init__(config)
        self.loaded: list[str] = []
        load = self._host.load

        async def counted(spec: AdapterSpec) -> LoadedModel:
            self.loaded.append(Path(spec.checkpoint or "").name)
            return await load(spec)

        self._host.load = counted  # type: ignore[method-assign]

    async def _cached(self, key: str) -> LoadedModel:
        return await self._load(self._refs[key])


def config_of(db_path: Path, *jobs: str) -> ServeConfig:
    settings: dict[str, Any] = {
        "database": f"sqlite:///{db_path}",
        "model": {"device": "cpu", "threads": 1, "preload": [{"job": job} for job in jobs]},
    }
    return ServeConfig.model_validate(settings)


async def test_preloaded_models_stay_loaded(
    db: Database, jobs: dict[str, JobView], tmp_path: Path
) -> None:
    config = config_of(tmp_path / "runs.db", "tiny-detect")
    resolver = ModelResolver(db, config.model)
    process = Counting(config)
    await process._load_preloaded()
    assert process.loaded == ["tiny-detect.pt"]
    for name in ("tiny-detect", "tiny-classify", "tiny-detect", "tiny-classify"):
        ref = resolver.resolve(name, "best").model
        reply = await process.infer(InferenceRequest(ref, picture(), "a.png"))
        assert reply.result is not None, reply.failure
    assert process.loaded == ["tiny-detect.pt", "tiny-classify.pt", "tiny-classify.pt"]


async def test_a_preload_that_fails_is_reported_when_it_is_requested(
    db: Database, tmp_path: Path
) -> None:
    """A process that did not start would be started again and again, without a reason."""
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    job = add_job(db, "bad", tmp_path / "bad.pt")
    config = config_of(tmp_path / "runs.db", "bad")
    process = Counting(config)
    await process._load_preloaded()
    ref = ModelResolver(db, config.model).resolve(job.id, "best").model
    reply = await process.preload(ref)
    assert reply.failure is not None
    assert reply.failure.code.startswith("CHECKPOINT_")
    assert process.loaded == ["bad.pt"]
    unknown = Counting(config_of(tmp_path / "runs.db", "no such"))
    await unknown._load_preloaded()
    assert unknown.loaded == []

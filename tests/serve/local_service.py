"""The application without Ray: the same routes in front of a model host in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableSequence, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from snellen.adapters.errors import SnellenError
from snellen.serve.api.app import create_app
from snellen.serve.api.state import State, make_state
from snellen.serve.config import ServeConfig
from snellen.serve.inference.load_failures import LoadFailures
from snellen.serve.inference.messages import Failure, InferenceReply, InferenceRequest, ModelRef
from snellen.serve.inference.model_host import HostSettings, LoadedModel, ModelHost
from snellen.serve.ui.routes import add_pages
from snellen.store.jobs import TrainingJobRecord, upsert_training_job
from snellen.store.sql.database import Database
from snellen.store.views import JobView

FIXTURES = Path(__file__).parents[1] / "fixtures"
TASKS = {
    "classify": "image_classification",
    "detect": "object_detection",
    "segment": "instance_segmentation",
    "pose": "pose_estimation",
}


class LocalBackend:
    """Backend that loads models on demand and never unloads them."""

    def __init__(self, host: ModelHost) -> None:
        self.host = host
        self.loaded: dict[str, LoadedModel] = {}
        self.requests: MutableSequence[InferenceRequest] = []
        self.problem: Exception | None = None
        self._lock = asyncio.Lock()
        self._failures = LoadFailures()

    async def infer(self, request: InferenceRequest) -> InferenceReply:
        self.requests.append(request)
        if self.problem is not None:
            raise self.problem
        try:
            model = await self._model(request.model)
        except SnellenError as error:
            return InferenceReply(failure=Failure(error.code, error.message))
        return await self.host.infer(model, request)

    async def preload(self, model: ModelRef) -> InferenceReply:
        try:
            await self._model(model)
        except SnellenError as error:
            return InferenceReply(failure=Failure(error.code, error.message))
        return InferenceReply()

    async def ping(self) -> None:
        if self.problem is not None:
            raise self.problem

    async def _model(self, model: ModelRef) -> LoadedModel:
        async with self._lock:
            if model.key not in self.loaded:
                self.loaded[model.key] = await self._failures.load(
                    model.key, lambda: self.host.load(model.spec)
                )
            return self.loaded[model.key]


def host_settings(config: ServeConfig) -> HostSettings:
    return HostSettings(
        device="cpu",
        max_batch_size=8,
        batch_window_s=0.0,
        threads=1,
        max_pixels=config.limits.max_pixels,
        max_bytes=config.limits.max_image_bytes,
        max_mask_pixels=config.limits.max_mask_pixels,
    )


def add_job(db: Database, name: str, checkpoint: Path, **fields: Any) -> JobView:
    """Register a checkpoint file as a training job, by default a detector of ultralytics."""
    record = TrainingJobRecord(
        name=name,
        framework="ultralytics",
        task_type="object_detection",
        model_name="yolo11",
        output_dir=str(checkpoint),
        class_names=None,
        num_classes=None,
        config=None,
    )
    return upsert_training_job(db, replace(record, **fields))


def fixture_job(db: Database, task: str) -> JobView:
    """Register a training job with one of the tiny checkpoints."""
    path = FIXTURES / f"tiny-{task}.pt"
    return add_job(db, f"tiny-{task}", path, task_type=TASKS[task], num_classes=3)


@asynccontextmanager
async def served(
    db: Database,
    root: Path,
    *,
    keys: Sequence[str] = (),
    loopback: bool = True,
    **settings: Any,
) -> AsyncIterator[Service]:
    """Start the application with a client for it, and stop it at the end."""
    config = ServeConfig.model_validate(settings)
    host = ModelHost(host_settings(config))
    state = make_state(config, db, LocalBackend(host), root)
    app = create_app(state, keys=keys, loopback=loopback)
    add_pages(app)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for _ in range(500):
                if state.preloaded or state.config.model.preload:
                    break
                await asyncio.sleep(0)
            yield Service(app, state, client)
    await host.close()


class Service:
    """An application, its state and a client."""

    def __init__(self, app: FastAPI, state: State, client: httpx.AsyncClient) -> None:
        self.app = app
        self.state = state
        self.client = client

    @property
    def backend(self) -> LocalBackend:
        backend = self.state.backend
        assert isinstance(backend, LocalBackend)
        return backend

    async def single(
        self, image: bytes, job: int | str, name: str = "a.png", **fields: Any
    ) -> httpx.Response:
        data = {"training_job_id": str(job), **{key: str(value) for key, value in fields.items()}}
        return await self.client.post(
            "/inference/single", files={"image": (name, image)}, data=data
        )

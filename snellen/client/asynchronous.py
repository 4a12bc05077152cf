"""Client of the HTTP service for event loops: the same methods, to be awaited."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

import httpx

from snellen.client import requests, run_requests
from snellen.client.asynchronous_runs import AsyncRemoteJob, AsyncRemoteRun
from snellen.client.requests import InferOptions, Prediction, SubmitOptions
from snellen.client.transport import AsyncTransport, connection
from snellen.serve.api.bodies.catalog_bodies import InspectionResponse
from snellen.serve.api.schemas import CheckpointResponse, TrainingJobResponse

if TYPE_CHECKING:
    from snellen.client.image_files import ImageSource


class AsyncClient:
    """Client of one service for an event loop; use it with ``async with``, or await ``close``.

    Args:
        url: URL of the service, such as ``http://127.0.0.1:8000``.
        api_key: API key, if the service requires one; None takes the environment variable
            ``SNELLEN_API_KEY``.
        timeout_s: timeout of one request, in seconds.
        retries: maximum number of retries if the service is overloaded (503); the service states
            how long to wait in between.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 90.0,
        retries: int = 3,
    ) -> None:
        self._transport = AsyncTransport(connection(url, api_key, timeout_s), retries)

    async def infer(
        self,
        image: ImageSource,
        *,
        job: int | str | None = None,
        checkpoint: str | int = "best",
        **options: Unpack[InferOptions],
    ) -> Prediction:
        """Predict for one image.

        Args:
            image: a path, the bytes of a file, an RGB array (uint8, shape (height, width, 3)), or
                a Pillow image.
            job: id or name of a training job; None if the service has only one.
            checkpoint: ``best``, ``last`` or an epoch number.
            options: see `InferOptions`.

        Raises:
            ServiceError: an error response of the service; SERVICE_UNREACHABLE.
            InputError: IMAGE_NOT_FOUND, JOB_NOT_FOUND, JOB_NEEDED.
        """
        return await self._transport.run(requests.infer(image, job, checkpoint, options))

    async def evaluate(
        self, path: str, *, job: int | str | None = None, **options: Unpack[SubmitOptions]
    ) -> AsyncRemoteRun:
        """Submit a test run; `AsyncRemoteRun.wait` waits for it.

        Args:
            path: name of a registered dataset, or a path inside the roots of the service.
            job: id or name of a training job; None if the service has only one.
            options: see `SubmitOptions`.

        Raises:
            ServiceError: the service rejects it, or does not respond.
            InputError: JOB_NOT_FOUND, JOB_NEEDED.
        """
        row = await self._transport.run(requests.submit_evaluation(path, job, options))
        return AsyncRemoteRun(self._transport, row)

    async def predict(
        self,
        images: Sequence[ImageSource],
        *,
        job: int | str | None = None,
        checkpoint: str | int = "best",
        **fields: Any,
    ) -> AsyncRemoteJob:
        """Upload images, or one ZIP archive, and submit an inference job on them.

        Args:
            images: as for `infer`; or the path of one archive.
            job: id or name of a training job; None if the service has only one.
            checkpoint: ``best``, ``last`` or an epoch number.
            fields: ``batch_size``, ``confidence`` and ``name``.

        Raises:
            ServiceError: the service rejects it, or does not respond.
            InputError: IMAGE_NOT_FOUND, JOB_NOT_FOUND, JOB_NEEDED.
        """
        given = {"checkpoint": checkpoint, **fields}
        row = await self._transport.run(requests.submit_images(images, job, given))
        return AsyncRemoteJob(self._transport, row)

    async def predict_dataset(
        self, path: str, *, job: int | str | None = None, **options: Unpack[SubmitOptions]
    ) -> AsyncRemoteJob:
        """Submit an inference job on a folder of the service; see `evaluate`."""
        row = await self._transport.run(requests.submit_dataset(path, job, options))
        return AsyncRemoteJob(self._transport, row)

    async def compare(self, *runs: int | AsyncRemoteRun, **settings: Any) -> dict[str, Any]:
        """Compare the first test run with each of the others, and wait for the result.

        Args:
            runs: two or more runs, or their ids.
            settings: ``tolerance``, ``group``, ``seed`` and ``slices``.

        Returns:
            The document of ``snellen compare --json``.

        Raises:
            ServiceError: the comparison failed, or an error response.
        """
        ids = [run if isinstance(run, int) else run.id for run in runs]
        return await self._transport.run(run_requests.compare(ids, settings))

    async def run(self, run_id: int) -> AsyncRemoteRun:
        """Return a test run by its id. Raises ServiceError."""
        row = await self._transport.run(run_requests.show("test-runs", run_id))
        return AsyncRemoteRun(self._transport, row)

    async def runs(self, *, status: str | None = None, limit: int = 100) -> list[AsyncRemoteRun]:
        """List test runs, newest first. Raises ServiceError."""
        rows = await self._transport.run(requests.test_runs(status, limit))
        return [AsyncRemoteRun(self._transport, row) for row in rows]

    async def inference_job(self, job_id: int) -> AsyncRemoteJob:
        """Return an inference job by its id. Raises ServiceError."""
        row = await self._transport.run(run_requests.show("inference-jobs", job_id))
        return AsyncRemoteJob(self._transport, row)

    async def inference_jobs(
        self, *, status: str | None = None, limit: int = 100
    ) -> list[AsyncRemoteJob]:
        """List inference jobs, newest first. Raises ServiceError."""
        rows = await self._transport.run(requests.inference_jobs(status, limit))
        return [AsyncRemoteJob(self._transport, row) for row in rows]

    async def inspect_dataset(
        self, path: str, *, job: int | str | None = None, checkpoint: str | int = "best"
    ) -> InspectionResponse:
        """Describe a dataset of the service; with a job also how the classes fit."""
        return await self._transport.run(requests.inspect_dataset(path, job, checkpoint))

    async def training_jobs(self) -> list[TrainingJobResponse]:
        """List the training jobs of the service, newest first. Raises ServiceError."""
        return await self._transport.run(requests.training_jobs())

    async def checkpoints(self, job: int | str) -> list[CheckpointResponse]:
        """List the checkpoints of a training job. Raises ServiceError, InputError."""
        return await self._transport.run(requests.checkpoints(job))

    async def register(
        self, output_dir: str, *, name: str | None = None, class_names: Sequence[str] | None = None
    ) -> TrainingJobResponse:
        """Register a run directory that lies inside the service's roots. Raises ServiceError."""
        return await self._transport.run(requests.register(output_dir, name, class_names))

    async def ready(self) -> bool:
        """Return True if the service can answer requests."""
        try:
            answer = await self._transport.http.get("/health/ready")
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

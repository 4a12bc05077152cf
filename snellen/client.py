"""A client of the HTTP service: ``snellen.Client("http://127.0.0.1:8000").infer("cat.jpg")``."""

from __future__ import annotations

import base64
import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from snellen.adapters.errors import InputError, SnellenError
from snellen.serve.api.schemas import (
    CheckpointListResponse,
    CheckpointResponse,
    InferenceResultResponse,
    TrainingJobListResponse,
    TrainingJobResponse,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    ImageSource = str | os.PathLike[str] | bytes | npt.NDArray[np.uint8] | Image.Image

Body = TypeVar("Body", bound=BaseModel)
KEY_VARIABLE = "SNELLEN_API_KEY"
_PAGE = 1000
_NOT_RETRIED = {"REQUEST_TIMEOUT"}
"""The service may go on with such a request: asking again would double its work."""


class ServiceError(SnellenError):
    """The service refused; ``code`` and ``message`` are its own, ``status`` is HTTP's."""

    exit_code = 1

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        super().__init__(code, message)
        self.status = status


class Prediction(InferenceResultResponse):
    """An answer; see `InferenceResultResponse`. Keys that this version does not know are ignored.

    Boxes are absolute pixels of the upright image, times milliseconds.
    """

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    @property
    def picture(self) -> bytes | None:
        """The annotated image as a JPEG, where ``visualize`` was asked for."""
        if self.visualization is None:
            return None
        return base64.b64decode(self.visualization.partition(",")[2])


class Client:
    """Talks to one service; threads may share it. Use as a context manager, or ``close`` it.

    Args:
        url: of the service, such as ``http://127.0.0.1:8000``.
        api_key: needed where the service is not on this machine; default: the environment
            variable ``SNELLEN_API_KEY``.
        timeout_s: for one answer.
        retries: how often a request is repeated that the service had no room for (503); it says
            itself how long to wait.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 90.0,
        retries: int = 3,
    ) -> None:
        key = api_key or os.environ.get(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url = url.rstrip("/")
        self._retries = retries
        self._http = httpx.Client(base_url=self._url, headers=headers, timeout=timeout_s)

    def infer(
        self,
        image: ImageSource,
        *,
        job: int | str | None = None,
        checkpoint: str | int = "best",
        confidence: float | None = None,
        visualize: bool = False,
        record: bool | None = None,
    ) -> Prediction:
        """Predict for one image.

        Args:
            image: a path, the bytes of a file, uint8 RGB of shape (height, width, 3), or a Pillow
                image.
            job: training job by id or name; None where the service has only one.
            checkpoint: ``best``, ``last`` or an epoch.
            confidence: detections below it are left out; None takes the service's setting.
            visualize: also return the annotated image, as ``picture``.
            record: keep the request in the run tables; None takes the service's setting.

        Raises:
            ServiceError: the service's own code and message; SERVICE_UNREACHABLE.
            InputError: IMAGE_NOT_FOUND, JOB_NOT_FOUND, JOB_NEEDED.
        """
        name, data = _file_of(image)
        fields: dict[str, Any] = {
            "training_job_id": self._job_id(job),
            "checkpoint": checkpoint,
            "confidence": confidence,
            "visualize": visualize or None,
            "record": record,
        }
        form = {key: _word(value) for key, value in fields.items() if value is not None}
        answer = self._ask("POST", "/inference/single", files={"image": (name, data)}, data=form)
        return _parsed(Prediction, answer)

    def training_jobs(self) -> list[TrainingJobResponse]:
        """The models of the service, newest first. Raises ServiceError."""
        found: list[TrainingJobResponse] = []
        while True:
            page = {"skip": len(found), "limit": _PAGE}
            answer = self._ask("GET", "/inference/training-jobs", params=page)
            part = _parsed(TrainingJobListResponse, answer)
            found += part.jobs
            if not part.jobs or len(found) >= part.total_count:
                return found

    def checkpoints(self, job: int | str) -> list[CheckpointResponse]:
        """The checkpoints of a training job, by id or name. Raises ServiceError, InputError."""
        path = f"/inference/training-jobs/{self._job_id(job)}/checkpoints"
        return _parsed(CheckpointListResponse, self._ask("GET", path)).checkpoints

    def register(
        self, output_dir: str, *, name: str | None = None, class_names: Sequence[str] | None = None
    ) -> TrainingJobResponse:
        """Register a run directory inside the service's roots. Raises ServiceError."""
        body = {"output_dir": output_dir, "name": name, "class_names": class_names}
        body = {key: value for key, value in body.items() if value is not None}
        answer = self._ask("POST", "/inference/training-jobs", json=body)
        return _parsed(TrainingJobResponse, answer)

    def ready(self) -> bool:
        """Whether the service can answer requests now."""
        try:
            return self._http.get("/health/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _job_id(self, job: int | str | None) -> int:
        if isinstance(job, int):
            return job
        known = self.training_jobs()
        names = ", ".join(f"{one.name} ({one.id})" for one in known[:20]) or "none"
        if job is None:
            if len(known) == 1:
                return known[0].id
            raise InputError("JOB_NEEDED", f"job: choose one of the service's: {names}")
        for one in known:
            if one.name == job:
                return one.id
        raise InputError("JOB_NOT_FOUND", f"job: the service has no {job!r}; it has {names}")

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        for left in range(self._retries, -1, -1):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.HTTPError as error:
                raise ServiceError(
                    "SERVICE_UNREACHABLE",
                    f"{self._url} does not answer: {error or type(error).__name__}. Is `snellen "
                    "serve` running there?",
                ) from error
            if answer.is_success:
                return answer
            problem = _problem(answer)
            if answer.status_code != 503 or not left or problem.code in _NOT_RETRIED:
                raise problem
            time.sleep(_pause(answer))
        raise AssertionError("the last attempt returns or raises")


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pause(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "1")
    return min(float(text), 60.0) if text.isdecimal() else 1.0


def _problem(answer: httpx.Response) -> ServiceError:
    try:
        body = answer.json()
        return ServiceError(str(body["code"]), str(body["detail"]), answer.status_code)
    except (ValueError, KeyError, TypeError):
        text = answer.text.strip()[:300] or answer.reason_phrase
        return ServiceError(f"HTTP_{answer.status_code}", text, answer.status_code)


def _parsed(kind: type[Body], answer: httpx.Response) -> Body:
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        raise ServiceError(
            "SERVICE_ANSWER",
            f"the answer is not one of a Snellen service: {error.error_count()} values differ",
            answer.status_code,
        ) from error


def _file_of(image: ImageSource) -> tuple[str, bytes]:
    """A name and the bytes of a file: arrays and Pillow images become lossless PNGs."""
    if isinstance(image, bytes):
        return "image", image
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        try:
            return path.name, path.read_bytes()
        except OSError as error:
            raise InputError(
                "IMAGE_NOT_FOUND", f"image: '{path}' cannot be read: {error.strerror or error}"
            ) from error
    from PIL import Image

    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "image.png", stream.getvalue()

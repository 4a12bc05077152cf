"""Client of the HTTP service: ``snellen.Client("http://127.0.0.1:8000").infer("cat.jpg")``."""

from __future__ import annotations

import base64
import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack

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
"""The service may still be working on such a request; a retry would double the load."""


class ServiceError(SnellenError):
    """Error response of the service, with its ``code``, ``message`` and HTTP ``status``."""

    exit_code = 1

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        super().__init__(code, message)
        self.status = status


class Prediction(InferenceResultResponse):
    """Prediction for one image; see `InferenceResultResponse`. Unknown keys are ignored.

    Boxes are in absolute pixels of the upright image, times in milliseconds.
    """

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    @property
    def picture(self) -> bytes | None:
        """Annotated image as JPEG bytes; None without ``visualize``."""
        if self.visualization is None:
            return None
        return base64.b64decode(self.visualization.partition(",")[2])


class InferOptions(TypedDict, total=False):
    """Options of `Client.infer`.

    Attributes:
        confidence: minimum confidence of a detection; default the service's setting.
        visualize: also return the annotated image, as ``picture``; default False.
        record: store the request in the run tables; default the service's setting.
    """

    confidence: float | None
    visualize: bool
    record: bool | None


class Client:
    """Client of one service. Thread-safe; use it as a context manager, or call ``close``.

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
        name, data = _file_of(image)
        fields: dict[str, Any] = {
            "training_job_id": self._job_id(job),
            "checkpoint": checkpoint,
            "confidence": options.pop("confidence", None),
            "visualize": options.pop("visualize", None) or None,
            "record": options.pop("record", None),
        }
        if options:
            raise TypeError(f"infer() got an unexpected keyword argument '{next(iter(options))}'")
        form = {key: _word(value) for key, value in fields.items() if value is not None}
        answer = self._ask("POST", "/inference/single", files={"image": (name, data)}, data=form)
        return _parsed(Prediction, answer)

    def training_jobs(self) -> list[TrainingJobResponse]:
        """List the training jobs of the service, newest first. Raises ServiceError."""
        found: list[TrainingJobResponse] = []
        while True:
            page = {"skip": len(found), "limit": _PAGE}
            answer = self._ask("GET", "/inference/training-jobs", params=page)
            part = _parsed(TrainingJobListResponse, answer)
            found += part.jobs
            if not part.jobs or len(found) >= part.total_count:
                return found

    def checkpoints(self, job: int | str) -> list[CheckpointResponse]:
        """List the checkpoints of a training job. Raises ServiceError, InputError."""
        path = f"/inference/training-jobs/{self._job_id(job)}/checkpoints"
        return _parsed(CheckpointListResponse, self._ask("GET", path)).checkpoints

    def register(
        self, output_dir: str, *, name: str | None = None, class_names: Sequence[str] | None = None
    ) -> TrainingJobResponse:
        """Register a run directory that lies inside the service's roots. Raises ServiceError."""
        body = {"output_dir": output_dir, "name": name, "class_names": class_names}
        body = {key: value for key, value in body.items() if value is not None}
        answer = self._ask("POST", "/inference/training-jobs", json=body)
        return _parsed(TrainingJobResponse, answer)

    def ready(self) -> bool:
        """Return True if the service can answer requests."""
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
            raise InputError(
                "JOB_NEEDED",
                f"job: not given, and the service has {len(known)} training jobs. Expected one of "
                f"{names}.",
            )
        for one in known:
            if one.name == job:
                return one.id
        raise InputError("JOB_NOT_FOUND", f"job: {job!r} is unknown. Expected one of {names}.")

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        for left in range(self._retries, -1, -1):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.HTTPError as error:
                raise ServiceError(
                    "SERVICE_UNREACHABLE",
                    f"{self._url} does not respond: {error or type(error).__name__}. Expected a "
                    "Snellen service. Start one with: snellen serve",
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
            f"unexpected response with {error.error_count()} invalid values. Expected a response "
            "of a Snellen service; check the URL.",
            answer.status_code,
        ) from error


def _file_of(image: ImageSource) -> tuple[str, bytes]:
    """Return a file name and the bytes to send; arrays and Pillow images become PNGs."""
    if isinstance(image, bytes):
        return "image", image
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        try:
            return path.name, path.read_bytes()
        except OSError as error:
            raise InputError(
                "IMAGE_NOT_FOUND",
                f"image: '{path}' cannot be read: {error.strerror or error}. Expected an image "
                "file.",
            ) from error
    from PIL import Image

    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "image.png", stream.getvalue()

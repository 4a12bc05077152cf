"""The requests of the clients: predictions, training jobs, and submitted work."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from pydantic import ConfigDict

from snellen.adapters.errors import InputError
from snellen.client.calls import ServiceError, Steps, asked
from snellen.client.image_files import file_of
from snellen.serve.api.bodies.catalog_bodies import InspectionResponse
from snellen.serve.api.bodies.run_bodies import (
    InferenceJobListResponse,
    InferenceJobResponse,
    TestRunListResponse,
    TestRunResponse,
)
from snellen.serve.api.schemas import (
    CheckpointListResponse,
    CheckpointResponse,
    InferenceResultResponse,
    TrainingJobListResponse,
    TrainingJobResponse,
)

if TYPE_CHECKING:
    from snellen.client.image_files import ImageSource

_PAGE = 1000
API = "/inference"


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


class SubmitOptions(TypedDict, total=False):
    """Options of `Client.evaluate` and `Client.predict_dataset`.

    Attributes:
        checkpoint: ``best``, ``last`` or an epoch number.
        name: name of the run.
        split: split of the dataset (evaluation).
        class_map: ``auto``, ``subset``, ``ids`` or a mapping (evaluation).
        dataset, model, preprocess, run, metrics: keys of these sections of a configuration.
        visualize: annotated copies of images (prediction).
    """

    checkpoint: str | int
    name: str | None
    split: str | None
    class_map: str | Mapping[str, str | None]
    dataset: Mapping[str, Any]
    model: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    run: Mapping[str, Any]
    metrics: Mapping[str, Any]
    visualize: str | int


def infer(
    image: ImageSource, job: int | str | None, checkpoint: str | int, options: InferOptions
) -> Steps[Prediction]:
    """Predict one image."""
    name, data = file_of(image)
    known = set(InferOptions.__annotations__)
    unknown = next((key for key in options if key not in known), None)
    if unknown is not None:
        raise TypeError(f"infer() got an unexpected keyword argument '{unknown}'")
    # The service finds a name itself: no second request for each prediction.
    fields: dict[str, Any] = {
        "job": job if isinstance(job, str) else None,
        "training_job_id": None if isinstance(job, str) else (yield from job_id(job)),
        "checkpoint": checkpoint,
        "confidence": options.get("confidence"),
        "visualize": options.get("visualize") or None,
        "record": options.get("record"),
    }
    form = {key: _word(value) for key, value in fields.items() if value is not None}
    path = f"{API}/single"
    try:
        sent = {"image": (name, data)}
        return (yield from asked(Prediction, "POST", path, files=sent, data=form))
    except ServiceError as error:
        if isinstance(job, str) and error.code == "JOB_NOT_FOUND":
            yield from job_id(job)  # raises InputError, with the names that exist
        raise


def training_jobs() -> Steps[list[TrainingJobResponse]]:
    """List all training jobs."""
    found: list[TrainingJobResponse] = []
    while True:
        page = {"skip": len(found), "limit": _PAGE}
        part = yield from asked(TrainingJobListResponse, "GET", f"{API}/training-jobs", params=page)
        found += part.jobs
        if not part.jobs or len(found) >= part.total_count:
            return found


def job_id(job: int | str | None) -> Steps[int]:
    """Find the id of a training job by its name; None if the service has only one.

    Raises:
        InputError: JOB_NEEDED, JOB_NOT_FOUND.
    """
    if isinstance(job, int):
        return job
    known = yield from training_jobs()
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


def checkpoints(job: int | str) -> Steps[list[CheckpointResponse]]:
    """List the checkpoints of a training job."""
    path = f"{API}/training-jobs/{(yield from job_id(job))}/checkpoints"
    return (yield from asked(CheckpointListResponse, "GET", path)).checkpoints


def register(
    output_dir: str, name: str | None, class_names: Sequence[str] | None
) -> Steps[TrainingJobResponse]:
    """Register a run directory inside the roots."""
    body = {"output_dir": output_dir, "name": name, "class_names": class_names}
    body = {key: value for key, value in body.items() if value is not None}
    return (yield from asked(TrainingJobResponse, "POST", f"{API}/training-jobs", json=body))


def submit_evaluation(
    dataset: str, job: int | str | None, options: SubmitOptions
) -> Steps[TestRunResponse]:
    """Submit a test run."""
    body = _submission("evaluate", dataset, options, ("visualize",))
    body["training_job_id"] = yield from job_id(job)
    if "split" in body:
        body["dataset_split"] = body.pop("split")
    return (yield from asked(TestRunResponse, "POST", f"{API}/test-runs", json=body))


def submit_dataset(
    dataset: str, job: int | str | None, options: SubmitOptions
) -> Steps[InferenceJobResponse]:
    """Submit an inference job on a folder of the service."""
    body = _submission("predict_dataset", dataset, options, ("split", "class_map", "metrics"))
    body["training_job_id"] = yield from job_id(job)
    return (yield from asked(InferenceJobResponse, "POST", f"{API}/inference-jobs", json=body))


def submit_images(
    images: Sequence[ImageSource], job: int | str | None, fields: Mapping[str, Any]
) -> Steps[InferenceJobResponse]:
    """Upload images, or one ZIP archive, and submit an inference job on them."""
    files = [("images", file_of(image)) for image in images]
    form = {key: _word(value) for key, value in fields.items() if value is not None}
    form["training_job_id"] = str((yield from job_id(job)))
    path = f"{API}/batch"
    return (yield from asked(InferenceJobResponse, "POST", path, files=files, data=form))


def test_runs(status: str | None, limit: int) -> Steps[list[TestRunResponse]]:
    """List test runs, newest first."""
    params = {"limit": limit, **({} if status is None else {"status": status})}
    return (yield from asked(TestRunListResponse, "GET", f"{API}/test-runs", params=params)).runs


def inference_jobs(status: str | None, limit: int) -> Steps[list[InferenceJobResponse]]:
    """List inference jobs, newest first."""
    params = {"limit": limit, **({} if status is None else {"status": status})}
    path = f"{API}/inference-jobs"
    return (yield from asked(InferenceJobListResponse, "GET", path, params=params)).jobs


def inspect_dataset(
    path: str, job: int | str | None, checkpoint: str | int
) -> Steps[InspectionResponse]:
    """Inspect a dataset of the service."""
    params: dict[str, Any] = {"path": path}
    if job is not None:
        params |= {"training_job_id": (yield from job_id(job)), "checkpoint": str(checkpoint)}
    return (yield from asked(InspectionResponse, "GET", f"{API}/datasets/inspect", params=params))


def _submission(
    function: str, dataset: str, options: SubmitOptions, other: Sequence[str]
) -> dict[str, Any]:
    """Return the body of a submission; ``other`` are options of the other kind of run."""
    known = set(SubmitOptions.__annotations__) - set(other)
    unknown = next((key for key in options if key not in known), None)
    if unknown is not None:
        raise TypeError(f"{function}() got an unexpected keyword argument '{unknown}'")
    body: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if "checkpoint" in body:
        body["checkpoint"] = str(body["checkpoint"])
    return {**body, "dataset_path": dataset}


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

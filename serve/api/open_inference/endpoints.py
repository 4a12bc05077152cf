"""The routes below ``/v2``: a model is a training job, a version one of its checkpoints."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from snellen.pipelines.planning.fingerprint import snellen_version
from snellen.serve.api.open_inference.bodies import (
    InferBody,
    InferResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    error_responses,
)
from snellen.serve.api.open_inference.execution import execute
from snellen.serve.api.open_inference.served_models import (
    DEFAULT_VERSION,
    find_version,
    metadata_of,
)
from snellen.serve.api.open_inference.wire import LENGTH_HEADER
from snellen.serve.api.routes.health import ready as service_ready
from snellen.serve.api.state import State, get_state

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
_EXTENSIONS = ["binary_tensor_data"]
ModelPath = Annotated[
    str,
    PathParameter(min_length=1, max_length=500, description="Name of a training job, or its id."),
]
VersionPath = Annotated[
    str,
    PathParameter(
        min_length=1, max_length=100, description="Its checkpoint: best, last or an epoch number."
    ),
]
StateDependency = Annotated[State, Depends(get_state)]


@router.get(
    "", response_model=ServerMetadata, responses=error_responses(), summary="Describe the service"
)
async def describe_server() -> ServerMetadata:
    """Return name, version and the supported extensions of the protocol."""
    return ServerMetadata(name="snellen", version=snellen_version(), extensions=_EXTENSIONS)


@router.get(
    "/health/live",
    response_model=ServerLive,
    responses=error_responses(),
    summary="Check liveness",
)
async def server_live() -> ServerLive:
    """Return true if the process responds. Needs no API key."""
    return ServerLive(live=True)


@router.get(
    "/health/ready",
    response_model=ServerReady,
    responses=error_responses(503),
    summary="Check readiness",
)
async def server_ready(state: StateDependency) -> ServerReady:
    """Return true if requests can be served, as `GET /health/ready` does. Needs no API key."""
    await service_ready(state)
    return ServerReady(ready=True)


@router.get(
    "/models/{model}",
    response_model=ModelMetadata,
    responses=error_responses(404, 422, 503),
    summary="Describe a model",
)
async def describe_model(state: StateDependency, model: ModelPath) -> ModelMetadata:
    """Return the versions, the input and the outputs of a model."""
    found = await find_version(state, model, DEFAULT_VERSION)
    return await run_in_threadpool(metadata_of, found)


@router.get(
    "/models/{model}/versions/{version}",
    response_model=ModelMetadata,
    responses=error_responses(404, 422, 503),
    summary="Describe a version of a model",
)
async def describe_version(
    state: StateDependency, model: ModelPath, version: VersionPath
) -> ModelMetadata:
    """Return the versions, the input and the outputs of a model that has this version."""
    found = await find_version(state, model, version)
    return await run_in_threadpool(metadata_of, found)


@router.get(
    "/models/{model}/ready",
    response_model=ModelReady,
    responses=error_responses(404, 422, 503),
    summary="Check a model",
)
async def model_ready(state: StateDependency, model: ModelPath) -> ModelReady:
    """Return true if the model exists and the service is ready; it may be loaded on demand."""
    return await _ready(state, model, DEFAULT_VERSION)


@router.get(
    "/models/{model}/versions/{version}/ready",
    response_model=ModelReady,
    responses=error_responses(404, 422, 503),
    summary="Check a version of a model",
)
async def version_ready(
    state: StateDependency, model: ModelPath, version: VersionPath
) -> ModelReady:
    """Return true if the version exists and the service is ready."""
    return await _ready(state, model, version)


_INFER: dict[str, Any] = {
    "response_model": InferResponse,
    "response_model_exclude_none": True,
    "responses": error_responses(404, 408, 409, 413, 415, 422, 503, 507),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{InferBody.__name__}"}
                },
                "application/octet-stream": {
                    "schema": {
                        "type": "string",
                        "format": "binary",
                        "description": f"The JSON, {LENGTH_HEADER} bytes long, and the tensors.",
                    }
                },
            },
        }
    },
}
JsonLength = Annotated[
    str | None,
    Header(alias=LENGTH_HEADER, description="Size of the JSON before binary data (bytes)."),
]


@router.post("/models/{model}/infer", summary="Predict images", **_INFER)
async def infer(
    request: Request, state: StateDependency, model: ModelPath, json_length: JsonLength = None
) -> Response:
    """Run a model on one or more images; if one image fails, the request fails."""
    return await execute(request, state, (model, DEFAULT_VERSION), json_length)


@router.post("/models/{model}/versions/{version}/infer", summary="Predict images", **_INFER)
async def infer_version(
    request: Request,
    state: StateDependency,
    model: ModelPath,
    version: VersionPath,
    json_length: JsonLength = None,
) -> Response:
    """Run a version of a model on one or more images; if one image fails, the request fails."""
    return await execute(request, state, (model, version), json_length)


async def _ready(state: State, model: str, version: str) -> ModelReady:
    found = await find_version(state, model, version)
    await service_ready(state)
    return ModelReady(name=found.job.name, ready=True)

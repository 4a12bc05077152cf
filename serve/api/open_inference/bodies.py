"""JSON bodies of the Open Inference Protocol, and its errors in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from snellen.serve.api.openapi import problem_responses
from snellen.serve.api.schemas import MinConfidence, Record, Schema

INPUT = "image"
"""Name of the only input: files of images, as BYTES."""
MAX_TOP = 5
Name = Annotated[str, Field(max_length=200)]


class InputParameters(Schema):
    """Parameters of an input."""

    binary_data_size: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Size of its binary data after the JSON (bytes)."
    )


class InferInput(Schema):
    """Images: shape [N] or [N, 1], datatype BYTES, each element the bytes of an image file."""

    name: Name = Field(description=f"Always {INPUT}.")
    datatype: Name = Field(description="Always BYTES.")
    shape: list[Annotated[int, Field(ge=0)]] = Field(
        max_length=8, description="[N] or [N, 1] for N images."
    )
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = Field(
        None, description="Each file as a base64 string; absent with binary data."
    )


class OutputParameters(Schema):
    """Parameters of a requested output."""

    binary_data: bool | None = Field(
        None, description="Send it as binary data after the JSON; default: binary_data_output."
    )


class RequestedOutput(Schema):
    """An output to return."""

    name: Name = Field(description="Name of the output.")
    parameters: OutputParameters = OutputParameters()


class InferParameters(Schema):
    """Parameters of a request, as for `POST /inference/single`."""

    confidence: MinConfidence | None = None
    top_k: Annotated[int, Field(ge=1, le=MAX_TOP)] = Field(
        MAX_TOP, description="Number of classes of a classifier, most confident first."
    )
    record: Record | None = None
    binary_data_output: bool = Field(
        False, description="Send all outputs as binary data after the JSON."
    )


class InferBody(Schema):
    """A request for predictions."""

    id: Annotated[str, Field(max_length=1000)] | None = Field(
        None, description="Returned with the response."
    )
    parameters: InferParameters = InferParameters()
    inputs: list[InferInput] = Field(min_length=1, max_length=1, description="The images.")
    outputs: list[RequestedOutput] | None = Field(
        None, max_length=20, description="Outputs to return; default: all."
    )


class TensorMetadata(Schema):
    """Name, type and shape of an input or output; -1 stands for any size."""

    name: str = Field(description="Name.")
    datatype: str = Field(description="BYTES, INT64 or FP32.")
    shape: list[int] = Field(description="Shape.")


class ModelMetadata(Schema):
    """A model."""

    name: str = Field(description="Name of the training job.")
    versions: list[str] = Field(description="Its checkpoints: best, last or epoch numbers.")
    platform: str = Field(description="Adapter that loads the model, such as snellen_timm.")
    inputs: list[TensorMetadata] = Field(description="Inputs.")
    outputs: list[TensorMetadata] = Field(description="Outputs.")


class ServerMetadata(Schema):
    """The service."""

    name: str = Field(description="Always snellen.")
    version: str = Field(description="Version of Snellen.")
    extensions: list[str] = Field(description="Extensions of the protocol.")


class ServerLive(Schema):
    """Liveness of the service."""

    live: bool = Field(description="The process responds.")


class ServerReady(Schema):
    """Readiness of the service."""

    ready: bool = Field(description="Requests can be served.")


class ModelReady(ServerReady):
    """Readiness of a model."""

    name: str = Field(description="Name of the training job.")


class OutputTensor(Schema):
    """An output; its values are in `data`, row by row, or in the binary data after the JSON."""

    name: str = Field(description="Name of the output.")
    datatype: str = Field(description="BYTES, INT64 or FP32.")
    shape: list[int] = Field(description="Shape.")
    parameters: dict[str, int] | None = Field(None, description="binary_data_size in bytes.")
    data: list[Any] | None = Field(None, description="Values.")


class InferResponse(Schema):
    """Predictions for the images of a request."""

    model_name: str = Field(description="Name of the training job.")
    model_version: str = Field(description="Checkpoint as requested.")
    id: str | None = Field(None, description="As in the request.")
    parameters: dict[str, str] = Field(
        {}, description="checkpoint_sha256, task_type and, if there are any, warnings."
    )
    outputs: list[OutputTensor] = Field(description="Outputs.")


class InferenceError(BaseModel):
    """An error. `code` is stable, `error` is meant for people."""

    error: str = Field(description="Explanation of this error.")
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", description="Stable code.")]


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route below ``/v2``; see `problem_responses`."""
    return {
        status: {
            **{key: value for key, value in response.items() if key != "content"},
            "model": InferenceError,
        }
        for status, response in problem_responses(*statuses).items()
    }

"""Parameters of ``POST /inference/single``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from snellen.serve.api.job_selection import JobName, SelectsJob
from snellen.serve.api.openapi import drop_null
from snellen.serve.api.schemas import (
    AnyCheckpointName,
    CheckpointName,
    Explain,
    JobId,
    MinConfidence,
    Record,
    Visualize,
)


class SingleInferenceRequest(SelectsJob):
    """Parameters of a prediction, as form fields or query parameters."""

    checkpoint: CheckpointName = "best"
    confidence: MinConfidence | None = None
    visualize: Visualize = False
    explain: Explain | None = None
    record: Record | None = None


class SingleInferenceQuery(BaseModel):
    """The same parameters in the query, where each may be absent."""

    training_job_id: JobId | None = None
    job: JobName | None = None
    checkpoint: AnyCheckpointName | None = None
    confidence: MinConfidence | None = None
    visualize: Visualize | None = None
    explain: Explain | None = None
    record: Record | None = None


def single_body() -> dict[str, Any]:
    """Return the request body for the OpenAPI document; FastAPI does not read it itself."""
    known = SingleInferenceRequest.model_json_schema()["properties"]
    fields = {name: drop_null(one) for name, one in known.items()}
    image = {"type": "string", "format": "binary", "description": "Image file."}
    schema = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": image, **fields},
        "additionalProperties": False,
    }
    form = {"schema": schema, "encoding": {"image": {"contentType": "image/*"}}}
    raw = {"schema": image}
    content = {
        "multipart/form-data": form,
        "image/*": raw,
        "application/octet-stream": raw,
    }
    return {"required": True, "content": content}

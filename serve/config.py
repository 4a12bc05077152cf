"""Configuration of the HTTP service: one frozen object, parsed once.

``snellen schema serve`` prints its JSON Schema. API keys are not part of it: they come from the
environment (``SNELLEN_API_KEYS``), so that no file contains them.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from snellen.adapters.images.decode import MAX_BYTES, MAX_PIXELS
from snellen.pipelines.config.base import Auto, AutoInt, Fraction, PositiveInt, Section
from snellen.pipelines.config.ray_section import RayConfig

PositiveFloat = Annotated[float, Field(gt=0.0)]
NotNegativeInt = Annotated[StrictInt, Field(ge=0)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
FORM_OVERHEAD = 64 * 1024
"""Bytes that a multipart body may have in addition to its image."""


class PreloadConfig(Section):
    """A model to load before the service is ready."""

    job: StrictStr | StrictInt = Field(description="Id or name of a training job.")
    checkpoint: StrictStr | StrictInt = Field(
        "best", description="Checkpoint: best, last or an epoch number."
    )


class ReplicasConfig(Section):
    """Number of model processes, scaled between ``min`` and ``max`` with the load."""

    min: PositiveInt = Field(1, description="Minimum number of model processes.")
    max: PositiveInt = Field(1, description="Maximum number of model processes.")
    target_ongoing: PositiveFloat = Field(
        8.0, description="Requests per replica above which another replica is started."
    )

    @model_validator(mode="after")
    def _ordered(self) -> ReplicasConfig:
        if self.max < self.min:
            raise ValueError(f"max ({self.max}) must not be below min ({self.min})")
        return self


class ServedModelConfig(Section):
    """Settings with which every model is loaded and run."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Device; auto: a GPU for each replica if Ray has one, else CPUs."
    )
    precision: Literal["fp32", "fp16", "bf16"] = Field(
        "fp32", description="Floating-point precision of the forward pass."
    )
    min_confidence: Auto | Fraction = Field(
        "auto", description="Confidence threshold of requests without one; auto: 0.25."
    )
    trust: StrictBool = Field(False, description="Also load TorchScript files, which are code.")
    preload: tuple[PreloadConfig, ...] = Field(
        (), description="Models to load before the service is ready, and to keep loaded."
    )
    max_loaded: PositiveInt = Field(
        3,
        description="Maximum number of models per replica besides those of preload; the least "
        "recently used is unloaded.",
    )
    max_batch_size: AutoInt = Field(
        "auto", description="Maximum images per forward pass; auto: 8 on CPUs, 32 on a GPU."
    )
    batch_window_ms: Annotated[float, Field(ge=0.0, le=1000.0)] = Field(
        0.0,
        description="Maximum time to wait for a batch to fill (ms); 0: do not wait.",
    )
    threads: AutoInt = Field(
        "auto", description="Threads of one forward pass on CPUs; auto: at most 4."
    )
    num_cpus: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="CPUs that each replica reserves in Ray; 0 leaves them to evaluations."
    )
    replicas: ReplicasConfig = ReplicasConfig()


class LimitsConfig(Section):
    """Limits per request and for all requests together."""

    max_image_bytes: PositiveInt = Field(
        MAX_BYTES, description="Maximum size of an image file (bytes)."
    )
    max_pixels: PositiveInt = Field(
        MAX_PIXELS, description="Maximum width x height of an image (pixels)."
    )
    max_mask_pixels: PositiveInt = Field(
        2_000_000_000,
        description="Maximum number of masks x pixels of an image; the least confident masks above "
        "it are dropped, since computing masks delays all other requests.",
    )
    max_queued: PositiveInt = Field(
        64, description="Maximum requests queued or running; others get 503 with Retry-After."
    )
    max_connections: PositiveInt = Field(
        1000, description="Maximum open connections per HTTP process; others get 503."
    )
    max_buffered_bytes: PositiveInt = Field(
        256 * 2**20,
        description="Maximum bytes of uploads in memory, including those still arriving.",
    )
    max_images: PositiveInt = Field(
        32, description="Maximum number of images of a request to /v2/models/{model}/infer."
    )
    max_batch_images: Annotated[StrictInt, Field(ge=1, le=30_000)] = Field(
        10_000, description="Maximum number of images of an upload to /inference/batch."
    )
    max_batch_bytes: PositiveInt = Field(
        2**30, description="Maximum bytes of an upload to /inference/batch."
    )
    max_unpacked_bytes: PositiveInt = Field(
        2**30, description="Maximum bytes of the files in an uploaded ZIP archive."
    )
    upload_timeout_s: PositiveFloat = Field(
        600.0, description="Maximum time for an upload to /inference/batch to arrive (s)."
    )
    body_timeout_s: PositiveFloat = Field(
        20.0, description="Maximum time for a request to arrive (s); exceeding it returns 408."
    )
    discard_timeout_s: PositiveFloat = Field(
        30.0,
        description="Maximum time to read the rest of a request after its response was sent, so "
        "that the client receives the response (s).",
    )
    discard_bytes: NotNegativeInt = Field(
        2 * 2**30, description="Maximum bytes to read and discard in that time."
    )
    request_timeout_s: PositiveFloat = Field(
        60.0, description="Inference timeout (s); exceeding it returns 503."
    )
    retry_after_s: PositiveInt = Field(1, description="Value of the Retry-After header (s).")
    drain_timeout_s: PositiveFloat = Field(
        20.0, description="Maximum time to finish accepted requests when stopping (s)."
    )


class RetentionConfig(Section):
    """Deletion of the annotated images of recorded requests; their rows stay."""

    days: PositiveFloat | None = Field(
        None, description="Maximum age of annotated images of recorded requests (days)."
    )
    bytes: NotNegativeInt | None = Field(
        None, description="Maximum size of all of them (bytes); the oldest are deleted first."
    )


class JobsConfig(Section):
    """Execution of queued jobs beside the server."""

    max_running: NotNegativeInt = Field(
        1,
        description="Maximum number of runs and jobs at a time; 0: `snellen worker` executes all.",
    )
    nice: Annotated[StrictInt, Field(ge=0, le=19)] = Field(
        10, description="Niceness that is added to the processes of jobs."
    )


class SecurityConfig(Section):
    """Access control."""

    require_keys: Auto | StrictBool = Field(
        "auto", description="Require an API key; auto: unless only this machine can connect."
    )
    open_docs: StrictBool = Field(
        False, description="Serve /docs and /openapi.json without an API key."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Accepted Host headers; empty: the loopback names on loopback, else any."
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins of pages that may send requests: https://app.example.com."
    )


_OWN_PATHS = frozenset(
    (
        *("inference", "health", "metrics", "docs", "openapi.json", "ui", "v2", "compare"),
        *("inference-jobs", "new", "runs", "sign-in", "sign-out", "single"),
    )
)


def _check_prefix(path: str) -> str:
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise ValueError("expected a path such as /snellen: it begins with / and does not end so")
    if path and path.split("/")[1] in _OWN_PATHS:
        raise ValueError(f"{path} begins with a path of the service itself; use another prefix")
    return path


class ServeConfig(Section):
    """Configuration of the service."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8000, description="Port to listen on.")
    root_path: Annotated[str, AfterValidator(_check_prefix)] = Field(
        "", description="Path prefix below which a reverse proxy serves the service: /snellen."
    )
    access_log: Literal["text", "json", "none"] = Field(
        "text", description="Format of access.log, which has one line per request; none: no log."
    )
    database: str | None = Field(
        None, description="Run tables; default SNELLEN_DATABASE or sqlite:///runs/snellen.db."
    )
    output_dir: str = Field(
        "auto", description="Folder of the log and of recorded images; auto: runs/."
    )
    roots: tuple[str, ...] = Field(
        (), description="Folders whose run directories may be registered over HTTP; empty: none."
    )
    record: StrictBool = Field(
        False, description="Record requests in the run tables unless they set record=false."
    )
    cache_bytes: NotNegativeInt = Field(
        0, description="Maximum size of the prediction cache (bytes); 0: no cache."
    )
    picture_cache_bytes: NotNegativeInt = Field(
        2**30, description="Maximum size of the pictures of runs on disk (bytes); 0: keep none."
    )
    ingress_replicas: PositiveInt = Field(1, description="Number of HTTP processes.")
    model: ServedModelConfig = ServedModelConfig()
    limits: LimitsConfig = LimitsConfig()
    jobs: JobsConfig = JobsConfig()
    retention: RetentionConfig = RetentionConfig()
    security: SecurityConfig = SecurityConfig()
    ray: RayConfig = RayConfig()

"""The configuration of the HTTP service: one frozen object, parsed once at the edge.

``snellen schema serve`` prints its JSON Schema. API keys are never part of it: they come from the
environment (``SNELLEN_API_KEYS``), so that no file holds them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, model_validator

from snellen.adapters.images.decode import MAX_BYTES, MAX_PIXELS
from snellen.pipelines.config.base import Auto, AutoInt, Fraction, PositiveInt, Section
from snellen.pipelines.config.sections import RayConfig

PositiveFloat = Annotated[float, Field(gt=0.0)]
NotNegativeInt = Annotated[StrictInt, Field(ge=0)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
FORM_OVERHEAD = 64 * 1024
"""Bytes that a multipart body may have beside its image."""


class PreloadConfig(Section):
    """A model that is loaded before the service calls itself ready."""

    job: StrictStr | StrictInt = Field(description="A training job, by id or name.")
    checkpoint: StrictStr | StrictInt = Field("best", description="best, last or an epoch number.")


class ReplicasConfig(Section):
    """Processes that hold models: between ``min`` and ``max``, by the load."""

    min: PositiveInt = 1
    max: PositiveInt = 1
    target_ongoing: PositiveFloat = Field(
        8.0, description="Requests at work in one replica above which another one is started."
    )

    @model_validator(mode="after")
    def _ordered(self) -> ReplicasConfig:
        if self.max < self.min:
            raise ValueError(f"max ({self.max}) must not be below min ({self.min})")
        return self


class ServedModelConfig(Section):
    """How models are loaded and run; the same for every checkpoint that is asked for."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a GPU for each replica where Ray has one."
    )
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    min_confidence: Auto | Fraction = Field(
        "auto", description="Of detections, where a request does not say: 0.25."
    )
    trust: StrictBool = Field(False, description="Also run TorchScript files, which are code.")
    max_loaded: PositiveInt = Field(
        3, description="Models that a replica holds; the one not used for longest makes room."
    )
    max_batch_size: AutoInt = Field("auto", description="auto: 8 on CPUs, 32 on a GPU.")
    batch_window_ms: Annotated[float, Field(ge=0.0, le=1000.0)] = Field(
        0.0, description="Also wait this long for company; 0: a free model starts at once."
    )
    threads: AutoInt = Field("auto", description="Of one forward pass on CPUs; auto: at most 4.")
    num_cpus: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="CPUs that a replica reserves in Ray; 0 leaves them to evaluations."
    )
    replicas: ReplicasConfig = ReplicasConfig()


class LimitsConfig(Section):
    """What one client, and all together, may ask for."""

    max_image_bytes: PositiveInt = MAX_BYTES
    max_pixels: PositiveInt = MAX_PIXELS
    max_mask_pixels: PositiveInt = Field(
        2_000_000_000,
        description="Masks of an image times its pixels; what is over it, the least sure, is left "
        "out: making masks keeps all other requests waiting.",
    )
    max_queued: PositiveInt = Field(
        64, description="Requests at work or waiting; further ones get 503 with Retry-After."
    )
    max_connections: PositiveInt = Field(
        1000, description="Of clients, open at a time in each process; further ones get 503."
    )
    max_buffered_bytes: PositiveInt = Field(
        256 * 2**20, description="Bytes of uploads held at a time, those still arriving included."
    )
    body_timeout_s: PositiveFloat = Field(20.0, description="For a request to arrive: then 408.")
    request_timeout_s: PositiveFloat = Field(60.0, description="For its answer: then 503.")
    retry_after_s: PositiveInt = Field(1, description="What Retry-After says.")
    drain_timeout_s: PositiveFloat = Field(
        20.0, description="When it is stopped: for accepted requests to be answered."
    )


class SecurityConfig(Section):
    """Who may ask."""

    require_keys: Auto | StrictBool = Field(
        "auto", description="auto: an API key is needed unless the host is this machine alone."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host names that requests may name; empty: on loopback its own, else any."
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins of web pages that may ask, such as https://app.example.com."
    )


class ServeConfig(Section):
    """The service, whole."""

    host: str = Field("127.0.0.1", description="Address that it listens on.")
    port: Port = 8000
    database: str | None = Field(
        None, description="Run tables; default SNELLEN_DATABASE or sqlite:///runs/snellen.db."
    )
    output_dir: str = Field("auto", description="Where recorded pictures go; auto: runs/.")
    roots: tuple[str, ...] = Field(
        (), description="Folders in which training jobs may be registered over HTTP; none: off."
    )
    preload: tuple[PreloadConfig, ...] = ()
    record: StrictBool = Field(
        False, description="Keep requests in the run tables where they do not say."
    )
    cache_bytes: NotNegativeInt = Field(
        0, description="Memory for answers to identical requests; 0: none are kept."
    )
    ingress_replicas: PositiveInt = Field(1, description="Processes that speak HTTP.")
    model: ServedModelConfig = ServedModelConfig()
    limits: LimitsConfig = LimitsConfig()
    security: SecurityConfig = SecurityConfig()
    ray: RayConfig = RayConfig()

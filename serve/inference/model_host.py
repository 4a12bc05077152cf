"""Holds models and answers queries: decode and check first, then share a forward pass.

An image is decoded and prepared in a pool of threads before it joins a batch, so that a corrupt
upload fails alone and the model never waits for a decoder. One thread runs the forward passes.
"""

from __future__ import annotations

import asyncio
import os
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError, SnellenError
from snellen.adapters.images.decode import decode_image
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.result_builders import failed_result
from snellen.adapters.runtime.isolated_inference import infer_isolated
from snellen.adapters.types import (
    AdapterSpec,
    DecodedImage,
    ImageStatus,
    InferenceResult,
    Preprocessed,
)
from snellen.serve.inference.batcher import Batcher
from snellen.serve.inference.messages import Answer, Failure, Query

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter

_MOST_THREADS = 4
"""Above it a forward pass of one image gains little and takes much from its neighbours."""
CPU_BATCH, GPU_BATCH = 8, 32
_KEPT_PIXELS = 4_000_000
"""Larger images are decoded again to be drawn on: 200 KB of PNG can be 190 MB of pixels, and as
many of them as may wait would be kept."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """How a host runs its models; None leaves the choice to the host.

    Attributes:
        device: ``cpu``, ``cuda`` or None: a GPU if this process has one.
        max_batch_size: images of one forward pass.
        batch_window_s: seconds that a batch which is not full waits for company.
        threads: of one forward pass on CPUs.
        max_pixels, max_bytes: of an image.
        max_mask_pixels: of all masks of an image.
    """

    device: str | None
    max_batch_size: int | None
    batch_window_s: float
    threads: int | None
    max_pixels: int
    max_bytes: int
    max_mask_pixels: int


@dataclass(slots=True)
class LoadedModel:
    """A model and the queue in front of it."""

    adapter: Adapter
    names: tuple[str, ...]
    batcher: Batcher[Preprocessed, InferenceResult]


class ModelHost:
    """Loads models and answers queries. Belongs to one event loop."""

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        cpus = len(os.sched_getaffinity(0))
        self._threads = settings.threads or min(cpus, _MOST_THREADS)
        self._decoders = ThreadPoolExecutor(max(1, min(cpus, 8)), "snellen-decode")
        self._runner = ThreadPoolExecutor(1, "snellen-infer")
        # Python remembers each text that it has warned with, and these hold numbers of the upload.
        warnings.filterwarnings("ignore", module=r"PIL\.")

    async def load(self, spec: AdapterSpec) -> LoadedModel:
        """Load a model and run it once, so that the first request is not slower.

        Raises:
            ConfigError, InputError: what is wrong with the checkpoint or a setting.
        """
        loop = asyncio.get_running_loop()
        adapter = await loop.run_in_executor(self._runner, self._load, spec)
        names = adapter.info.class_names or ()
        settings = self._settings
        on_gpu = adapter.reads_images and adapter.engine.device.type == "cuda"
        size = settings.max_batch_size or (GPU_BATCH if on_gpu else CPU_BATCH)

        async def work(items: Sequence[Preprocessed]) -> list[InferenceResult]:
            run = partial(infer_isolated, adapter, items, [None] * len(items), size)
            return await loop.run_in_executor(self._runner, run)

        batcher = Batcher(work, max_size=size, window_s=settings.batch_window_s)
        return LoadedModel(adapter, names, batcher)

    def _load(self, spec: AdapterSpec) -> Adapter:
        from snellen.adapters.runtime.threads import let_threads_sleep, set_compute_threads

        # The processes that speak HTTP want the same cores.
        let_threads_sleep()
        set_compute_threads(self._threads)
        loaded = load_adapter_class(spec.adapter).from_spec(spec, device=self._settings.device)
        if loaded.reads_images:
            loaded.warmup(1)
        return loaded

    async def answer(self, model: LoadedModel, query: Query) -> Answer:
        """Answer one query; whatever is wrong with its image or the model is in the answer."""
        loop = asyncio.get_running_loop()
        adapter = model.adapter
        begin = time.perf_counter()
        size = 0
        try:
            prepare = partial(self._prepare, adapter, query)
            image, item = await loop.run_in_executor(self._decoders, prepare)
            prepared_ms = (time.perf_counter() - begin) * 1000
            result, size = await model.batcher.submit(item)
            result.preprocessing_time_ms = prepared_ms
        except ImageError as error:
            result = failed_result(error, adapter.info.task_type)
        except SnellenError as error:
            return Answer(failure=Failure(error.code, error.message))
        result.image_path = result.image_name = query.name
        picture = None
        if query.visualize and result.status is ImageStatus.OK:
            draw = partial(self._draw, image, query, result, model.names)
            picture = await loop.run_in_executor(self._decoders, draw)
        return Answer(
            result=result,
            labels=_labels(result, model.names),
            sha256=adapter.info.checkpoint_sha256,
            picture=picture,
            batch_size=size,
        )

    def _prepare(self, adapter: Adapter, query: Query) -> tuple[DecodedImage | None, Preprocessed]:
        image = self._decode(query)
        try:
            item = adapter.preprocess(image)
        except ImageError:
            raise
        except Exception as error:  # one odd image must not look like a fault of the service
            raise ImageError(
                ErrorStage.PREPROCESS,
                ErrorCode.INTERNAL,
                f"preprocessing failed: {type(error).__name__}",
            ) from error
        item.min_confidence = query.confidence
        item.max_mask_pixels = self._settings.max_mask_pixels
        small = image.width * image.height <= _KEPT_PIXELS
        return image if query.visualize and small else None, item

    def _decode(self, query: Query) -> DecodedImage:
        settings = self._settings
        return decode_image(
            query.data,
            name=query.name,
            max_pixels=settings.max_pixels,
            max_bytes=settings.max_bytes,
        )

    def _draw(
        self,
        image: DecodedImage | None,
        query: Query,
        result: InferenceResult,
        names: Sequence[str],
    ) -> bytes:
        from snellen.pipelines.tasks.render import draw_result
        from snellen.pipelines.visualization.encode import encode_jpeg

        pixels = (image or self._decode(query)).pixels
        return encode_jpeg(draw_result(pixels, result, names))

    async def close(self) -> None:
        """End the threads."""
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self._runner.shutdown(wait=False, cancel_futures=True)


def _labels(result: InferenceResult, names: Sequence[str]) -> dict[int, str]:
    ids = {box["class_id"] for box in result.predicted_boxes or ()}
    return {i: names[i] if i < len(names) else str(i) for i in sorted(ids)}

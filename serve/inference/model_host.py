"""Load models and run them on single images, in shared batches.

An image is decoded and preprocessed in a thread pool before it joins a batch, so that a corrupt
upload fails alone and the model never waits for a decoder. One thread runs the forward passes.
"""

from __future__ import annotations

import asyncio
import os
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError, SnellenError
from snellen.adapters.explanations import Explainer, check_explains
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
from snellen.serve.inference.messages import (
    Failure,
    HeatPicture,
    InferenceReply,
    InferenceRequest,
)

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter

_MAX_THREADS = 4
"""More threads hardly speed up the forward pass of one image, and slow down other processes."""
CPU_BATCH, GPU_BATCH = 8, 32
_MAX_WARMUP_S = 1.0
"""Expected time above which a batch of the maximum size is left out of the warm-up, in seconds."""
_MAX_KEPT_PIXELS = 4_000_000
"""Larger images are decoded again for drawing: 200 KB of PNG can be 190 MB of pixels, and every
queued request would keep them in memory."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Settings of a host; None lets the host choose.

    Attributes:
        device: ``cpu``, ``cuda`` or None: a GPU if this process has one.
        max_batch_size: maximum number of images per forward pass.
        batch_window_s: maximum time to wait for a batch to fill, in seconds.
        threads: threads of one forward pass on CPUs.
        max_pixels: maximum width x height of an image.
        max_bytes: maximum size of an image file.
        max_mask_pixels: maximum number of masks x pixels of an image.
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
    """A model, its class names and the queue in front of it."""

    adapter: Adapter
    names: tuple[str, ...]
    batcher: Batcher[Preprocessed, InferenceResult]


class ModelHost:
    """Load models and run them on single images. Belongs to one event loop."""

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        cpus = len(os.sched_getaffinity(0))
        self._threads = settings.threads or min(cpus, _MAX_THREADS)
        self._decoders = ThreadPoolExecutor(max(1, min(cpus, 8)), "snellen-decode")
        self._runner = ThreadPoolExecutor(1, "snellen-infer")
        # Python stores every distinct warning, and these contain numbers from the uploads.
        warnings.filterwarnings("ignore", module=r"PIL\.")

    async def load(self, spec: AdapterSpec) -> LoadedModel:
        """Load a model and warm it up: the first request is as fast as later ones.

        Raises:
            ConfigError, InputError: the checkpoint or a setting cannot be used.
        """
        loop = asyncio.get_running_loop()
        adapter, size = await loop.run_in_executor(self._runner, self._load, spec)
        names = adapter.info.class_names or ()
        settings = self._settings

        async def work(items: Sequence[Preprocessed]) -> list[InferenceResult]:
            run = partial(infer_isolated, adapter, items, [None] * len(items), size)
            return await loop.run_in_executor(self._runner, run)

        batcher = Batcher(work, max_size=size, window_s=settings.batch_window_s)
        return LoadedModel(adapter, names, batcher)

    def _load(self, spec: AdapterSpec) -> tuple[Adapter, int]:
        """Return the model and the maximum size of its batches."""
        from snellen.adapters.runtime.threads import let_threads_sleep, set_compute_threads

        # The HTTP processes share these cores.
        let_threads_sleep()
        set_compute_threads(self._threads)
        loaded = load_adapter_class(spec.adapter).from_spec(spec, device=self._settings.device)
        on_gpu = loaded.reads_images and loaded.engine.device.type == "cuda"
        size = self._settings.max_batch_size or (GPU_BATCH if on_gpu else CPU_BATCH)
        if loaded.reads_images:
            _warm_up(loaded, size)
        return loaded, size

    async def infer(self, model: LoadedModel, request: InferenceRequest) -> InferenceReply:
        """Run a model on one image; errors of the image or the model are in the reply."""
        loop = asyncio.get_running_loop()
        adapter = model.adapter
        begin = time.perf_counter()
        size = 0
        try:
            prepare = partial(self._prepare, adapter, request)
            image, item = await loop.run_in_executor(self._decoders, prepare)
            prepared_ms = (time.perf_counter() - begin) * 1000
            result, size = await model.batcher.submit(item)
            result.preprocessing_time_ms = prepared_ms
        except ImageError as error:
            result = failed_result(error, adapter.info.task_type)
        except SnellenError as error:
            return InferenceReply(failure=Failure(error.code, error.message))
        result.image_path = result.image_name = request.name
        picture = heat = None
        if request.visualize and result.status is ImageStatus.OK:
            draw = partial(self._draw, image, request, result, model.names)
            picture = await loop.run_in_executor(self._decoders, draw)
        if request.explain and result.status is ImageStatus.OK:
            explain = partial(self._explain, adapter, image, request)
            try:
                heat = await loop.run_in_executor(self._runner, explain)
            except SnellenError as error:
                return InferenceReply(failure=Failure(error.code, error.message))
        return InferenceReply(
            result=result,
            labels=_labels(result, model.names),
            sha256=adapter.info.checkpoint_sha256,
            picture=picture,
            heat=heat,
            batch_size=size,
        )

    def _prepare(
        self, adapter: Adapter, request: InferenceRequest
    ) -> tuple[DecodedImage | None, Preprocessed]:
        """Decode and preprocess an image; also return it if it is small and needed again."""
        image = self._decode(request)
        try:
            item = adapter.preprocess(image)
        except ImageError:
            raise
        except Exception as error:  # one odd image must not look like an internal error
            raise ImageError(
                ErrorStage.PREPROCESS,
                ErrorCode.INTERNAL,
                f"preprocessing failed: {type(error).__name__}",
            ) from error
        item.min_confidence = request.confidence
        item.max_mask_pixels = self._settings.max_mask_pixels
        small = image.width * image.height <= _MAX_KEPT_PIXELS
        needed = request.visualize or request.explain
        return image if needed and small else None, item

    def _decode(self, request: InferenceRequest) -> DecodedImage:
        settings = self._settings
        return decode_image(
            request.data,
            name=request.name,
            max_pixels=settings.max_pixels,
            max_bytes=settings.max_bytes,
        )

    def _draw(
        self,
        image: DecodedImage | None,
        request: InferenceRequest,
        result: InferenceResult,
        names: Sequence[str],
    ) -> bytes:
        from snellen.pipelines.tasks.render import draw_result
        from snellen.pipelines.visualization.encode import encode_jpeg

        pixels = (image or self._decode(request)).pixels
        return encode_jpeg(draw_result(pixels, result, names))

    def _explain(
        self, adapter: Adapter, image: DecodedImage | None, request: InferenceRequest
    ) -> HeatPicture:
        """Draw where the evidence for the predicted class lies.

        Raises:
            ConfigError: EXPLAIN_UNSUPPORTED.
        """
        from snellen.pipelines.visualization.encode import encode_png
        from snellen.pipelines.visualization.heat import heat_image

        check_explains(adapter, adapter.framework)
        assert isinstance(adapter, Explainer)
        found = adapter.explain(image or self._decode(request))
        return HeatPicture(found.class_id, encode_png(heat_image(found.heat)), found.region)

    async def close(self) -> None:
        """Stop the threads."""
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self._runner.shutdown(wait=False, cancel_futures=True)


def _warm_up(adapter: Adapter, size: int) -> None:
    """Run single images, and a batch of the maximum size unless it takes long.

    Frameworks allocate memory and select kernels for each shape when it first occurs.
    """
    adapter.warmup(1)
    begin = time.perf_counter()
    adapter.warmup(1)
    if size > 1 and size * (time.perf_counter() - begin) <= _MAX_WARMUP_S:
        # Without memory for it, batches are split when they occur.
        with suppress(SnellenError):
            adapter.warmup(size)


def _labels(result: InferenceResult, names: Sequence[str]) -> dict[int, str]:
    ids = {box["class_id"] for box in result.predicted_boxes or ()}
    return {i: names[i] if i < len(names) else str(i) for i in sorted(ids)}

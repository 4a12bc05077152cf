"""Execution of batches on a device: copies, precision, timing, out-of-memory handling.

This module imports torch; it is imported when an adapter is loaded, not before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from snellen.adapters.errors import ConfigError, RunError
from snellen.adapters.types import Preprocessed

PRECISIONS: dict[str, torch.dtype | None] = {
    "fp32": None,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}

Forward = Callable[[torch.Tensor], Any]


def select_device(name: str | None) -> torch.device:
    """Return the device of a name such as ``cpu`` or ``cuda:1``; None takes a GPU if there is one.

    Raises:
        ConfigError: DEVICE_UNKNOWN, or DEVICE_MISSING for one that this machine lacks.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            "DEVICE_UNKNOWN", f"device {name!r} is unknown. Expected cpu, cuda or cuda:N."
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            "DEVICE_MISSING",
            f"device {name!r} does not exist: this process sees {torch.cuda.device_count()} CUDA "
            "devices. Use cpu, or make the GPU visible (CUDA_VISIBLE_DEVICES).",
        )
    return device


@dataclass(slots=True)
class Launched:
    """A batch that was sent to the device and may still be running there.

    Attributes:
        start, stop: range of the items in the batch.
        outputs: of the forward pass, on the device.
        milliseconds: waits for the batch and returns its time on the device.
    """

    start: int
    stop: int
    outputs: Any
    milliseconds: Callable[[], float]


def _event() -> torch.cuda.Event:
    event: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    return event


class Engine:
    """A device and a precision; it keeps no state between calls, so threads may share it."""

    def __init__(self, device: torch.device, precision: str) -> None:
        """Raise ConfigError (PRECISION_UNKNOWN) unless precision is fp32, fp16 or bf16."""
        if precision not in PRECISIONS:
            raise ConfigError(
                "PRECISION_UNKNOWN",
                f"precision {precision!r} is unknown. Expected one of {', '.join(PRECISIONS)}.",
            )
        self.device = device
        self._dtype = PRECISIONS[precision]

    def run(
        self, forward: Forward, items: Sequence[Preprocessed], batch_size: int
    ) -> Iterator[Launched]:
        """Run items in batches, in order; each batch is copied while the previous one computes.

        A batch that does not fit the GPU's memory is halved, and so are those after it.

        Raises:
            RunError: OUT_OF_MEMORY, a single image does not fit.
        """
        pending: Launched | None = None
        start, size = 0, batch_size
        while start < len(items):
            stop = min(start + size, len(items))
            launched = self._try_launch(forward, items, start, stop)
            if pending is not None:
                yield pending
                pending = None
                if launched is None:
                    continue  # retry: the previous batch has left the memory
            if launched is None:
                size = self._halved(stop - start)
                continue
            pending, start = launched, stop
        if pending is not None:
            yield pending

    def _halved(self, size: int) -> int:
        torch.cuda.empty_cache()
        if size == 1:
            raise RunError(
                "OUT_OF_MEMORY",
                f"one image does not fit the memory of {self.device}. Use a smaller img_size, "
                "precision bf16, or a device with more memory.",
            )
        return size // 2

    def _try_launch(
        self, forward: Forward, items: Sequence[Preprocessed], start: int, stop: int
    ) -> Launched | None:
        try:
            return self._launch(forward, items, start, stop)
        except torch.cuda.OutOfMemoryError:
            return None

    def _launch(
        self, forward: Forward, items: Sequence[Preprocessed], start: int, stop: int
    ) -> Launched:
        batch = self._to_device(items[start:stop])
        with torch.inference_mode(), self._autocast():
            if self.device.type != "cuda":
                begin = time.perf_counter()
                outputs = forward(batch)
                taken = (time.perf_counter() - begin) * 1000
                return Launched(start, stop, outputs, lambda: taken)
            with torch.cuda.device(self.device):
                first, last = (_event() for _ in range(2))
                first.record()
                outputs = forward(batch)
                last.record()

        def milliseconds() -> float:
            last.synchronize()
            return float(first.elapsed_time(last))

        return Launched(start, stop, outputs, milliseconds)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=self._dtype, enabled=self._dtype is not None)

    def _to_device(self, items: Sequence[Preprocessed]) -> torch.Tensor:
        pinned = self.device.type == "cuda"
        shape = (len(items), *items[0].array.shape)
        batch = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        np.stack([item.array for item in items], out=batch.numpy())
        return batch.to(self.device, non_blocking=True)

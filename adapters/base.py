"""The interface of a model. To add a framework, subclass ``Adapter`` and write four methods.

- ``_load``: read the checkpoint, build the model on ``self.engine.device``, describe it.
- ``preprocessor``: an object whose ``preprocess`` turns a ``DecodedImage`` into a uint8 array of
  fixed shape and the geometry to map coordinates back; it must need no weights, since workers
  without the model use it.
- ``_forward``: a uint8 batch on the device -> raw outputs; normalisation belongs here.
- ``_postprocess``: raw outputs -> one ``InferenceResult`` per image.

The base owns batches, device, precision, timing and errors. A loaded adapter keeps no state of a
call, so threads may share it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from snellen.adapters.adapter_options import AdapterOptions, AnyOptions
from snellen.adapters.batching import black_images, check_call, infer_images
from snellen.adapters.dataset_runner import TestRunResult, dataset_runner
from snellen.adapters.errors import ConfigError, ErrorCode, ErrorStage, ImageError, InputError
from snellen.adapters.images.inputs import ImageInput, as_decoded
from snellen.adapters.types import (
    AdapterSpec,
    DecodedImage,
    ImageStatus,
    InferenceResult,
    ModelInfo,
    Preprocessed,
    TaskType,
)

if TYPE_CHECKING:
    from torch import Tensor

    from snellen.adapters.exported.writer import Exportable
    from snellen.adapters.runtime.device import Engine


class Preprocessor(Protocol):
    """Prepares images for one model; light, and usable where the model is not loaded."""

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        """Return uint8 of the model's ``input_shape``. Raises ImageError, stage ``preprocess``."""
        ...


class Adapter(ABC):
    """A model of any framework: images in, results out.

    A subclass declares what it supports. Nothing else keeps a list of adapter names.

    Attributes:
        framework: registry name.
        tasks: tasks that its models may have.
        options: model of its own option keys (``AdapterSpec.options``); the default accepts any.
        needs_checkpoint: the adapter cannot be built without a checkpoint file.
        takes_architecture: a training job's model name is an architecture that it understands.
        exportable: `as_exportable` is implemented.
        export_suffix: suffix of the files that it reads and that `write_export` can write.
        reads_images: False for adapters that need no pixels; their items may hold empty arrays.
        spec: the settings that the adapter was built from.
    """

    framework: ClassVar[str]
    tasks: ClassVar[frozenset[TaskType]]
    options: ClassVar[type[AdapterOptions]] = AnyOptions
    needs_checkpoint: ClassVar[bool] = False
    takes_architecture: ClassVar[bool] = False
    exportable: ClassVar[bool] = False
    export_suffix: ClassVar[str | None] = None
    reads_images: ClassVar[bool] = True

    def __init__(self, spec: AdapterSpec) -> None:
        self.spec = spec
        self._info: ModelInfo | None = None
        self._engine: Engine | None = None
        self._preprocessor: Preprocessor | None = None
        self._training = False

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return True if a file can only be a checkpoint of this adapter; nothing in it is run."""
        return False

    @classmethod
    def from_spec(cls, spec: AdapterSpec, device: str | None = None) -> Self:
        """Build the adapter and load its checkpoint for inference.

        Args:
            spec: settings of the model.
            device: ``cpu``, ``cuda`` or ``cuda:N``; None takes a GPU if there is one.

        Raises:
            ConfigError: a setting is wrong.
            InputError: the checkpoint cannot be used.
        """
        adapter = cls(spec)
        adapter._load_spec(inference_mode=True, device=device)
        return adapter

    def load_checkpoint(
        self, checkpoint_path: str | Path, inference_mode: bool = True, device: str | None = None
    ) -> dict[str, Any]:
        """Load another checkpoint into this adapter.

        Args:
            checkpoint_path: local file.
            inference_mode: False leaves the model in training mode, to continue training.
            device: as for ``from_spec``.

        Returns:
            Empty for inference; else the states under ``optimizer``, ``scheduler`` and ``epoch``,
            None where the file has none.

        Raises:
            ConfigError, InputError: as for ``from_spec``.
        """
        self.spec = replace(self.spec, checkpoint=str(checkpoint_path))
        return self._load_spec(inference_mode=inference_mode, device=device)

    @property
    def info(self) -> ModelInfo:
        """Description of the loaded model. Raises InputError (NOT_LOADED) before that."""
        if self._info is None:
            raise InputError(
                "NOT_LOADED", "no checkpoint is loaded. Call load_checkpoint or use from_spec."
            )
        return self._info

    @property
    def engine(self) -> Engine:
        """Device and precision of the loaded model. Raises InputError (NOT_LOADED)."""
        if self._engine is None:
            raise InputError(
                "NOT_LOADED", "no device is chosen yet. Load a checkpoint with load_checkpoint."
            )
        return self._engine

    @classmethod
    @abstractmethod
    def preprocessor(cls, spec: AdapterSpec, info: ModelInfo) -> Preprocessor:
        """Return the preprocessor for the model of ``info``; it needs no weights."""

    @abstractmethod
    def _load(self, inference_mode: bool) -> tuple[ModelInfo, dict[str, Any]]:
        """Load ``self.spec`` on ``self.engine.device``; return its info and training states."""

    @abstractmethod
    def _forward(self, batch: Tensor) -> Any:
        """Run the model on uint8 of shape (N, *input_shape), on the device; return raw outputs."""

    @abstractmethod
    def _postprocess(
        self,
        outputs: Any,
        items: Sequence[Preprocessed],
        targets: Sequence[int | None] | None,
    ) -> list[InferenceResult]:
        """Convert raw outputs to one result per image, in order, with empty path and name."""

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        """Prepare one decoded image. Raises ImageError, stage ``preprocess``."""
        if self._preprocessor is None:
            self._preprocessor = self.preprocessor(self.spec, self.info)
        return self._preprocessor.preprocess(image)

    def preprocess_image(self, image: ImageInput) -> Preprocessed:
        """Read, decode and prepare one image.

        Raises:
            ImageError: stage ``read``, ``decode`` or ``preprocess``.
        """
        try:
            return self.preprocess(as_decoded(image))
        except (ImageError, InputError):
            raise
        except Exception as error:  # one image must not end a run of millions
            message = f"preprocessing failed: {type(error).__name__}: {error}"
            raise ImageError(ErrorStage.PREPROCESS, ErrorCode.INTERNAL, message) from error

    def infer_single(self, image: ImageInput) -> InferenceResult:
        """Infer one image; the same as ``infer_batch([image])[0]``.

        Raises:
            ImageError: the image cannot be read, decoded, prepared or scored.
        """
        result = self.infer_batch([image])[0]
        if result.status is ImageStatus.FAILED:
            raise ImageError(
                result.error_stage or ErrorStage.INFER,
                result.error_code or ErrorCode.INTERNAL,
                result.error_message or "inference failed",
            )
        return result

    def infer_batch(
        self, images: Sequence[ImageInput], batch_size: int = 32
    ) -> list[InferenceResult]:
        """Infer images of any kind.

        Args:
            images: paths, bytes, uint8 RGB arrays (height, width, 3), Pillow or decoded images.
            batch_size: maximum number of images per forward pass.

        Returns:
            One result per image, in order; an image that fails has a failed result.
        """
        return infer_images(self, images, batch_size)

    def test_dataset(
        self, dataset_path: str | Path, split: str = "test", save_results: bool = True
    ) -> TestRunResult:
        """Evaluate the loaded model on a labelled dataset, in this process.

        Args:
            dataset_path: of the dataset; its format is recognised.
            split: of the dataset (test, val, train, or auto).
            save_results: store a test run in the run tables, with its result files.

        Returns:
            The metrics, one row per image, and the id of the stored run.

        Raises:
            ConfigError, InputError: the dataset cannot be used with this model.
            RunError: the run was started and failed.
        """
        return dataset_runner()(self, Path(dataset_path), split, save_results)

    def infer_preprocessed(
        self,
        items: Sequence[Preprocessed],
        *,
        batch_size: int,
        targets: Sequence[int | None] | None = None,
    ) -> list[InferenceResult]:
        """Infer prepared images; callable from several threads at once.

        Args:
            items: from ``preprocess``.
            batch_size: maximum number of items per forward pass; batches are cut in order.
            targets: true class ids, one per item, None where there is none.

        Returns:
            One result per item, in order; path and name are empty, for the caller to fill.

        Raises:
            InputError: MODEL_IN_TRAINING.
            RunError: OUT_OF_MEMORY, one image does not fit the device.
            ValueError: a batch size below 1, or targets that are not one per item.
        """
        if self._training:
            raise InputError(
                "MODEL_IN_TRAINING",
                "the checkpoint was loaded with inference_mode=False. Load it again for inference.",
            )
        check_call(items, batch_size, targets)
        results: list[InferenceResult] = []
        for done in self.engine.run(self._forward, items, batch_size):
            chunk = items[done.start : done.stop]
            truth = None if targets is None else targets[done.start : done.stop]
            inference_ms = done.milliseconds() / len(chunk)
            begin = time.perf_counter()
            scored = self._postprocess(done.outputs, chunk, truth)
            postprocessing_ms = (time.perf_counter() - begin) * 1000 / len(chunk)
            for result in scored:
                result.inference_time_ms = inference_ms
                result.postprocessing_time_ms = postprocessing_ms
            results += scored
        return results

    def as_exportable(self) -> Exportable:
        """Return the loaded model in the form that can be written to a file.

        Raises:
            ConfigError: EXPORT_UNSUPPORTED, for an adapter that is not ``exportable``.
        """
        raise ConfigError(
            "EXPORT_UNSUPPORTED", f"models of the adapter {self.framework} cannot be exported."
        )

    def warmup(self, batch_size: int) -> None:
        """Run one batch of black images, so that the first real batch is not slower."""
        self.infer_preprocessed(black_images(self.info, batch_size), batch_size=batch_size)

    def _load_spec(self, *, inference_mode: bool, device: str | None) -> dict[str, Any]:
        from snellen.adapters.runtime.device import Engine, select_device
        from snellen.adapters.runtime.threads import one_compute_thread

        self._engine = Engine(select_device(device), self.spec.precision)
        with one_compute_thread():
            self._info, states = self._load(inference_mode)
        self._preprocessor = self.preprocessor(self.spec, self._info)
        self._training = not inference_mode
        return {} if inference_mode else states

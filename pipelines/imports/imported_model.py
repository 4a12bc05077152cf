"""The model of an imported run: its name and its classes, without anything that can be run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from snellen.adapters.base import Adapter, Preprocessor
from snellen.adapters.errors import InputError
from snellen.adapters.types import (
    AdapterSpec,
    InferenceResult,
    ModelInfo,
    Preprocessed,
    TaskType,
)
from snellen.pipelines.imports.predicted import Predictions
from snellen.store.views import IMPORTED


class ImportedModel(Adapter):
    """A model whose predictions were made elsewhere; whatever would run it raises."""

    framework: ClassVar[str] = IMPORTED
    tasks: ClassVar[frozenset[TaskType]] = frozenset(TaskType)
    reads_images: ClassVar[bool] = False

    def __init__(self, path: Path, sha256: str, predictions: Predictions) -> None:
        """Describe the model by the file of its predictions.

        Args:
            path: the file or folder.
            sha256: of its content.
            predictions: what was read from it.
        """
        # complete, so that no preset changes it: every prediction of the file counts
        spec = AdapterSpec(
            IMPORTED,
            str(path),
            class_names=predictions.names,
            min_confidence=0.0,
            multi_label=True,
        )
        super().__init__(spec)
        self._info = ModelInfo(
            framework=IMPORTED,
            architecture=path.stem,
            task_type=predictions.task,
            num_classes=len(predictions.names),
            class_names=predictions.names,
            class_names_source="import",
            input_shape=(0,),
            parameters=0,
            flops_per_image=0.0,
            checkpoint_path=str(path),
            checkpoint_sha256=sha256,
            weights=None,
            epoch=None,
            preprocess={},
            versions={},
            keypoints=predictions.keypoints,
        )

    @classmethod
    def preprocessor(cls, spec: AdapterSpec, info: ModelInfo) -> Preprocessor:
        """Raise InputError RUN_IS_IMPORTED, as do all methods that need a model."""
        raise _no_model()

    def _load(self, inference_mode: bool) -> tuple[ModelInfo, dict[str, Any]]:
        raise _no_model()

    def _forward(self, batch: Any) -> Any:
        raise _no_model()

    def _postprocess(
        self,
        outputs: Any,
        items: Sequence[Preprocessed],
        targets: Sequence[int | None] | None,
    ) -> list[InferenceResult]:
        raise _no_model()


def _no_model() -> InputError:
    return InputError(
        "RUN_IS_IMPORTED",
        "the predictions were imported, and there is no model to run. Expected a checkpoint.",
    )

"""Resolution of the dataset of a run: its source, and its classes aligned with the model's."""

from __future__ import annotations

from dataclasses import dataclass

from snellen.adapters.checkpoints.class_names import ambiguous_names
from snellen.adapters.errors import InputError
from snellen.adapters.types import ModelInfo
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.data.class_map import ClassMap, align_classes
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.registry import open_source


@dataclass(frozen=True, slots=True)
class ResolvedDataset:
    """A dataset that fits the model, not listed yet; without labels ``class_map`` is None."""

    source: Source
    info: DatasetInfo
    class_map: ClassMap | None

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages for the user about the images and their classes."""
        mapped = self.class_map.notes if self.class_map is not None else ()
        return (*self.info.notes, *mapped)

    @property
    def excluded(self) -> frozenset[str]:
        """Classes whose images are excluded."""
        return self.class_map.excluded() if self.class_map is not None else frozenset()

    @property
    def aligned(self) -> ClassMap:
        """The class map of a labelled dataset."""
        assert self.class_map is not None, "an inference job has no class map"
        return self.class_map


def resolve_dataset(
    config: EvaluateConfig,
    model: ModelInfo,
    *,
    dataset_names: bool,
    needs: frozenset[str] | None = None,
) -> ResolvedDataset:
    """Describe the dataset and map its classes.

    Args:
        config: the configuration of the run.
        model: description of the checkpoint.
        dataset_names: use the dataset's class order as the checkpoint's.
        needs: ground truth that is scored besides boxes: "masks", "keypoints"; None to read all
            that there is.

    Raises:
        InputError: no dataset, no labels, or classes that do not match.
    """
    source = open_source(config.dataset)
    source.needs = needs
    info = source.describe()
    if info.classes is None:
        raise InputError(
            "DATASET_UNLABELLED",
            f"dataset.path: '{config.dataset.path}' has no labels. Expected class folders or a "
            "manifest with a label column, which an evaluation needs.",
        )
    names = _model_names(config, model, info, dataset_names=dataset_names)
    return ResolvedDataset(source, info, align_classes(info.classes, names, config.model.class_map))


def _model_names(
    config: EvaluateConfig, model: ModelInfo, info: DatasetInfo, *, dataset_names: bool
) -> tuple[str, ...]:
    if model.class_names is not None:
        return model.class_names
    count = model.num_classes
    if config.model.class_map == "ids":
        return tuple(str(index) for index in range(count))
    classes = info.classes or ()
    if not dataset_names:
        hint = (
            "imagenet (the 1000 ImageNet classes), "
            if count == 1000
            else f"dataset (it was trained on these {count} classes in this order), "
            if len(classes) == count
            else ""
        )
        raise InputError(
            "CLASS_NAMES_UNKNOWN",
            f"the checkpoint has {count} outputs and no class names. Expected names to match the "
            f"{len(classes)} classes of the dataset. Set model.class_names: {hint}a list, or a "
            "text file with one name per line in the order of the outputs.",
        )
    if len(classes) != count:
        raise InputError(
            "CLASS_COUNT",
            f"model.class_names: dataset does not fit: the dataset has {len(classes)} classes. "
            f"Expected {count}, the number of outputs of the checkpoint.",
        )
    same = ambiguous_names(classes) if info.class_order == "natural" else ()
    if same:
        raise InputError(
            "DATASET_CLASS_ORDER",
            "model.class_names: dataset does not fit: timm does not order the classes "
            f"{' and '.join(repr(name) for name in same)}, because it ignores case and leading "
            "zeros. Expected names in the order of the outputs. Set model.class_names to a list, "
            "or to a text file with one name per line; or dataset.class_order=lexicographic for a "
            "model that was trained with torchvision's order.",
        )
    return classes

"""Open the data set of a run and align its classes with the model's."""

from __future__ import annotations

from dataclasses import dataclass

from snellen.adapters.errors import InputError
from snellen.adapters.types import ModelInfo
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.data.class_map import ClassMap, align_classes
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.registry import open_source


@dataclass(frozen=True, slots=True)
class ResolvedDataset:
    """A data set that fits the model, not listed yet; without labels ``class_map`` is None."""

    source: Source
    info: DatasetInfo
    class_map: ClassMap | None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the images and their classes."""
        mapped = self.class_map.notes if self.class_map is not None else ()
        return (*self.info.notes, *mapped)

    @property
    def left_out(self) -> frozenset[str]:
        """Classes whose images take no part."""
        return self.class_map.left_out() if self.class_map is not None else frozenset()

    @property
    def aligned(self) -> ClassMap:
        """The class map of a labelled data set."""
        assert self.class_map is not None, "an inference job has no class map"
        return self.class_map


def resolve_dataset(
    config: EvaluateConfig, model: ModelInfo, *, dataset_names: bool
) -> ResolvedDataset:
    """Describe the data set and map its classes.

    Args:
        config: the run's configuration.
        model: what the checkpoint is.
        dataset_names: take the data set's class order as the checkpoint's.

    Raises:
        InputError: no data set, no labels, or classes that do not fit.
    """
    source = open_source(config.dataset)
    info = source.describe()
    if info.classes is None:
        raise InputError(
            "DATASET_UNLABELLED",
            f"dataset.path: '{config.dataset.path}' has no labels, so there is nothing to measure "
            "against. Evaluation needs class folders or a manifest with a label column.",
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
            f"the checkpoint has {count} outputs and no class names, so the data set's "
            f"{len(classes)} classes cannot be matched by name. Set model.class_names: "
            f"{hint}a list, or a text file with one name a line in the order of the outputs.",
        )
    if len(classes) != count:
        raise InputError(
            "CLASS_COUNT",
            f"model.class_names: dataset was set, but the data set has {len(classes)} classes "
            f"and the checkpoint {count} outputs.",
        )
    return classes

"""Resolution of the dataset of a run: its source, and its classes aligned with the model's."""

from __future__ import annotations

from dataclasses import dataclass

from snellen.adapters.checkpoints.class_names import ambiguous_names
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.types import ModelInfo
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.data.class_map import ClassMap, align_classes
from snellen.pipelines.data.output_restriction import restrict_outputs
from snellen.pipelines.data.sources.base import CLASSES_FILE, DatasetInfo, Source
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
        ConfigError: DATASET_FIRST_LABEL, a first label for labels that are no class ids.
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
    class_map, first = config.model.class_map, config.dataset.first_label
    if first and class_map != "ids" and info.class_order != CLASSES_FILE:
        raise ConfigError(
            "DATASET_FIRST_LABEL",
            f"dataset.first_label: {first} applies to class ids, and labels of "
            f"'{config.dataset.path}' are matched by name. Expected model.class_map=ids with it. "
            "Set that, or remove dataset.first_label.",
        )
    try:
        aligned = align_classes(info.classes, names, class_map, first_label=first)
    except InputError as error:
        advice = source.advise(names) if error.code == "CLASS_MAP_MISMATCH" else None
        if advice is None:
            raise
        raise InputError(error.code, f"{error.message} {advice}") from None
    settings = config.model
    if settings.nms_iou is not None:
        aligned = aligned.with_nms_iou(settings.nms_iou)
    if settings.restrict_logits:
        aligned = restrict_outputs(aligned, config.metrics.classes)
    return ResolvedDataset(source, info, aligned)


def _model_names(
    config: EvaluateConfig, model: ModelInfo, info: DatasetInfo, *, dataset_names: bool
) -> tuple[str, ...]:
    if model.class_names is not None:
        return model.class_names
    count = model.num_classes
    if config.model.class_map == "ids":
        first = config.dataset.first_label
        return tuple(str(index + first) for index in range(count))
    classes = info.classes or ()
    if not dataset_names:
        hint = (
            "imagenet (the 1000 ImageNet classes), "
            if count == 1000
            else f"dataset (it was trained on these {count} classes in this order), "
            if len(classes) == count
            else ""
        )
        source = model.class_names_source or ""
        why = f" ({source})" if source.startswith("ignored") else ""
        raise InputError(
            "CLASS_NAMES_UNKNOWN",
            f"the checkpoint has {count} outputs and no class names{why}. Expected names to match "
            f"the {len(classes)} classes of the dataset. Set model.class_names: {hint}a list, or a "
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

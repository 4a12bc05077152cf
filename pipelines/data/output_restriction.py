"""Restriction of a classifier's outputs to some classes: ``model.restrict_logits``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from snellen.adapters.errors import ConfigError
from snellen.adapters.types import OutputClasses
from snellen.metrics.class_filter import class_ids
from snellen.pipelines.data.class_map import ClassMap


def restrict_outputs(class_map: ClassMap, chosen: Sequence[str] | None) -> ClassMap:
    """Let the outputs of a classifier count for some classes only.

    Args:
        class_map: of the run.
        chosen: names of evaluation classes; None for those that the dataset has.

    Raises:
        ConfigError: RESTRICT_LOGITS, the classes of the dataset are unknown; CLASS_UNKNOWN,
            CLASS_SHARED.
    """
    if chosen is None and class_map.mode == "ids":
        raise ConfigError(
            "RESTRICT_LOGITS",
            "model.restrict_logits is true, and model.class_map: ids does not tell the classes of "
            "the dataset. Expected the classes to choose between. Set metrics.classes.",
        )
    named = class_ids(chosen, class_map.names)
    ids = set(class_map.ids.values()) - {None} if named is None else set(named)
    whole = class_map.groups
    groups = tuple(group if number in ids else () for number, group in enumerate(whole))
    if groups == whole:
        return class_map
    iou = {} if class_map.outputs is None else {"nms_iou": class_map.outputs.nms_iou}
    note = f"the outputs are restricted to {len(ids)} of {len(whole)} classes"
    return replace(
        class_map,
        outputs=OutputClasses(class_map.names, groups, **iou),
        notes=(*class_map.notes, note),
    )

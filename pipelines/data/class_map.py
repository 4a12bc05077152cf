"""Mapping of the dataset's classes to the checkpoint's, by name.

The outputs of a model have an order and often no names; a folder listing has names and an order of
its own. Pairing them by position would shift every label silently if one folder is missing.
Classes are therefore matched by name, and any class without a counterpart stops the run until the
configuration maps it. The mapping is stored with the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError, InputError
from snellen.adapters.plugins import closest
from snellen.adapters.types import OutputClasses
from snellen.pipelines.data.class_aliases import Aliases, find_aliases, normalized, unique_names
from snellen.pipelines.data.class_mapping import map_classes, quoted


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Mapping from labels, and from the outputs of the model, to the evaluation classes of a run.

    Attributes:
        mode: ``name``, ``subset``, ``mapping`` or ``ids``.
        names: the evaluation classes; the checkpoint's in output order, unless a mapping merges or
            renames some of them.
        ids: dataset class -> evaluation class id, or None for an excluded class.
        notes: messages for the user about the mapping.
        first_label: in mode ``ids``, the label of the first class.
        outputs: the evaluation classes that the outputs count as; None where they are the
            checkpoint's own.
        checkpoint: the checkpoint's class names in output order; empty where they are ``names``.
    """

    mode: Literal["name", "subset", "mapping", "ids"]
    names: tuple[str, ...]
    ids: Mapping[str, int | None]
    notes: tuple[str, ...] = ()
    first_label: int = 0
    outputs: OutputClasses | None = None
    checkpoint: tuple[str, ...] = ()

    @property
    def checkpoint_names(self) -> tuple[str, ...]:
        """The checkpoint's class names in output order."""
        return self.checkpoint or self.names

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The outputs that count as each evaluation class."""
        if self.outputs is not None:
            return self.outputs.groups
        return tuple((output,) for output in range(len(self.names)))

    def with_nms_iou(self, iou: float) -> ClassMap:
        """Return the map with the IoU of suppression within merged classes."""
        if self.outputs is None:
            return self
        return replace(self, outputs=replace(self.outputs, nms_iou=iou))

    def class_id(self, label: str | None) -> int:
        """Return the evaluation class id of a label.

        Raises:
            ImageError: LABEL_MISSING, LABEL_INVALID or LABEL_RANGE, at stage ``label``.
        """
        if label is None or (label == "" and label not in self.ids):
            raise _label_error(ErrorCode.LABEL_MISSING, "the image has no label")
        if self.mode == "ids":
            try:
                value = int(label)
            except ValueError:
                raise _label_error(
                    ErrorCode.LABEL_INVALID, f"label '{label}' is not a class id"
                ) from None
            position = value - self.first_label
            if not 0 <= position < len(self.names):
                last = len(self.names) - 1 + self.first_label
                raise _label_error(
                    ErrorCode.LABEL_RANGE,
                    f"label {value} is outside of {self.first_label}..{last}",
                )
            return position
        found = self.ids.get(label)
        if found is None:
            raise _label_error(
                ErrorCode.LABEL_RANGE, f"label '{label}' is not a class of the checkpoint"
            )
        return found

    def box_class_id(self, label: str) -> int | None:
        """Return the evaluation class id of a box, or None for an excluded class.

        Raises:
            ImageError: LABEL_RANGE, at stage ``label``.
        """
        if label in self.ids and self.ids[label] is None:
            return None
        return self.class_id(label)

    def excluded(self) -> frozenset[str]:
        """Return the dataset classes whose images are excluded from the run."""
        return frozenset(label for label, target in self.ids.items() if target is None)

    def to_json(self) -> dict[str, Any]:
        """Return the mapping as it is stored with the run."""
        stored: dict[str, Any] = {
            "mode": self.mode, "ids": dict(self.ids), "notes": list(self.notes)
        }  # fmt: skip
        if self.outputs is not None:
            names = self.checkpoint_names
            stored["outputs"] = {
                name: [names[output] for output in group]
                for name, group in zip(self.names, self.groups, strict=True)
            }
        return stored


def _label_error(code: ErrorCode, message: str) -> ImageError:
    return ImageError(ErrorStage.LABEL, code, message)


def align_classes(
    dataset: Sequence[str],
    checkpoint: Sequence[str],
    class_map: Literal["auto", "subset", "ids"] | Mapping[str, str | None] = "auto",
    *,
    first_label: int = 0,
) -> ClassMap:
    """Match classes by name.

    Names are compared in the Unicode form NFC, and ImageNet's in any of their spellings.

    Args:
        dataset: the dataset's classes, in its own order.
        checkpoint: the checkpoint's K class names in output order.
        class_map: ``model.class_map`` of the configuration.
        first_label: with ``ids``, the label of the first class.

    Raises:
        InputError: CLASS_MAP_MISMATCH, naming missing and extra classes; CLASS_MAP_UNKNOWN, a
            mapping names a class that does not exist, see
            `snellen.pipelines.data.class_mapping`; CLASS_NAMES_DUPLICATE; CLASS_IDS_SHIFTED,
            ids that begin at another number than ``first_label``.
    """
    names = unique_names(checkpoint)
    forms = Counter(map(normalized, names))
    if len(forms) != len(names):
        repeated = sorted(name for name, count in forms.items() if count > 1)
        raise InputError(
            "CLASS_NAMES_DUPLICATE",
            f"model.class_names: duplicate names {quoted(repeated)}. Expected unique names.",
        )
    if class_map == "ids":
        check_first_label(dataset, len(names), first_label)
        return ClassMap("ids", names, {}, first_label=first_label)
    position = {name: index for index, name in enumerate(names)}
    aliases = find_aliases(dataset, names)
    if isinstance(class_map, str):
        return _by_name(dataset, position, aliases, subset=class_map == "subset")
    return _by_mapping(dataset, names, aliases, class_map)


def check_first_label(labels: Iterable[str], count: int, first_label: int) -> None:
    """Check that class ids begin where the configuration says; other labels are ignored.

    Args:
        labels: distinct labels.
        count: number of classes.
        first_label: ``dataset.first_label``.

    Raises:
        InputError: CLASS_IDS_SHIFTED.
    """
    ids = [int(label) for label in labels if label.isdecimal()]
    if not ids:
        return
    if first_label == 0 and min(ids) > 0 and max(ids) == count:
        raise InputError(
            "CLASS_IDS_SHIFTED",
            f"the labels are {min(ids)} to {count}, and none is 0. Expected 0 to {count - 1} for "
            f"{count} classes. If label 1 is the first class, set dataset.first_label=1.",
        )
    if min(ids) < first_label:
        raise InputError(
            "CLASS_IDS_SHIFTED",
            f"dataset.first_label is {first_label}, and there is a label {min(ids)}. Expected "
            f"{first_label} to {count - 1 + first_label}. Remove dataset.first_label.",
        )


def _by_name(
    dataset: Sequence[str], position: Mapping[str, int], aliases: Aliases, *, subset: bool
) -> ClassMap:
    names = tuple(position)
    targets = {name: aliases.names.get(name, name) for name in dataset}
    extra = [name for name, target in targets.items() if target not in position]
    present = set(targets.values())
    missing = [name for name in names if name not in present]
    if extra or (missing and not subset):
        raise InputError("CLASS_MAP_MISMATCH", _mismatch(dataset, names, extra, missing, aliases))
    ids = {name: position[target] for name, target in targets.items()}
    notes = list(aliases.notes)
    if not missing and list(ids.values()) != sorted(ids.values()):
        notes.append("the dataset orders its classes differently; they were matched by name")
    if missing:
        notes.append(f"{len(missing)} of the checkpoint's {len(names)} classes have no images")
    return ClassMap("subset" if missing else "name", names, ids, tuple(notes))


def _mismatch(
    dataset: Sequence[str],
    names: Sequence[str],
    extra: list[str],
    missing: list[str],
    aliases: Aliases,
) -> str:
    parts = [
        f"the {len(dataset)} classes of the dataset do not match the {len(names)} of the "
        "checkpoint by name. Expected equal names."
    ]
    if extra:
        close = closest(extra[0], names)
        hint = f" (is '{extra[0]}' the checkpoint's '{close[0]}'?)" if close else ""
        doubtful = [name for name in extra if name in aliases.ambiguous]
        if doubtful:
            candidates = " or ".join(f"'{name}'" for name in aliases.ambiguous[doubtful[0]])
            hint = f" ('{doubtful[0]}' may be {candidates})"
        parts.append(f"Only in the dataset: {quoted(extra)}{hint}.")
    if missing:
        parts.append(f"Only in the checkpoint: {quoted(missing)}.")
    if extra and all(name.isdecimal() for name in dataset):
        ids = [int(name) for name in dataset]
        shifted = ", dataset.first_label=1" if min(ids) > 0 and max(ids) == len(names) else ""
        parts.append(
            f"If the labels are class ids of the checkpoint, set model.class_map=ids{shifted}."
        )
    elif extra:
        parts.append(
            "Set model.class_map: {DATASET CLASS: CHECKPOINT CLASS, ...}; null excludes a class. "
            "(If these are splits or other folders, set dataset.split.)"
        )
    else:
        parts.append("If the dataset may lack them, set model.class_map: subset.")
    return " ".join(parts)


def _by_mapping(
    dataset: Sequence[str],
    names: tuple[str, ...],
    aliases: Aliases,
    mapping: Mapping[str, str | None],
) -> ClassMap:
    ours = {name: aliases.names.get(name, name) for name in dataset}
    forms = {normalized(name): name for name in (*ours.values(), *names)}
    forms |= {normalized(name): theirs for name, theirs in ours.items() if name not in names}

    def known(name: str) -> str:
        return forms.get(normalized(name), name)

    given = {known(name): None if t is None else known(t) for name, t in mapping.items()}
    mapped = map_classes(list(dict.fromkeys(ours.values())), names, given)
    same = mapped.names == names
    outputs = None if same else OutputClasses(mapped.names, mapped.groups)
    ids = {name: mapped.ids[theirs] for name, theirs in ours.items()}
    notes = (*aliases.notes, *mapped.notes)
    return ClassMap("mapping", mapped.names, ids, notes, outputs=outputs, checkpoint=names)

"""Align the data set's classes with the checkpoint's by name, or refuse.

A model's outputs have an order and no names of their own; a folder listing has names and an
order of its own. Pairing them by position is how one missing folder shifts every label by one
without a word. So classes meet by name, and whatever does not meet stops the run until the
configuration says what is meant. The mapping is stored with the run.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError, InputError

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ClassMap:
    """How labels become the checkpoint's class ids.

    Attributes:
        mode: ``name``, ``subset``, ``mapping`` or ``ids``.
        names: the checkpoint's class names in output order, length K.
        ids: data set class -> checkpoint class id, or None for a class that is left out.
        notes: what a person should know about the mapping.
    """

    mode: Literal["name", "subset", "mapping", "ids"]
    names: tuple[str, ...]
    ids: Mapping[str, int | None]
    notes: tuple[str, ...] = ()

    def class_id(self, label: str | None) -> int:
        """The checkpoint's class id of a label.

        Raises:
            ImageError: LABEL_MISSING, LABEL_INVALID or LABEL_RANGE, at stage ``label``.
        """
        if label is None or label == "":
            raise _label_error(ErrorCode.LABEL_MISSING, "the image has no label")
        if self.mode == "ids":
            try:
                value = int(label)
            except ValueError:
                raise _label_error(
                    ErrorCode.LABEL_INVALID, f"label '{label}' is not a class id"
                ) from None
            if not 0 <= value < len(self.names):
                raise _label_error(
                    ErrorCode.LABEL_RANGE,
                    f"label {value} is outside of 0..{len(self.names) - 1}",
                )
            return value
        found = self.ids.get(label)
        if found is None:
            raise _label_error(
                ErrorCode.LABEL_RANGE, f"label '{label}' is none of the checkpoint's classes"
            )
        return found

    def box_class_id(self, label: str) -> int | None:
        """The checkpoint's class id of a box, or None for a class that is left out.

        Raises:
            ImageError: LABEL_RANGE, at stage ``label``.
        """
        if label in self.ids and self.ids[label] is None:
            return None
        return self.class_id(label)

    def left_out(self) -> frozenset[str]:
        """Data set classes whose images take no part in the run."""
        return frozenset(label for label, target in self.ids.items() if target is None)

    def to_json(self) -> dict[str, Any]:
        """What is stored with the run."""
        return {"mode": self.mode, "ids": dict(self.ids), "notes": list(self.notes)}


def _label_error(code: ErrorCode, message: str) -> ImageError:
    return ImageError(ErrorStage.LABEL, code, message)


def align_classes(
    dataset: Sequence[str],
    checkpoint: Sequence[str],
    class_map: Literal["auto", "subset", "ids"] | Mapping[str, str | None] = "auto",
) -> ClassMap:
    """Match classes by name.

    Args:
        dataset: the data set's classes, in its own order.
        checkpoint: the checkpoint's K class names in output order.
        class_map: ``model.class_map`` of the configuration.

    Raises:
        InputError: CLASS_MAP_MISMATCH naming missing and extra classes, or CLASS_MAP_UNKNOWN
            for a mapping that names a class that does not exist.
    """
    names = tuple(checkpoint)
    if len(set(names)) != len(names):
        double = sorted({name for name in names if names.count(name) > 1})
        raise InputError(
            "CLASS_NAMES_DUPLICATE",
            f"model.class_names: {_some(double)} stand more than once; names must be unique.",
        )
    if class_map == "ids":
        return ClassMap("ids", names, {})
    position = {name: index for index, name in enumerate(names)}
    if isinstance(class_map, str):
        return _by_name(dataset, position, names, subset=class_map == "subset")
    return _by_mapping(dataset, position, names, class_map)


def _by_name(
    dataset: Sequence[str], position: Mapping[str, int], names: tuple[str, ...], *, subset: bool
) -> ClassMap:
    extra = [name for name in dataset if name not in position]
    missing = [name for name in names if name not in set(dataset)]
    if extra or (missing and not subset):
        raise InputError("CLASS_MAP_MISMATCH", _mismatch(dataset, names, extra, missing))
    ids = {name: position[name] for name in dataset}
    notes: list[str] = []
    if not missing and list(ids.values()) != sorted(ids.values()):
        notes.append("the data set orders its classes differently; they were matched by name")
    if missing:
        notes.append(f"{len(missing)} of the checkpoint's {len(names)} classes have no images")
    return ClassMap("subset" if missing else "name", names, ids, tuple(notes))


def _mismatch(
    dataset: Sequence[str], names: Sequence[str], extra: list[str], missing: list[str]
) -> str:
    parts = [
        f"the data set's {len(dataset)} classes are not the checkpoint's {len(names)} by name."
    ]
    if extra:
        close = difflib.get_close_matches(extra[0], names, n=1)
        hint = f" (is '{extra[0]}' the checkpoint's '{close[0]}'?)" if close else ""
        parts.append(f"Only in the data set: {_some(extra)}{hint}.")
    if missing:
        parts.append(f"Only in the checkpoint: {_some(missing)}.")
    if extra:
        parts.append(
            "Say what is meant with model.class_map: {DATA SET CLASS: CHECKPOINT CLASS, ...}; "
            "null leaves a class out. (If these are splits or other folders, set dataset.split.)"
        )
    else:
        parts.append("If the data set is meant to lack them, set model.class_map: subset.")
    return " ".join(parts)


def _by_mapping(
    dataset: Sequence[str],
    position: Mapping[str, int],
    names: tuple[str, ...],
    mapping: Mapping[str, str | None],
) -> ClassMap:
    present = set(dataset)
    unknown_sources = [name for name in mapping if name not in present]
    unknown_targets = [t for t in mapping.values() if t is not None and t not in position]
    unmapped = [name for name in dataset if name not in mapping and name not in position]
    for label, wrong, valid in (
        ("is not a class of the data set", unknown_sources, list(dataset)),
        ("is not a class of the checkpoint", unknown_targets, list(names)),
    ):
        if wrong:
            close = difflib.get_close_matches(wrong[0], valid, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise InputError("CLASS_MAP_UNKNOWN", f"model.class_map: '{wrong[0]}' {label}.{hint}")
    if unmapped:
        raise InputError(
            "CLASS_MAP_MISMATCH",
            f"model.class_map leaves {_some(unmapped)} without a checkpoint class; map "
            "each to one, or to null to leave it out.",
        )
    targets = {name: mapping.get(name, name) for name in dataset}
    ids = {name: None if t is None else position[t] for name, t in targets.items()}
    dropped = [name for name, target in ids.items() if target is None]
    notes = (f"left out by model.class_map: {_some(dropped)}",) if dropped else ()
    return ClassMap("mapping", names, ids, notes)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"

"""The rule of ``model.class_map: {class: class, ...}``: which classes a run is evaluated in.

The map names classes of the dataset, of the checkpoint or of both, and the *evaluation class* that
each counts as. Where a target t is no class of the checkpoint, every class of the checkpoint that
maps to t counts as t. Where t is one, another class c of the checkpoint counts as t only if at
least two classes of the dataset count as t, or if c is no class of the dataset; otherwise the map
renames the dataset's classes, as a swap does, and the checkpoint's keep their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snellen.adapters.errors import InputError
from snellen.adapters.plugins import closest

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Mapped:
    """Both sides of a mapping.

    Attributes:
        names: the E evaluation classes, in the order of their first output.
        groups: E tuples: the outputs that count as each class.
        ids: dataset class -> evaluation class id, or None for an excluded class.
        notes: messages for the user.
    """

    names: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    ids: dict[str, int | None]
    notes: tuple[str, ...]


def map_classes(
    dataset: Sequence[str], checkpoint: Sequence[str], mapping: Mapping[str, str | None]
) -> Mapped:
    """Apply a mapping to the classes of the dataset and of the checkpoint.

    Args:
        dataset: the dataset's classes.
        checkpoint: the checkpoint's K unique class names in output order.
        mapping: class -> the class that it counts as, None to exclude it.

    Raises:
        InputError: CLASS_MAP_UNKNOWN, a name that is no class of either side;
            CLASS_MAP_MISMATCH, a dataset class that is no evaluation class.
    """
    _check_names(dataset, checkpoint, mapping)
    counted = _counted_as(dataset, checkpoint, mapping)
    names = tuple(dict.fromkeys(counted))
    position = {name: number for number, name in enumerate(names)}
    groups: list[list[int]] = [[] for _ in names]
    for output, name in enumerate(counted):
        groups[position[name]].append(output)
    targets = {name: mapping.get(name, name) for name in dataset}
    lost = [name for name, target in targets.items() if target not in (None, *position)]
    if lost:
        raise InputError("CLASS_MAP_MISMATCH", _mismatch(lost, targets, checkpoint))
    ids = {name: None if t is None else position[t] for name, t in targets.items()}
    notes = [_merge_note(name, [checkpoint[output] for output in group])
             for name, group in zip(names, groups, strict=True)]  # fmt: skip
    dropped = [name for name, target in ids.items() if target is None]
    if dropped:
        notes.append(f"excluded by model.class_map: {quoted(dropped)}")
    return Mapped(names, tuple(map(tuple, groups)), ids, tuple(filter(None, notes)))


def _counted_as(
    dataset: Sequence[str], checkpoint: Sequence[str], mapping: Mapping[str, str | None]
) -> list[str]:
    """Return the evaluation class of each output."""
    reached = Counter(mapping.get(name, name) for name in dataset)
    of_dataset, of_checkpoint = set(dataset), set(checkpoint)
    counted = []
    for name in checkpoint:
        target = mapping.get(name)
        merges = target is not None and (
            target not in of_checkpoint or reached[target] > 1 or name not in of_dataset
        )
        counted.append(target if merges and target is not None else name)
    return counted


def _check_names(
    dataset: Sequence[str], checkpoint: Sequence[str], mapping: Mapping[str, str | None]
) -> None:
    known = list(dict.fromkeys((*dataset, *checkpoint)))
    made = {target for name, target in mapping.items() if name in set(checkpoint)}
    sources = [name for name in mapping if name not in set(known)]
    excluded = [n for n, t in mapping.items() if t is None and n in known and n not in dataset]
    targets = [t for t in mapping.values() if t is not None and t not in {*checkpoint, *made}]
    for wrong, problem, valid in (
        (sources, "is no class of the dataset or of the checkpoint", known),
        (excluded, "is excluded with null and is no class of the dataset", list(dataset)),
        (
            targets,
            "is no class of the checkpoint, and no class of the checkpoint maps to it",
            list(checkpoint),
        ),
    ):
        if wrong:
            close = closest(wrong[0], valid)
            hint = f"Did you mean '{close[0]}'?" if close else f"Expected one of {quoted(valid)}."
            raise InputError(
                "CLASS_MAP_UNKNOWN", f"model.class_map: '{wrong[0]}' {problem}. {hint}"
            )


def _mismatch(
    lost: Sequence[str], targets: Mapping[str, str | None], checkpoint: Sequence[str]
) -> str:
    merged = next((name for name in lost if targets[name] in checkpoint), None)
    if merged is not None:
        return (
            f"model.class_map: the dataset's '{merged}' counts as '{targets[merged]}', which is "
            "itself mapped to another class. Expected a class that the checkpoint's classes end "
            "in. Map both to the same class."
        )
    return (
        f"model.class_map has no checkpoint class for {quoted(lost)}. Expected one for every class "
        "of the dataset. Map each to a class, or to null to exclude it."
    )


def _merge_note(name: str, members: Sequence[str]) -> str | None:
    if list(members) == [name]:
        return None
    counts = "counts" if len(members) == 1 else "count"
    return f"the checkpoint's {', '.join(members)} {counts} as {name}"


def quoted(names: Sequence[str]) -> str:
    """Return names for a message, the first ten of them."""
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"

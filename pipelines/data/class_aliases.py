"""Classes of a dataset that name those of the checkpoint in another way.

Unicode has two forms of many letters (NFC and NFD); file systems and programs change one to the
other. ImageNet's classes go by WordNet ids, by class ids and by the spellings of libraries.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

IMAGENET_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Aliases:
    """Other names of a checkpoint's classes.

    Attributes:
        names: dataset class -> checkpoint class.
        ambiguous: dataset class -> the checkpoint classes that it may be.
        notes: messages for the user.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def normalized(name: str) -> str:
    """Return the form of a name in which names are compared (NFC)."""
    return unicodedata.normalize("NFC", name)


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return ImageNet's names with WordNet ids where two are equal; other names as they are."""
    if len(names) == IMAGENET_CLASSES and len(set(names)) < len(names):
        from snellen.adapters.timm.imagenet import are_imagenet, imagenet_class_names

        if are_imagenet(names):
            return imagenet_class_names()
    return tuple(names)


def find_aliases(dataset: Sequence[str], checkpoint: Sequence[str]) -> Aliases:
    """Find the classes of a dataset that are a checkpoint's by another name.

    Args:
        dataset: all classes of the dataset.
        checkpoint: unique class names in output order.
    """
    exact = set(checkpoint)
    by_form = {normalized(name): name for name in checkpoint}
    names = {
        label: by_form[normalized(label)]
        for label in dataset
        if label not in exact and normalized(label) in by_form
    }
    if len(checkpoint) == IMAGENET_CLASSES and not exact.union(names).issuperset(dataset):
        from snellen.adapters.timm.imagenet import are_imagenet

        if are_imagenet(checkpoint):
            return _imagenet(dataset, checkpoint)
    return Aliases(names)


def _imagenet(dataset: Sequence[str], checkpoint: Sequence[str]) -> Aliases:
    from snellen.adapters.timm.imagenet import imagenet_spellings

    if all(label.isdecimal() and int(label) < IMAGENET_CLASSES for label in dataset):
        return Aliases(
            {label: checkpoint[int(label)] for label in dataset},
            notes=("the dataset's classes are numbers; they were taken as ImageNet's class ids",),
        )
    position = {name: number for number, name in enumerate(checkpoint)}
    spellings = imagenet_spellings()
    found = {
        label: (position[label],) if label in position else spellings[label]
        for label in dataset
        if label in position or label in spellings
    }
    taken = {ids[0] for ids in found.values() if len(ids) == 1}
    names: dict[str, str] = {}
    ambiguous: dict[str, tuple[str, ...]] = {}
    for label, ids in found.items():
        # Beside torchvision's "crane bird", "crane" is the machine.
        left = [number for number in ids if len(ids) == 1 or number not in taken]
        if len(left) == 1:
            names[label] = checkpoint[left[0]]
        else:
            ambiguous[label] = tuple(checkpoint[number] for number in ids)
    others = [label for label, name in names.items() if label != name]
    notes = (
        (
            f"{len(others)} classes were matched to ImageNet's by WordNet id or another spelling, "
            f"such as '{others[0]}' to '{names[others[0]]}'",
        )
        if others
        else ()
    )
    return Aliases(names, ambiguous, notes)

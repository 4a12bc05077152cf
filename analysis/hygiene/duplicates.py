"""Duplicates: images with equal bytes, and images that look the same after encoding or resizing.

Two images are near duplicates if their perceptual hashes (DCT, 64 bits) differ in at most
`MAX_BITS` bits, and small pictures of them by at most `MAX_DIFFERENCE` per channel on average. The
second condition rejects images that are too plain for a perceptual hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from snellen.adapters.errors import ImageError
from snellen.analysis.hygiene.image_set import SetImage
from snellen.analysis.hygiene.signatures import Signature, signatures
from snellen.pipelines.progress import Reporter

MAX_BITS = 6
MAX_DIFFERENCE = 8.0
_BITS = 64
Kind = Literal["exact", "near"]


@dataclass(frozen=True, slots=True)
class Member:
    """An image of a group: its set is ``dataset`` or ``against``."""

    side: Literal["dataset", "against"]
    image_id: str
    label: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the member of the document."""
        return {"set": self.side, "image_id": self.image_id, "label": self.label}


@dataclass(frozen=True, slots=True)
class Group:
    """Images that are the same.

    Attributes:
        kind: ``exact`` if all bytes are equal.
        members: those of the dataset first; at least one is of it.
    """

    kind: Kind
    members: tuple[Member, ...]

    @property
    def leaked(self) -> bool:
        """True where an image of the other set is among them."""
        return any(member.side == "against" for member in self.members)

    @property
    def conflicting(self) -> bool:
        """True where the labels in the dataset differ."""
        labels = {m.label for m in self.members if m.side == "dataset" and m.label is not None}
        return len(labels) > 1

    def to_json(self) -> dict[str, Any]:
        """Return the group of the document."""
        return {
            "kind": self.kind,
            "leaked": self.leaked,
            "conflicting": self.conflicting,
            "images": [member.to_json() for member in self.members],
        }


@dataclass(frozen=True, slots=True)
class Duplicates:
    """The result of a search.

    Attributes:
        images, against: number of images in the dataset and in the other set; None without one.
        unreadable: ids of images of either set that cannot be read.
        groups: leaked ones first, then exact ones, then by image.
    """

    images: int
    against: int | None
    unreadable: list[str]
    groups: list[Group]

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``snellen duplicates --json``."""

        def images(groups: Sequence[Group]) -> int:
            return sum(m.side == "dataset" for group in groups for m in group.members)

        exact = [group for group in self.groups if group.kind == "exact"]
        leaked = [group for group in self.groups if group.leaked]
        return {
            "images": self.images,
            "against_images": self.against,
            "exact_groups": len(exact),
            "near_groups": len(self.groups) - len(exact),
            "duplicate_images": images(self.groups),
            "conflicting_groups": sum(group.conflicting for group in self.groups),
            "leaked_images": None if self.against is None else images(leaked),
            "unreadable": self.unreadable,
            "groups": [group.to_json() for group in self.groups],
        }


def find_duplicates(
    dataset: Sequence[SetImage],
    against: Sequence[SetImage] | None,
    reporter: Reporter,
    *,
    exact: bool = False,
) -> Duplicates:
    """Search a dataset, and another set, for images of the dataset that occur more than once.

    Args:
        dataset: images of the test set.
        against: images that the model may have been trained on. Files of the dataset itself among
            them are skipped.
        reporter: receives the number of images.
        exact: search for equal bytes only, which decodes no image.

    Raises:
        ConfigError: LIBRARY_MISSING, without imagehash, unless ``exact``.
    """
    places = {(image.file.location, image.file.member) for image in dataset}
    others = [i for i in against or () if (i.file.location, i.file.member) not in places]
    images = [*dataset, *others]
    kept: list[int] = []
    found: list[Signature] = []
    unreadable = []
    for number, signature in enumerate(signatures(images, reporter, exact=exact)):
        if isinstance(signature, ImageError):
            unreadable.append(images[number].image_id)
        else:
            kept.append(number)
            found.append(signature)
    reporter.status("Comparing images")
    groups = [
        _group([kept[place] for place in members], found, members, images, len(dataset))
        for members in _joined(found, exact=exact)
    ]
    shown = [group for group in groups if any(m.side == "dataset" for m in group.members)]
    order = sorted(shown, key=lambda g: (not g.leaked, g.kind, g.members[0].image_id))
    return Duplicates(len(dataset), None if against is None else len(others), unreadable, order)


def _group(
    numbers: list[int],
    found: list[Signature],
    members: list[int],
    images: list[SetImage],
    size: int,
) -> Group:
    kind: Kind = "exact" if len({found[place].content for place in members}) == 1 else "near"
    return Group(
        kind,
        tuple(
            Member(
                "dataset" if number < size else "against",
                images[number].image_id,
                images[number].label,
            )
            for number in sorted(numbers)
        ),
    )


def _joined(found: list[Signature], *, exact: bool) -> list[list[int]]:
    """Return the groups of two or more places that pairs connect."""
    parent = list(range(len(found)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for one, other in _pairs(found, exact=exact):
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    groups: dict[int, list[int]] = defaultdict(list)
    for place in range(len(found)):
        groups[root(place)].append(place)
    return [members for members in groups.values() if len(members) > 1]


def _pairs(found: list[Signature], *, exact: bool) -> Iterator[tuple[int, int]]:
    first: dict[str, int] = {}
    distinct = []
    for place, signature in enumerate(found):
        if signature.content in first:
            yield first[signature.content], place
        else:
            first[signature.content] = place
            distinct.append(place)
    if not exact and len(distinct) > 1:
        yield from _near(found, distinct)


def _near(found: list[Signature], distinct: list[int]) -> Iterator[tuple[int, int]]:
    """Yield near pairs. Of two hashes that differ in n bits, one of n + 1 parts is equal."""
    hashes = np.array([found[place].perceptual for place in distinct], dtype=np.uint64)
    edges = np.linspace(0, _BITS, MAX_BITS + 2).astype(np.uint64)
    for low, high in pairwise(edges.tolist()):
        part = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(part, kind="stable")
        starts = np.flatnonzero(np.append(True, part[order][1:] != part[order][:-1]))
        for members in np.split(order, starts[1:]):
            for position, one in enumerate(members[:-1].tolist()):
                others = members[position + 1 :]
                close = np.bitwise_count(hashes[others] ^ hashes[one]) <= MAX_BITS
                for other in others[close].tolist():
                    first, second = found[distinct[one]], found[distinct[other]]
                    if _looks_same(first, second):
                        yield distinct[one], distinct[other]


def _looks_same(one: Signature, other: Signature) -> bool:
    assert one.thumbnail is not None and other.thumbnail is not None
    return float(np.abs(one.thumbnail - other.thumbnail).mean()) <= MAX_DIFFERENCE

"""Predictions as they were read from a file, before they are paired with images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.adapters.errors import InputError
from snellen.adapters.types import TaskType
from snellen.pipelines.tasks.registry import task_of

Reference = int | str
"""An image as a file names it: an id, a path or a name."""
EXAMPLES = 3
FRACTION = 2.0
"""Largest coordinate of boxes that are fractions of an image, which reach a little beyond it."""
_REACH = 1.0001
"""Largest score that rounding may give."""


@dataclass(slots=True)
class FoundObject:
    """A predicted object.

    Attributes:
        class_id: position in the class names.
        corners: x1, y1, x2, y2 in pixels, or as fractions of the image.
        score: confidence, 0 to 1.
        mask: height, width, and the COCO compressed RLE; None without.
        keypoints: x, y, confidence of each; None without.
    """

    class_id: int
    corners: tuple[float, float, float, float]
    score: float
    mask: tuple[int, int, bytes] | None = None
    keypoints: list[float] | None = None


@dataclass(slots=True)
class ImageClass:
    """The predicted class of an image.

    Attributes:
        class_id: position in the class names.
        confidence: of this class; None if it is not known.
        probabilities: float64, (K,); None if they are not known.
    """

    class_id: int
    confidence: float | None
    probabilities: npt.NDArray[np.float64] | None = None


@dataclass(slots=True)
class Predictions:
    """The predictions of one file.

    Attributes:
        task: what is predicted.
        names: K class names in the order of the class ids.
        objects: predicted objects of each image; an empty list is an image without any.
        classes: the predicted class of each image; of a classifier.
        are_fractions: corners are fractions of the image's width and height.
        keypoints: number of keypoints per object; None without.
        ignored: predictions that are not used, by a reason in snake_case.
        examples: the first of them, by reason.
        notes: how the file was read.
        warnings: doubts about the file.
    """

    task: TaskType
    names: tuple[str, ...]
    objects: dict[Reference, list[FoundObject]] = field(default_factory=dict)
    classes: dict[Reference, ImageClass] = field(default_factory=dict)
    are_fractions: bool = False
    keypoints: int | None = None
    ignored: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def needs(self) -> frozenset[str]:
        """Parts of objects besides boxes: "masks", "keypoints"."""
        return task_of(self.task).needs

    @property
    def references(self) -> list[Reference]:
        """The images that the file names, in its order."""
        return list(self.classes or self.objects)

    def count(self, reference: Reference) -> int:
        """Return the number of predictions of an image."""
        return 1 if self.classes else len(self.objects[reference])

    def ignore(self, reason: str, example: str, count: int = 1) -> None:
        """Count predictions that are not used."""
        self.ignored[reason] += count
        known = self.examples.setdefault(reason, [])
        if len(known) < EXAMPLES and example not in known:
            known.append(example)

    def add(self, reference: Reference, found: FoundObject) -> None:
        """Add an object; one with numbers that cannot be used is counted instead.

        Raises:
            InputError: IMPORT_SCORES, a score that is no confidence.
        """
        numbers = [*found.corners, found.score, *(found.keypoints or ())]
        self.objects.setdefault(reference, [])
        if not all(math.isfinite(number) for number in numbers):
            self.ignore("not_finite", str(reference))
        elif found.corners[2] < found.corners[0] or found.corners[3] < found.corners[1]:
            self.ignore("negative_size", str(reference))
        else:
            check_confidence(found.score, str(reference))
            found.score = min(found.score, 1.0)
            self.objects[reference].append(found)

    def check_units(self) -> None:
        """Reject boxes in pixels that look normalised.

        Raises:
            InputError: IMPORT_BOX_UNITS.
        """
        corners = [one.corners for found in self.objects.values() for one in found]
        sized = [c for c in corners if c[2] > c[0] and c[3] > c[1]]
        if not sized or self.are_fractions or max(max(map(abs, c)) for c in sized) > FRACTION:
            return
        raise InputError(
            "IMPORT_BOX_UNITS",
            f"none of the {len(sized):,} predicted boxes reaches beyond 2 pixels: they look "
            "normalised to the size of the image. Expected absolute pixels. Multiply them by the "
            "width and the height.",
        )


def check_confidence(score: float, where: str) -> None:
    """Reject a score that is no confidence, such as a logit or a percentage.

    Raises:
        InputError: IMPORT_SCORES.
    """
    if not 0 <= score <= _REACH:
        raise InputError(
            "IMPORT_SCORES",
            f"the prediction of image '{where}' has the score {score:g}. Expected a confidence "
            "from 0 to 1. Convert logits or percentages first.",
        )


def names_text(names: Sequence[Any], limit: int = 5) -> str:
    """Return some names for a message."""
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown + (f" and {len(names) - limit:,} more" if len(names) > limit else "")

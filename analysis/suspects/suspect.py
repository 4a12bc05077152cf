"""One suspect label, and the rules that make a label suspect."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["wrong_class", "missing_label", "unseen_label"]
KINDS: dict[Kind, str] = {
    "wrong_class": "every run predicts another class",
    "missing_label": "every run predicts an object that is not labelled",
    "unseen_label": "no run predicts the labelled object",
}
"""The kinds of suspects and their meanings."""
CONFIDENCE = {True: 0.5, False: 0.8}
"""Default minimum confidence of a prediction: of several runs, and of one alone."""
OVERLAP = 0.5
"""Minimum IoU of boxes of the same object."""
TOUCHING = 0.3
"""Minimum IoU of a prediction that sees a labelled object at all."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A suspect label.

    Attributes:
        kind: one of `KINDS`.
        score: from 0 to 1, for the order. Of a prediction, the lowest confidence of the runs; of an
            unseen label, 1 minus the highest confidence that any run gives it, less for an object
            of less than a fifth of the image's size.
        image_id: the image; image_index: its index in the first run.
        true_label: class of the label; None where there is none.
        predicted_label: class that the runs predict; None for an unseen label.
        box: x1, y1, x2, y2 in pixels: of the label, or of the first run's prediction if there is no
            label; None for the class of an image.
        true_index: index of the label in ``true_boxes`` of the first run.
    """

    kind: Kind
    score: float
    image_id: str
    image_index: int
    true_label: str | None
    predicted_label: str | None
    box: tuple[float, float, float, float] | None = None
    true_index: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the suspect of the document."""
        return asdict(self)

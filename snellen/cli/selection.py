"""Options that select images of a run, shared by the commands that list, draw and report them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import one_of

if TYPE_CHECKING:
    from snellen.store.parquet.results import RowFilter
    from snellen.store.views import AnyRun


def image_statuses() -> tuple[str, ...]:
    """Return the statuses of an image."""
    from snellen.adapters.types import ImageStatus

    return tuple(ImageStatus)


TrueClassOption = Annotated[str | None, typer.Option("--class", help="Name of the true class.")]
PredictedOption = Annotated[
    str | None, typer.Option("--predicted", help="Name of the predicted class.")
]
CorrectOption = Annotated[
    bool | None,
    typer.Option("--correct/--incorrect", help="Only correct or only incorrect images."),
]
MinConfidenceOption = Annotated[
    float | None,
    typer.Option("--min-confidence", help="Minimum confidence, inclusive, from 0 to 1."),
]
MaxConfidenceOption = Annotated[
    float | None,
    typer.Option("--max-confidence", help="Maximum confidence, inclusive, from 0 to 1."),
]
ImageStatusOption = Annotated[
    str | None,
    typer.Option(
        "--status", callback=one_of(image_statuses), help="Status of the images: ok or failed."
    ),
]
ErrorCodeOption = Annotated[
    str | None,
    typer.Option("--error-code", help="Error code of failed images, such as TRUNCATED."),
]


def explanation_methods() -> tuple[str, ...]:
    """Return the methods of explanations."""
    from snellen.adapters.explanations import METHODS

    return METHODS


ExplainOption = Annotated[
    str | None,
    typer.Option(
        "--explain",
        callback=one_of(explanation_methods),
        help="Draw the evidence for the predicted class: gradcam (timm classifiers).",
    ),
]
SortOption = Annotated[str, typer.Option("--sort", help="Column to sort by.")]
DescOption = Annotated[bool, typer.Option("--desc", help="Sort in descending order.")]


@dataclass(frozen=True, slots=True)
class ImageSelection:
    """The values of the options above; None is no condition."""

    true_class: str | None = None
    predicted: str | None = None
    correct: bool | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    status: str | None = None
    error_code: str | None = None

    @property
    def is_empty(self) -> bool:
        """True without any condition."""
        return self == ImageSelection()

    def filter(self, run: AnyRun) -> RowFilter:
        """Return the conditions on the rows of a run.

        Raises:
            ConfigError: CLASS_UNKNOWN, CLASS_SHARED.
        """
        from snellen.metrics.class_filter import choose_class
        from snellen.store.parquet.results import RowFilter

        names = run.class_names or []

        def class_id(name: str | None, option: str) -> int | None:
            return None if name is None else choose_class(name, names, where=option)

        return RowFilter(
            true_class=class_id(self.true_class, "--class"),
            predicted_class=class_id(self.predicted, "--predicted"),
            correct=self.correct,
            min_confidence=self.min_confidence,
            max_confidence=self.max_confidence,
            status=self.status,
            error_code=self.error_code,
        )

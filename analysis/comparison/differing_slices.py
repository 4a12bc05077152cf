"""Slices of the common images on which B differs most from A, found by themselves."""

from __future__ import annotations

from typing import Any

from snellen.analysis.comparison.pairing import Pair
from snellen.analysis.weak_slices.find import (
    ImageValues,
    found_slices,
    read_errors,
    read_features,
)


def differing_slices(pair: Pair, file: str | None = None) -> list[dict[str, Any]]:
    """Find slices by the difference of the errors of the two runs on each image.

    Args:
        pair: the runs; the values that make slices are those of A.
        file: list of the common images; None if it was not written.

    Returns:
        Entries as `snellen.analysis.weak_slices.find.weak_slices` has them: ``error`` is the mean
        of the error of B minus that of A, ``difference`` is the same, with its test against 0.
        ``command`` lists the images in run A; ``images`` counts those that are compared.
    """
    joined = pair.images.select("image_id", "index_a", "index_b", "group")
    for side, name in zip(pair.sides, "ab", strict=True):
        errors = read_errors(side.results).select("image_index", "error")
        joined = joined.join(
            errors.rename({"image_index": f"index_{name}", "error": f"error_{name}"}),
            on=f"index_{name}",
            maintain_order="left",
        )
    values = (joined["error_b"] - joined["error_a"]).to_numpy()
    features = read_features(pair.a.results, joined["index_a"].to_list())
    images = ImageValues(values, joined["group"].to_list(), features)
    return [one.to_json(pair.a.run.id, file) for one in found_slices(images, of_difference=True)]

"""Disagreements of two runs about the classes of the same images and objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

BACKGROUND = "background"
"""The class of an object that a run has not found."""
SHOWN_CELLS = 20
OBJECT_KINDS = ("both", "only_a", "only_b", "neither")


@dataclass(frozen=True, eq=False)
class Disagreements:
    """The classes that both runs predict.

    Attributes:
        frame: classifiers: a row per common image whose predicted class differs; detectors: a row
            per ground truth object. ``image_id``, ``index_a``, ``index_b``, ``class`` (the true
            one), ``class_a`` and ``class_b`` (the predicted ones); of objects also ``true_index``
            and ``found``, one of `OBJECT_KINDS`.
    """

    frame: pl.DataFrame

    def to_json(self, file: str | None) -> dict[str, Any]:
        """Return the counts of the document.

        Returns:
            ``count`` (images or objects with two different classes), ``cells`` (the most frequent
            pairs: ``a``, ``b``, ``count``), ``objects`` (found by both, only A, only B, neither;
            null for classifiers) and ``indices_file``.
        """
        differing = self.frame.filter(pl.col("class_a") != pl.col("class_b"))
        cells = (
            differing.group_by(pl.col("class_a").alias("a"), pl.col("class_b").alias("b"))
            .agg(pl.len().alias("count"))
            .sort("count", "a", "b", descending=[True, False, False])
        )
        objects = None
        if "found" in self.frame.columns:
            counts = dict(self.frame.group_by("found").len().iter_rows())
            objects = {kind: int(counts.get(kind, 0)) for kind in OBJECT_KINDS}
        return {
            "count": len(differing),
            "cells": cells.head(SHOWN_CELLS).to_dicts(),
            "objects": objects,
            "indices_file": file,
        }


def image_disagreements(images: pl.DataFrame, classes: pl.DataFrame) -> Disagreements:
    """Select the images whose predicted class differs.

    Args:
        images: the common images.
        classes: ``class``, ``class_a`` and ``class_b``, in their order.
    """
    frame = pl.concat([images.select("image_id", "index_a", "index_b"), classes], how="horizontal")
    return Disagreements(frame.filter(pl.col("class_a") != pl.col("class_b")))


def object_disagreements(images: pl.DataFrame, a: pl.DataFrame, b: pl.DataFrame) -> Disagreements:
    """Pair what both runs take each ground truth object for.

    Args:
        images: the common images.
        a, b: per object that a run counts: ``place`` (position of its image), ``true_index``,
            ``class``, and ``predicted`` (a class, or `BACKGROUND`).
    """
    joined = a.join(
        b.select("place", "true_index", pl.col("predicted").alias("class_b")),
        on=["place", "true_index"],
    ).rename({"predicted": "class_a"})
    in_a, in_b = (pl.col(f"class_{side}") == pl.col("class") for side in "ab")
    found = (
        pl.when(in_a & in_b)
        .then(pl.lit("both"))
        .when(in_a)
        .then(pl.lit("only_a"))
        .when(in_b)
        .then(pl.lit("only_b"))
        .otherwise(pl.lit("neither"))
    )
    placed = images.select("image_id", "index_a", "index_b").with_row_index("place")
    frame = (
        joined.join(placed.with_columns(pl.col("place").cast(pl.Int64)), on="place")
        .sort("place", "true_index")
        .with_columns(found.alias("found"))
    )
    order = ("image_id", "index_a", "index_b", "true_index", "class", "class_a", "class_b", "found")
    return Disagreements(frame.select(order))

"""The images and objects that changed between two runs: which list, and the place in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import polars as pl

from snellen.serve.ui.compare_page.comparisons import Comparison
from snellen.serve.ui.run_page.overview import has_objects as run_has_objects

IMAGES, OBJECTS = "images", "objects"
KINDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    IMAGES: {
        "fixed": ("fixed", "A has an error, B has none"),
        "broken": ("broken", "A has none, B has an error"),
        "both_incorrect": ("wrong in both", "both have an error"),
        "both_correct": ("right in both", "neither has an error"),
    },
    OBJECTS: {
        "fixed": ("fixed", "missed by A, found by B"),
        "broken": ("broken", "found by A, missed by B"),
        "vanished_fp": ("false positives gone", "of A alone"),
        "new_fp": ("new false positives", "of B alone"),
    },
}
"""Kinds of changes of images and of objects, with title and meaning."""
TILES = 9
"""Tiles beside the image."""


@dataclass(frozen=True, slots=True)
class ChangeQuery:
    """The list of changes that a page shows; what makes no sense in a query is left out.

    Attributes:
        a, b: ids of the runs.
        unit: ``images`` or ``objects``.
        kind: of the change; empty for the first kind that has any.
        class_name: class of the ground truth or of the false positive; empty for all.
        place: in the list, from 1.
    """

    a: int
    b: int
    unit: str = IMAGES
    kind: str = ""
    class_name: str = ""
    place: int = 1

    @classmethod
    def of(cls, comparison: Comparison, query: Mapping[str, str]) -> ChangeQuery:
        """Read a query."""
        unit = OBJECTS if query.get("unit") == OBJECTS and has_objects(comparison) else IMAGES
        kind, place = query.get("change", ""), query.get("place", "")
        counts = comparison.found[unit]
        if kind not in KINDS[unit]:
            order = ("broken", "fixed", *KINDS[unit])
            kind = next((one for one in order if counts[one]["count"]), "broken")
        return cls(
            a=comparison.a.id,
            b=comparison.b.id,
            unit=unit,
            kind=kind,
            class_name=query.get("class", "")[:500],
            place=max(1, int(place)) if place.isdecimal() and len(place) < 10 else 1,
        )

    def address(self, **changes: Any) -> str:
        """Return the query of another list or place."""
        new = replace(self, **{"place": 1, **changes})
        values = {"a": new.a, "b": new.b, "unit": new.unit, "change": new.kind}
        values |= {"class": new.class_name} if new.class_name else {}
        values |= {"place": new.place} if new.place > 1 else {}
        return f"?{urlencode(values)}"


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """A list of changes, and where one is in it.

    Attributes:
        query: with a place that the list has.
        rows: all of the list, see `snellen.analysis.comparison.flips.Flips`.
    """

    query: ChangeQuery
    rows: pl.DataFrame

    @property
    def total(self) -> int:
        """Return the number of images or objects in the list."""
        return len(self.rows)

    @property
    def row(self) -> dict[str, Any]:
        """Return the image or object that is shown."""
        return self.rows.row(self.query.place - 1, named=True)

    @property
    def first(self) -> int:
        """Return the place of the first tile, from 1."""
        return (self.query.place - 1) // TILES * TILES + 1

    @property
    def tiles(self) -> list[dict[str, Any]]:
        """Return the images or objects of the tiles."""
        return self.rows.slice(self.first - 1, TILES).to_dicts()

    def at(self, place: int) -> str | None:
        """Return the query of a place; None outside of the list."""
        return self.query.address(place=place) if 1 <= place <= self.total else None


def has_objects(comparison: Comparison) -> bool:
    """Return True for runs of a task whose objects are matched."""
    return run_has_objects(comparison.a)


def read_changes(comparison: Comparison, query: ChangeQuery) -> Changes:
    """Select a list in the order of the images of B."""
    flips = comparison.flips
    frame = flips.objects if query.unit == OBJECTS else flips.images
    rows = frame.filter(pl.col("kind") == query.kind)
    if query.class_name:
        rows = rows.filter(pl.col("class") == query.class_name)
    rows = rows.sort("index_b", maintain_order=True)
    return Changes(replace(query, place=min(query.place, max(1, len(rows)))), rows)


def class_counts(comparison: Comparison) -> dict[str, dict[str, int]]:
    """Return the number of fixed and broken objects, or images, of each class."""
    flips = comparison.flips
    frame = flips.objects if has_objects(comparison) else flips.images
    counted = frame.filter(pl.col("kind").is_in(["fixed", "broken"])).group_by("class", "kind")
    found: dict[str, dict[str, int]] = {}
    for name, kind, count in counted.len().iter_rows():
        found.setdefault(name, {})[kind] = count
    return found

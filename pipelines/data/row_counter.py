"""Counter of the rows of a manifest, for the dataset report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from snellen.pipelines.data.report import EXAMPLES, Counted, DatasetReport, RowCounts


class RowCounter:
    """Counts the tables of a manifest as they are written; memory does not depend on their rows."""

    def __init__(self, classes: Sequence[str] | None) -> None:
        self._names = tuple(classes or ())
        self._counts = RowCounts(classes=dict.fromkeys(self._names, 0), sizes={"bytes": 0})
        self._objects = 0
        self._uncounted = 0

    def add(self, table: pa.Table) -> None:
        """Count the rows of a table of the manifest's schema."""
        self._counts.images += table.num_rows
        self._counts.sizes["bytes"] += pc.sum(table["size"]).as_py() or 0
        self._add_labels(table["label"])
        self._add_objects(table["true_boxes"])
        self._add_errors(table)
        for key, column in (("width", "label_width"), ("height", "label_height")):
            self._add_extremes(key, pc.min_max(table[column]).as_py())

    def finish(self, report: DatasetReport, excluded: frozenset[str]) -> None:
        """Hand the counts to a report.

        Args:
            report: of the listing.
            excluded: classes whose objects are not used.
        """
        for name in excluded:
            dropped = self._counts.classes.pop(name, 0)
            if dropped:
                report.ignore("excluded_class", dropped)
        if self._objects and self._objects == self._uncounted:
            report.warn(
                f"all {self._objects:,} objects are crowd regions or ignored, so that no ground "
                "truth counts and no metric is defined"
            )
        report.fill(self._counts)

    def _add_labels(self, labels: pa.ChunkedArray) -> None:
        for pair in pc.value_counts(labels.drop_null()).to_pylist():
            self._count_class(pair["values"], pair["counts"])

    def _add_objects(self, boxes: pa.ChunkedArray) -> None:
        for chunk in boxes.chunks:
            objects = chunk.flatten()
            for pair in pc.value_counts(objects.field("class_id")).to_pylist():
                self._count_class(self._name(pair["values"]), pair["counts"])
            self._objects += len(objects)
            left_out = pc.or_(
                pc.fill_null(objects.field("is_crowd"), False),
                pc.fill_null(objects.field("ignore"), False),
            )
            self._uncounted += pc.sum(left_out).as_py() or 0

    def _name(self, class_id: int | None) -> str:
        known = class_id is not None and 0 <= class_id < len(self._names)
        return self._names[class_id] if known and class_id is not None else f"#{class_id}"

    def _count_class(self, name: str, count: int) -> None:
        self._counts.classes[name] = self._counts.classes.get(name, 0) + count

    def _add_errors(self, table: pa.Table) -> None:
        errors = table["label_error"]
        if errors.null_count == len(errors):
            return
        wrong = table.select(["image_id", "label_error"]).filter(pc.is_valid(errors))
        codes = pc.list_element(pc.split_pattern(wrong["label_error"], ": ", max_splits=1), 0)
        for pair in pc.value_counts(codes).to_pylist():
            of_code = wrong["image_id"].filter(pc.equal(codes, pair["values"]))
            counted = self._counts.errors.setdefault(pair["values"], Counted())
            counted.add(pair["counts"], of_code.slice(0, EXAMPLES).to_pylist())

    def _add_extremes(self, key: str, found: dict[str, Any]) -> None:
        if found["min"] is None:
            return
        low, high = self._counts.sizes.get(key, (found["min"], found["max"]))
        self._counts.sizes[key] = [min(low, found["min"]), max(high, found["max"])]

"""The contract of a metric of a plugin.

A subclass has the fixtures ``metric`` and ``table``: result rows of the classes `NAMES`, with
failed ones among them.
"""

from __future__ import annotations

import pyarrow as pa
import pytest

from snellen.metrics.extra import ExtraMetric

NAMES = ("a", "b", "c")


class MetricContract:
    """Every metric passes these tests."""

    def test_it_reads_the_columns_that_it_declares(
        self, metric: ExtraMetric, table: pa.Table
    ) -> None:
        assert metric.tasks
        declared = table.select(list(metric.columns))
        assert metric.compute(metric.state(declared, NAMES)) == metric.compute(
            metric.state(table, NAMES)
        )

    @pytest.mark.parametrize("parts", [2, 3, 7])
    def test_every_partition_gives_the_same_value(
        self, metric: ExtraMetric, table: pa.Table, parts: int
    ) -> None:
        whole = metric.compute(metric.merge([metric.state(table, NAMES)]))
        size = -(-table.num_rows // parts)
        states = [metric.state(table.slice(n * size, size), NAMES) for n in range(parts)]
        assert metric.compute(metric.merge(states)) == whole
        nested = metric.merge([metric.merge(states[:1]), metric.merge(states[1:])])
        assert metric.compute(nested) == whole

    def test_values_are_numbers_or_none(self, metric: ExtraMetric, table: pa.Table) -> None:
        for rows in (table, table.slice(0, 0)):
            for key, value in metric.compute(metric.state(rows, NAMES)).items():
                assert isinstance(key, str)
                assert value is None or isinstance(value, float)

"""Units partition the images in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snellen.pipelines.planning.units import Unit, make_units, without


@given(st.integers(0, 5000), st.integers(1, 700))
def test_units_partition_the_images_in_order(total: int, unit_rows: int) -> None:
    units = make_units(total, unit_rows)
    assert [unit.unit_id for unit in units] == list(range(len(units)))
    assert [image for unit in units for image in range(unit.start, unit.stop)] == list(range(total))
    assert all(unit.rows == unit_rows for unit in units[:-1])


def test_without_keeps_order() -> None:
    units = make_units(10, 3)
    assert without(units, [2, 0, 99]) == [Unit(1, 3, 6), Unit(3, 9, 10)]
    assert without(units, iter(range(4))) == []

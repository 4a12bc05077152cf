"""Units: fixed, consecutive ranges of the manifest that are scheduled and resumed as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """Images ``start`` to ``stop`` (exclusive) of the manifest."""

    unit_id: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """The number of images."""
        return self.stop - self.start


def make_units(total: int, unit_rows: int) -> list[Unit]:
    """Split ``total`` images into units of ``unit_rows``; the last one may be shorter."""
    return [
        Unit(index, start, min(start + unit_rows, total))
        for index, start in enumerate(range(0, total, unit_rows))
    ]


def without(units: Sequence[Unit], done: Iterable[int]) -> list[Unit]:
    """Return the units whose id is not in ``done``, in order."""
    finished = set(done)
    return [unit for unit in units if unit.unit_id not in finished]

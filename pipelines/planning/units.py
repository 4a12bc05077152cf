"""Units: fixed, consecutive ranges of the manifest, the step of scheduling and of resume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """Images ``start`` to ``stop`` (excluded) of the manifest."""

    unit_id: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """Number of images."""
        return self.stop - self.start


def make_units(total: int, unit_rows: int) -> list[Unit]:
    """Cut ``total`` images into units of ``unit_rows``; the last one may be shorter."""
    return [
        Unit(index, start, min(start + unit_rows, total))
        for index, start in enumerate(range(0, total, unit_rows))
    ]


def without(units: Sequence[Unit], done: Iterable[int]) -> list[Unit]:
    """The units whose id is not in ``done``, in order."""
    finished = set(done)
    return [unit for unit in units if unit.unit_id not in finished]

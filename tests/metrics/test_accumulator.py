"""States are merged in order and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from snellen.metrics.accumulator import Accumulator


def test_states_are_merged_in_order_a_batch_at_a_time() -> None:
    sizes: list[int] = []

    def merge(states: Iterable[str]) -> str:
        parts = list(states)
        sizes.append(len(parts))
        return "".join(parts)

    total = Accumulator(merge, every=3)
    for part in "abcdefg":
        total.add(part)
    assert total.merged() == "abcdefg"
    assert max(sizes) == 3


def test_without_parts_there_is_no_state() -> None:
    with pytest.raises(ValueError, match="Expected at least one"):
        Accumulator[int](sum).merged()

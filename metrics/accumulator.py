"""Accumulate the states of many parts in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

State = TypeVar("State")


class Accumulator(Generic[State]):
    """The merged state of all parts added so far.

    States are merged in the order in which they are added, a batch at a time: merging copies
    what was accumulated before, so that merging after every part would take quadratic time.

    Example:
        >>> total = Accumulator(lambda states: sum(states), every=2)
        >>> for part in (1, 2, 3):
        ...     total.add(part)
        >>> total.merged()
        6
    """

    def __init__(self, merge: Callable[[Iterable[State]], State], every: int = 64) -> None:
        """Start without parts.

        Args:
            merge: merges at least one state, such as
                `snellen.metrics.record.TaskMetrics.merge`.
            every: maximum number of states that are held unmerged.
        """
        self._merge = merge
        self._every = every
        self._states: list[State] = []

    def add(self, state: State) -> None:
        """Add the state of the next part."""
        self._states.append(state)
        if len(self._states) >= self._every:
            self._states = [self._merge(self._states)]

    def merged(self) -> State:
        """Return the state of all parts.

        Raises:
            ValueError: no part was added.
        """
        if not self._states:
            raise ValueError("no parts were added. Expected at least one.")
        return self._merge(self._states)

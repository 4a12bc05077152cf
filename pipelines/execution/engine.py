"""The interface of engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.planning.plan import Plan
from snellen.pipelines.planning.units import Unit


class Engine(ABC):
    """Scores units in any order; the caller commits what it yields."""

    def __init__(self, spec: ScoringSpec, plan: Plan) -> None:
        self.spec = spec
        self.plan = plan

    @abstractmethod
    def score(self, units: Sequence[Unit]) -> Iterator[UnitOutcome]:
        """Yield an outcome per unit, in the order of completion.

        A unit whose worker died may be missing.
        """

    @abstractmethod
    def score_alone(self, unit: Unit) -> UnitOutcome:
        """Score a missing unit by itself and find the image that kills its worker."""

    @abstractmethod
    def stop(self) -> None:
        """Stop all work at once; only outcomes that were yielded count."""

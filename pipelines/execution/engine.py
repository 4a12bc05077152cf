"""What a run needs of an engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.planning.plan import Plan
from snellen.pipelines.planning.units import Unit


class Engine(ABC):
    """Scores units in any order; whoever calls it commits what it yields."""

    def __init__(self, spec: ScoringSpec, plan: Plan) -> None:
        self.spec = spec
        self.plan = plan

    @abstractmethod
    def score(self, units: Sequence[Unit]) -> Iterator[UnitOutcome]:
        """Yield one outcome a unit as they are done; a unit whose worker died may be missing."""

    @abstractmethod
    def score_alone(self, unit: Unit) -> UnitOutcome:
        """Score a missing unit by itself and find the image that kills its worker."""

    @abstractmethod
    def stop(self) -> None:
        """End all work at once; nothing that was not yielded counts."""

"""The outcome of a gate, its document and its exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from snellen.analysis.gate.rules import Rule


class GateVerdict(StrEnum):
    """The verdict of a rule or of the whole gate."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


EXIT_CODES = {GateVerdict.PASS: 0, GateVerdict.FAIL: 3, GateVerdict.INCONCLUSIVE: 4}


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """The outcome of one rule; one with ``class: "*"`` has an outcome per class.

    Attributes:
        rule: the rule.
        verdict: its verdict.
        observed: the value, or the difference from the baseline; None where there is none.
        limit: what it was compared with.
        interval: [low, high] of the observed value, or None.
        reason: one sentence for people.
        class_name: of a rule for every class.
    """

    rule: Rule
    verdict: GateVerdict
    observed: float | None
    limit: float
    interval: tuple[float, float] | None
    reason: str
    class_name: str | None = None

    @property
    def name(self) -> str:
        """The rule in words: ``recall of cat``, ``mAP50-95 where image_size is small``."""
        rule = self.rule
        if self.class_name is not None:
            return f"{rule.metric} of {self.class_name}"
        if rule.slice is not None:
            return f"{rule.metric} where {rule.slice.by} is {rule.slice.value}"
        return rule.metric

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the document."""
        written = self.rule.model_dump(mode="json", by_alias=True, exclude_unset=True)
        if self.class_name is not None:
            written["class"] = self.class_name
        return {
            "rule": written,
            "tier": self.rule.tier,
            "verdict": str(self.verdict),
            "observed": self.observed,
            "limit": self.limit,
            "interval": None if self.interval is None else list(self.interval),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """The outcome of all rules.

    Attributes:
        run, baseline: ``id``, ``name`` and ``revision`` of the runs; no baseline without a rule
            that needs one.
        rules: the outcomes, in the order of the file.
    """

    run: dict[str, Any]
    baseline: dict[str, Any] | None
    rules: tuple[RuleOutcome, ...]

    @property
    def verdict(self) -> GateVerdict:
        """Fail if a required rule fails; else inconclusive if one is; else pass."""
        return worst(outcome.verdict for outcome in self.rules if outcome.rule.tier == "required")

    def exit_code(self, *, allow_inconclusive: bool = False) -> int:
        """Return 0, 3 or 4."""
        if allow_inconclusive and self.verdict is GateVerdict.INCONCLUSIVE:
            return 0
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """Return the document that ``--json`` prints."""
        return {
            "verdict": str(self.verdict),
            "run": self.run,
            "baseline": self.baseline,
            "rules": [outcome.to_json() for outcome in self.rules],
        }


def worst(verdicts: Iterable[GateVerdict]) -> GateVerdict:
    """Return the worst of some verdicts; pass for none."""
    found: Sequence[GateVerdict] = list(verdicts)
    for verdict in (GateVerdict.FAIL, GateVerdict.INCONCLUSIVE):
        if verdict in found:
            return verdict
    return GateVerdict.PASS

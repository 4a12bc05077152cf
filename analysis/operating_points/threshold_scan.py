"""The metrics of a run at every confidence threshold, for all classes and for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from snellen.adapters.errors import ConfigError
from snellen.metrics.confidence_curve import ConfidenceCurve, Rule

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class ThresholdScan:
    """The predictions of a run at every threshold.

    Attributes:
        keys: metrics at a threshold, see `snellen.metrics.confidence_curve.RATIOS`; the first two
            can be required.
        best: metrics whose largest value can be asked for.
        whole: all predictions.
        classes: those of each class by name; empty where classes have no threshold of their own.
        count: from a curve and a threshold to the counts of a row.
        least: minimum confidence of the stored predictions; what a lower threshold counts is not
            known.
    """

    keys: tuple[str, ...]
    best: tuple[str, ...]
    whole: ConfidenceCurve
    classes: Mapping[str, ConfidenceCurve]
    count: Callable[[ConfidenceCurve, float], dict[str, int]]
    least: float = 0.0

    def row(self, threshold: float, name: str | None = None) -> Row:
        """Return the metrics and counts at a threshold, of all classes or of one."""
        curve = self.whole if name is None else self.classes[name]
        values = {key: curve.value(key, threshold) for key in self.keys}
        return {"confidence": threshold, **values, **self.count(curve, threshold)}

    def check_rule(self, rule: Rule, *, per_class: bool) -> None:
        """Reject a rule that does not apply to the task.

        Raises:
            ConfigError: THRESHOLD_RULE.
        """
        known = self.best if rule.least is None else self.keys[:2]
        if rule.key not in known or (per_class and not self.classes):
            asked = "--per-class" if rule.key in known else f"the rule '{rule}'"
            expected = [f"--best {key}" for key in self.best]
            expected += [f"--{key} VALUE" for key in self.keys[:2]]
            raise ConfigError(
                "THRESHOLD_RULE",
                f"{asked} does not apply to the task of this run. Expected "
                f"{' or '.join(expected)}{'' if self.classes else ', for all classes together'}.",
            )


def detected_counts(curve: ConfidenceCurve, threshold: float) -> dict[str, int]:
    """Return the true positives, false positives and missed objects at a threshold."""
    right, made = curve.counts(threshold)
    return {"tp": right, "fp": made - right, "fn": curve.total - right}


def kept_counts(curve: ConfidenceCurve, threshold: float) -> dict[str, int]:
    """Return the images that a rejection threshold keeps, and the correct ones among them."""
    right, made = curve.counts(threshold)
    return {"kept": made, "correct": right, "rejected": curve.total - made}

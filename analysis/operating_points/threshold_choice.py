"""The choice of a confidence threshold by a rule, for all classes together or for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snellen.adapters.errors import InputError
from snellen.analysis.operating_points.threshold_scan import ThresholdScan
from snellen.analysis.reader import completed_owner, open_results
from snellen.analysis.record import RunFiles
from snellen.analysis.tasks import task_of
from snellen.metrics.classification.confusion import unique_names
from snellen.metrics.confidence_curve import Rule, choose_threshold
from snellen.store.sql.database import Database
from snellen.store.views import RunView

LISTED = tuple(step / 20 for step in range(1, 20))
"""Thresholds of the list: 0.05 to 0.95."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The thresholds that a rule chooses.

    Attributes:
        rule: the rule.
        default: the threshold of all classes together; None if none meets the rule.
        classes: of each class with objects, by name, None likewise; empty unless asked for.
        without_objects: classes that have no objects, and take the threshold of all classes.
    """

    rule: Rule
    default: float | None
    classes: Mapping[str, float | None] = field(default_factory=dict)
    without_objects: tuple[str, ...] = ()

    @property
    def unmet(self) -> list[str]:
        """Names of the classes, or ``all classes``, for which no threshold meets the rule."""
        if not self.classes:
            return ["all classes"] if self.default is None else []
        return [name for name, value in self.classes.items() if value is None]

    def setting(self) -> float | dict[str, float]:
        """Return the value of ``metrics.operating_confidence``.

        Raises:
            InputError: THRESHOLD_UNMET, no threshold meets the rule, of some class.
        """
        if self.unmet:
            shown = ", ".join(self.unmet[:5]) + (", ..." if len(self.unmet) > 5 else "")
            raise InputError(
                "THRESHOLD_UNMET",
                f"no threshold meets {self.rule} for {shown}. Expected one that some threshold "
                "reaches. List what they reach: snellen threshold RUN --per-class",
            )
        assert self.default is not None or self.classes, "a rule is met or unmet"
        if not self.classes:
            return float(self.default or 0.0)
        named = {name: value for name, value in self.classes.items() if value is not None}
        # without a threshold for all classes, the strictest one is the safe default
        default = max(named.values()) if self.default is None else self.default
        return {"default": default, **named}


def scan_run(db: Database, run: RunView) -> ThresholdScan:
    """Read the result files of a run and count its predictions at every threshold.

    Raises:
        InputError: RUN_NOT_COMPLETED.
    """
    files = files_of(db, run)
    return task_of(files.owner.task_type).thresholds(files)


def files_of(db: Database, run: RunView) -> RunFiles:
    """Open the result files of a run.

    Raises:
        InputError: RUN_NOT_COMPLETED.
    """
    owner = completed_owner(db, run)
    names = unique_names(owner.class_names or ())
    return RunFiles(run, owner, open_results(db, run), list(names))


def choose(scan: ThresholdScan, rule: Rule, *, per_class: bool = False) -> Choice:
    """Choose a threshold for all classes together, and one for each class if asked.

    Raises:
        ConfigError: THRESHOLD_RULE, the rule does not apply to the task.
    """
    scan.check_rule(rule, per_class=per_class)
    default = choose_threshold(scan.whole, rule)
    if not per_class:
        return Choice(rule, default)
    present = {name: curve for name, curve in scan.classes.items() if curve.total}
    chosen = {name: choose_threshold(curve, rule) for name, curve in present.items()}
    absent = tuple(name for name in scan.classes if name not in present)
    return Choice(rule, default, chosen, absent)


def scan_document(
    run: RunView, scan: ThresholdScan, choice: Choice | None, *, per_class: bool
) -> dict[str, Any]:
    """Return the document of a list of thresholds, and of the choice.

    Returns:
        ``id``, ``name``, ``task_type``, ``thresholds`` (rows of all classes), ``classes`` (rows by
        class name, with ``per_class``) and ``chosen``: ``rule``, ``all`` and ``classes`` with the
        row at each chosen threshold, null where none meets the rule.
    """
    listed = [threshold for threshold in LISTED if threshold >= scan.least]
    document: dict[str, Any] = {
        "id": run.id,
        "name": run.name,
        "task_type": run.task_type,
        "thresholds": [scan.row(threshold) for threshold in listed],
        "classes": {
            name: [scan.row(threshold, name) for threshold in listed]
            for name in (scan.classes if per_class else ())
        },
        "chosen": None,
    }
    if choice is not None:
        document["chosen"] = {
            "rule": str(choice.rule),
            "all": None if choice.default is None else scan.row(choice.default),
            "classes": {
                name: None if value is None else scan.row(value, name)
                for name, value in choice.classes.items()
            },
            "without_objects": list(choice.without_objects),
        }
    return document

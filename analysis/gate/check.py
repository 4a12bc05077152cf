"""Check the rules of a gate on a finished run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.plugins import nearest
from snellen.analysis.comparison.compare import rows_of
from snellen.analysis.comparison.pairing import Pair, pair_runs
from snellen.analysis.comparison.rows import Judgement, Row, judged
from snellen.analysis.gate.outcome import GateOutcome, GateVerdict, RuleOutcome
from snellen.analysis.gate.regroup import regrouped
from snellen.analysis.gate.rules import Rule
from snellen.analysis.reader import completed_owner
from snellen.analysis.slices import slice_run
from snellen.analysis.tasks import task_of
from snellen.metrics.comparison.verdict import Verdict
from snellen.metrics.statistics.draws import blocks_of
from snellen.store.sql.database import Database
from snellen.store.views import RunView

EVERY_CLASS = "*"
_VERDICTS = {Verdict.WORSE: GateVerdict.FAIL, Verdict.NOT_SETTLED: GateVerdict.INCONCLUSIVE}
_CHANGES = ("only_in_a", "only_in_b", "other_content", "other_ground_truth")
_PER_CLASS = {"AP50-95": "AP"}
"""Metric of a rule -> key in ``per_class_metrics``, where they differ."""


@dataclass(frozen=True, eq=False)
class Gate:
    """A run and its baseline, read once for all rules.

    Attributes:
        db: the open database.
        run: the run to check.
        pair: the baseline (A) and the run (B) on the same images; None without a baseline.
    """

    db: Database
    run: RunView
    pair: Pair | None
    _rows: dict[str, list[Row]] = field(default_factory=dict)
    _slices: dict[str, dict[str, Any]] = field(default_factory=dict)

    def check(self, rule: Rule) -> Iterator[RuleOutcome]:
        """Check a rule; one for every class has an outcome per class.

        Raises:
            ConfigError: GATE_METRIC, GATE_CLASS or GATE_SLICE, which the run does not have;
                GATE_BASELINE, the rule needs one.
        """
        if rule.is_paired:
            yield from self._paired(rule)
        elif rule.class_name is not None:
            for name, values in self._classes(rule):
                value = values.get(_PER_CLASS.get(rule.metric, rule.metric))
                interval = values.get(f"{rule.metric}_interval")
                yield _absolute(rule, value, interval, name)
        else:
            metrics, intervals = self._metrics(rule)
            yield _absolute(rule, _value(metrics, rule.metric), intervals.get(rule.metric))

    def _metrics(self, rule: Rule) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        if rule.slice is None:
            return self.run.metrics or {}, self.run.intervals or {}
        by, value = rule.slice.by, rule.slice.value
        if by not in self._slices:
            self._slices[by] = slice_run(self.db, self.run, by)["slices"]
        found = self._slices[by]
        if value not in found:
            raise _unknown("GATE_SLICE", f"no slice '{value}' of {by}", value, list(found))
        return found[value]["metrics"], found[value]["intervals"] or {}

    def _classes(self, rule: Rule) -> list[tuple[str, Mapping[str, Any]]]:
        classes = self.run.per_class_metrics or {}
        key = _PER_CLASS.get(rule.metric, rule.metric)
        keys = sorted({name for values in classes.values() for name in values})
        if key not in keys:
            raise _unknown("GATE_METRIC", f"no metric '{rule.metric}' of classes", key, keys)
        if rule.class_name == EVERY_CLASS:
            # As in a comparison, a class without ground truth has no outcome.
            return [one for one in classes.items() if one[1].get("support")] or [*classes.items()]
        if rule.class_name not in classes:
            name = str(rule.class_name)
            raise _unknown("GATE_CLASS", f"no class '{name}'", name, list(classes))
        return [(str(rule.class_name), classes[str(rule.class_name)])]

    def _paired(self, rule: Rule) -> Iterator[RuleOutcome]:
        if self.pair is None:
            raise ConfigError(
                "GATE_BASELINE",
                f"the rule on {rule.metric} has max_drop, and there is no baseline. Expected one. "
                "Add --baseline RUN, for example a tag.",
            )
        pair = self.pair
        if rule.slice is not None:
            names = pair.slices(rule.slice.by)
            if rule.slice.value not in names:
                raise _unknown(
                    "GATE_SLICE", f"no slice '{rule.slice.value}' of {rule.slice.by}",
                    rule.slice.value, sorted(set(names)),
                )  # fmt: skip
            pair = pair.where([name == rule.slice.value for name in names])
            rows = rows_of(pair)
        else:
            rows = self._read(of_classes=rule.class_name is not None)
        chosen = _chosen(rule, rows)
        blocks = blocks_of(pair.images["group"].to_list())
        for row in chosen:
            yield _compared(rule, row, chosen, blocks.groups, settled=not pair.one_sided)

    def _read(self, *, of_classes: bool) -> list[Row]:
        assert self.pair is not None
        key = "classes" if of_classes else "metrics"
        if key not in self._rows:
            blocks = blocks_of(self.pair.images["group"].to_list())
            read = task_of(self.run.task_type).compare(self.pair, blocks)
            self._rows[key] = read.class_rows() if of_classes else read.metric_rows()
        return self._rows[key]


def check_gate(
    db: Database,
    run: RunView,
    rules: Sequence[Rule],
    baseline: RunView | None = None,
    *,
    group: str | None = None,
) -> GateOutcome:
    """Check every rule on a finished run.

    Args:
        db: the open database.
        run: the run to check.
        rules: the rules.
        baseline: the run that ``max_drop`` compares with.
        group: metadata column of dependent images; None for the ``metrics.group`` of the runs.

    Raises:
        InputError: RUN_NOT_COMPLETED; GATE_DATASET_CHANGED, the baseline was not measured on the
            same images with the same ground truth; COMPARE_TASK and others of `pair_runs`.
        ConfigError: a rule that does not fit the run; see `Gate.check`.
    """
    completed_owner(db, run)
    if group is not None and any(rule.confident for rule in rules):
        run = regrouped(db, run, group)
    pair = None
    if baseline is not None:
        pair = pair_runs(db, (baseline, run), group)
        _check_same_dataset(pair)
    gate = Gate(db, run, pair)
    outcomes = tuple(outcome for rule in rules for outcome in gate.check(rule))
    return GateOutcome(_named(run), None if baseline is None else _named(baseline), outcomes)


def _check_same_dataset(pair: Pair) -> None:
    changed = {reason: pair.left_out[reason] for reason in _CHANGES if reason in pair.left_out}
    if changed:
        listed = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in changed.items())
        raise InputError(
            "GATE_DATASET_CHANGED",
            f"the dataset of run {pair.b.run.id} is not that of the baseline {pair.a.run.id} "
            f"({listed}; A is the baseline). Expected the same images with the same ground truth. "
            "Evaluate the baseline on the dataset of today and move its tag.",
        )


def _named(run: RunView) -> dict[str, Any]:
    return {"id": run.id, "name": run.name, "revision": run.revision}


def _value(metrics: Mapping[str, Any], key: str) -> float | None:
    if key not in metrics:
        raise _unknown("GATE_METRIC", f"no metric '{key}'", key, list(metrics))
    value = metrics[key]
    return None if value is None else float(value)


def _absolute(
    rule: Rule, value: float | None, interval: Any, class_name: str | None = None
) -> RuleOutcome:
    """Judge a value, or its whole interval, by min or max."""
    lower = rule.min is not None
    limit = float(rule.min if lower else rule.max)  # type: ignore[arg-type]
    bounds = None if interval is None else (float(interval[0]), float(interval[1]))

    def outcome(verdict: GateVerdict, reason: str) -> RuleOutcome:
        return RuleOutcome(rule, verdict, value, limit, bounds, reason, class_name)

    wanted = f"{'at least' if lower else 'at most'} {limit:g}"
    if value is None:
        return outcome(GateVerdict.INCONCLUSIVE, f"not defined; expected {wanted}")
    if not rule.confident:
        good = value >= limit if lower else value <= limit
        return outcome(
            GateVerdict.PASS if good else GateVerdict.FAIL, f"{value:.4f}; expected {wanted}"
        )
    if bounds is None:
        return outcome(GateVerdict.INCONCLUSIVE, f"{value:.4f} has no interval")
    low, high = bounds
    text = f"{value:.4f} ({low:.4f} to {high:.4f}); expected {wanted} with confidence"
    if (low >= limit) if lower else (high <= limit):
        return outcome(GateVerdict.PASS, text)
    if (high < limit) if lower else (low > limit):
        return outcome(GateVerdict.FAIL, text)
    return outcome(GateVerdict.INCONCLUSIVE, text)


def _chosen(rule: Rule, rows: Sequence[Row]) -> list[Row]:
    found = [row for row in rows if row.key == rule.metric]
    if not found:
        keys = list(dict.fromkeys(row.key for row in rows))
        raise _unknown("GATE_METRIC", f"no paired metric '{rule.metric}'", rule.metric, keys)
    if rule.class_name in (None, EVERY_CLASS):
        return found
    chosen = [row for row in found if row.class_name == rule.class_name]
    if not chosen:
        names = [str(row.class_name) for row in found]
        name = str(rule.class_name)
        raise _unknown("GATE_CLASS", f"no class '{name}' with ground truth", name, names)
    return chosen


def _compared(
    rule: Rule, row: Row, family: Sequence[Row], units: int, *, settled: bool
) -> RuleOutcome:
    """Judge a difference: worse fails, not settled is inconclusive, everything else passes."""
    limit = float(rule.max_drop or 0.0)
    if rule.relative:
        limit *= abs(row.a or 0.0)
    if row.difference is None:
        reason = "not defined in both runs"
        return RuleOutcome(
            rule, GateVerdict.INCONCLUSIVE, None, -limit, None, reason, row.class_name
        )
    judgement = Judgement(limit, units, settled)
    rows = judged(family, judgement, need_q=len(family) > 1)
    verdict = next(one.verdict for one in rows if one.class_name == row.class_name)
    found = row.difference
    bounds = found.interval
    within = "no interval" if bounds is None else f"{bounds[0]:+.4f} to {bounds[1]:+.4f}"
    reason = (
        f"{found.value:+.4f} ({within}) from {row.a:.4f}; "
        f"accepted {'rise' if row.lower_is_better else 'drop'} {limit:g}: "
        f"{str(verdict).replace('_', ' ')}"
    )
    return RuleOutcome(
        rule,
        _VERDICTS.get(verdict, GateVerdict.PASS),
        found.value,
        limit if row.lower_is_better else -limit,
        bounds,
        reason,
        row.class_name,
    )


def _unknown(code: str, what: str, wrong: str, known: Sequence[str]) -> ConfigError:
    listed = ", ".join(known[:20]) + (" ..." if len(known) > 20 else "")
    return ConfigError(
        code, f"the run has {what}. Expected one of {listed or 'them, but there are none'}"
        f"{nearest(wrong, list(known)) or '.'}"
    )  # fmt: skip

"""The rows of a comparison: a metric of both runs, its difference and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snellen.metrics.comparison.corrections import benjamini_hochberg, holm
from snellen.metrics.comparison.verdict import (
    ALPHA,
    Difference,
    Verdict,
    images_needed,
    verdict_of,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A metric in both runs.

    Attributes:
        key: the metric.
        a, b: its values; None where it is not defined.
        difference: B - A with interval and test; None where either value is.
        class_name: of a class's row.
        slice_name: ``by`` and ``value`` of a slice's row.
        lower_is_better: a smaller value is better, as for a loss.
        q: p corrected for the rows of the family.
        p_holm: p corrected for the number of runs that are compared with A; None for one.
        verdict: the verdict about B.
        needed: further images that would settle it; only where it is not settled.
    """

    key: str
    a: float | None
    b: float | None
    difference: Difference | None
    class_name: str | None = None
    slice_name: tuple[str, str] | None = None
    lower_is_better: bool = False
    q: float | None = None
    p_holm: float | None = None
    verdict: Verdict = Verdict.NOT_SETTLED
    needed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row of the document."""
        found = self.difference
        interval = found and found.interval
        named: dict[str, Any] = {}
        if self.class_name is not None:
            named["class"] = self.class_name
        if self.slice_name is not None:
            named["slice"] = dict(zip(("by", "value"), self.slice_name, strict=True))
        return {
            "key": self.key,
            **named,
            "a": self.a,
            "b": self.b,
            "difference": found and found.value,
            "interval": interval and list(interval),
            "p": found and found.p,
            "q": self.q,
            "p_holm": self.p_holm,
            "verdict": str(self.verdict),
            "images_needed": self.needed,
            "detectable": found.detectable if found and interval else None,
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """How differences are judged.

    Attributes:
        tolerance: loss that is accepted, at least 0.
        units: number of images, or of groups, that the intervals are based on.
        settled: False where too many images were scored in one run only.
    """

    tolerance: float
    units: int
    settled: bool = True


def judged(rows: Sequence[Row], judgement: Judgement, *, need_q: bool) -> list[Row]:
    """Correct the p-values of a family of rows and give each its verdict.

    Args:
        rows: of one family: the metrics, or the classes.
        judgement: how they are judged.
        need_q: better and worse need a corrected p below 0.05, too. A ``p_holm`` of a row they
            always need.
    """
    known = [row for row in rows if row.difference is not None]
    q_values = iter(
        benjamini_hochberg([row.difference.p for row in known if row.difference is not None])
    )
    found = []
    for row in rows:
        if row.difference is None:
            found.append(row)
            continue
        q = next(q_values)
        oriented = _oriented(row.difference) if row.lower_is_better else row.difference
        needed_p = [p for p in (q if need_q else None, row.p_holm) if p is not None]
        verdict = verdict_of(oriented, judgement.tolerance, q=max(needed_p, default=None))
        if not judgement.settled:
            verdict = Verdict.NOT_SETTLED
        needed = None
        if verdict is Verdict.NOT_SETTLED:
            needed = images_needed(oriented, judgement.units, judgement.tolerance)
        found.append(replace(row, q=q, verdict=verdict, needed=needed))
    return found


def held(families: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """Correct the p-values of each metric for the number of runs that are compared with A.

    Args:
        families: the rows of the metrics of each comparison; one alone is not corrected.

    Returns:
        The rows with ``p_holm``, by Holm's method over the comparisons that have the metric.
    """
    if len(families) < 2:
        return [list(rows) for rows in families]
    p_values: dict[str, list[float]] = {}
    for rows in families:
        for row in rows:
            if row.difference is not None:
                p_values.setdefault(row.key, []).append(row.difference.p)
    corrected = {key: iter(holm(values)) for key, values in p_values.items()}
    return [
        [
            row if row.difference is None else replace(row, p_holm=next(corrected[row.key]))
            for row in rows
        ]
        for rows in families
    ]


def _oriented(difference: Difference) -> Difference:
    """Return the difference with its sign turned, so that more is better."""
    return Difference(-difference.value, -difference.high, -difference.low, difference.p)


def units_of(found: Mapping[str, Any]) -> str:
    """Return what a comparison counts: images, or groups of dependent images."""
    return "groups" if found["group"] else "images"


def contradiction(row: dict[str, Any]) -> str | None:
    """Return a sentence if the test does not confirm an interval without 0; None otherwise.

    Args:
        row: of the document, see `Row.to_json`.
    """
    interval = row["interval"]
    p = row["p"] if row["p_holm"] is None else row["p_holm"]
    if row["verdict"] != Verdict.NOT_SETTLED or interval is None or p < ALPHA:
        return None
    if interval[0] <= 0 <= interval[1]:
        return None
    return f"The interval excludes 0, but the test does not reject equal models (p = {p:.3f})."

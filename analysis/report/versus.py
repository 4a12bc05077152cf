"""The comparison section of a report: the run, B, against another one, A."""

from __future__ import annotations

from typing import Any

from snellen.analysis.comparison.compare import CompareSettings, compare_runs
from snellen.analysis.comparison.rows import contradiction, units_of
from snellen.analysis.report.numbers import metric_name
from snellen.store.sql.database import Database
from snellen.store.views import RunView

Document = dict[str, Any]
VERDICTS = {
    "better": "B is better",
    "worse": "B is worse",
    "equivalent": "A and B are equivalent",
    "not_worse": "B is not worse",
    "not_settled": "Not settled",
}
CHANGES = {
    "fixed": ("fixed", "A has an error, B has none"),
    "broken": ("broken", "A has none, B has an error"),
    "both_incorrect": ("wrong in both", "both have an error"),
    "both_correct": ("right in both", "neither has an error"),
}
_KINDS = {"better": "better", "worse": "worse"}
_CLASSES_SHOWN = 60


def versus(
    db: Database, base: RunView, run: RunView, settings: CompareSettings | None = None
) -> Document:
    """Compare a run with a base for people.

    Raises:
        InputError: COMPARE_TASK, COMPARE_NOTHING and others of `compare_runs`.
    """
    found = compare_runs(db, [base, run], settings)
    rows, classes = found["metrics"], found["classes"]
    ranked = sorted(classes, key=lambda row: -(row["difference"] or 0))
    half = _CLASSES_SHOWN // 2
    ruler = _placed([found["primary"]], "key")
    shown = ranked if len(ranked) <= _CLASSES_SHOWN else [*ranked[:half], *ranked[-half:]]
    return {
        **found,
        "kind": _KINDS.get(found["verdict"], "noise"),
        "title": VERDICTS[found["verdict"]],
        "units": units_of(found),
        "doubt": contradiction(found["primary"]),
        "worse_classes": [row for row in classes if row["verdict"] == "worse"],
        "metric_rows": _placed(rows, "key"),
        "class_rows": _placed(shown, "class"),
        "slice_rows": _placed(
            [{**row, "title": row["slice"]["value"]} for row in found["slices"]], "title"
        ),
        "hidden_classes": len(ranked) - len(shown),
        "ruler": ruler["rows"][0],
        "reach": ruler["reach"],
        "changes": [
            {
                "kind": kind,
                "count": found["images"][kind]["count"],
                "title": title,
                "meaning": meaning,
            }
            for kind, (title, meaning) in CHANGES.items()
        ],
    }


def _placed(rows: list[Document], name: str) -> Document:
    """Return rows with the places of their intervals on a common axis of 100, 0 in the middle."""
    ends = [abs(value) for row in rows for value in (row["interval"] or ())]
    reach = _rounded(max([*ends, 0.001]))
    shown = []
    for row in rows:
        place: Document = {"place": None}
        if row["interval"] is not None:
            values = (*row["interval"], row["difference"])
            place["place"] = [round(50 + 50 * value / reach, 2) for value in values]
        kind = {"better": "up", "worse": "down"}.get(row["verdict"], "noise")
        title = metric_name(str(row[name])) if name == "key" else str(row[name])
        shown.append({**row, **place, "name": title, "kind": kind})
    return {"rows": shown, "reach": reach}


def _rounded(value: float) -> float:
    """Round up to one digit, so that the ends of an axis are short."""
    digit = 10.0 ** _exponent(value)
    steps = -(-value // digit)
    return round(steps * digit, 6)


def _exponent(value: float) -> int:
    import math

    return math.floor(math.log10(value))

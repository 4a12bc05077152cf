"""Printing of plans: the resolved settings of a run that has not started."""

from __future__ import annotations

from typing import Any

from snellen.cli.output import show


def print_plan(found: dict[str, Any], *, as_json: bool) -> None:
    """Print the plan of a test run or an inference job."""
    from snellen.cli.dataset_tables import report_table
    from snellen.cli.results.tables import plan_table

    show(
        found,
        lambda: [plan_table(found), report_table(found["dataset_report"])],
        as_json=as_json,
    )

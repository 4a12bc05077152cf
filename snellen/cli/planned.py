"""Printing of plans: the resolved settings of a run that has not started."""

from __future__ import annotations

from typing import Any

from snellen.cli.output import print_json, stdout_console


def print_plan(found: dict[str, Any], *, as_json: bool) -> None:
    """Print the plan of a test run or an inference job."""
    if as_json:
        print_json(found)
        return
    from snellen.cli.results.tables import plan_table

    stdout_console().print(plan_table(found))

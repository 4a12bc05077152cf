"""Printing of verification results, for test runs and inference jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from snellen.cli.output import print_json, stderr_console, stdout_console

if TYPE_CHECKING:
    from snellen.store.parquet.unit_files import UnitProblem


def print_verified(
    what: str, number: int, checked: int, problems: Sequence[UnitProblem], *, as_json: bool
) -> None:
    """Print the files that differ from the ledger.

    Args:
        what: ``run`` or ``inference job``.
        number: id of the run or job.
        checked: number of files that were hashed.
        problems: files that are missing, truncated or changed.
        as_json: print a JSON document.

    Raises:
        typer.Exit: with code 1 if any file differs.
    """
    if as_json:
        listed = [{"unit_id": p.unit_id, "file": p.file, "problem": p.problem} for p in problems]
        print_json({"id": number, "files": checked, "ok": not problems, "problems": listed})
    elif not problems:
        files = "1 file matches" if checked == 1 else f"all {checked} files match"
        stdout_console().print(f"{what} {number}: {files} the ledger")
    else:
        for problem in problems:
            stdout_console().print(f"{problem.file}: {problem.problem}")
        again = "resume" if what == "run" else "predict --resume"
        stderr_console().print(
            f"{len(problems)} of {checked} files are damaged. To score only their units again: "
            f"snellen {again} {number}",
            soft_wrap=True,
        )
    if problems:
        raise typer.Exit(1)

"""What comes of hashing committed files again, for runs and for inference jobs."""

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
    """Print what differs. Raises typer.Exit(1) where anything does.

    Args:
        what: ``run`` or ``inference job``.
        number: its id.
        checked: files that were hashed.
        problems: what differs from the ledger.
        as_json: print a document.
    """
    if as_json:
        listed = [{"unit_id": p.unit_id, "file": p.file, "problem": p.problem} for p in problems]
        print_json({"id": number, "files": checked, "ok": not problems, "problems": listed})
    elif not problems:
        stdout_console().print(f"{what} {number}: {checked} files are as they were committed")
    else:
        for problem in problems:
            stdout_console().print(f"{problem.file}: {problem.problem}")
        again = "resume" if what == "run" else "predict --resume"
        stderr_console().print(
            f"{len(problems)} of {checked} files are damaged; `snellen {again} {number}` makes "
            "them again, and only them."
        )
    if problems:
        raise typer.Exit(1)

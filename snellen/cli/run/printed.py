"""Printing of a finished test run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snellen.cli.output import show, stderr_console

if TYPE_CHECKING:
    from snellen.store.views import RunView


def print_run(run: RunView, database: str | None, *, as_json: bool) -> None:
    """Print the metrics of a finished run, and what to look at next."""
    from snellen.analysis.documents import run_document
    from snellen.analysis.tasks import task_of
    from snellen.cli.results.tables import run_tables
    from snellen.store.sql.database import Database

    db = Database.open(database, create=False)
    try:
        document = run_document(run, db)
    finally:
        db.close()
    show(document, lambda: run_tables(document), as_json=as_json)
    if as_json:
        return
    order = task_of(run.task_type).worst_first
    stderr_console().print(
        f"Files: {document['results_dir']}\n"
        f"Next:  snellen images {run.id} --incorrect --sort {order} --desc\n"
        f"       snellen show {run.id} --per-class"
    )

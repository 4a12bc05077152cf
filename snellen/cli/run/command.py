"""``eval``, ``resume`` and ``plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    JsonOption,
    OverridesArgument,
)
from snellen.cli.output import print_json, stderr_console, stdout_console
from snellen.cli.planned import print_plan
from snellen.cli.progress import make_reporter

if TYPE_CHECKING:
    from snellen.store.views import RunView

ConfigArgument = Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file.")]


def eval_command(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Evaluate a checkpoint on labelled images: a test run with metrics and a row an image."""
    with make_reporter(debug=debug) as reporter:
        reporter.status("reading the configuration")
        from snellen.pipelines.config.loader import load_config
        from snellen.pipelines.runs.runner import TestRunner

        parsed = load_config(config, overrides or [])
        run = TestRunner(parsed, database=database, reporter=reporter).run_test()
    _print_run(run, database or parsed.database, as_json=as_json)


def resume_command(
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="Id, name or 'latest'.")] = "latest",
    overrides: OverridesArgument = None,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Go on with a run that was interrupted or failed; what is committed is not done again."""
    words = list(overrides or [])
    if "=" in run:
        run, words = "latest", [run, *words]
    with make_reporter(debug=debug) as reporter:
        reporter.status("reading the run")
        from snellen.pipelines.runs.runner import TestRunner

        finished = TestRunner(database=database, reporter=reporter).resume(run, words)
    _print_run(finished, database, as_json=as_json)


def plan_command(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Say what `eval` would do, and why, without doing it."""
    with make_reporter(debug=debug) as reporter:
        reporter.status("reading the configuration")
        from snellen.pipelines.config.loader import load_config
        from snellen.pipelines.runs.runner import TestRunner

        parsed = load_config(config, overrides or [])
        found = TestRunner(parsed, database=database, reporter=reporter).plan_test()
    print_plan(found, as_json=as_json)


def _print_run(run: RunView, database: str | None, *, as_json: bool) -> None:
    from snellen.analysis.documents import run_document
    from snellen.cli.results.tables import run_tables
    from snellen.store.sql.database import Database

    db = Database.open(database, create=False)
    try:
        document = run_document(run, db)
    finally:
        db.close()
    if as_json:
        print_json(document)
        return
    for table in run_tables(document):
        stdout_console().print(table)
    order = "confidence" if run.task_type == "image_classification" else "fn"
    stderr_console().print(
        f"Files: {document['results_dir']}\n"
        f"Next:  snellen images {run.id} --incorrect --sort {order} --desc\n"
        f"       snellen show {run.id} --per-class"
    )

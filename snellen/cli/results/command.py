"""``runs``, ``show``, ``images``, ``rescore``, ``slices`` and ``verify``: stored results."""

from __future__ import annotations

from typing import Annotated

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    JsonOption,
    LimitOption,
    OffsetOption,
    OverridesArgument,
    RunArgument,
    one_of,
    open_database,
    open_run,
)
from snellen.cli.output import print_json, stdout_console
from snellen.cli.progress import make_reporter
from snellen.cli.verified import print_verified


def _run_statuses() -> tuple[str, ...]:
    from snellen.store.sql.models import STATUSES

    return STATUSES


def _image_statuses() -> tuple[str, ...]:
    from snellen.adapters.types import ImageStatus

    return tuple(ImageStatus)


def runs_command(
    status: Annotated[
        str | None,
        typer.Option(
            callback=one_of(_run_statuses),
            help="pending, running, completed, failed, interrupted or cancelled.",
        ),
    ] = None,
    job: Annotated[str | None, typer.Option(help="Only runs of this training job.")] = None,
    limit: LimitOption = 50,
    offset: OffsetOption = 0,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """List test runs, newest first."""
    from snellen.analysis.documents import run_document
    from snellen.store.jobs import get_training_job
    from snellen.store.runs import list_test_runs

    db = open_database(database)
    job_id = get_training_job(db, job).id if job is not None else None
    found = list_test_runs(db, status=status, training_job_id=job_id, limit=limit, offset=offset)
    documents = [run_document(run) for run in found]
    if as_json:
        print_json(documents)
        return
    from snellen.cli.results.tables import runs_table

    stdout_console().print(runs_table(documents))


def show_command(
    run: RunArgument,
    per_class: Annotated[bool, typer.Option("--per-class", help="Also every class.")] = False,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Also the confusion matrix.")
    ] = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Show one run: metrics with their intervals, classes, what it was made of."""
    from snellen.analysis.documents import run_document

    db, found = open_run(database, run)
    document = run_document(found, db)
    if as_json:
        print_json(document)
        return
    from snellen.cli.results.tables import run_tables

    for table in run_tables(document, per_class=per_class, confusion=confusion, details=True):
        stdout_console().print(table)


def images_command(
    run: RunArgument,
    true_class: Annotated[
        str | None, typer.Option("--class", help="Images with this true class, by name.")
    ] = None,
    predicted: Annotated[str | None, typer.Option(help="With this predicted class.")] = None,
    correct: Annotated[
        bool | None, typer.Option("--correct/--incorrect", help="Only right or only wrong ones.")
    ] = None,
    min_confidence: Annotated[float | None, typer.Option(help="At least, inclusive.")] = None,
    max_confidence: Annotated[float | None, typer.Option(help="At most, inclusive.")] = None,
    status: Annotated[
        str | None, typer.Option(callback=one_of(_image_statuses), help="ok or failed.")
    ] = None,
    error_code: Annotated[str | None, typer.Option(help="Such as TRUNCATED.")] = None,
    sort: Annotated[str, typer.Option(help="Column to sort by.")] = "image_index",
    desc: Annotated[bool, typer.Option("--desc", help="Largest first.")] = False,
    limit: LimitOption = 20,
    offset: OffsetOption = 0,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """List the images of a run: filter, sort and page through its result rows."""
    from snellen.analysis.class_filter import choose_class
    from snellen.analysis.documents import images_document
    from snellen.analysis.reader import open_results

    db, found = open_run(database, run)
    results = open_results(db, found)
    names = found.class_names or []

    def class_id(name: str | None, option: str) -> int | None:
        return None if name is None else choose_class(name, names, where=option)

    selection = results.filter(
        true_class=class_id(true_class, "--class"),
        predicted_class=class_id(predicted, "--predicted"),
        correct=correct,
        min_confidence=min_confidence,
        max_confidence=max_confidence,
        status=status,
        error_code=error_code,
    )
    page = results.page(selection, sort=sort, descending=desc, offset=offset, limit=limit)
    if as_json:
        print_json(images_document(page))
        return
    from snellen.cli.results.tables import images_table

    stdout_console().print(images_table(page, offset))


def rescore_command(
    run: RunArgument,
    overrides: OverridesArgument = None,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Compute the metrics again from the stored results, without inference: a new run row."""
    from snellen.analysis.documents import run_document
    from snellen.analysis.rescore import rescore_run

    db, found = open_run(database, run)
    with make_reporter(debug=debug) as reporter:
        new = rescore_run(db, found, overrides or [], reporter)
    document = run_document(new, db)
    if as_json:
        print_json(document)
        return
    from snellen.cli.results.tables import run_tables

    for table in run_tables(document):
        stdout_console().print(table)


def slices_command(
    run: RunArgument,
    by: Annotated[
        str,
        typer.Option(help="A column (meta_camera), or image_size, object_size, object_count."),
    ],
    edges: Annotated[
        str | None, typer.Option(help="Rising limits for a column of numbers: 10,20,50.")
    ] = None,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """The metrics of parts of a run: by a column, by image size, by objects."""
    from snellen.adapters.errors import ConfigError
    from snellen.analysis.slices import slice_run

    try:
        limits = [float(word) for word in edges.split(",")] if edges else None
    except ValueError:
        raise ConfigError(
            "USAGE", f"--edges {edges}: numbers with commas between them were expected."
        ) from None
    db, found = open_run(database, run)
    with make_reporter(debug=debug) as reporter:
        reporter.status("computing the metrics of each slice")
        document = slice_run(db, found, by, edges=limits)
    if as_json:
        print_json(document)
        return
    from snellen.cli.results.tables import slices_table

    stdout_console().print(slices_table(by, document["slices"]))


def verify_command(
    run: RunArgument,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Hash a run's files again and compare them with the ledger; exit code 1 if any differs."""
    from snellen.analysis.reader import verify_run

    db, found = open_run(database, run)
    with make_reporter(debug=debug) as reporter:
        reporter.status("hashing the result files")
        checked, problems = verify_run(db, found)
    print_verified("run", found.id, checked, problems, as_json=as_json)

"""``errors``: from a run's numbers to the images behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    JsonOption,
    LimitOption,
    OffsetOption,
    RunArgument,
    one_of,
    open_run,
)
from snellen.cli.output import print_json, stdout_console
from snellen.cli.progress import make_reporter

if TYPE_CHECKING:
    from snellen.analysis.error_analysis import ErrorAnalysis
    from snellen.store.views import RunView


def _buckets() -> tuple[str, ...]:
    from snellen.metrics.detection.tide import BUCKETS

    return BUCKETS


def _orders() -> tuple[str, ...]:
    from snellen.metrics.errors.paging import ORDERS

    return ORDERS


def errors_command(
    run: RunArgument,
    bucket: Annotated[
        str | None,
        typer.Option(
            callback=one_of(_buckets),
            help="List the errors of a bucket: Cls, Loc, Both, Dupe, Bkg or Miss.",
        ),
    ] = None,
    true: Annotated[
        str | None,
        typer.Option(
            "--true", help="List a cell of the confusion matrix: this true class, or background."
        ),
    ] = None,
    predicted: Annotated[
        str | None, typer.Option(help="... and this predicted class, or background.")
    ] = None,
    min_confidence: Annotated[
        float,
        typer.Option(min=0, max=1, help="Buckets without less confident predictions."),
    ] = 0.0,
    sort: Annotated[
        str, typer.Option(callback=one_of(_orders), help="image, or confidence: surest first.")
    ] = "image",
    top: Annotated[
        int, typer.Option(min=1, max=1000, help="Of a classifier: so many pairs and mistakes.")
    ] = 10,
    limit: LimitOption = 20,
    offset: OffsetOption = 0,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Which errors a run made, and on which images: by kind, or a cell of the confusion matrix."""
    from snellen.analysis.documents import instances_document
    from snellen.analysis.error_analysis import ErrorAnalysis, InstanceQuery

    db, found = open_run(database, run)
    analysis = ErrorAnalysis(db, found)
    if bucket is None and true is None and predicted is None:
        _print_summary(found, analysis, min_confidence, top, as_json=as_json, debug=debug)
        return
    with make_reporter(debug=debug) as reporter:
        reporter.status("reading the result files")
        query = InstanceQuery(bucket, true, predicted, min_confidence, sort, offset, limit)
        page = analysis.instances(query)
    asked = {"bucket": bucket} if bucket else {"true": true, "predicted": predicted}
    document = instances_document(found, page, **asked, offset=offset)
    if as_json:
        print_json(document)
        return
    from snellen.cli.errors.tables import instances_table

    stdout_console().print(instances_table(document))


def _print_summary(
    run: RunView,
    analysis: ErrorAnalysis,
    min_confidence: float,
    top: int,
    *,
    as_json: bool,
    debug: bool,
) -> None:
    from snellen.analysis.documents import errors_document

    with make_reporter(debug=debug) as reporter:
        reporter.status("reading the result files")
        document = errors_document(run, analysis.summary(min_confidence=min_confidence, top=top))
    if as_json:
        print_json(document)
        return
    from snellen.cli.errors.tables import errors_tables

    for table in errors_tables(document):
        stdout_console().print(table)

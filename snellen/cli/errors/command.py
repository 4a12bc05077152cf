"""The command ``errors``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    FormatOption,
    JsonOption,
    LimitOption,
    OffsetOption,
    RunArgument,
    one_of,
    open_run,
)
from snellen.cli.output import show
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
            help="List the errors in one TIDE bucket: Cls, Loc, Both, Dupe, Bkg or Miss.",
        ),
    ] = None,
    true: Annotated[
        str | None,
        typer.Option(
            "--true", help="List a cell of the confusion matrix: true class, or background."
        ),
    ] = None,
    predicted: Annotated[
        str | None,
        typer.Option(help="List a cell of the confusion matrix: predicted class, or background."),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Minimum confidence in the buckets. Default: that of the operating point.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Count every stored prediction in the buckets.")
    ] = False,
    sort: Annotated[
        str,
        typer.Option(
            callback=one_of(_orders), help="Order: image, or confidence (most confident first)."
        ),
    ] = "image",
    top: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="Maximum number of class pairs and of mistakes (classification)."
        ),
    ] = 10,
    limit: LimitOption = 20,
    offset: OffsetOption = 0,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Show the errors of a test run and the images they occur in.

    Without options: the kinds of errors, at the operating point of the run. With --bucket, --true
    or --predicted: each error.

    Example: snellen errors latest --true cat --predicted dog
    """
    from snellen.analysis.documents import instances_document
    from snellen.analysis.error_analysis import ErrorAnalysis, InstanceQuery

    min_confidence = _least(min_confidence, every=every)
    db, found = open_run(database, run)
    analysis = ErrorAnalysis(db, found)
    if bucket is None and true is None and predicted is None:
        _print_summary(found, analysis, min_confidence, top, as_json=as_json, debug=debug)
        return
    with make_reporter(debug=debug) as reporter:
        reporter.status("Reading result files")
        query = InstanceQuery(bucket, true, predicted, min_confidence, sort, offset, limit)
        page = analysis.instances(query)
    asked = {"bucket": bucket} if bucket else {"true": true, "predicted": predicted}
    document = instances_document(found, page, **asked, offset=offset)
    from snellen.cli.errors.tables import instances_table

    show(document, lambda: [instances_table(document)], as_json=as_json)


def _least(min_confidence: float | None, *, every: bool) -> float | None:
    """Return the minimum confidence that the options ask for; None for the operating point."""
    if not every:
        return min_confidence
    if min_confidence is None:
        return 0.0
    from snellen.adapters.errors import ConfigError

    raise ConfigError(
        "USAGE",
        f"--all and --min-confidence {min_confidence:g} were both given. Expected one of them: "
        "--all counts every stored prediction.",
    )


def _print_summary(
    run: RunView,
    analysis: ErrorAnalysis,
    min_confidence: float | None,
    top: int,
    *,
    as_json: bool,
    debug: bool,
) -> None:
    from snellen.analysis.documents import errors_document

    with make_reporter(debug=debug) as reporter:
        reporter.status("Reading result files")
        document = errors_document(run, analysis.summary(min_confidence=min_confidence, top=top))
    from snellen.cli.errors.tables import errors_tables

    show(document, lambda: errors_tables(document), as_json=as_json)

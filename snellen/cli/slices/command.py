"""The command ``slices``."""

from __future__ import annotations

from typing import Annotated

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    FormatOption,
    JsonOption,
    RunArgument,
    open_run,
)
from snellen.cli.output import show
from snellen.cli.progress import make_reporter


def slices_command(
    run: RunArgument,
    by: Annotated[
        str | None,
        typer.Option(
            help="Column, or image_size, object_size or object_count; default: find weak slices."
        ),
    ] = None,
    edges: Annotated[
        str | None,
        typer.Option(help="Limits for a numeric column, in ascending order, such as 10,20,50."),
    ] = None,
    min_share: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.5,
            help="Minimum share of the images in a weak slice.",
            show_default="0.02",
        ),
    ] = None,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Find the weak slices of a test run, or measure given ones.

    Without --by, slices with more errors than the other images are found among metadata, image
    size, brightness and objects, and tested on images that did not choose them.

    Example: snellen slices latest

    Example: snellen slices latest --by meta_distance --edges 10,20
    """
    from snellen.adapters.errors import ConfigError

    if by is None and edges is not None:
        raise ConfigError("USAGE", "--edges needs a column. Expected: --by meta_distance")
    if by is not None and min_share is not None:
        raise ConfigError(
            "USAGE", "--min-share is for slices that are found. Expected it without --by."
        )
    db, found = open_run(database, run)
    if by is None:
        from snellen.analysis.weak_slices.find import MIN_SHARE, weak_slices
        from snellen.cli.slices.tables import weak_slices_tables

        with make_reporter(debug=debug) as reporter:
            reporter.status("Finding weak slices")
            share = MIN_SHARE if min_share is None else min_share
            weak = weak_slices(db, found, min_share=share)
        show(weak, lambda: weak_slices_tables(weak), as_json=as_json)
        return
    from snellen.analysis.slices import slice_run
    from snellen.cli.results.tables import slices_table

    limits = _limits(edges)
    with make_reporter(debug=debug) as reporter:
        reporter.status("Computing metrics of each slice")
        document = slice_run(db, found, by, edges=limits)
    show(document, lambda: [slices_table(by, document["slices"])], as_json=as_json)


def _limits(edges: str | None) -> list[float] | None:
    from snellen.adapters.errors import ConfigError

    try:
        return [float(word) for word in edges.split(",")] if edges else None
    except ValueError:
        raise ConfigError(
            "USAGE",
            f"--edges: {edges!r} is not a list of numbers. Expected numbers separated by commas, "
            "for example: --edges 10,20,50",
        ) from None

"""The command ``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli.options import DatabaseOption, DebugOption, FormatOption, JsonOption, open_database
from snellen.cli.output import show, stderr_console
from snellen.cli.progress import make_reporter


def compare_command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C]...",
            help="Ids, tags or names of runs, or JOB@CHECKPOINT; A is the base.",
        ),
    ],
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Accepted loss of a metric, such as 0.01.")
    ] = 0.0,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Metadata column of dependent images, such as meta_patient."
        ),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="BY",
            help="Also compare slices: image_size, object_size, object_count or a column.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write the images and objects that change."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Configuration for JOB@CHECKPOINT; default: that of A."
        ),
    ] = None,
    classes: Annotated[bool, typer.Option("--per-class", help="Also show every class.")] = False,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Compare test runs on their common images, with intervals and tests.

    Says whether B is better than A, by how much, and on which images. A checkpoint of a training
    job (JOB@best, JOB@last, JOB@12) is evaluated first, with the settings of A.

    Example: snellen compare baseline latest --tolerance 0.005

    Example: snellen compare baseline digits@best digits@last
    """
    from snellen.analysis.comparison.checkpoints import compared_runs
    from snellen.analysis.comparison.compare import CompareSettings, compare_runs
    from snellen.cli.compare.tables import comparison_tables
    from snellen.pipelines.config.evaluate import EvaluateConfig
    from snellen.pipelines.config.loader import load_as, with_absolute_paths

    given = None if config is None else with_absolute_paths(load_as(EvaluateConfig, config))
    db = open_database(database)
    try:
        with make_reporter(debug=debug) as reporter:
            found = compared_runs(db, runs, reporter, given)
        stderr_console().print("Comparing runs ...")
        settings = CompareSettings(
            tolerance=tolerance, group=group, slices=tuple(slices or ()), output=output
        )
        document = compare_runs(db, found, settings)
    finally:
        db.close()
    documents = document.get("comparisons", [document])
    show(
        document,
        lambda: [table for one in documents for table in comparison_tables(one, classes=classes)],
        as_json=as_json,
    )

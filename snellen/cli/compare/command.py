"""The command ``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli.options import DatabaseOption, DebugOption, FormatOption, JsonOption, open_database
from snellen.cli.output import show, stderr_console


def compare_command(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="A B [C]...", help="Ids, tags or names of runs; A is the base."),
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
    classes: Annotated[bool, typer.Option("--per-class", help="Also show every class.")] = False,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Compare test runs on their common images, with intervals and tests.

    Says whether B is better than A, by how much, and on which images.

    Example: snellen compare baseline latest --tolerance 0.005
    """
    from snellen.analysis.comparison.compare import CompareSettings, compare_runs
    from snellen.cli.compare.tables import comparison_tables
    from snellen.store.runs import get_test_run

    stderr_console().print("Comparing runs ...")
    db = open_database(database)
    try:
        found = [get_test_run(db, reference) for reference in runs]
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

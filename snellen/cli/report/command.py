"""The command ``plots``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    JsonOption,
    RunArgument,
    one_of,
    open_run,
)
from snellen.cli.output import print_json, stdout_console
from snellen.cli.progress import make_reporter


def _formats() -> tuple[str, ...]:
    from snellen.analysis.plots.render import FORMATS

    return FORMATS


def _themes() -> tuple[str, ...]:
    from snellen.analysis.plots.colours import THEMES

    return THEMES


def plots_command(
    run: RunArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the charts.")
    ],
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            callback=one_of(_formats),
            help="File format: svg, png, or json (Vega-Lite specifications).",
        ),
    ] = "svg",
    theme: Annotated[
        str, typer.Option(callback=one_of(_themes), help="Colours: light or dark.")
    ] = "light",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Draw the charts of a test run.

    Precision-recall curve, F1 by confidence, reliability diagram, classes, confusion matrix.

    Example: snellen plots latest -o plots --format png
    """
    from snellen.analysis.plots.charts import run_charts
    from snellen.analysis.plots.colours import THEMES
    from snellen.analysis.plots.render import PlotTarget, write_charts

    db, found = open_run(database, run)
    with make_reporter(debug=debug) as reporter:
        reporter.status("Reading result files")
        charts = run_charts(db, found)
        reporter.status(f"Drawing {len(charts)} charts")
        chosen = THEMES[THEMES.index(theme)]
        paths = write_charts(charts, PlotTarget(output, format_name, chosen, overwrite))
    if as_json:
        files = {chart.name: str(path) for chart, path in zip(charts, paths, strict=True)}
        print_json({"id": found.id, "name": found.name, "format": format_name, "files": files})
        return
    for path in paths:
        stdout_console().print(str(path), soft_wrap=True, markup=False, highlight=False)

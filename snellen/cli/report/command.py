"""The commands ``plots`` and ``report``."""

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


def report_command(
    run: RunArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="HTML file to write.")
    ],
    compare: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Id, tag or name of a run to compare this run with."),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="BY",
            help="Add slices: image_size, object_size, object_count or a column.",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write pages of all changed images and the worst images."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Write the report of a test run, one HTML file.

    The file contains everything and loads nothing: metrics, charts, classes, errors, images.

    Example: snellen report latest -o report.html

    Example: snellen report latest --compare baseline -o report.html --bundle pages
    """
    from snellen.analysis.report.build import ReportSettings, write_report
    from snellen.store.runs import get_test_run

    db, found = open_run(database, run)
    base = None if compare is None else get_test_run(db, compare)
    settings = ReportSettings(output, base, tuple(slices or ()), bundle, overwrite)
    with make_reporter(debug=debug) as reporter:
        document = write_report(db, found, settings, reporter)
    if as_json:
        print_json(document)
        return
    console = stdout_console()
    size = f"{document['bytes'] / 1e6:.1f} MB"
    console.print(f"{document['file']} ({size})", soft_wrap=True, markup=False, highlight=False)
    if document["pages"]:
        console.print(document["pages"][0], soft_wrap=True, markup=False, highlight=False)

"""Charts as files: SVG, PNG, or the Vega-Lite specification, drawn without network or browser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.adapters.errors import InputError
from snellen.analysis.plots.charts import Chart
from snellen.analysis.plots.colours import COLOURS, THEMES, Theme, coloured
from snellen.store.atomic_file import atomic_file, output_errors

FORMATS = ("svg", "png", "json")
_SCALE = 2.0
"""Pixels of a PNG file per pixel of the chart."""
_VERSION = "5.20"


@dataclass(frozen=True, slots=True)
class PlotTarget:
    """The folder of charts.

    Attributes:
        folder: it is created if necessary.
        format: one of `FORMATS`.
        theme: colours.
        overwrite: replace existing files.
    """

    folder: Path
    format: str = "svg"
    theme: Theme = "light"
    overwrite: bool = False


def write_charts(charts: Sequence[Chart], target: PlotTarget) -> list[Path]:
    """Write each chart to a file with its name.

    Returns:
        The paths.

    Raises:
        InputError: OUTPUT_TAKEN, one of the files exists; nothing is written.
        RunError: DISK_FULL, OUTPUT_READONLY, OUTPUT_NOT_WRITABLE.
    """
    folder = target.folder.expanduser().absolute()
    paths = [folder / f"{chart.name}.{target.format}" for chart in charts]
    taken = [path for path in paths if path.exists()]
    if taken and not target.overwrite:
        raise InputError(
            "OUTPUT_TAKEN",
            f"'{taken[0]}' exists. Expected a new file. Remove it, choose another folder with -o, "
            "or add --overwrite.",
        )
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for chart, path in zip(charts, paths, strict=True):
            with atomic_file(path) as temporary:
                temporary.write_bytes(_rendered(chart, target))
    return paths


def svg(spec: dict[str, Any]) -> str:
    """Return a specification as an SVG element; CSS variables in it remain."""
    import vl_convert

    text: str = vl_convert.vegalite_to_svg(spec, vl_version=_VERSION)
    return text


def _rendered(chart: Chart, target: PlotTarget) -> bytes:
    spec = coloured(_titled(chart), target.theme)
    spec["config"]["background"] = COLOURS["canvas"][THEMES.index(target.theme)]
    if target.format == "json":
        return (json.dumps(spec, indent=1, ensure_ascii=False) + "\n").encode()
    if target.format == "svg":
        return svg(spec).encode()
    import vl_convert

    data: bytes = vl_convert.vegalite_to_png(spec, vl_version=_VERSION, scale=_SCALE)
    return data


def _titled(chart: Chart) -> dict[str, Any]:
    """Return the specification of a chart with its title, for a file that stands alone."""
    title = {
        "text": chart.title,
        "subtitle": chart.note,
        "anchor": "start",
        "color": "var(--ink)",
        "subtitleColor": "var(--ink-2)",
        "fontSize": 13,
        "subtitleFontSize": 11,
        "offset": 20,
    }
    return {**chart.spec, "title": title, "padding": 16}

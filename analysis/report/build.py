"""Build the report of a run: one HTML file, and on request a folder of pages with more images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup, escape

from snellen.adapters.errors import InputError
from snellen.analysis.documents import run_document
from snellen.analysis.drawing import RunImages
from snellen.analysis.error_analysis import ErrorAnalysis
from snellen.analysis.picture_files import worst_images
from snellen.analysis.plots.charts import Chart, curve_charts
from snellen.analysis.plots.matrix_spec import cell_text
from snellen.analysis.plots.matrix_view import MatrixView, matrix_view
from snellen.analysis.plots.render import svg
from snellen.analysis.reader import open_results
from snellen.analysis.report import sections
from snellen.analysis.report.bundle import Bundle, check_bundle, write_bundle
from snellen.analysis.report.flip_tiles import FlipTiles
from snellen.analysis.report.mistakes import most_confident, tiles
from snellen.analysis.report.page import render
from snellen.analysis.report.versus import versus
from snellen.analysis.slices import slice_run
from snellen.metrics.classification.confusion import unique_names
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.config.stored import shown_config
from snellen.pipelines.planning.fingerprint import snellen_version
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.reading.operating import operating_point
from snellen.store.atomic_file import output_errors, write_atomically
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_TILES = 12
_FLIPS = 6
_TOP_PAIRS = 15


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """The content and the place of a report.

    Attributes:
        output: HTML file.
        base: another run that this one is compared with; None for no comparison.
        slices: columns, or image_size, object_size and object_count, besides those of the run.
        bundle: folder for pages of all changed images and the worst images; None for none.
        overwrite: replace existing files.
    """

    output: Path
    base: RunView | None = None
    slices: tuple[str, ...] = ()
    bundle: Path | None = None
    overwrite: bool = False


def write_report(
    db: Database, run: RunView, settings: ReportSettings, reporter: Reporter
) -> dict[str, Any]:
    """Write the report of a completed run.

    Returns:
        ``{"id", "name", "file", "bytes", "pages"}``; pages are the files of the bundle.

    Raises:
        InputError: RUN_NOT_COMPLETED; OUTPUT_TAKEN; those of a comparison.
        ConfigError: SLICE_COLUMN, SLICE_VALUES.
        RunError: DISK_FULL, OUTPUT_READONLY, OUTPUT_NOT_WRITABLE.
    """
    path = settings.output.expanduser().absolute()
    if path.is_dir() or (path.exists() and not settings.overwrite):
        raise InputError(
            "OUTPUT_TAKEN",
            f"'{path}' exists. Expected a new file. Remove it, choose another with -o, or add "
            "--overwrite.",
        )
    if settings.bundle is not None:  # before anything is computed
        check_bundle(settings.bundle, settings.overwrite)
    report = Report(db, run, settings, reporter)
    pages: list[Path] = []
    if settings.bundle is not None:
        pages = write_bundle(report.bundle(), settings.bundle, settings.overwrite, reporter)
    reporter.status("Writing the report")
    data = report.html(links=()).encode()
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    files = [str(page) for page in pages]
    return {"id": run.id, "name": run.name, "file": str(path), "bytes": len(data), "pages": files}


class Report:
    """The content of a report, which is read once and shown in one or more pages."""

    def __init__(
        self, db: Database, run: RunView, settings: ReportSettings, reporter: Reporter
    ) -> None:
        """Read the run."""
        self._db, self._run, self._settings = db, run, settings
        self._names = unique_names(run.class_names or ())
        self._title = run.name or f"run {run.id}"
        self._flips: FlipTiles | None = None
        self._context = dict(self._sections(reporter))

    def html(self, links: Sequence[dict[str, Any]]) -> str:
        """Return the page; ``links`` lead to the pages of a bundle."""
        return render("report.html", {**self._context, "links": links})

    def bundle(self) -> Bundle:
        """Return the pages of changed and worst images."""
        images = RunImages(self._db, self._run)
        results = open_results(self._db, self._run)
        worst = worst_images(results, self._run, limit=100_000)
        return Bundle(self._title, images, worst, self._flips, self.html)

    def _sections(self, reporter: Reporter) -> Iterator[tuple[str, Any]]:
        db, run = self._db, self._run
        reporter.status("Reading result files")
        analysis = ErrorAnalysis(db, run)
        curves, summary = analysis.curves(), analysis.summary(top=_TOP_PAIRS)
        document = run_document(run, db)
        yield "run", document
        yield "title", self._title
        yield "version", snellen_version()
        yield "level", f"{_level(document) * 100:g}"
        yield "figures", sections.figures(document)
        yield "metrics", sections.metrics(document)
        yield "operating", sections.operating(document, operating_point(run))
        yield "classes", sections.classes(document, curves.class_metric, curves.class_label)
        yield "errors", sections.errors(summary)
        yield "dataset", sections.dataset(run.dataset_report)
        yield "fingerprint", _fingerprint(document)
        yield "configuration", configuration_text(run)
        view = matrix_view(run.confusion_matrix, self._names)
        yield "matrix", None if view is None else _matrix(view)
        reporter.status("Drawing charts")
        yield "charts", [_inline(chart) for chart in curve_charts(curves)]
        yield "slices", self._slices(document, reporter)
        images, results = RunImages(db, run), open_results(db, run)
        reporter.status("Drawing images")
        worst = tiles(images, worst_images(results, run, _TILES))
        confident = most_confident(analysis, summary, images, results, _TILES)
        yield "worst", worst
        # The worst images of a classifier are its most confident mistakes.
        yield "confident", [] if _indices(confident) == _indices(worst) else confident
        yield from self._comparison(reporter)

    def _slices(self, document: dict[str, Any], reporter: Reporter) -> list[dict[str, Any]]:
        stored = list((self._run.details or {}).get("slices") or ())
        for by in self._settings.slices:
            reporter.status(f"Computing slices by {by}")
            stored.append({"by": by, **slice_run(self._db, self._run, by)})
        return sections.slices(document, stored)

    def _comparison(self, reporter: Reporter) -> Iterator[tuple[str, Any]]:
        base = self._settings.base
        if base is None:
            yield "versus", None
            yield "flips", {}
            return
        reporter.status("Comparing runs")
        yield "versus", versus(self._db, base, self._run)
        self._flips = FlipTiles(self._db, base, self._run)
        shown = {kind: self._flips.tiles(kind, 0, _FLIPS) for kind in self._flips.kinds}
        yield "flips", shown


def configuration_text(run: RunView) -> str:
    """Return the configuration of a run as YAML: the keys that differ from the defaults."""
    config = build_config(run.config)
    data = config.model_dump(mode="json", exclude_defaults=True)
    data.setdefault("dataset", {})["path"] = config.dataset.path
    order = {key: data[key] for key in EvaluateConfig.model_fields if key in data}
    return yaml.safe_dump(shown_config(order), sort_keys=False, allow_unicode=True).rstrip()


def _indices(shown: Sequence[dict[str, Any]]) -> list[int]:
    return [tile["index"] for tile in shown]


def _level(document: dict[str, Any]) -> float:
    return float(
        ((document.get("config") or {}).get("metrics") or {}).get("confidence_level", 0.95)
    )


def _fingerprint(document: dict[str, Any]) -> dict[str, str]:
    found = document["fingerprint"] or {}
    names = {
        "Configuration": "config_hash",
        "Manifest": "manifest_hash",
        "Checkpoint": "checkpoint_sha256",
        "Dataset content": "content_hash",
    }
    shown = {name: str(found[key]) for name, key in names.items() if found.get(key)}
    return shown | {name: str(value) for name, value in (found.get("versions") or {}).items()}


def _matrix(view: MatrixView) -> dict[str, Any]:
    background = view.true[-1] != view.predicted[-1]
    rows = []
    for number, row in enumerate(view.rows):
        counts = background and number == len(view.rows) - 1
        rows.append(
            [
                {
                    "kind": cell.kind, "count": cell.count, "step": max(1, cell.step),
                    "text": cell_text(cell.share, cell.count, counts),
                }
                for cell in row
            ]
        )  # fmt: skip
    return {"true": view.true, "predicted": view.predicted, "rows": rows, "hidden": view.hidden}


def _inline(chart: Chart) -> dict[str, Any]:
    """Return a chart for a page: its SVG follows the theme, and its ids are its own."""
    text = re.sub(r'(id="|url\(#)([\w-]+)', rf"\g<1>{chart.name}-\g<2>", svg(chart.spec))
    label = escape(f"{chart.title}: {chart.note}")
    text = text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return {"name": chart.name, "title": chart.title, "note": chart.note, "svg": Markup(text)}

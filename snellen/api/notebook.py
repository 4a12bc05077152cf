"""Rich display of runs in notebooks: a table of metrics, and pictures of the worst images."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from snellen.adapters.errors import ImageError, SnellenError
from snellen.analysis.drawing import RunImages
from snellen.analysis.picture_files import worst_images
from snellen.analysis.reader import open_results
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_PICTURES = 6
_SIDE = 320
_CELL = 'style="text-align:left;padding:2px 12px 2px 0"'


def run_html(db: Database, run: RunView) -> str:
    """Return the HTML of a test run; every text in it is escaped.

    Pictures are JPEG files inside of the document. An image that cannot be drawn, such as one whose
    file is gone, is named with the reason. A run that has failed shows its error.
    """
    counts = (
        f"{run.total_images or 0:,} images, {run.scored_images or 0:,} scored, "
        f"{run.failed_images or 0:,} failed"
    )
    title = f"run {run.id} · {run.name or ''} · {run.status}"
    table = "".join(_rows(run.metrics or {}, run.intervals or {}))
    pictures = "".join(_pictures(db, run)) if run.status == "completed" else ""
    error = f"<br>{escape(run.error_message)}" if run.error_message else ""
    return (
        f"<div><strong>{escape(title)}</strong><br>{counts}{error}"
        f"<table>{table}</table>"
        f'<div style="display:flex;flex-wrap:wrap;gap:8px">{pictures}</div></div>'
    )


def _rows(metrics: Mapping[str, Any], intervals: Mapping[str, Any]) -> Iterator[str]:
    for key, value in metrics.items():
        if isinstance(value, list | dict):
            continue
        bounds = intervals.get(key)
        shown = "-" if value is None else f"{value:.4f}"
        interval = f"{bounds[0]:.4f} - {bounds[1]:.4f}" if bounds else ""
        cells = "".join(f"<td {_CELL}>{escape(text)}</td>" for text in (key, shown, interval))
        yield f"<tr>{cells}</tr>"


def _pictures(db: Database, run: RunView) -> Iterator[str]:
    from snellen.pipelines.visualization.encode import encode_jpeg

    images = RunImages(db, run)
    for row in worst_images(open_results(db, run), run, _PICTURES):
        name = escape(str(row["image_id"]), quote=True)
        try:
            picture = encode_jpeg(images.draw(row, max_side=_SIDE))
        except (ImageError, SnellenError) as error:  # the images may lie on another machine
            yield f"<div>{name} is not drawn: {escape(str(error))}</div>"
            continue
        data = base64.b64encode(picture).decode()
        yield (
            f'<figure style="margin:0"><img src="data:image/jpeg;base64,{data}" alt="{name}">'
            f"<figcaption>{name}</figcaption></figure>"
        )

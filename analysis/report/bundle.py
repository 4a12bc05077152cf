"""A folder of static pages: the report, all images that changed, and the worst images."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.adapters.errors import InputError
from snellen.analysis.drawing import RunImages
from snellen.analysis.export.run_export import atomic_folder
from snellen.analysis.report.flip_tiles import FlipTiles
from snellen.analysis.report.mistakes import tiles
from snellen.analysis.report.page import render
from snellen.pipelines.planning.fingerprint import snellen_version
from snellen.pipelines.progress import Reporter
from snellen.store.atomic_file import output_errors

PER_PAGE = 60
MARK = "report.json"
"""File that marks a folder as a bundle, which --overwrite replaces."""
_TITLES = {"broken": "Broken", "fixed": "Fixed", "worst": "Worst images"}


@dataclass(frozen=True, eq=False)
class Bundle:
    """The content of a bundle.

    Attributes:
        title: of the run.
        images: of the run.
        worst: the rows of its incorrect images, the worst first.
        flips: images that changed; None without a comparison.
        report: returns the page of the report with links to other pages.
    """

    title: str
    images: RunImages
    worst: Sequence[dict[str, Any]]
    flips: FlipTiles | None
    report: Callable[[Sequence[dict[str, Any]]], str]

    def counts(self) -> dict[str, int]:
        """Return the number of images of each kind that has some."""
        found = dict(self.flips.kinds) if self.flips is not None else {}
        return {k: n for k, n in {**found, "worst": len(self.worst)}.items() if n}

    def content(self, kind: str, offset: int) -> dict[str, Any]:
        """Draw the images of one page."""
        if kind == "worst" or self.flips is None:
            rows = self.worst[offset : offset + PER_PAGE]
            return {"tiles": tiles(self.images, rows), "pairs": []}
        return {"tiles": [], "pairs": self.flips.tiles(kind, offset, PER_PAGE)}


def write_bundle(bundle: Bundle, folder: Path, overwrite: bool, reporter: Reporter) -> list[Path]:
    """Write the pages to a folder that appears whole or not at all.

    Raises:
        InputError: OUTPUT_TAKEN, the folder exists, or is no bundle that may be replaced.
        RunError: DISK_FULL, OUTPUT_READONLY, OUTPUT_NOT_WRITABLE.
    """
    path = check_bundle(folder, overwrite)
    counts = bundle.counts()
    links = [
        {"title": _TITLES[kind], "count": count, "href": _page(kind, 0)}
        for kind, count in counts.items()
    ]
    has_matches = any(row.get("tp") is not None for row in bundle.worst[:1])
    names = ["index.html", MARK]
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(path) as temporary:
            (temporary / "index.html").write_text(bundle.report(links), encoding="utf-8")
            (temporary / MARK).write_text(json.dumps({"title": bundle.title, "images": counts}))
            for kind, count in counts.items():
                for offset in range(0, count, PER_PAGE):
                    reporter.status(f"Drawing {kind} images: {offset:,} of {count:,}")
                    last = min(offset + PER_PAGE, count)
                    context = {
                        "title": f"{_TITLES[kind]} · {bundle.title}",
                        "version": snellen_version(),
                        "links": links,
                        "first": offset + 1,
                        "last": last,
                        "total": count,
                        "has_matches": has_matches,
                        "previous": _page(kind, offset - PER_PAGE) if offset else None,
                        "next": _page(kind, offset + PER_PAGE) if last < count else None,
                        **bundle.content(kind, offset),
                    }
                    name = _page(kind, offset)
                    (temporary / name).write_text(render("images.html", context), encoding="utf-8")
                    names.append(name)
    return [path / name for name in names]


def _page(kind: str, offset: int) -> str:
    return f"{kind}-{offset // PER_PAGE + 1}.html"


def check_bundle(folder: Path, overwrite: bool) -> Path:
    """Return the absolute path of a folder that may be written; see `write_bundle`."""
    path = folder.expanduser().absolute()
    if not path.exists() and not path.is_symlink():
        return path
    if not overwrite:
        raise InputError(
            "OUTPUT_TAKEN",
            f"'{path}' exists. Expected a new folder. Remove it, choose another with --bundle, or "
            "add --overwrite.",
        )
    known = path.is_dir() and not path.is_symlink()
    if not known or not ((path / MARK).is_file() or not any(path.iterdir())):
        raise InputError(
            "OUTPUT_TAKEN",
            f"'{path}' exists and is not an earlier bundle. Expected a new folder, or one with "
            f"{MARK}. Choose another with --bundle.",
        )
    return path

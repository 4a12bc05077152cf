"""The command that lists what a page of images or objects lists."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from urllib.parse import urlencode

from snellen.serve.ui.formats import shortest
from snellen.serve.ui.run_page.filters import PAGE_TILES, QUERY, ImageFilters

_ERRORS = {"--bucket": "bucket", "--true": "cell_true", "--predicted": "cell_predicted"}
_IMAGES = {
    "--class": "true_class",
    "--predicted": "predicted_class",
    "--status": "status",
    "--min-confidence": "min_confidence",
    "--max-confidence": "max_confidence",
    "--error-code": "error_code",
}
_OF_API = (
    *("class", "predicted_class", "match", "correct", "min_confidence", "max_confidence"),
    *("status", "error_code", "slice_by", "slice", "text"),
)


def listing_command(filters: ImageFilters, run_id: int, service: str) -> str:
    """Return the command that lists the same; empty where only the page lists it.

    No command lists objects of no cell and no bucket, or a cell at another threshold.

    Args:
        filters: of the page.
        run_id: of the run.
        service: address of the service, for what only its API lists.
    """
    skip = (filters.page - 1) * PAGE_TILES
    page = f"--limit {PAGE_TILES}" + (f" --offset {skip}" if skip else "")
    if filters.is_objects:
        if not filters.is_plain_cell:
            return ""
        if filters.at is not None and filters.bucket is None:
            return ""
        sort = " --sort confidence" if filters.sort == "-confidence" else ""
        least = "" if filters.at is None else f" --min-confidence {shortest(filters.at)}"
        return f"snellen errors {run_id}{_options(filters, _ERRORS)}{least}{sort} {page}"
    if filters.text is not None or filters.match == "IGNORED":
        return f"curl '{service}{_api_path(filters, run_id)}'"
    return f"snellen images {run_id}{_image_options(filters)} {page}"


def _image_options(filters: ImageFilters) -> str:
    words = _options(filters, _IMAGES)
    if filters.correct is not None:
        words += " --correct" if filters.correct else " --incorrect"
    if filters.match is not None:
        words += f" --where '{filters.match.lower()}>0'"
    if filters.slice_by is not None:
        words += f" --where {shlex.quote(f'{filters.slice_by}={filters.slice_value}')}"
    if filters.sort:
        words += f" --sort {filters.sort_key}" + (" --desc" if filters.descending else "")
    return words


def _options(filters: ImageFilters, given: Mapping[str, str]) -> str:
    values = {option: filters.shown(name) for option, name in given.items()}
    return "".join(f" {name} {shlex.quote(one)}" for name, one in values.items() if one)


def _api_path(filters: ImageFilters, run_id: int) -> str:
    values = {name: filters.shown(QUERY[name]) for name in _OF_API}
    values["limit"] = str(PAGE_TILES)
    values["skip"] = str((filters.page - 1) * PAGE_TILES)
    if filters.sort:
        values |= {"sort": filters.sort_key, "descending": str(filters.descending).lower()}
    query = urlencode({name: value for name, value in values.items() if value})
    return f"/inference/test-runs/{run_id}/images?{query}"

"""Execute comparisons and exports, and store what they find."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

from snellen.adapters.errors import SnellenError
from snellen.analysis.comparison.compare import CompareSettings, compare_runs
from snellen.analysis.export.registry import EXPORTERS
from snellen.analysis.export.run_export import ExportTarget, export_run
from snellen.store.kinds import TEST_RUN
from snellen.store.parquet.results import RowFilter
from snellen.store.runs import get_inference_job, get_test_run
from snellen.store.service.analyses import COMPARISON, AnalysisView, get_analysis, update_analysis
from snellen.store.sql.database import Database

FOLDER = "exports"
"""Folder of exported files, below the folder of the runs; each export has its own."""


def execute_analysis(db: Database, analysis_id: int, output_dir: str) -> None:
    """Execute a comparison or an export; its row says how it ended.

    Raises:
        SnellenError: what is wrong with the runs or the settings.
    """
    found = get_analysis(db, None, analysis_id)
    folder = None if found.kind == COMPARISON else _folder(found, output_dir)
    update_analysis(db, analysis_id, status="running", folder=folder and str(folder))
    try:
        if folder is None:
            update_analysis(db, analysis_id, status="completed", result=_compare(db, found))
        else:
            result, file = _export(db, found, folder)
            if not update_analysis(db, analysis_id, status="completed", result=result, file=file):
                shutil.rmtree(folder)  # deleted in the meantime, maybe with its run
    except SnellenError as error:
        update_analysis(
            db,
            analysis_id,
            status="failed",
            error_code=error.code,
            error_message=error.message,
        )
        raise


def _compare(db: Database, found: AnalysisView) -> dict[str, Any]:
    runs = [get_test_run(db, run_id) for run_id in found.run_ids]
    settings = {**found.request, "slices": tuple(found.request.get("slices") or ())}
    return compare_runs(db, runs, CompareSettings(**settings))


def _folder(found: AnalysisView, output_dir: str) -> Path:
    return Path(output_dir).absolute() / FOLDER / str(found.id)


def _export(db: Database, found: AnalysisView, folder: Path) -> tuple[dict[str, Any], str]:
    """Write an export; a format that is a folder is packed as a ZIP archive."""
    (run_id,) = found.run_ids
    get = get_test_run if found.run_kind == TEST_RUN else get_inference_job
    name = str(found.request["format"])
    suffix = EXPORTERS.load(name).suffix
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
    target = folder / f"{found.run_kind.replace('_', '-')}-{run_id}-{name}{suffix}"
    chosen = cast(RowFilter, found.request.get("filter") or {})
    document = export_run(db, get(db, run_id), ExportTarget(name, target, hide_places=True), chosen)
    document.pop("path")
    if not suffix:
        archive = shutil.make_archive(str(target), "zip", target)
        shutil.rmtree(target)
        target = Path(archive)
    return document, target.relative_to(folder.parents[1]).as_posix()

"""Checks before an export, and targets that are never destroyed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.analysis.export.registry import EXPORTERS
from snellen.analysis.export.run_export import atomic_folder
from snellen.analysis.rescore import rescore_run
from snellen.pipelines.progress import Reporter
from snellen.store.views import AnyRun, InferenceJobView
from tests.analysis.detected import CORRECT, COUNTS, Detected
from tests.contracts.exporter_contract import Exportable, names


@pytest.mark.parametrize(("typed", "close"), [("parqet", "parquet"), ("cvs", "csv")])
def test_an_unknown_format_lists_the_nearest(
    typed: str, close: str, greys: Exportable, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"did you mean .*{close}") as caught:
        greys.export(typed, tmp_path / "out")
    assert caught.value.code == "EXPORT_FORMAT"
    for name in EXPORTERS.builtin:
        assert name in caught.value.message
    assert names(tmp_path) == []


def test_a_plugin_that_is_no_exporter() -> None:
    with pytest.raises(ConfigError, match="lacks one of name, suffix, tasks, write") as caught:
        EXPORTERS.load("pathlib:PurePosixPath")
    assert caught.value.code == "EXPORTER_INVALID"
    with pytest.raises(ConfigError, match="it is not a class"):
        EXPORTERS.load("os:getcwd")


def test_the_suffix_is_that_of_the_format(greys: Exportable, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Write: -o rows\.csv") as caught:
        greys.export("csv", tmp_path / "rows.parquet")
    assert caught.value.code == "EXPORT_SUFFIX"
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", ["running", "failed", "interrupted", "cancelled"])
def test_a_run_that_is_not_completed(status: str, greys: Exportable, tmp_path: Path) -> None:
    partial = replace(greys, run=replace(greys.run, status=status))
    with pytest.raises(InputError, match=f"snellen resume {greys.run.id}") as caught:
        partial.export("csv", tmp_path / "rows.csv")
    assert caught.value.code == "RUN_NOT_COMPLETED"


def test_a_job_without_files(greys: Exportable, tmp_path: Path) -> None:
    """A recorded HTTP request has a row in the run tables only."""
    shared = {name: getattr(greys.run, name) for name in AnyRun.columns()}
    request = InferenceJobView(
        **shared | {"results_dir": None},
        inference_type="single",
        input_data=None,
        total_inference_time_ms=1.0,
        avg_inference_time_ms=1.0,
    )
    with pytest.raises(InputError, match="has no result files") as caught:
        Exportable(greys.db, request).export("csv", tmp_path / "rows.csv")
    assert caught.value.code == "EXPORT_EMPTY"


def test_the_folder_of_the_run_is_not_a_target(greys: Exportable) -> None:
    manifest = greys.results.results_dir / "manifest.parquet"
    before = manifest.read_bytes()
    with pytest.raises(InputError, match="inside the folder of the run") as caught:
        greys.export("parquet", manifest, overwrite=True)
    assert caught.value.code == "OUTPUT_TAKEN"
    assert manifest.read_bytes() == before


def test_a_folder_is_no_file_to_overwrite(greys: Exportable, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").mkdir()
    with pytest.raises(InputError, match="not an earlier export"):
        greys.export("csv", tmp_path / "rows.csv", overwrite=True)


def test_matches_are_those_of_the_operating_point(detected: Detected, tmp_path: Path) -> None:
    lower = ["metrics.operating_confidence=0.05"]
    rescored = rescore_run(detected.db, detected.run, lower, Reporter())
    for run, confidence in ((detected.run, 0.25), (rescored, 0.05)):
        path = tmp_path / f"{run.id}.parquet"
        Exportable(detected.db, run).export("parquet", path, correct=True)
        found = pl.read_parquet(path)
        correct = [n for n, right in enumerate(CORRECT[confidence]) if right]
        assert found["image_index"].to_list() == correct
        assert found.select("tp", "fp", "fn").rows() == [COUNTS[confidence][n] for n in correct]
        folder = tmp_path / f"coco-{run.id}"
        Exportable(detected.db, run).export("coco", folder, correct=True)
        images = json.loads((folder / "ground_truth.json").read_text())["images"]
        assert [image["file_name"] for image in images] == found["image_id"].to_list()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for text in ("first", "second"):
        with atomic_folder(path) as temporary:
            (temporary / f"{text}.txt").write_text(text)
        assert names(path) == [f"{text}.txt"]
    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as temporary:
        (temporary / "third.txt").write_text("third")
        raise KeyboardInterrupt
    assert names(path) == ["second.txt"]
    assert names(tmp_path) == ["folder"]

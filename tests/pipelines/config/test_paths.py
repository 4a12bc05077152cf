"""Paths are stored as absolute: a run can be resumed from another folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snellen.pipelines.config.loader import build_config, with_absolute_paths
from snellen.pipelines.runs.runner import TestRunner
from tests.pipelines.making import grey_folder, pixel_config


def absolute(**sections: Any) -> dict[str, Any]:
    data = {"dataset": {"path": "images"}, **sections}
    return with_absolute_paths(build_config(data)).model_dump()


def test_paths_that_exist_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job" / "weights").mkdir(parents=True)
    (tmp_path / "model.pth").touch()
    found = absolute(
        model={"job": "job", "checkpoint": "model.pth"},
        dataset={"path": "shards/*.tar", "annotations": "elsewhere.json"},
        output={"dir": "out"},
    )
    assert found["model"]["job"] == str(tmp_path / "job")
    assert found["model"]["checkpoint"] == str(tmp_path / "model.pth")
    assert found["dataset"]["path"] == str(tmp_path / "shards" / "*.tar")
    assert found["dataset"]["annotations"] == "elsewhere.json"
    assert found["output"]["dir"] == str(tmp_path / "out")


def test_absolute_paths_have_no_parent_folder_but_behind_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "away" / "deep").mkdir(parents=True)
    (tmp_path / "here" / "link").symlink_to(tmp_path / "away" / "deep")
    monkeypatch.chdir(tmp_path / "here")
    model = {"adapter": "noop"}
    found = absolute(model=model, dataset={"path": "../away"})
    assert found["dataset"]["path"] == str(tmp_path / "away")
    found = absolute(model=model, dataset={"path": "link/../images"})
    assert found["dataset"]["path"] == str(tmp_path / "here" / "link" / ".." / "images")


def test_a_job_beside_a_folder_of_its_name_is_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shapes" / "images").mkdir(parents=True)
    assert absolute(model={"job": "shapes"})["model"]["job"] == "shapes"
    assert absolute(model={"job": "./shapes"})["model"]["job"] == str(tmp_path / "shapes")


def test_names_words_and_addresses_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best").mkdir()
    found = absolute(
        model={"job": "digits", "checkpoint": "best"}, dataset={"path": "s3://bucket/images"}
    )
    assert found["model"]["job"] == "digits"
    assert found["model"]["checkpoint"] == "best"
    assert found["dataset"]["path"] == "s3://bucket/images"
    assert found["output"]["dir"] == "auto"


def test_a_run_is_resumed_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey_folder(tmp_path / "data", each=4)
    monkeypatch.chdir(tmp_path)
    database = f"sqlite:///{tmp_path / 'runs.db'}"
    config = pixel_config(Path("data"), Path("out"), run={"engine": "inline", "unit_rows": 4})
    run = TestRunner(config, database=database).run_test()
    assert run.results_dir is not None
    units = sorted((Path(run.results_dir) / "units").iterdir())
    units[0].unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = TestRunner(database=database).resume(run.id)
    assert (again.status, again.metrics) == ("completed", run.metrics)
    assert not list((tmp_path / "elsewhere").iterdir())

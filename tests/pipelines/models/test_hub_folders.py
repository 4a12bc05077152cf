"""A folder with a ``config.json`` is a checkpoint wherever one is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models import save_for_hf

import snellen
from snellen.adapters.errors import ConfigError, InputError
from snellen.pipelines.models.locate import locate_model
from snellen.pipelines.models.reference import resolve_reference
from snellen.pipelines.models.training_jobs import checkpoint_of, find_job
from snellen.store.jobs import list_training_jobs
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from tests.pipelines.making import grey_folder


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    yield database
    database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(2)
    overlay = {"test_input_size": (3, 64, 64), "test_crop_pct": 0.9}
    model = timm.create_model("test_resnet", num_classes=3, pretrained_cfg_overlay=overlay)
    path = tmp_path / "hub"
    save_for_hf(model, str(path), {"label_names": ["a", "b", "c"]}, safe_serialization=True)
    return path


@pytest.mark.parametrize("name", ["", "model.safetensors"], ids=["J-folder", "J-file"])
def test_it_is_located_and_no_job_is_made(name: str, folder: Path, db: Database) -> None:
    located = locate_model(resolve_reference(str(folder / name)).request, db)
    assert (located.spec.adapter, located.job) == ("timm", None)
    assert located.spec.checkpoint == str(folder / "model.safetensors")
    assert list_training_jobs(db) == []
    with pytest.raises(ConfigError, match="holds weights, and --checkpoint best is for jobs"):
        resolve_reference(str(folder / name), checkpoint="best")


@pytest.mark.slow
def test_it_is_registered_as_a_job(folder: Path, db: Database) -> None:
    job = find_job(db, str(folder))
    assert (job.name, job.framework, job.model_name) == ("hub", "timm", "test_resnet")
    assert job.class_names == ["a", "b", "c"]
    assert checkpoint_of(job, "best") == folder / "model.safetensors"


def test_a_folder_without_weights_is_rejected(folder: Path, db: Database) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights") as caught:
        locate_model(resolve_reference(str(folder)).request, db)
    assert caught.value.code == "CHECKPOINT_NOT_FOUND"


def test_a_run_stores_weights_and_preprocessing(folder: Path, tmp_path: Path, db: Database) -> None:
    data = grey_folder(tmp_path / "data", classes=("a", "b", "c"))
    config: dict[str, Any] = {
        "model": {"checkpoint": str(folder)},
        "dataset": {"path": str(data)},
        "run": {"engine": "inline"},
        "output": {"dir": str(tmp_path / "out")},
        "database": f"sqlite:///{tmp_path / 'runs.db'}",
    }
    run = snellen.evaluate(config)
    resolved = get_test_run(db, run.id).resolved or {}
    assert resolved["weights"] == "file"
    assert resolved["preprocessing"] == {
        "input_size": [3, 64, 64],
        "interpolation": "bilinear",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "crop_pct": 0.9,
        "crop_mode": "center",
        "source": "config.json",
    }

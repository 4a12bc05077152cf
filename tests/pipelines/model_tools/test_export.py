"""Export of a model: the file, its check, its job, and an evaluation by that job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snellen.adapters.errors import ConfigError, InputError, RunError
from snellen.adapters.exported import writer
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.model_tools.export import ExportSettings, export_model
from snellen.pipelines.models.training_jobs import find_job, register_file
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.jobs import list_training_jobs
from snellen.store.sql.database import Database
from tests.adapters.exported.making import FIXTURES
from tests.adapters.making import picture, save_timm


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'runs.db'}"


@pytest.fixture
def timm_run(tmp_path: Path) -> Path:
    """A run directory whose best and last checkpoints have different weights."""
    root = tmp_path / "output" / "mine"
    root.mkdir(parents=True)
    for name, seed in (("model_best", 1), ("last", 2), ("checkpoint-3", 3)):
        save_timm(root / f"{name}.pth.tar", "test_efficientnet_gn", num_classes=3, seed=seed)
    (root / "args.yaml").write_text("model: test_efficientnet_gn\nnum_classes: 3\n")
    (root / "class_names.txt").write_text("a\nb\nc\n")
    return root


def test_a_job_is_exported_checked_and_registered(
    timm_run: Path, tmp_path: Path, database: str
) -> None:
    document = export_model(str(timm_run), ExportSettings("onnx"), database=database)
    file = timm_run / "model_best.onnx"
    assert Path(document["path"]) == file
    assert document["bytes"] == file.stat().st_size
    assert document["source"]["checkpoint"] == str(timm_run / "model_best.pth.tar")
    assert document["check"]["confidence"] < 1e-4
    assert document["check"]["batch_sizes"] == [1, 3]
    job = document["job"]
    assert (job["name"], job["framework"]) == ("mine-onnx", "onnx")
    assert job["class_names"] == ["a", "b", "c"]
    assert sorted(path.name for path in timm_run.iterdir() if path.suffix == ".onnx") == [file.name]
    db = Database.open(database)
    try:
        exported = (find_job(db, "mine-onnx").config or {})["exported_from"]
    finally:
        db.close()
    assert exported["job"] == "mine"
    assert exported["sha256"] == document["source"]["sha256"]


@pytest.mark.parametrize(("which", "name"), [("last", "last"), ("3", "checkpoint-3")])
def test_the_checkpoint_is_chosen(timm_run: Path, database: str, which: str, name: str) -> None:
    for reference, chosen in ((str(timm_run), which), (f"{timm_run}:{which}", None)):
        settings = ExportSettings("onnx", checkpoint=chosen, overwrite=True)
        document = export_model(reference, settings, database=database)
        assert document["source"]["checkpoint"] == str(timm_run / f"{name}.pth.tar")
    with pytest.raises(ConfigError) as caught:
        settings = ExportSettings("onnx", checkpoint="best")
        export_model(f"{timm_run}:last", settings, database=database)
    assert caught.value.code == "CHECKPOINT_TWICE"


def test_an_exported_job_is_evaluated_like_its_checkpoint(
    timm_run: Path, tmp_path: Path, database: str
) -> None:
    data = tmp_path / "data"
    for number, name in enumerate("abc"):
        for index in range(3):
            (data / name).mkdir(parents=True, exist_ok=True)
            picture(70 + 9 * index, 60, seed=number * 3 + index).save(data / name / f"{index}.png")
    exported = export_model(str(timm_run), ExportSettings("onnx"), database=database)
    rows = []
    for model in ({"job": str(timm_run)}, {"job": "mine-onnx"}, {"checkpoint": exported["path"]}):
        config = build_config(
            {
                "model": model,
                "dataset": {"path": str(data)},
                "run": {"engine": "inline"},
                "output": {"dir": str(tmp_path / "runs")},
                "database": database,
            }
        )
        run = TestRunner(config).run_test()
        rows.append(run.metrics or {})
    for other in rows[1:]:
        assert other["accuracy"] == rows[0]["accuracy"]
        assert other["loss"] == pytest.approx(rows[0]["loss"], abs=1e-5)


@pytest.mark.slow
def test_a_detector_at_another_size_and_with_the_other_head(tmp_path: Path, database: str) -> None:
    source = tmp_path / "tiny.pt"
    source.write_bytes((FIXTURES / "tiny-detect-26.pt").read_bytes())
    settings = ExportSettings("onnx", output=tmp_path / "big.onnx", imgsz=192, nms=False)
    document = export_model(str(source), settings, database=database)
    assert document["check"]["detections"] > 0
    assert document["job"]["name"] == "tiny-onnx"
    import onnx

    shape = onnx.load(document["path"]).graph.input[0].type.tensor_type.shape.dim
    assert [axis.dim_param or axis.dim_value for axis in shape] == ["batch", 3, 192, 192]
    from snellen.adapters.registry import load_adapter_class
    from snellen.adapters.types import AdapterSpec

    spec = AdapterSpec("onnx", document["path"])
    info = load_adapter_class("onnx").from_spec(spec, device="cpu").info
    assert info.preprocess["end2end"] is True


def test_a_file_that_does_not_agree_is_not_left(
    timm_run: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = writer.FORMATS["onnx"]

    def spoilt(exportable: Any) -> bytes:
        with torch.no_grad():
            for parameter in exportable.module.parameters():
                parameter.add_(0.01)
        data = written(exportable)
        with torch.no_grad():
            for parameter in exportable.module.parameters():
                parameter.sub_(0.01)
        return data

    monkeypatch.setitem(writer.FORMATS, "onnx", spoilt)
    before = sorted(path.name for path in timm_run.iterdir())
    with pytest.raises(RunError, match="differs from its checkpoint") as caught:
        export_model(str(timm_run), ExportSettings("onnx"), database=database)
    assert caught.value.code == "EXPORT_DIFFERS"
    assert sorted(path.name for path in timm_run.iterdir()) == before
    db = Database.open(database)
    try:
        assert [job.name for job in list_training_jobs(db)] == ["mine"]
    finally:
        db.close()


def test_what_is_there_is_kept(timm_run: Path, database: str) -> None:
    taken = timm_run / "model_best.onnx"
    taken.write_bytes(b"mine")
    with pytest.raises(InputError, match="add --overwrite") as caught:
        export_model(str(timm_run), ExportSettings("onnx"), database=database)
    assert caught.value.code == "OUTPUT_TAKEN"
    assert taken.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (ExportSettings("onx"), "FORMAT_UNKNOWN"),
        (ExportSettings("onnx", output="model.bin"), "OUTPUT_INVALID"),
        (ExportSettings("onnx", output="/nowhere/there/model.onnx"), "OUTPUT_NOT_WRITABLE"),
        (ExportSettings("onnx", checkpoint="12"), "CHECKPOINT_NOT_FOUND"),
    ],
)
def test_settings_that_cannot_be(
    settings: ExportSettings, code: str, timm_run: Path, database: str
) -> None:
    with pytest.raises((ConfigError, InputError)) as caught:
        export_model(str(timm_run), settings, database=database)
    assert caught.value.code == code


def test_an_exported_file_is_not_exported_again(timm_run: Path, database: str) -> None:
    document = export_model(str(timm_run), ExportSettings("onnx"), database=database)
    settings = ExportSettings("onnx", output=timm_run / "again.onnx")
    with pytest.raises(ConfigError) as caught:
        export_model(document["path"], settings, database=database)
    assert caught.value.code == "EXPORT_UNSUPPORTED"
    with pytest.raises(ConfigError, match="noop cannot be exported") as caught:
        config = timm_run / "noop.yaml"
        config.write_text("model: {adapter: noop}\ndataset: {path: .}\n")
        export_model(str(config), ExportSettings("onnx", output=timm_run / "n.onnx"))
    assert caught.value.code == "EXPORT_UNSUPPORTED"


def test_a_file_that_does_not_say_what_it_is_cannot_be_registered(
    tmp_path: Path, database: str
) -> None:
    db = Database.open(database)
    try:
        silent = tmp_path / "weights.pth"
        torch.save({"a": torch.from_numpy(np.zeros(3))}, silent)
        with pytest.raises(InputError) as caught:
            register_file(db, silent)
        assert caught.value.code == "CHECKPOINT_UNKNOWN"
    finally:
        db.close()

"""Training jobs from the run directories that frameworks write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import snellen
from examples.shapes.make_dataset import make
from snellen.adapters.errors import InputError
from snellen.pipelines.models.job_class_names import names_for_checkpoints
from snellen.pipelines.models.training_jobs import (
    checkpoint_of,
    describe_job,
    find_job,
    register_directory,
)
from snellen.store.jobs import list_training_jobs, validation_results
from snellen.store.sql.database import Database

FIXTURES = Path(__file__).parents[2] / "fixtures"
SHAPES = ["circle", "square", "triangle"]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    yield database
    database.close()


@pytest.fixture
def timm_run(tmp_path: Path) -> Path:
    root = tmp_path / "output" / "20260101-test_vit"
    root.mkdir(parents=True)
    for name in ("model_best", "last", "checkpoint-0", "checkpoint-1", "checkpoint-10"):
        (root / f"{name}.pth.tar").write_bytes(b"weights")
    (root / "summary.csv").write_text(
        "epoch,train_loss,eval_loss,eval_top1,eval_top5\n0,2.1,1.9,40.0,80.0\n1,1.5,1.2,62.5,90.0\n"
    )
    (root / "args.yaml").write_text("model: test_vit\nnum_classes: 3\ndata_dir: /nowhere\n")
    return root


@pytest.fixture
def ultralytics_run(tmp_path: Path) -> Path:
    root = tmp_path / "runs" / "detect" / "train"
    (root / "weights").mkdir(parents=True)
    for name in ("best", "last", "epoch0", "epoch1"):
        (root / "weights" / f"{name}.pt").write_bytes(b"weights")
    (root / "results.csv").write_text(
        "epoch,metrics/mAP50(B),metrics/mAP50-95(B),val/box_loss\n1,0.5,0.3,0.5\n2,0.6,0.4,0.4\n"
    )
    (root / "args.yaml").write_text("task: detect\nmodel: yolo11n.pt\nimgsz: 640\n")
    return root


def test_a_timm_run(db: Database, timm_run: Path) -> None:
    job = register_directory(db, timm_run, class_names=["a", "b", "c"])
    assert (job.name, job.framework, job.task_type) == (
        "20260101-test_vit", "timm", "image_classification")  # fmt: skip
    assert (job.model_name, job.class_names, job.num_classes) == ("test_vit", ["a", "b", "c"], 3)
    epochs = validation_results(db, job.id)
    assert [epoch.epoch for epoch in epochs] == [0, 1]
    assert [epoch.primary_metric_value for epoch in epochs] == [0.4, 0.625]
    assert epochs[1].primary_metric_name == "accuracy"
    described = describe_job(job)
    assert set(described) == {
        "id", "name", "framework", "task_type", "model_name", "output_dir", "class_names",
        "checkpoints"}  # fmt: skip
    assert [entry["name"] for entry in described["checkpoints"]] == ["best", "last", "0", "1", "10"]
    assert described["checkpoints"][3] == {
        "name": "1", "epoch": 1, "path": str(timm_run / "checkpoint-1.pth.tar"), "metric": 0.625,
    }  # fmt: skip


def test_an_ultralytics_run_whose_table_counts_from_1(db: Database, ultralytics_run: Path) -> None:
    job = register_directory(db, ultralytics_run)
    assert (job.framework, job.task_type) == ("ultralytics", "object_detection")
    epochs = validation_results(db, job.id)
    assert [epoch.epoch for epoch in epochs] == [0, 1]
    metrics = {entry["name"]: entry["metric"] for entry in describe_job(job)["checkpoints"]}
    assert metrics == {"best": 0.4, "last": 0.4, "0": 0.3, "1": 0.4}
    assert checkpoint_of(job, "0") == ultralytics_run / "weights" / "epoch0.pt"


@pytest.fixture
def shapes_run(ultralytics_run: Path) -> Path:
    """The Ultralytics run with real checkpoints of three classes."""
    for file in (ultralytics_run / "weights").iterdir():
        file.write_bytes((FIXTURES / "tiny-detect.pt").read_bytes())
    (ultralytics_run / "args.yaml").write_text("task: detect\nmodel: /home/me/yolo11n.pt\n")
    return ultralytics_run


@pytest.mark.slow
def test_an_ultralytics_job_knows_the_names_of_its_checkpoint(
    db: Database, shapes_run: Path
) -> None:
    job = register_directory(db, shapes_run)
    assert (job.class_names, job.num_classes) == (SHAPES, 3)
    assert (job.config or {})["class_names_source"] == "checkpoint best.pt"
    assert job.model_name == "yolo11n"
    assert names_for_checkpoints(job) is None  # other checkpoints have names of their own
    again = find_job(db, str(shapes_run))
    assert (again.class_names, again.config) == (job.class_names, job.config)


@pytest.mark.slow
def test_names_that_were_given_apply_to_every_checkpoint(db: Database, shapes_run: Path) -> None:
    job = register_directory(db, shapes_run, class_names=["a", "b", "c"])
    assert names_for_checkpoints(job) == ("a", "b", "c")
    for again in (find_job(db, str(shapes_run)), register_directory(db, shapes_run)):
        assert names_for_checkpoints(again) == ("a", "b", "c")
        assert (again.config or {})["class_names_source"] == "given at registration"


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_loaded_gives_no_names(db: Database, shapes_run: Path) -> None:
    best = shapes_run / "weights" / "best.pt"
    best.write_bytes(best.read_bytes()[:200_000])
    job = register_directory(db, shapes_run)
    assert job.class_names is None
    source = (job.config or {})["class_names_source"]
    assert source is None or source.startswith("ignored best.pt: ")


def test_a_job_that_an_evaluation_registers_learns_the_names(
    db: Database, shapes_run: Path, tmp_path: Path
) -> None:
    make(tmp_path / "shapes", counts={"test": 2, "val": 1}, seed=5)
    run = snellen.evaluate(
        {
            "model": {"job": str(shapes_run), "checkpoint": "last"},
            "dataset": {"path": str(tmp_path / "shapes" / "detect" / "data.yaml")},
            "run": {"engine": "inline"},
            "metrics": {"bootstrap": 0},
            "output": {"dir": str(tmp_path / "out")},
            "database": str(db.url),
        }
    )
    job = find_job(db, run.row.training_job_id)
    assert job.class_names == SHAPES
    assert (job.config or {})["class_names_source"] == "checkpoint last.pt"


def test_registering_again_updates_the_same_job(db: Database, timm_run: Path) -> None:
    first = register_directory(db, timm_run, class_names=["a", "b", "c"])
    (timm_run / "summary.csv").write_text("epoch,eval_top1\n0,40.0\n")
    again = register_directory(db, timm_run)
    assert (again.id, again.class_names) == (first.id, ["a", "b", "c"])
    assert len(validation_results(db, first.id)) == 1
    assert len(list_training_jobs(db)) == 1
    assert register_directory(db, timm_run, name="mine").name == "mine"


def test_a_directory_is_described_without_storing_it(db: Database, timm_run: Path) -> None:
    unknown = find_job(db, str(timm_run), register=False)
    assert (unknown.id, unknown.name, unknown.framework) == (0, timm_run.name, "timm")
    assert list_training_jobs(db) == []
    stored = register_directory(db, timm_run, name="mine")
    assert find_job(db, str(timm_run), register=False) == stored
    assert register_directory(db, timm_run).name == "mine"


def test_jobs_are_found_by_id_name_or_directory(db: Database, timm_run: Path) -> None:
    job = find_job(db, str(timm_run))
    for reference in (job.id, str(job.id), job.name, str(timm_run)):
        assert find_job(db, reference).id == job.id


def test_checkpoints_of_a_job(db: Database, timm_run: Path) -> None:
    job = register_directory(db, timm_run)
    for which, file in (("best", "model_best"), ("last", "last"), ("10", "checkpoint-10")):
        assert checkpoint_of(job, which) == timm_run / f"{file}.pth.tar"
    with pytest.raises(InputError, match="existing: best, last, 0, 1, 10") as caught:
        checkpoint_of(job, "3")
    assert caught.value.code == "CHECKPOINT_NOT_FOUND"


@pytest.mark.parametrize("reference", ["nobody", 99, "/not/there"])
def test_a_job_that_does_not_exist(db: Database, reference: str | int) -> None:
    with pytest.raises(InputError) as caught:
        find_job(db, reference)
    assert caught.value.code == "JOB_NOT_FOUND"


@pytest.mark.parametrize("reference", ["http://x/run", "hf-hub:a/b", "ul://a"])
def test_nothing_remote_is_a_job(db: Database, reference: str) -> None:
    for action in (find_job, register_directory):
        with pytest.raises(InputError) as caught:
            action(db, reference)
        assert caught.value.code == "REMOTE_REFUSED"


def test_directories_that_say_too_little(db: Database, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        register_directory(db, tmp_path)
    assert caught.value.code == "RUN_DIRECTORY_UNKNOWN"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.pth").write_bytes(b"x")
    with pytest.raises(InputError, match=r"unknown framework or task\. Expected an args\.yaml"):
        register_directory(db, tmp_path)
    assert list_training_jobs(db) == []

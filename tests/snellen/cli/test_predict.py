"""``snellen predict`` and ``snellen predictions``: arguments, documents, tables, errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from snellen.cli.predict.command import sort_words
from tests.pipelines.making import grey_folder
from tests.pipelines.pixel_adapter import NAME
from tests.snellen.command_line import Cli

KEYS = {
    "id", "name", "status", "task_type", "total_images", "scored_images", "failed_images", "files",
    "results_dir", "fingerprint", "inference_type", "input_data", "total_inference_time_ms",
    "avg_inference_time_ms", "results", "class_names",
}  # fmt: skip


class PredictCli(Cli):
    """Command line with the configuration of a prediction."""

    def config(self, **sections: Any) -> str:
        data = {
            "model": {"adapter": NAME},
            "run": {"engine": "inline", "unit_rows": 4},
            "output": {"dir": "out"},
            **sections,
        }
        (self.place / "predict.yaml").write_text(yaml.safe_dump(data))
        return "predict.yaml"


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> PredictCli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNELLEN_DATABASE", raising=False)
    grey_folder(tmp_path / "data")
    return PredictCli(tmp_path, capfd)


def test_arguments_are_sorted_by_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sort_words(["a.yaml", "b.jpg", "run.engine=ray", "c/"]) == (
        "a.yaml", ["b.jpg", "c/"], ["run.engine=ray"])  # fmt: skip
    assert sort_words(["b.jpg", "name=x"]) == (None, ["b.jpg"], ["name=x"])
    assert sort_words(["wrong.key=3"]) == (None, [], ["wrong.key=3"])
    (tmp_path / "a=b.jpg").touch()
    assert sort_words(["a=b.jpg"]) == (None, ["a=b.jpg"], [])
    assert sort_words([]) == (None, [], [])


def test_a_configuration(cli: PredictCli) -> None:
    document = cli.json("predict", cli.config(dataset={"path": "data"}), "name=first")
    assert set(document) >= KEYS
    assert (document["id"], document["name"], document["status"]) == (1, "first", "completed")
    assert (document["total_images"], document["failed_images"]) == (12, 0)
    assert [row["image_id"] for row in document["results"]][:2] == ["0/00.png", "0/01.png"]
    assert all(Path(file).is_file() for file in document["files"])
    assert document["config"]["dataset"]["path"] == str(cli.place / "data")


def test_images_on_the_command_line_replace_those_of_the_file(cli: PredictCli) -> None:
    config = cli.config(dataset={"path": "elsewhere"})
    document = cli.json("predict", config, "data/1/00.png", "data/0/01.png")
    assert [row["image_id"] for row in document["results"]] == ["1/00.png", "0/01.png"]
    assert document["inference_type"] == "batch"


def test_a_plan_starts_nothing(cli: PredictCli) -> None:
    found = cli.json("predict", cli.config(dataset={"path": "data"}), "--plan", "run.batch_size=2")
    assert (found["dataset"]["images"], found["plan"]["batch_size"]) == (12, 2)
    assert found["plan"]["units"] == 3
    assert found["class_map"] is None
    assert not (cli.place / "out").exists()
    assert not (cli.place / "runs.db").exists()
    code, out, _ = cli("predict", "predict.yaml", "data/1", "--plan")
    assert code == 0
    assert "6 in" not in out
    assert "inline: in this process" in out
    code, _, err = cli("predict", "--resume", "1", "--plan")
    assert code == 2
    assert "'--plan' cannot be combined with --resume" in err


def test_options_without_a_configuration(cli: PredictCli) -> None:
    document = cli.json(
        "predict", "--adapter", NAME, "data/0/00.png", "-o", "mine", "--name", "one",
        "--visualize", "1", "run.batch_size=1",
    )  # fmt: skip
    assert (document["name"], document["inference_type"]) == ("one", "single")
    assert document["resolved"]["layout"] == "inline"
    (row,) = document["results"]
    picture = Path(document["results_dir"]) / row["visualization_path"]
    assert picture.is_file()
    assert picture.is_relative_to(cli.place / "mine")


def test_rows_of_large_jobs_are_not_printed(
    cli: PredictCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snellen.analysis.documents.RESULTS_SHOWN", 11)
    document = cli.json("predict", cli.config(dataset={"path": "data"}))
    assert "results" not in document
    assert cli.json("predictions", "latest", "--limit", "3")["total"] == 12


def test_one_image_is_shown_in_full(cli: PredictCli) -> None:
    code, out, err = cli("predict", "--adapter", NAME, "data/0/00.png", "--visualize", "all")
    assert code == 0, err
    assert "00.png 6 x 5" in out
    for label in ("0", "1", "2"):
        assert f"│ {label} " in out
    assert "visualizations/000000-00.jpg" in out.replace("\n", "")
    assert "ms" in out


def test_several_images_are_shown_one_per_line(cli: PredictCli) -> None:
    (cli.place / "data" / "0" / "02.png").write_bytes(b"")
    code, out, err = cli("predict", "--adapter", NAME, "data")
    assert code == 0, err
    assert "12 images, 11 predicted, 1 failed" in out
    assert "EMPTY" in out
    assert "snellen predictions 1 --status failed" in err


def test_predictions_lists_and_shows(cli: PredictCli) -> None:
    (cli.place / "data" / "0" / "02.png").write_bytes(b"")
    cli.json("predict", cli.config(dataset={"path": "data"}), "name=a")
    cli.json("predict", cli.config(dataset={"path": "data/1"}), "name=b")
    listed = cli.json("predictions")
    assert [(job["id"], job["name"]) for job in listed] == [(2, "b"), (1, "a")]
    assert cli.json("predictions", "--status", "failed") == []
    failed = cli.json("predictions", "a", "--status", "failed")
    assert (failed["total"], failed["id"]) == (1, 1)
    assert failed["results"][0]["error_code"] == "EMPTY"
    page = cli.json("predictions", "1", "--sort", "confidence", "--desc", "--limit", "2")
    values = [row["confidence"] for row in page["results"]]
    assert values == sorted(values, reverse=True)
    label = page["results"][0]["predicted_label"]
    chosen = cli.json("predictions", "1", "--predicted", label)["results"]
    assert {row["predicted_label"] for row in chosen} == {label}
    for words in (("predictions",), ("predictions", "latest"), ("predictions", "2")):
        code, out, _ = cli(*words)
        assert code == 0
        assert "b" in out


def test_damaged_files_are_found_and_only_their_units_scored_again(cli: PredictCli) -> None:
    done = cli.json("predict", cli.config(dataset={"path": "data"}))
    whole = {"id": 1, "files": 3, "ok": True, "problems": []}
    assert cli.json("predictions", "1", "--verify") == whole
    first, second, _ = map(Path, done["files"])
    kept = first.stat().st_mtime_ns
    second.write_bytes(second.read_bytes()[:-3])
    damaged = cli.json("predictions", "1", "--verify", code=1)
    assert [(p["unit_id"], p["problem"]) for p in damaged["problems"]] == [(1, "truncated")]
    code, out, err = cli("predictions", "1", "--verify")
    assert code == 1
    assert "truncated" in out
    assert "To score only their units again: snellen predict --resume 1\n" in err
    again = cli.json("predict", "--resume", "1")
    assert [row["image_id"] for row in again["results"]] == [
        row["image_id"] for row in done["results"]
    ]
    assert cli.json("predictions", "1", "--verify") == whole
    assert first.stat().st_mtime_ns == kept
    code, _, err = cli("predictions", "--verify")
    assert code == 2
    assert "snellen predictions latest --verify" in err


def test_resume(cli: PredictCli) -> None:
    document = cli.json("predict", cli.config(dataset={"path": "data"}))
    Path(document["files"][0]).unlink()
    again = cli.json("predict", "--resume", "latest", "run.threads=1")
    assert (again["id"], again["status"]) == (1, "completed")
    assert len(again["files"]) == 3
    error = cli.json("predict", "--resume", "1", "data/0/00.png", code=2)["error"]
    assert error["code"] == "USAGE"
    assert "'data/0/00.png' cannot be combined with --resume" in error["message"]
    assert cli.json("predict", "--resume", "1", "--name", "x", code=2)["error"]["code"] == "USAGE"


def test_retry_failed(cli: PredictCli) -> None:
    image = Path("data/0/00.png")
    content = image.read_bytes()
    image.write_bytes(b"no image")
    assert cli.json("predict", cli.config(dataset={"path": "data"}))["failed_images"] == 1
    image.write_bytes(content)
    again = cli.json("predict", "--resume", "latest", "--retry-failed")
    assert (again["status"], again["failed_images"]) == ("completed", 0)
    error = cli.json("predict", "data", "--retry-failed", code=2)["error"]
    assert "snellen predict --resume latest --retry-failed" in error["message"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("predict",), "MODEL_MISSING", "--job NAME"),
        (("predict", "data/0/00.png"), "MODEL_MISSING", "--checkpoint FILE"),
        (("predict", "none.yaml"), "CONFIG_NOT_FOUND", "none.yaml does not exist"),
        (("predict", "--adapter", NAME), "DATASET_MISSING", "on the command line"),
        (
            ("predict", "--adapter", NAME, "data/0/00.png", "no.png"),
            "DATASET_NOT_FOUND",
            "no.png' of 2 images does not exist",
        ),
        (("predict", "--job", "none", "data"), "JOB_NOT_FOUND", "there is no training job 'none'"),
        (
            ("predict", "--adapter", NAME, "data", "--visualize", "some"),
            "CONFIG_INVALID",
            "output.visualize: input should be 'none', 'failed' or 'all'",
        ),
        (
            ("predict", "--adapter", NAME, "data", "--confidence", "2"),
            "CONFIG_INVALID",
            "model.min_confidence",
        ),
        (
            ("predict", "--adapter", NAME, "data", "run.batchsize=3"),
            "CONFIG_INVALID",
            "Did you mean 'run.batch_size'?",
        ),
        (("predict", "--adapter", NAME, "data", "--masks"), "OPTION_INVALID", "output.masks"),
        (("predict", "--resume", "7"), "DATABASE_NOT_FOUND", "runs.db"),
        (("predictions", "--status", "ok"), "USAGE", "'ok' is unknown. Expected one of pending"),
    ],
)
def test_errors_are_documents_and_start_nothing(
    cli: PredictCli, words: tuple[str, ...], code: str, message: str
) -> None:
    error = cli.json(*words, code=2)["error"]
    assert (error["code"], message in error["message"]) == (code, True), error
    assert not list(cli.place.glob("runs/*-*"))


def test_a_job_without_a_good_image_fails(cli: PredictCli) -> None:
    for image in (cli.place / "data").rglob("*.png"):
        image.write_bytes(b"")
    error = cli.json("predict", cli.config(dataset={"path": "data"}), code=1)["error"]
    assert error["code"] == "ALL_FAILED"
    assert cli.json("predictions", "1")["status"] == "failed"


@pytest.mark.slow
def test_an_image_needs_no_ray(cli: PredictCli, importable: None) -> None:
    script = (
        "import sys; from snellen.cli.main import run; "
        f"code = run(['predict', '--adapter', {NAME!r}, 'data/0/00.png']); "
        "sys.exit(code or int('ray' in sys.modules))"
    )
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_a_job_that_never_began_has_no_rows(cli: PredictCli) -> None:
    from snellen.store.runs import create_inference_job, list_inference_jobs
    from snellen.store.sql.database import Database

    cli.json("predict", "--adapter", NAME, "data/0/00.png")
    db = Database.open(f"sqlite:///{cli.place / 'runs.db'}")
    (done,) = list_inference_jobs(db)
    create_inference_job(
        db,
        training_job_id=done.training_job_id,
        checkpoint_path="x",
        task_type=done.task_type,
        inference_type="single",
        status="pending",
    )
    document = cli.json("predictions", "2")
    assert (document["status"], document["results"], document["files"]) == ("pending", [], [])
    code, out, _ = cli("predictions", "2")
    assert (code, "pending" in out) == (0, True)


def test_a_checkpoint_of_a_training_job(cli: PredictCli) -> None:
    from tests.adapters.making import save_timm

    folder = cli.place / "trained"
    folder.mkdir()
    save_timm(folder / "model_best.pth.tar", num_classes=3)
    save_timm(folder / "checkpoint-2.pth.tar", num_classes=3, seed=2)
    (folder / "args.yaml").write_text("model: test_resnet\nnum_classes: 3\n")
    cli.json("register", "trained", "--name", "mine")
    best = cli.json("predict", "--job", "mine", "data/0/00.png")
    assert Path(best["checkpoint_path"]).name == "model_best.pth.tar"
    assert best["class_names"] == ["0", "1", "2"], "there are no names in the checkpoint"
    epoch = cli.json("predict", "--job", "mine", "--checkpoint", "2", "data/0/00.png")
    assert Path(epoch["checkpoint_path"]).name == "checkpoint-2.pth.tar"

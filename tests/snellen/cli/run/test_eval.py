"""``eval`` and ``plan`` with a checkpoint and a dataset in the place of a configuration."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import pytest
import yaml

from examples.shapes.make_dataset import make
from tests.pipelines.pixel_adapter import NAME
from tests.snellen.command_line import Cli

FIXTURES = Path(__file__).parents[3] / "fixtures"
GIVEN = ("--dataset", "data", f"model.adapter={NAME}", "run.engine=inline", "output.dir=out")


def test_arguments_amount_to_a_configuration_that_is_printed(cli: Cli) -> None:
    code, _, printed = cli("eval", *GIVEN, "--name", "mine")
    assert code == 0
    assert "Configuration (--save-config FILE writes it to a file):" in printed
    assert "    model:\n      adapter:" in printed
    (run,) = cli.json("runs")
    assert (run["name"], run["status"], run["scored_images"]) == ("mine", "completed", 12)


def test_the_saved_configuration_gives_the_same_run(cli: Cli) -> None:
    saved = cli.place / "saved.yaml"
    cli.json("eval", *GIVEN, "--save-config", str(saved))
    assert yaml.safe_load(saved.read_text())["dataset"] == {"path": "data"}
    cli.json("eval", str(saved))
    first, second = cli.json("runs")
    assert first["metrics"] == second["metrics"]
    assert first["fingerprint"]["config_hash"] == second["fingerprint"]["config_hash"]


def test_an_existing_file_is_not_overwritten(cli: Cli) -> None:
    taken = Path(cli.config())
    before = taken.read_text()
    error = cli.json("eval", *GIVEN, "--save-config", str(taken), code=2)["error"]
    assert error["code"] == "OUTPUT_TAKEN"
    assert taken.read_text() == before


def test_a_checkpoint_as_the_only_argument_says_what_is_missing(cli: Cli) -> None:
    (cli.place / "best.pt").write_bytes(b"x")
    code, _, printed = cli("eval", "best.pt")
    assert code == 2
    assert "there is a checkpoint, but no dataset" in printed
    assert "snellen eval best.pt data.yaml" in printed


def test_plan_takes_the_same_arguments(cli: Cli) -> None:
    found = cli.json("plan", *GIVEN, "--split", "auto")
    assert (found["dataset"]["images"], found["plan"]["layout"]) == (12, "inline")


@pytest.mark.slow
def test_a_plan_shows_the_model_and_writes_nothing(cli: Cli) -> None:
    cli.json("eval", cli.config())
    run_directory = cli.place / "train"
    (run_directory / "weights").mkdir(parents=True)
    (run_directory / "args.yaml").write_text("task: detect\nmodel: yolo11n.pt\n")
    shutil.copy(FIXTURES / "tiny-detect.pt", run_directory / "weights" / "best.pt")
    make(cli.place / "shapes", counts={"val": 2}, seed=5)
    before = (cli.place / "runs.db").read_bytes()
    words = ("plan", str(run_directory), "shapes/detect/data.yaml", "--split", "val")
    code, out, err = cli(*words, "--format", "csv")
    assert code == 0, err
    shown = dict(row for row in csv.reader(io.StringIO(out)) if len(row) == 2)
    assert shown["checkpoint"] == str(run_directory / "weights" / "best.pt")
    assert (shown["weights"], shown["input"]) == ("model", "3 x 160 x 160")
    assert shown["preprocessing"] == "imgsz 160, stride 32, end2end false"
    assert (cli.place / "runs.db").read_bytes() == before
    assert [job["framework"] for job in cli.json("jobs")] == ["pixel"]


def test_an_option_of_another_tool_is_answered_with_our_key(cli: Cli) -> None:
    error = cli.json("eval", "run.yaml", "--batch-size", "4", code=2)["error"]
    assert error["code"] == "USAGE"
    assert error["message"] == (
        "No such option: --batch-size. Did you mean 'run.batch_size'? Keys are written as "
        "KEY=VALUE."
    )


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr("snellen.pipelines.execution.ray.session.RaySession.start", started)


@pytest.mark.usefixtures("without_ray")
def test_a_short_run_takes_no_ray_and_says_why(cli: Cli) -> None:
    run = cli.json("eval", cli.config(run={"engine": "auto"}))
    assert run["resolved"]["layout"] == "inline"
    assert run["resolved"]["reasons"][0].startswith("auto: inline, because")
    assert run["config"]["run"]["engine"] == "auto"


@pytest.mark.usefixtures("without_ray")
def test_a_plan_for_ray_starts_none(cli: Cli) -> None:
    found = cli.json("plan", cli.config(run={"engine": "ray", "unit_rows": "auto"}))
    assert found["plan"]["layout"] == "cpu"
    assert found["plan"]["actors"] >= 1

"""``snellen export``: targets, conditions, documents and errors."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from snellen.analysis.export.registry import EXPORTERS
from tests.snellen.command_line import Cli


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """The command line after an evaluation and a prediction of one folder."""
    (cli.place / "data" / "1" / "broken.png").write_bytes(b"no image")
    code, _, err = cli("eval", cli.config(name="mine"))
    assert code == 0, err
    words = ("model.adapter=tests.pipelines.pixel_adapter:PixelAdapter", "run.engine=inline")
    code, _, err = cli("predict", "data", *words, "output.dir=out")
    assert code == 0, err
    return cli


def test_a_run_is_exported(cli: Cli) -> None:
    found = cli.json("export", "mine", "--format", "csv", "-o", "rows.csv")
    assert found == {
        "kind": "test_run", "id": 1, "name": "mine", "format": "csv", "conditions": {},
        "images": 13, "left_out": {}, "notes": [], "path": str(cli.place / "rows.csv"),
    }  # fmt: skip
    assert len(pd.read_csv("rows.csv")) == 13
    code, out, _ = cli("export", "mine", "--format", "csv", "-o", "rows.csv", "--overwrite")
    assert (code, out) == (0, f"13 images exported to {cli.place / 'rows.csv'}\n")
    code, out, _ = cli("export", "mine", "--format", "csv", "-o", "1.csv", "--status", "failed")
    assert (code, out) == (0, f"1 image exported to {cli.place / '1.csv'}\n")


def test_an_inference_job_is_exported(cli: Cli) -> None:
    words = ("--inference", "latest", "--format", "parquet", "-o", "new/rows.parquet")
    found = cli.json("export", *words)
    assert (found["kind"], found["images"]) == ("inference_job", 13)
    assert len(pd.read_parquet("new/rows.parquet")) == 13


@pytest.mark.parametrize(
    "words",
    [
        ("--incorrect",),
        ("--correct", "--class", "1"),
        ("--status", "ok", "--min-confidence", "0.5"),
        ("--status", "failed"),
    ],
    ids=" ".join,
)
def test_conditions_are_those_of_images(words: tuple[str, ...], cli: Cli) -> None:
    listed = cli.json("images", "mine", *words, "--limit", "100")
    found = cli.json("export", "mine", *words, "--format", "parquet", "-o", "rows.parquet")
    exported = pd.read_parquet("rows.parquet")["image_id"].tolist()
    assert exported == [row["image_id"] for row in listed["images"]]
    assert 0 < found["images"] == listed["total"] < 13


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no run given"),
        (("mine", "--inference", "latest"), "RUN and --inference given"),
        (("--inference", "latest", "--incorrect"), "--correct/--incorrect with --inference"),
        (("--inference", "latest", "--class", "1"), "--class with --inference"),
        (("mine", "--status", "bad"), "'bad' is unknown"),
        (("mine", "--class", "9"), "--class"),
    ],
    ids=["none", "both", "correct", "class", "status", "name"],
)
def test_wrong_usage(words: tuple[str, ...], message: str, cli: Cli) -> None:
    found = cli.json("export", *words, "--format", "csv", "-o", "rows.csv", code=2)
    assert message in found["error"]["message"]
    assert not Path("rows.csv").exists()


def test_an_unknown_format(cli: Cli) -> None:
    code, out, _ = cli("export", "mine", "--format", "cvs", "-o", "rows.csv", "--json")
    error = json.loads(out)["error"]
    assert (code, error["code"]) == (2, "EXPORT_FORMAT")
    assert "did you mean csv" in error["message"]


def test_the_help_names_every_format(cli: Cli) -> None:
    _, out, _ = cli("export", "--help", database=False)
    for name in EXPORTERS.builtin:
        assert name in out


def test_only_an_existing_file_is_attached(cli: Cli) -> None:
    words = ("export", "mine", "--attach", "report.html", "-o", "out.json", "--format")
    message = cli.json(*words, "mlflow", code=2)["error"]["message"]
    assert "report.html' is not a file" in message
    message = cli.json(*words, "json", code=2)["error"]["message"]
    assert "Expected --format mlflow or wandb" in message

"""``snellen import``: predictions of other programs as test runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snellen.cli.main import run as command
from tests.pipelines.imports.coco_made_up import results_of, write_dataset

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNELLEN_DATABASE", raising=False)
    path = write_dataset(tmp_path / "data", images=3)
    records = results_of(path, "bbox")
    (tmp_path / "predictions.json").write_text(
        json.dumps([*records, {**records[0], "image_id": 1}])
    )

    def run(*words: str) -> tuple[int, str]:
        capfd.readouterr()
        code = command(list(words))
        return code, capfd.readouterr().out

    return run


DATASET = (
    *("--dataset", "data/images", "dataset.format=coco"),
    "dataset.annotations=data/instances.json",
)


def test_an_import_is_a_run_for_every_command(cli: Command, tmp_path: Path) -> None:
    words = ["import", "predictions.json", *DATASET, "--name", "theirs", "metrics.bootstrap=0"]
    code, out = cli(*words, "--json")
    document = json.loads(out)
    assert (code, document["name"], document["status"]) == (0, "theirs", "completed")
    assert document["metrics"]["mAP50"] > 0
    assert cli("verify", "theirs")[0] == 0
    shown = " ".join(cli("show", "theirs")[1].split())
    assert "1 prediction is not used: unknown image ('1')" in shown
    assert cli("errors", "theirs")[0] == cli("images", "theirs", "--incorrect")[0] == 0
    assert cli("threshold", "theirs", "--best", "f1")[0] == 0
    code, out = cli("compare", "theirs", "theirs", "--json")
    assert (code, json.loads(out)["common_images"]) == (0, 3)
    (tmp_path / "rules.yaml").write_text("rules: [{metric: mAP50, min: 0.01}]")
    assert cli("gate", "theirs", "--rules", "rules.yaml")[0] in (0, 4)
    assert cli("export", "theirs", "--format", "csv", "-o", "rows.csv")[0] == 0
    assert cli("resume", "theirs")[0] == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nothing.json", *DATASET], "IMPORT_NOT_FOUND", "does not exist"),
        (["predictions.json", *DATASET, "run.batch_size=4"], "IMPORT_SETTING", "run.batch_size=4"),
        (["predictions.json", "--dataset", "elsewhere"], "DATASET_NOT_FOUND", "elsewhere"),
        (["data", *DATASET], "IMPORT_FORMAT", "is not recognised"),
        (["predictions.json", *DATASET, "--columns", "image"], "USAGE", "no list of columns"),
        (["predictions.json", *DATASET, "--format", "cocos"], "USAGE", "did you mean coco"),
        (["predictions.json", *DATASET, "--classes", "a,,b"], "USAGE", "an empty name"),
    ],
)
def test_errors_leave_nothing(
    cli: Command, tmp_path: Path, words: list[str], code: str, says: str
) -> None:
    exit_code, out = cli("import", *words, "--json")
    error = json.loads(out)["error"]
    assert (exit_code, error["code"]) == (2, code)
    assert says in error["message"]
    assert not list((tmp_path / "runs").glob("*-*"))

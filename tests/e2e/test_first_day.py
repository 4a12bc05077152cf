"""The first day of a newcomer: one command after the other, as one types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.shapes.make_dataset import make
from tests.snellen.command_line import Cli

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNELLEN_DATABASE", raising=False)
    make(tmp_path / "shapes", counts={"test": 6, "val": 2}, seed=5)
    weights = tmp_path / "runs" / "detect" / "train" / "weights"
    weights.mkdir(parents=True)
    (weights.parent / "args.yaml").write_text("task: detect\nmodel: /home/me/yolo11n.pt\n")
    for name, source in (("last", "tiny-detect"), ("best", "tiny-detect-8")):
        (weights / f"{name}.pt").write_bytes((FIXTURES / f"{source}.pt").read_bytes())
    return Cli(tmp_path, capfd)


def printed(cli: Cli, *words: str) -> str:
    code, out, err = cli(*words)
    assert code == 0, out + err
    return out + err


@pytest.mark.slow
def test_a_first_day(cli: Cli) -> None:
    data, weights = "shapes/detect/data.yaml", "runs/detect/train/weights"

    # The first thing that one types, and what was forgotten.
    code, _, err = cli("eval", f"{weights}/best.pt")
    assert code == 2
    assert "there is a checkpoint, but no dataset" in err
    code, _, err = cli("eval", data)
    assert code == 2
    assert f"To evaluate on it: snellen eval CHECKPOINT {data}" in err

    # A look before the run: nothing is stored.
    plan = printed(cli, "plan", f"{weights}/best.pt", data)
    assert "6 found, 6 used" in plan
    assert "auto: inline, because" in plan
    assert not (cli.place / "runs.db").exists()

    # The training run gets a name, once and for all.
    assert cli.json("register", "runs/detect/train", "--name", "shapes")["name"] == "shapes"
    first = printed(cli, "eval", "--job", "shapes@last", "--dataset", data, "--name", "shapes-last")
    assert "mAP50-95" in first
    assert "Configuration (--save-config FILE writes it to a file):" in first
    cli.json("eval", f"{weights}/best.pt", data, "--name", "nightly")
    assert [job["name"] for job in cli.json("jobs")] == ["shapes"]

    # What came out.
    assert "AP50-95" in printed(cli, "show", "nightly", "--per-class")
    assert "nightly" in printed(cli, "runs")
    printed(cli, "images", "nightly", "--incorrect", "--sort", "fn", "--desc")
    printed(cli, "errors", "nightly")

    # Other settings without inference; the comparison with the checkpoint before.
    rescored = cli.json("rescore", "nightly", "metrics.operating_confidence=0.5")
    assert rescored["name"] == "nightly-rescored"
    found = cli.json("compare", "shapes-last", "nightly")
    assert found["common_images"] == 6
    assert found["primary"]["key"] == "mAP50-95"

    # The dataset gets a name, and the run to beat a tag.
    cli.json("dataset", "add", "shapes-test", data, "split=test")
    cli.json("tag", "nightly", "baseline")
    again = cli.json("eval", f"{weights}/best.pt", "shapes-test", "--name", "nightly")
    assert [run["id"] for run in cli.json("runs", "--dataset", "shapes-test")][:1] == [again["id"]]

    # A CI job asks by name and gets the newest run; the tag stays where it was.
    assert cli.json("show", "nightly")["id"] == again["id"]
    assert cli.json("show", "baseline")["id"] == found["b"]["id"]
    assert cli.json("show", "baseline")["metrics"] == again["metrics"]

    # Order: rename, and delete what is not needed; the tagged run is protected.
    cli.json("rename", "shapes-last", "old")
    cli.json("delete", "nightly-rescored", "--yes")
    assert cli.json("delete", "baseline", "--yes", code=2)["error"]["code"] == "RUN_IS_TAGGED"
    cli.json("delete", "old", "--yes")
    assert [run["name"] for run in cli.json("runs")] == ["nightly", "nightly"]

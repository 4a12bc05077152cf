"""``snellen eval JOB@all``: one run per checkpoint, and the best of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from snellen.store.runs import list_test_runs
from snellen.store.sql.database import Database
from tests.adapters.making import save_timm
from tests.snellen.command_line import Cli

WORDS = ("data", "run.engine=inline", "preprocess.img_size=32", "model.class_names=dataset")


@pytest.fixture
def trained(cli: Cli) -> Cli:
    """A job of three epochs, the best of which is a copy; epoch 2 cannot be loaded."""
    folder = cli.place / "trained"
    folder.mkdir()
    save_timm(folder / "checkpoint-0.pth.tar", num_classes=3, seed=0)
    save_timm(folder / "checkpoint-10.pth.tar", num_classes=3, seed=10)
    (folder / "checkpoint-2.pth.tar").write_bytes(b"no checkpoint")
    shutil.copy(folder / "checkpoint-10.pth.tar", folder / "model_best.pth.tar")
    (folder / "args.yaml").write_text("model: test_resnet\nnum_classes: 3\n")
    cli.json("register", "trained", "--name", "mine")
    return cli


def statuses(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["checkpoint"], row["status"]) for row in document["checkpoints"]]


def test_every_checkpoint_is_a_run(trained: Cli) -> None:
    document = trained.json("eval", "mine@all", *WORDS, code=1)
    # in the order of the epochs; the best is a copy of epoch 10
    assert statuses(document) == [("0", "completed"), ("2", "failed"), ("10", "completed")]
    rows = {row["checkpoint"]: row for row in document["checkpoints"]}
    assert [row["name"] for row in rows.values()] == [
        "mine-epoch-0", "mine-epoch-2", "mine-epoch-10",
    ]  # fmt: skip
    assert rows["2"]["error"]["code"] and rows["2"]["run"] is None
    assert document["metric"] == "accuracy"
    values = {name: row["value"] for name, row in rows.items() if row["value"] is not None}
    assert document["best"] == max(values, key=lambda name: values[name])
    assert "best of 2 checkpoints on this dataset is optimistic" in document["warning"]
    for name in ("0", "10"):
        run = trained.json("show", rows[name]["name"])
        assert run["metrics"]["accuracy"] == rows[name]["value"]
        assert run["intervals"]["accuracy"] == rows[name]["interval"]
        assert Path(run["checkpoint_path"]).name == f"checkpoint-{name}.pth.tar"


@pytest.mark.slow
def test_a_repeated_sweep_takes_what_is_finished(trained: Cli) -> None:
    first = trained.json("eval", "mine@10,best,0", *WORDS, "--name", "s")
    assert statuses(first) == [("10", "completed"), ("best", "completed"), ("0", "completed")]
    again = trained.json("eval", "mine@10,best,0", *WORDS, "--name", "s")
    ids = [[row["run"] for row in one["checkpoints"]] for one in (first, again)]
    assert ids[0] == ids[1]
    assert all(row["was_there"] for row in again["checkpoints"])
    code, out, _ = trained("eval", "mine@0,10", *WORDS, "--name", "s")
    assert (code, "completed before" in out, "optimistic" in " ".join(out.split())) == (
        0,
        True,
        True,
    )
    # other settings, another checkpoint and other images are evaluated
    other = trained.json("eval", "mine@0", *WORDS, "--name", "s", "metrics.ece_bins=5")
    assert other["id"] not in ids[0]
    changed = trained.json("eval", "mine@0,10", *WORDS, "--name", "s", "metrics.ece_bins=7")
    assert not any(row["was_there"] for row in changed["checkpoints"])
    save_timm(trained.place / "trained" / "checkpoint-0.pth.tar", num_classes=3, seed=5)
    fresh = trained.json("eval", "mine@0,10", *WORDS, "--name", "s")
    assert [row["was_there"] for row in fresh["checkpoints"]] == [False, True]
    Image.new("RGB", (8, 8)).save(trained.place / "data" / "0" / "99.png")
    more = trained.json("eval", "mine@0,10", *WORDS, "--name", "s")
    assert [row["was_there"] for row in more["checkpoints"]] == [False, False]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mine@0,7"], "has no checkpoint '7'. Expected best, last or an epoch number"),
        (["mine@0,,10"], "has an empty name"),
        (["nobody@all"], "there is no training job 'nobody'"),
        (["mine@all", "--gate", "rules.yaml"], "Expected one checkpoint"),
    ],
)
def test_a_sweep_that_cannot_be_started_leaves_nothing(
    trained: Cli, words: list[str], says: str
) -> None:
    (trained.place / "rules.yaml").write_text("rules: [{metric: accuracy, min: 0.1}]")
    error = trained.json("eval", words[0], *WORDS, *words[1:], code=2)["error"]
    assert says in error["message"]
    assert list_test_runs(Database.open(trained.url)) == []

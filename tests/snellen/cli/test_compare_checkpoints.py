"""``snellen compare A JOB@CHECKPOINT``: checkpoints without a run are evaluated first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.making import save_timm
from tests.pipelines.making import write_image
from tests.snellen.command_line import Cli

pytestmark = pytest.mark.slow


@pytest.fixture
def job(cli: Cli) -> Path:
    """A run directory of three checkpoints, and twelve images of its classes."""
    root = cli.place / "mine"
    root.mkdir()
    for name, seed in (("model_best", 1), ("last", 2), ("checkpoint-3", 3)):
        save_timm(root / f"{name}.pth.tar", "test_efficientnet_gn", num_classes=3, seed=seed)
    (root / "args.yaml").write_text("model: test_efficientnet_gn\nnum_classes: 3\n")
    (root / "class_names.txt").write_text("0\n1\n2\n")
    for number in range(12):
        write_image(cli.place / "data" / str(number % 3) / f"large-{number}.png", 20 * number)
    return root


def test_a_checkpoint_is_evaluated_once_with_the_settings_of_a(cli: Cli, job: Path) -> None:
    model = {"adapter": "auto", "job": str(job), "checkpoint": "best"}
    config = cli.config(name="a", model=model, run={"batch_size": 3})
    first = cli.json("eval", config)
    code, out, err = cli("compare", "a", "mine@last")
    assert code == 0, err
    assert "mine@last: no run yet; evaluating it with the settings of run 1" in err
    assert "A: run 1 a and B: run 2 mine-last" in out
    second = cli.json("show", "2")
    assert second["config"]["model"] == first["config"]["model"] | {
        "job": first["training_job_id"], "checkpoint": "last",
    }  # fmt: skip
    assert second["config"]["run"] == first["config"]["run"]
    assert second["fingerprint"]["checkpoint_sha256"] != first["fingerprint"]["checkpoint_sha256"]
    assert second["fingerprint"]["manifest_hash"] == first["fingerprint"]["manifest_hash"]

    code, out, err = cli("compare", "a", "mine@last", "mine@best", "mine@3")
    assert code == 0, err
    assert "mine@last: run 2 has scored it on the same images" in err
    assert "mine@best: run 1 has scored it on the same images" in err
    assert "mine@3: no run yet" in err
    assert [run["id"] for run in cli.json("runs")] == [3, 2, 1]

    other = cli.json("compare", "a", "mine@last", "--config", config)
    assert (other["a"]["id"], other["b"]["id"]) == (1, 4), "a given configuration is evaluated"

    # Other settings of the metrics are another run.
    cli.json("rescore", "1", "metrics.ece_bins=5", "name=rescored")
    found = cli.json("compare", "rescored", "mine@last")
    assert found["b"]["id"] == 6
    assert cli.json("show", "6")["config"]["metrics"]["ece_bins"] == 5


def test_what_is_neither_run_nor_checkpoint_is_an_error(cli: Cli, job: Path) -> None:
    cli.json("eval", cli.config(name="a"))
    for words, error in (
        (("mine@best", "a"), "COMPARE_CONFIG"),
        (("a", "nobody@best"), "JOB_NOT_FOUND"),
        (("a", f"{job}@99"), "CHECKPOINT_NOT_FOUND"),
        (("a", "b"), "RUN_NOT_FOUND"),
        (("a", "me@home"), "RUN_NOT_FOUND"),
    ):
        assert cli.json("compare", *words, code=2)["error"]["code"] == error, words
    assert len(cli.json("runs")) == 1, "nothing was started"

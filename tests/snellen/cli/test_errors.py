"""``snellen errors`` of a classifier, slices in ``show``, and options with fixed choices."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import snellen
from snellen.cli.main import run as command
from snellen.metrics.errors.counts import MistakeSummary
from tests.pipelines.making import grey_folder
from tests.pipelines.pixel_adapter import NAME

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> snellen.TestRun:
    monkeypatch.chdir(tmp_path)
    grey_folder(tmp_path / "data")
    return snellen.evaluate(
        {
            "name": "mine",
            "model": {"adapter": NAME},
            "dataset": {"path": "data"},
            "run": {"engine": "inline", "unit_rows": 4},
            "metrics": {"slices": ["image_size", "image_id"]},
            "database": f"sqlite:///{tmp_path / 'runs.db'}",
        }
    )


@pytest.fixture
def cli(tested: snellen.TestRun, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = command([*words, "--database", f"sqlite:///{tmp_path / 'runs.db'}"])
        return (code, *capfd.readouterr())

    return run


def document(cli: Command, *words: str, code: int = 0) -> Any:
    found, out, _ = cli(*words, "--json")
    assert found == code, out
    return json.loads(out)


def test_mistakes_are_pairs_and_images(cli: Command, tested: snellen.TestRun) -> None:
    found = document(cli, "errors", "mine", "--top", "2")
    assert set(found) == {
        "id", "name", "task_type", "mistakes", "most_confused", "most_confident"}  # fmt: skip
    expected = tested.errors(top=2)
    assert isinstance(expected, MistakeSummary)
    assert found["mistakes"] == expected.mistakes > 0
    assert len(found["most_confident"]) == 2
    (pair, *_) = found["most_confused"]
    assert set(pair) == {
        "true", "predicted", "true_id", "predicted_id", "count", "share", "examples"}  # fmt: skip
    words = ("errors", "mine", "--true", pair["true"], "--predicted", pair["predicted"])
    page = document(cli, *words)
    assert (page["total"], page["true"], page["offset"]) == (pair["count"], pair["true"], 0)
    assert pair["examples"][0] in page["instances"]
    code, out, _ = cli("errors", "mine")
    assert code == 0
    for words_shown in ("most confused classes", "most confident mistakes"):
        assert words_shown in out
    assert "in 4 images" in cli("errors", "mine", "--true", "0")[1]


def test_show_prints_the_stored_slices(cli: Command, tested: snellen.TestRun) -> None:
    stored = document(cli, "show", "mine")["details"]["slices"]
    assert [one["by"] for one in stored] == ["image_size", "image_id"]
    assert list(stored[0]["slices"]) == ["small"]
    _, out, _ = cli("show", "mine")
    assert "by image_size" in out
    low, high = tested.intervals["accuracy"]
    assert f"{tested.metrics['accuracy']:.4f} ({low:.4f} - {high:.4f})" in out
    later = document(cli, "slices", "mine", "--by", "image_size")
    assert later == stored[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("runs", "--status", "complete"), "pending, running, .*did you mean completed"),
        (("images", "mine", "--status", "okay"), "'okay' is unknown. Expected one of ok, failed"),
        (("errors", "mine", "--bucket", "cls"), "Cls, Loc, Both, .*did you mean Cls"),
        (("errors", "mine", "--sort", "size"), "image, confidence"),
    ],
)
def test_an_unknown_choice_is_rejected(cli: Command, words: tuple[str, ...], message: str) -> None:
    error = document(cli, *words, code=2)["error"]
    assert error["code"] == "USAGE"
    assert re.search(message, error["message"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("errors", "mine", "--true", "9"), "CLASS_UNKNOWN"),
        (("errors", "mine", "--bucket", "Cls"), "BUCKET_TASK"),
        (("errors", "mine", "--bucket", "Cls", "--true", "1"), "INSTANCES_OF"),
        (("errors", "other"), "RUN_NOT_FOUND"),
        (("images", "mine", "--class", "9"), "CLASS_UNKNOWN"),
        (("images", "mine", "--predicted", "9"), "CLASS_UNKNOWN"),
    ],
)
def test_invalid_selections_are_rejected(cli: Command, words: tuple[str, ...], code: str) -> None:
    assert document(cli, *words, code=2)["error"]["code"] == code

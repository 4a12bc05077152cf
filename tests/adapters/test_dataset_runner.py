"""``Adapter.test_dataset``, and the runner that the package above the adapters provides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import snellen
import snellen.adapters.dataset_runner
from examples.shapes.make_dataset import make
from snellen.adapters.base import Adapter
from snellen.adapters.dataset_runner import TestRunResult, set_dataset_runner
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.noop import NoopAdapter
from snellen.adapters.types import AdapterSpec
from snellen.adapters.ultralytics.adapter import UltralyticsAdapter
from tests.adapters.making import picture

DETECTOR = Path(__file__).parents[1] / "fixtures" / "tiny-detect.pt"


@pytest.fixture
def adapter() -> Adapter:
    return NoopAdapter.from_spec(AdapterSpec("noop", class_names=("cat", "dog")))


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three cats and a dog to test on, and one cat to train on; the working folder is empty."""
    for name in ("test/cat/1.png", "test/cat/2.png", "test/cat/3.png", "test/dog/4.png",
                 "train/cat/5.png", "train/dog/6.png"):  # fmt: skip
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture().save(path)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "data"


def test_a_dataset_is_tested_and_the_run_is_stored(adapter: Adapter, dataset: Path) -> None:
    found = adapter.test_dataset(dataset)
    assert found.metrics["accuracy"] == 0.75
    assert found.image_results["image_id"].to_list() == [
        "cat/1.png", "cat/2.png", "cat/3.png", "dog/4.png"
    ]  # fmt: skip
    assert found.test_run_id == 1
    assert snellen.open_run(1).metrics == found.metrics


def test_results_that_are_not_saved_leave_nothing_behind(adapter: Adapter, dataset: Path) -> None:
    found = adapter.test_dataset(str(dataset), split="train", save_results=False)
    assert found.metrics["accuracy"] == 0.5
    assert len(found.image_results) == 2
    assert found.test_run_id is None
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.slow
def test_a_detector_is_tested_as_eval_tests_it(tmp_path: Path) -> None:
    make(tmp_path / "shapes", counts={"test": 6, "val": 2}, seed=5)
    data, url = tmp_path / "shapes" / "detect", f"sqlite:///{tmp_path / 'runs.db'}"
    evaluated = snellen.evaluate(
        {"database": url, "output": {"dir": str(tmp_path)}}, checkpoint=DETECTOR, dataset=data
    )
    loaded = snellen.load_adapter("ultralytics", checkpoint=DETECTOR)
    assert loaded.test_dataset(data, save_results=False).metrics == evaluated.metrics
    limited = UltralyticsAdapter.from_spec(
        AdapterSpec("ultralytics", str(DETECTOR), min_confidence=0.2)
    )
    found = limited.test_dataset(data, save_results=False).image_results
    confidences = [box["confidence"] for boxes in found["predicted_boxes"] for box in boxes]
    assert 0.2 < min(confidences) < 0.25


def test_a_table_has_no_splits(adapter: Adapter, dataset: Path) -> None:
    table = dataset.parent / "list.csv"
    table.write_text("path,label\ndata/test/cat/1.png,cat\ndata/test/dog/4.png,dog\n")
    assert len(adapter.test_dataset(table, save_results=False).image_results) == 2
    with pytest.raises(ConfigError) as caught:
        adapter.test_dataset(table, split="val", save_results=False)
    assert caught.value.code == "DATASET_KEY"


def test_errors_of_the_dataset_are_raised(adapter: Adapter, dataset: Path) -> None:
    with pytest.raises(InputError) as caught:
        adapter.test_dataset(dataset, split="val")
    assert caught.value.code == "DATASET_SPLIT"


def test_another_runner_can_be_set(
    adapter: Adapter, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def run(*arguments: Any) -> TestRunResult:
        asked.append(arguments)
        return TestRunResult({"accuracy": 1.0}, None, None)

    monkeypatch.setattr(snellen.adapters.dataset_runner, "_runner", None)
    with pytest.raises(RuntimeError, match="Expected a call of set_dataset_runner"):
        adapter.test_dataset(dataset)
    set_dataset_runner(run)
    assert adapter.test_dataset(dataset, "val", save_results=False).metrics == {"accuracy": 1.0}
    assert asked == [(adapter, dataset, "val", False)]

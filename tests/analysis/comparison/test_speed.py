"""Speed and training results beside the runs of a comparison."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from snellen.analysis.comparison.compare import compare_runs
from snellen.analysis.comparison.pairing import pair_runs
from snellen.analysis.comparison.speed import speed_rows
from snellen.analysis.comparison.training_results import training_rows
from snellen.store.jobs import replace_validation_results
from snellen.store.parquet.results import Results
from snellen.store.views import RunView
from tests.pipelines.place import Place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("speed"))


@pytest.fixture(scope="module")
def runs(place: Place) -> tuple[RunView, RunView]:
    return place.run(name="a"), place.run(name="b")


def test_times_are_those_of_the_rows(
    place: Place, runs: tuple[RunView, RunView], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compare_runs(place.db, runs)["speed"]
    assert (found["comparable"], found["reason"]) == (True, None)
    times = [[*map(float, range(1, 101)), None], [2.0, 4.0]]
    frames = iter(pl.DataFrame({"inference_time_ms": one}) for one in times)
    pair = pair_runs(place.db, runs)
    monkeypatch.setattr(Results, "frame", lambda *_: next(frames))
    found = speed_rows(pair)
    a, b = found["a"], found["b"]
    assert (a["device"], a["precision"]) == ("cpu", (runs[0].resolved or {})["precision"])
    assert (a["images"], a["median_ms"]) == (100, 50.5)
    assert a["p95_ms"] == pytest.approx(np.percentile(range(1, 101), 95))
    assert a["images_per_second"] == pytest.approx(1000 / 50.5)
    assert (b["median_ms"], b["images_per_second"]) == (3.0, pytest.approx(1000 / 3))


def test_a_clock_that_stands_still_gives_no_rate(
    place: Place, runs: tuple[RunView, RunView]
) -> None:
    found = speed_rows(pair_runs(place.db, runs))["a"]
    assert (found["images"], found["median_ms"], found["images_per_second"]) == (12, 0.0, None)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"device": "cuda"}, "another device (cpu and cuda)"),
        ({"precision": "fp16"}, "another precision"),
        ({"batch_size": 1}, "another batch_size"),
        ({"device": None}, "another device (cpu and None)"),
    ],
)
def test_other_conditions_are_not_comparable(
    place: Place, runs: tuple[RunView, RunView], changed: dict[str, Any], reason: str
) -> None:
    other = replace(runs[1], resolved={**(runs[1].resolved or {}), **changed})
    found = speed_rows(pair_runs(place.db, (runs[0], other)))
    assert not found["comparable"]
    assert reason in found["reason"]


def test_training_results_are_shown_under_equal_keys_only(
    place: Place, runs: tuple[RunView, RunView]
) -> None:
    a, b = runs
    assert training_rows(place.db, a, b) == {
        "metrics": [],
        "reasons": dict.fromkeys("ab", "the training job has no validation results"),
    }
    epochs = [
        {"epoch": 3, "metrics": {"accuracy": 0.7, "eval_top1": 70.0}},
        {"epoch": 4, "metrics": {"accuracy": 0.75, "eval_loss": 0.4}},
    ]
    replace_validation_results(place.db, a.training_job_id, epochs)
    try:
        third, unknown = (
            replace(run, resolved={**(run.resolved or {}), "epoch": epoch})
            for run, epoch in ((a, 3), (b, None))
        )
        found = training_rows(place.db, third, unknown)
        assert found["metrics"] == [
            {
                "key": "accuracy",
                "a": {"run": (a.metrics or {})["accuracy"], "training": 0.7},
                "b": {"run": (b.metrics or {})["accuracy"], "training": None},
            }
        ]
        assert found["reasons"] == {"a": None, "b": "the checkpoint does not tell its epoch"}
        later = replace(third, resolved={"epoch": 9})
        assert training_rows(place.db, later, later)["reasons"] == dict.fromkeys(
            "ab", "the training log has no epoch 9"
        )
    finally:
        replace_validation_results(place.db, a.training_job_id, [])

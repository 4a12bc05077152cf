"""Metrics are computed again from stored results."""

from __future__ import annotations

import pytest

from snellen.adapters.errors import ConfigError, InputError, RunInterrupted
from snellen.analysis.reader import verify_run
from snellen.analysis.rescore import rescore_run
from snellen.analysis.slices import slice_run
from snellen.pipelines.progress import Reporter
from snellen.store.runs import get_test_run, list_test_runs
from tests.analysis.detected import Detected
from tests.pipelines.place import Place, Stopping, tree


def test_a_rescore_makes_a_new_row_and_touches_no_file(place: Place) -> None:
    run = place.run(name="base")
    before = tree(place.output)
    new = rescore_run(place.db, run, ["metrics.ece_bins=5"], Reporter())
    assert (new.name, new.results_of, new.status) == ("base-rescored", run.id, "completed")
    assert tree(place.output) == before
    assert new.metrics is not None
    assert run.metrics is not None
    assert {k: v for k, v in new.metrics.items() if k != "ece"} == {
        k: v for k, v in run.metrics.items() if k != "ece"}  # fmt: skip
    assert new.details is not None
    assert len(new.details["reliability"]) == 5
    assert place.rows(new) == place.rows(run)
    assert verify_run(place.db, new) == (3, [])
    again = rescore_run(place.db, new, ["metrics.ece_bins=15", "name=third"], Reporter())
    assert (again.results_of, again.name) == (run.id, "third")
    assert again.metrics == run.metrics
    with pytest.raises(InputError, match="it reads the files of run 1"):
        place.resume(reference=str(new.id))


def test_the_seed_decides_the_intervals_alone(detected: Detected) -> None:
    first, same, other = (
        rescore_run(detected.db, detected.run, ["metrics.bootstrap=50", *words], Reporter())
        for words in ([], ["run.seed=0"], ["run.seed=7"])
    )
    assert first.metrics == same.metrics == other.metrics
    assert first.intervals == same.intervals
    assert first.intervals is not None
    assert other.intervals is not None
    different = {key for key, bounds in first.intervals.items() if bounds != other.intervals[key]}
    # The interval of mAP50-95 of four images reaches from 0 to 1 with either seed.
    assert different == {"mAP50", "recall", "f1"}
    sliced = [
        slice_run(detected.db, run, "image_size")["slices"]["small"]["intervals"]["mAP50"]
        for run in (first, other)
    ]
    assert sliced == [run.intervals["mAP50"] for run in (first, other) if run.intervals]


@pytest.mark.parametrize("word", ["run.seed=-1", "run.seed=a"])
def test_a_seed_is_a_natural_number(detected: Detected, word: str) -> None:
    with pytest.raises(ConfigError, match=r"run\.seed"):
        rescore_run(detected.db, detected.run, [word], Reporter())


@pytest.mark.parametrize(
    "word", ["run.batch_size=2", "dataset.limit=3", "metricsx.y=1", "model={}"]
)
def test_a_rescore_changes_metrics_only(place: Place, word: str) -> None:
    run = place.run()
    with pytest.raises(InputError, match=r"Expected metrics\.\*") as caught:
        rescore_run(place.db, run, [word], Reporter())
    assert caught.value.code == "RESCORE_SETTING"
    assert len(list_test_runs(place.db)) == 1


def test_only_completed_runs_are_rescored(place: Place) -> None:
    with pytest.raises(RunInterrupted):
        place.run(Stopping(1))
    with pytest.raises(InputError, match="snellen resume 1") as caught:
        rescore_run(place.db, get_test_run(place.db, 1), [], Reporter())
    assert caught.value.code == "RUN_NOT_COMPLETED"

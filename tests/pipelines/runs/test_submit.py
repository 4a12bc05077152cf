"""Submit a run, execute it later, and cancel it on the way."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import InputError, RunCancelled, SnellenError
from snellen.adapters.types import AdapterSpec
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.cancel import cancel_run
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.pipelines.runs.runner import InferenceRunner, TestRunner
from snellen.store.jobs import list_training_jobs
from snellen.store.leases import request_cancel
from snellen.store.ledger import committed_units
from snellen.store.runs import get_inference_job, get_test_run, list_test_runs
from tests.pipelines.pixel_adapter import NAME, PixelAdapter
from tests.pipelines.place import Place
from tests.pipelines.predicting import Jobs


def runner(place: Place, reporter: Reporter | None = None, **sections: Any) -> TestRunner:
    return TestRunner(place.config(**sections), database=place.url, reporter=reporter)


def test_a_submitted_run_is_pending_and_no_model_is_loaded(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads(*_: Any, **__: Any) -> Any:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(PixelAdapter, "load_checkpoint", loads)
    monkeypatch.setattr(PixelAdapter, "from_spec", loads)
    run_id = runner(place, name="mine").submit()
    run = get_test_run(place.db, run_id)
    assert (run.status, run.name, run.lease_token) == ("pending", "mine", None)
    assert (run.dataset_path, run.results_dir, run.fingerprint) == (str(place.data), None, None)
    assert run.config is not None
    assert run.config["run"]["unit_rows"] == 4
    assert not place.output.exists()


def test_executing_it_gives_what_a_run_at_once_gives(place: Place) -> None:
    whole = place.run(name="whole")
    run_id = runner(place, name="later").submit()
    run = TestRunner(database=place.url).execute(run_id)
    assert (run.id, run.status, run.name) == (run_id, "completed", "later")
    for column in ("metrics", "intervals", "class_names", "class_map", "task_type", "fingerprint",
                   "checkpoint_path", "training_job_id", "total_images"):  # fmt: skip
        assert getattr(run, column) == getattr(whole, column), column
    assert [job.framework for job in list_training_jobs(place.db)] == ["pixel"]
    times = ("preprocessing_time_ms", "inference_time_ms", "postprocessing_time_ms")
    first, second = (
        [{k: v for k, v in row.items() if k not in times} for row in place.rows(one)]
        for one in (whole, run)
    )
    assert first == second


def test_a_run_without_a_name_is_called_by_its_model_and_images(place: Place) -> None:
    run_id = runner(place).submit()
    assert TestRunner(database=place.url).execute(run_id).name == "pixel-data"


@pytest.mark.parametrize(
    ("sections", "code"),
    [
        ({"dataset": {"path": "/not/there"}}, "DATASET_NOT_FOUND"),
        ({"model": {"adapter": "timm"}}, "MODEL_MISSING"),
        ({"model": {"adapter": "no-such"}}, "ADAPTER_UNKNOWN"),
        ({"model": {"job": "no-such"}}, "JOB_NOT_FOUND"),
    ],
)
def test_wrong_input_is_rejected_at_submission(
    place: Place, sections: dict[str, Any], code: str
) -> None:
    with pytest.raises(SnellenError) as caught:
        runner(place, **sections).submit()
    assert caught.value.code == code
    assert list_test_runs(place.db) == []


def test_what_only_the_model_tells_fails_the_run_at_execution(place: Place) -> None:
    model = {"adapter": NAME, "class_names": ["a", "b", "c"]}
    run_id = runner(place, model=model).submit()
    with pytest.raises(InputError) as caught:
        TestRunner(database=place.url).execute(run_id)
    assert caught.value.code == "CLASS_MAP_MISMATCH"
    run = get_test_run(place.db, run_id)
    assert (run.status, run.error_message) == ("failed", caught.value.message)
    assert run.lease_token is None


def test_a_run_is_executed_once(place: Place) -> None:
    run_id = runner(place).submit()
    TestRunner(database=place.url).execute(run_id)
    with pytest.raises(InputError, match=rf"run {run_id} is completed\. Expected a pending one"):
        TestRunner(database=place.url).execute(run_id)


def test_a_pending_run_that_is_cancelled_is_not_executed_but_can_be_resumed(place: Place) -> None:
    run_id = runner(place).submit()
    assert cancel_run(place.db, EVALUATION, run_id).status == "cancelled"
    with pytest.raises(InputError, match=rf"is cancelled\..*snellen resume {run_id}") as caught:
        TestRunner(database=place.url).execute(run_id)
    assert caught.value.code == "RUN_STATUS"
    assert place.resume(reference=str(run_id)).status == "completed"


class Cancelling(Reporter):
    """Asks for a cancellation when the first unit is committed."""

    def __init__(self, place: Place | Jobs, kind: str) -> None:
        self._place, self._kind = place, kind
        self.asked = 0.0

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        if not self.asked:
            self.asked = time.monotonic()
            assert request_cancel(self._place.db, self._kind, 1) == "running"


SLOW = {"model": {"adapter": NAME, "options": {"sleep_ms": 3000}}}


@pytest.mark.slow
def test_a_running_run_stops_in_the_middle_of_a_unit(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner does not wait for the unit that it scores."""
    monkeypatch.setattr("snellen.pipelines.runs.ownership.HEARTBEAT_SECONDS", 0.05)

    class FromBefore(Reporter):
        def begin(self, total: int, done: int) -> None:
            request_cancel(place.db, "test_run", 1)

    before = time.monotonic()
    options = {"engine": "inline", "threads": 1, "unit_rows": 12, "batch_size": 1}
    with pytest.raises(RunCancelled, match="run 1 was cancelled; 0 of 12 images") as caught:
        runner(place, FromBefore(), run=options, **SLOW).run_test()
    assert time.monotonic() - before < 12 * 3 / 2
    assert (caught.value.code, caught.value.exit_code) == ("CANCELLED", 130)
    run = get_test_run(place.db, 1)
    assert (run.status, run.lease_token, run.cancel_requested) == ("cancelled", None, False)
    assert threading.active_count() < 20


@pytest.mark.slow
def test_a_cancelled_run_is_resumed_to_the_same_result(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snellen.pipelines.runs.ownership.HEARTBEAT_SECONDS", 0.02)
    options = {"engine": "inline", "threads": 1, "unit_rows": 2, "batch_size": 2}
    model = {"adapter": NAME, "options": {"sleep_ms": 300}}
    reporter = Cancelling(place, "test_run")
    with pytest.raises(RunCancelled):
        runner(place, reporter, run=options, model=model).run_test()
    assert 1 <= len(committed_units(place.db, "test_run", 1)) < 6
    resumed = place.resume(reference="1")
    whole = place.run(run=options, model=model)
    assert (resumed.status, resumed.metrics) == ("completed", whole.metrics)


def test_a_run_in_another_thread_stops_at_its_next_unit(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snellen.pipelines.runs.ownership.HEARTBEAT_SECONDS", 0.02)
    options = {"engine": "inline", "threads": 1, "unit_rows": 2, "batch_size": 2}
    model = {"adapter": NAME, "options": {"sleep_ms": 200}}
    caught: list[BaseException] = []

    def work() -> None:
        try:
            runner(place, Cancelling(place, "test_run"), run=options, model=model).run_test()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert [type(error) for error in caught] == [RunCancelled]
    assert get_test_run(place.db, 1).status == "cancelled"


def test_inference_jobs_are_submitted_executed_and_cancelled_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snellen.pipelines.runs.ownership.HEARTBEAT_SECONDS", 0.02)
    jobs = Jobs(tmp_path)
    job_id = InferenceRunner(jobs.config(), database=jobs.url).submit()
    assert get_inference_job(jobs.db, job_id).status == "pending"
    assert InferenceRunner(database=jobs.url).execute(job_id).status == "completed"
    other = InferenceRunner(jobs.config(), database=jobs.url).submit()
    assert cancel_run(jobs.db, PREDICTION, other).status == "cancelled"


@pytest.mark.parametrize("loaded", [False, True])
def test_a_run_that_cannot_be_started_leaves_no_training_job(place: Place, loaded: bool) -> None:
    with pytest.raises(InputError):
        if loaded:
            adapter = PixelAdapter.from_spec(AdapterSpec(NAME, class_names=("0", "1", "2")))
            TestRunner(adapter, database=place.url).run_test("/not/there")
        else:
            model = {"adapter": NAME, "class_names": ["a", "b", "c"]}
            runner(place, model=model).run_test()
    assert list_training_jobs(place.db) == []
    assert list_test_runs(place.db) == []

"""The files of test runs and of inference jobs are read in one way."""

from __future__ import annotations

from pathlib import Path

import pytest

from snellen.adapters.errors import InputError, RunError
from snellen.analysis.reader import completed_owner, open_results, unit_files, verify_run
from snellen.store.runs import (
    create_inference_job,
    create_test_run,
    get_inference_job,
    get_test_run,
)
from tests.pipelines.place import Place
from tests.pipelines.predicting import Jobs


def test_both_kinds_are_read(tmp_path: Path) -> None:
    place, jobs = Place(tmp_path / "tested"), Jobs(tmp_path / "predicted")
    for db, run in ((place.db, place.run()), (jobs.db, jobs.run())):
        files = unit_files(db, run)
        assert len(files) == 3
        assert open_results(db, run).frame()["image_index"].to_list() == list(range(12))
        assert verify_run(db, run) == (3, [])
        files[1].unlink()
        checked, problems = verify_run(db, run)
        assert (checked, [(one.unit_id, one.problem) for one in problems]) == (3, [(1, "missing")])


def test_runs_without_files(tmp_path: Path) -> None:
    place = Place(tmp_path)
    job_id = place.run().training_job_id
    common = {"training_job_id": job_id, "checkpoint_path": "m", "task_type": "x"}
    run = get_test_run(place.db, create_test_run(place.db, dataset_path="d", **common))
    assert (unit_files(place.db, run), verify_run(place.db, run)) == ([], (0, []))
    with pytest.raises(RunError, match="no results folder") as failed:
        open_results(place.db, run)
    assert failed.value.code == "RUN_NOT_STARTED"
    with pytest.raises(InputError, match=f"run {run.id} is pending") as rejected:
        completed_owner(place.db, run)
    assert rejected.value.code == "RUN_NOT_COMPLETED"
    request = create_inference_job(place.db, inference_type="single", **common)
    recorded = get_inference_job(place.db, request)
    assert open_results(place.db, recorded).frame().height == 0
    assert (unit_files(place.db, recorded), verify_run(place.db, recorded)) == ([], (0, []))

"""Inference jobs in this process: rows, tables, bad images, resume."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from snellen.adapters.errors import ConfigError, InputError, RunError, RunInterrupted
from snellen.adapters.types import AdapterSpec
from snellen.analysis.drawing import draw_image
from snellen.analysis.reader import open_results, unit_files
from snellen.pipelines.runs.runner import InferenceRunner, TestRunner
from snellen.store.ledger import committed_units
from snellen.store.parquet.schema import RESULT_SCHEMA
from snellen.store.runs import get_inference_job, get_test_run, list_inference_jobs
from tests.pipelines.making import pixel_config, write_image
from tests.pipelines.pixel_adapter import NAME, RAISE, RAISE_IN_PREPROCESS, PixelAdapter
from tests.pipelines.place import Stopping, tree
from tests.pipelines.predicting import Jobs

TRUTH = ("true_label", "true_label_id", "true_confidence", "loss", "true_boxes", "is_correct",
         "true_masks", "true_keypoints", "matches", "tp", "fp", "fn", "iou", "oks")  # fmt: skip


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def sql(jobs: Jobs, query: str) -> list[Any]:
    with jobs.db.session() as session:
        return list(session.execute(text(query)).mappings())


def test_a_folder_becomes_a_job(jobs: Jobs) -> None:
    job = jobs.run(name="first")
    assert (job.id, job.name, job.status, job.task_type) == (
        1, "first", "completed", "image_classification")  # fmt: skip
    assert (job.total_images, job.scored_images, job.failed_images) == (12, 12, 0)
    assert (job.inference_type, job.class_names, job.class_map) == (
        "dataset", ["0", "1", "2"], None)  # fmt: skip
    assert job.input_data == {"path": str(jobs.data), "format": "auto"}
    assert job.lease_token is None
    assert job.completed_at is not None
    rows = jobs.rows(job, times=True)
    assert [row["image_index"] for row in rows] == list(range(12))
    assert rows[0]["image_id"] == "0/00.png"
    assert {row[column] for row in rows for column in TRUTH} == {None}
    assert all(row["predicted_label"] in {"0", "1", "2"} for row in rows)
    milliseconds = sum(row["inference_time_ms"] for row in rows)
    assert job.total_inference_time_ms == pytest.approx(milliseconds)
    assert job.avg_inference_time_ms == pytest.approx(milliseconds / 12)
    for file in unit_files(jobs.db, job):
        assert pq.read_schema(file).names == RESULT_SCHEMA.names


def test_predictions_are_those_of_an_evaluation(jobs: Jobs) -> None:
    job = jobs.run()
    config = pixel_config(jobs.data, jobs.output)
    run = TestRunner(config, database=jobs.url).run_test()
    columns = ["image_id", "predicted_label", "confidence", "top5_predictions", "width", "height"]
    ours = open_results(jobs.db, job).frame(columns)
    theirs = open_results(jobs.db, run).frame(columns)
    assert ours.equals(theirs)
    assert (job.id, run.id) == (1, 1), "jobs and runs are counted apart"
    assert len(committed_units(jobs.db, "inference_job", 1)) == 3
    assert len(committed_units(jobs.db, "test_run", 1)) == 3


def test_the_rows_are_in_sql_too(jobs: Jobs) -> None:
    job = jobs.run()
    rows = sql(jobs, "select * from inference_results order by image_index")
    assert len(rows) == 12
    expected = jobs.rows(job, times=True)
    for row, wanted in zip(rows, expected, strict=True):
        assert row["inference_job_id"] == 1
        for key in ("image_path", "image_name", "predicted_label", "confidence",
                    "preprocessing_time_ms", "visualization_path"):  # fmt: skip
            assert row[key] == wanted[key]
    larger = jobs.run(output={"sql_rows_limit": 11})
    assert larger.status == "completed"
    assert len(sql(jobs, "select id from inference_results where inference_job_id = 2")) == 0


def test_one_image_and_a_list(jobs: Jobs) -> None:
    one = jobs.data / "0" / "01.png"
    job = jobs.run(str(one))
    assert (job.inference_type, job.total_images, job.name) == ("single", 1, "pixel-01")
    two = jobs.run([one, jobs.data / "0" / "00.png"])
    assert (two.inference_type, two.name) == ("batch", "pixel-2-images")
    assert [row["image_id"] for row in jobs.rows(two)] == ["01.png", "00.png"]
    alone = jobs.rows(job)[0]
    assert {**jobs.rows(two)[0], "image_index": 0} == alone


def test_a_name_may_repeat(jobs: Jobs) -> None:
    names = [jobs.run(name=name).name for name in ("x", "x", None, None)]
    assert names == ["x", "x", "pixel-data", "pixel-data"]
    assert [job.name for job in list_inference_jobs(jobs.db)] == names[::-1]


def test_bad_images_are_rows_and_the_job_goes_on(jobs: Jobs) -> None:
    (jobs.data / "0" / "00.png").write_bytes(b"")
    (jobs.data / "0" / "01.png").write_bytes(b"no image")
    write_image(jobs.data / "1" / "00.png", marker=RAISE_IN_PREPROCESS)
    write_image(jobs.data / "2" / "00.png", marker=RAISE)
    (jobs.data / "2" / "01.png").unlink()
    (jobs.data / "2" / "01.png").symlink_to("/etc/hostname")
    job = jobs.run()
    assert (job.status, job.scored_images, job.failed_images) == ("completed", 7, 5)
    failed = {row["image_id"]: (row["error_stage"], row["error_code"])
              for row in jobs.rows(job) if row["status"] == "failed"}  # fmt: skip
    assert failed == {
        "0/00.png": ("read", "EMPTY"),
        "0/01.png": ("decode", "UNSUPPORTED"),
        "1/00.png": ("preprocess", "INTERNAL"),
        "2/00.png": ("infer", "INTERNAL"),
        "2/01.png": ("read", "PATH_ESCAPE"),
    }


def test_an_image_of_a_list_that_is_missing_is_a_row(jobs: Jobs) -> None:
    (jobs.data / "list.txt").write_text("0/00.png\nnone.png\n")
    job = jobs.run(jobs.data / "list.txt")
    assert [row["error_code"] for row in jobs.rows(job)] == [None, "NOT_FOUND"]


def test_a_job_without_a_good_image_failed(jobs: Jobs) -> None:
    for image in jobs.data.rglob("*.png"):
        image.write_bytes(b"")
    with pytest.raises(RunError) as caught:
        jobs.run()
    assert (caught.value.code, caught.value.exit_code) == ("ALL_FAILED", 1)
    assert caught.value.message == (
        "none of the 12 images could be predicted: 12 EMPTY (0/00.png: the file has 0 bytes). "
        "Expected at least one. List them: snellen predictions 1 --status failed"
    )
    job = get_inference_job(jobs.db, 1)
    assert (job.status, job.error_message) == ("failed", caught.value.message)
    assert (job.total_images, job.failed_images, job.avg_inference_time_ms) == (12, 12, None)


def test_too_many_failures_name_the_commands_of_jobs(jobs: Jobs) -> None:
    (jobs.data / "0" / "00.png").write_bytes(b"")
    with pytest.raises(RunError) as caught:
        jobs.run(run={"max_failed": 0})
    assert "snellen predictions 1 --status failed" in caught.value.message
    assert "`snellen predict --resume 1 run.max_failed=N`" in caught.value.message
    assert jobs.resume("run.max_failed=1").status == "completed"


@pytest.mark.parametrize(
    ("sections", "code"),
    [
        ({"dataset": {"path": "/no/such/folder"}}, "DATASET_NOT_FOUND"),
        ({"dataset": {"path": []}}, "DATASET_MISSING"),
        ({"dataset": {"format": "coco"}}, "DATASET_FORMAT"),
        ({"model": {"adapter": "no-such"}}, "ADAPTER_UNKNOWN"),
        ({"model": {"class_names": "dataset"}}, "CLASS_NAMES_UNKNOWN"),
        ({"model": {"min_confidence": 0.5}}, "OPTION_INVALID"),
        ({"output": {"masks": "png"}}, "OPTION_INVALID"),
        ({"task": "pose_estimation"}, "TASK_MISMATCH"),
    ],
)
def test_what_is_wrong_leaves_nothing_behind(
    jobs: Jobs, sections: dict[str, Any], code: str
) -> None:
    with pytest.raises((ConfigError, InputError)) as caught:
        jobs.run(**sections)
    assert caught.value.code == code
    assert caught.value.exit_code == 2
    assert list_inference_jobs(jobs.db) == []
    assert list(jobs.output.glob("*")) == []


def test_a_class_map_has_no_meaning_and_does_no_harm(jobs: Jobs) -> None:
    assert jobs.run(model={"class_map": "subset"}).scored_images == 12


def test_an_interrupted_job_is_resumed_to_the_same_rows(jobs: Jobs) -> None:
    whole = jobs.run(name="whole", output={"visualize": "all"})
    with pytest.raises(RunInterrupted) as caught:
        jobs.run(
            reporter=Stopping(1),
            name="cut",
            run={"threads": 1},
            output={"visualize": "all"},
        )
    assert caught.value.message == (
        "inference job 2 was interrupted; 4 of 12 images are committed. "
        "Resume with: snellen predict --resume 2"
    )
    cut = get_inference_job(jobs.db, "cut")
    assert cut.status == "interrupted"
    pictures = Path(cut.results_dir or "") / "visualizations"
    before = {path: path.stat().st_mtime_ns for path in pictures.iterdir()}
    (pictures / ".tmp-left").write_bytes(b"by a writer that was killed")
    job = jobs.resume()
    assert (job.id, job.status) == (2, "completed")
    assert jobs.rows(job) == jobs.rows(whole)
    other = Path(whole.results_dir or "") / "visualizations"
    assert tree(pictures) == tree(other)
    kept = [path for path, written in before.items() if path.stat().st_mtime_ns == written]
    assert len(kept) >= 4


def test_a_resume_without_its_images_says_so_a_row(jobs: Jobs) -> None:
    named = sorted(jobs.data.rglob("*.png"))
    with pytest.raises(RunInterrupted):
        jobs.run(named, Stopping(1), run={"threads": 1})
    named[-1].unlink()
    job = jobs.resume()
    assert (job.status, job.failed_images) == ("completed", 1)
    assert jobs.rows(job)[-1]["error_code"] == "NOT_FOUND"


def test_a_completed_job_is_left_alone_and_a_damaged_one_mended(jobs: Jobs) -> None:
    job = jobs.run()
    assert jobs.resume() == job
    first, *_ = unit_files(jobs.db, job)
    rows = jobs.rows(job)
    first.unlink()
    again = jobs.resume(reference="1")
    assert again.status == "completed"
    assert jobs.rows(again) == rows
    assert len(sql(jobs, "select id from inference_results")) == 12


def test_a_resume_with_other_settings_is_refused(jobs: Jobs) -> None:
    with pytest.raises(RunInterrupted):
        jobs.run(reporter=Stopping(1), run={"threads": 1})
    with pytest.raises(InputError) as caught:
        jobs.resume("dataset.limit=4")
    assert caught.value.code == "RESUME_CHANGED"
    assert caught.value.message.startswith("inference job 1 cannot be resumed")
    assert jobs.resume("output.visualize=all", "name=other").status == "completed"


def test_an_unknown_job_lists_the_known_ones(jobs: Jobs) -> None:
    jobs.run(name="mine")
    with pytest.raises(InputError, match=r"no inference job 'x'.*1 \(mine\)"):
        jobs.resume(reference="x")
    with pytest.raises(InputError, match="no test runs yet"):
        get_test_run(jobs.db, "mine")


def test_an_adapter_that_is_loaded_already(jobs: Jobs) -> None:
    adapter = PixelAdapter.from_spec(AdapterSpec(NAME, class_names=("a", "b", "c")))
    runner = InferenceRunner(adapter, database=jobs.url)
    with pytest.raises(ConfigError, match="there are no images to predict"):
        runner.run_inference()
    image = jobs.data / "0" / "00.png"
    job = runner.run_inference([image, jobs.data / "1" / "00.png"])
    assert (job.status, job.class_names, job.scored_images) == ("completed", ["a", "b", "c"], 2)
    row = jobs.rows(job)[0]
    alone = adapter.infer_single(image)
    assert (row["predicted_label"], row["confidence"]) == (
        alone.predicted_label, pytest.approx(alone.confidence))  # fmt: skip
    with pytest.raises(ConfigError, match="needs a configuration, or an adapter"):
        InferenceRunner().run_inference(image)


def test_a_short_job_takes_no_ray(jobs: Jobs) -> None:
    before = set(sys.modules)
    job = jobs.run(run={"engine": "auto"})
    assert job.resolved is not None
    assert job.resolved["layout"] == "inline"
    assert "ray" not in set(sys.modules) - before


def test_an_image_is_drawn_later(jobs: Jobs) -> None:
    (jobs.data / "0" / "00.png").write_bytes(b"")
    job = jobs.run()
    drawn = draw_image(jobs.db, job, 5)
    assert drawn.shape[0] > 320
    assert drawn.shape[1] >= 300
    with pytest.raises(InputError, match="Expected an index below 12") as caught:
        draw_image(jobs.db, job, 12)
    assert caught.value.code == "IMAGE_NOT_FOUND"

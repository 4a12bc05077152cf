"""Annotated images and masks beside the rows of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from examples.shapes.make_dataset import make
from snellen.adapters.errors import RunError
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.execution.worker.spec import PictureSpec
from snellen.pipelines.runs.runner import InferenceRunner
from snellen.pipelines.visualization.masks import decode_mask
from snellen.store.views import InferenceJobView
from tests.pipelines.making import write_image
from tests.pipelines.pixel_adapter import RAISE, RAISE_IN_PREPROCESS
from tests.pipelines.predicting import Jobs

FIXTURES = Path(__file__).parents[3] / "fixtures"


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def pictures(job: InferenceJobView, folder: str = "visualizations") -> list[str]:
    found = (Path(job.results_dir or "") / folder).rglob("*")
    return sorted(path.name for path in found if path.is_file())


def spoil(jobs: Jobs) -> None:
    (jobs.data / "0" / "00.png").write_bytes(b"no image")
    write_image(jobs.data / "1" / "00.png", marker=RAISE_IN_PREPROCESS)
    write_image(jobs.data / "2" / "00.png", marker=RAISE)


def test_none_by_default(jobs: Jobs) -> None:
    job = jobs.run()
    assert sorted(path.name for path in Path(job.results_dir or "").iterdir()) == [
        "manifest.parquet", "units"]  # fmt: skip
    assert {row["visualization_path"] for row in jobs.rows(job)} == {None}


def test_all(jobs: Jobs) -> None:
    spoil(jobs)
    job = jobs.run(output={"visualize": "all"})
    rows = jobs.rows(job)
    assert rows[0]["visualization_path"] is None, "there are no pixels to draw on"
    assert rows[1]["visualization_path"] == "visualizations/000001-01.jpg"
    assert len(pictures(job)) == 11
    for row in rows[1:]:
        with Image.open(Path(job.results_dir or "") / row["visualization_path"]) as image:
            assert image.format == "JPEG"
            assert min(image.size) >= 280


def test_failed_ones_as_far_as_they_have_pixels(jobs: Jobs) -> None:
    spoil(jobs)
    job = jobs.run(output={"visualize": "failed"})
    assert pictures(job) == ["000004-00.jpg", "000008-00.jpg"]
    with Image.open(Path(job.results_dir or "") / "visualizations" / "000004-00.jpg") as image:
        red, green, _ = image.getpixel((5, image.height - 5))  # type: ignore[misc]
    assert red > 180 > green, "a red band says why"


@pytest.mark.parametrize("count", [1, 5, 12, 100])
def test_so_many_spread_evenly(jobs: Jobs, count: int) -> None:
    job = jobs.run(output={"visualize": count})
    drawn = [row["image_index"] for row in jobs.rows(job) if row["visualization_path"]]
    number = min(count, 12)
    assert drawn == [k * 12 // number for k in range(number)]
    assert len(pictures(job)) == number


def test_the_sample_has_the_number_that_was_asked_for() -> None:
    for total in (1, 7, 100, 1001):
        for count in (1, 2, 3, 10, 99, 1000, 5000):
            spec = PictureSpec(count, False, total, ())
            wanted = [i for i in range(total) if spec.wants(i, failed=False)]
            assert len(wanted) == min(count, total)


def test_large_jobs_use_folders_of_a_thousand() -> None:
    from snellen.pipelines.execution.worker.visualize import _name

    spec = PictureSpec("all", False, 1_000_000, ())
    row = {"image_index": 123_456, "image_name": "a b/ü<>.jpg"}
    assert _name(spec, row) == "000123/123456"
    assert _name(spec, {**row, "image_name": "Cat 1.jpg"}) == "000123/123456-Cat-1"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    make(folder, counts={"test": 6, "val": 1}, seed=5)
    return folder / "segment" / "images" / "test"


def segmented(shapes: Path, tmp_path: Path, **output: Any) -> tuple[InferenceJobView, Any]:
    from snellen.analysis.reader import open_results
    from snellen.store.sql.database import Database

    config = PredictConfig.model_validate(
        {
            "model": {
                "adapter": "ultralytics",
                "checkpoint": str(FIXTURES / "tiny-segment.pt"),
            },
            "run": {"engine": "inline"},
            "output": {"dir": str(tmp_path / "out"), **output},
        }
    )
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    job = InferenceRunner(config, database=url).run_inference(shapes)
    return job, open_results(Database.open(url), job).frame().to_dicts()


def test_masks_are_images_of_instance_numbers(shapes: Path, tmp_path: Path) -> None:
    job, rows = segmented(shapes, tmp_path, masks="png", visualize="none")
    assert len(pictures(job, "masks")) == 6
    assert pictures(job) == []
    for row in rows:
        image = np.asarray(Image.open(Path(job.results_dir or "") / row["predicted_mask_path"]))
        assert image.shape == (row["height"], row["width"])
        assert image.dtype == np.uint8
        count = len(row["predicted_boxes"])
        assert image.max() <= count
        if count:
            most_confident = decode_mask(row["predicted_masks"][0], row["height"], row["width"])
            assert ((image == 1) == most_confident).all()
    assert any(row["predicted_boxes"] for row in rows)


def test_no_drawing_ends_a_job(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("snellen.pipelines.tasks.render.draw_row", broken)
    job = jobs.run(output={"visualize": "all"})
    assert (job.status, job.scored_images) == ("completed", 12)
    assert pictures(job) == []


def test_a_full_disk_ends_it_resumably(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise RunError("DISK_FULL", "expected to write, the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("snellen.pipelines.execution.worker.visualize.write_atomically", full)
        with pytest.raises(RunError, match="the disk is full"):
            jobs.run(output={"visualize": 1})
    assert jobs.resume().status == "completed"

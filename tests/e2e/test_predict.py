"""One prediction per image: adapter calls, batches and the jobs of both engines agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import snellen
from examples.shapes.make_dataset import make
from snellen.adapters.types import InferenceResult

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[1] / "fixtures"
TASKS = ("classify", "detect", "segment", "pose", "detect-26")
PIXELS, CONFIDENCE = 1e-2, 1e-4


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shapes")
    make(folder, counts={"test": 5, "val": 1}, seed=5)
    return sorted((folder / "detect" / "images" / "test").iterdir())


def predicted(task: str, place: Path, images: list[Path], **run: Any) -> snellen.InferenceJob:
    return snellen.predict(
        {
            "run": {"engine": "inline", "batch_size": 2, **run},
            "output": {"dir": str(place / "out")},
            "database": f"sqlite:///{place / 'runs.db'}",
        },
        images,
        checkpoint=FIXTURES / f"tiny-{task}.pt",
        adapter="ultralytics",
    )


def assert_same(row: dict[str, Any], result: InferenceResult) -> None:
    assert row["status"] == "ok"
    assert row["predicted_label"] == result.predicted_label
    if result.top5_predictions is not None:
        assert row["confidence"] == pytest.approx(result.confidence, abs=CONFIDENCE)
        for stored, score in zip(row["top5_predictions"], result.top5_predictions, strict=True):
            assert stored["label"] == score["label"]
            assert stored["confidence"] == pytest.approx(score["confidence"], abs=CONFIDENCE)
        return
    boxes = result.predicted_boxes or []
    assert len(row["predicted_boxes"]) == len(boxes)
    for stored, box in zip(row["predicted_boxes"], boxes, strict=True):
        assert stored["class_id"] == box["class_id"]
        assert stored["confidence"] == pytest.approx(box["confidence"], abs=CONFIDENCE)
        corners = (box["x1"], box["y1"], box["x2"], box["y2"])
        assert [stored[key] for key in ("x1", "y1", "x2", "y2")] == pytest.approx(
            corners, abs=PIXELS
        )
    assert row["predicted_masks"] == result.predicted_masks
    if result.predicted_keypoints is not None:
        for stored, pose in zip(
            row["predicted_keypoints"], result.predicted_keypoints, strict=True
        ):
            for a, b in zip(stored, pose, strict=True):
                assert (a["x"], a["y"]) == pytest.approx((b["x"], b["y"]), abs=PIXELS)
                assert a["v"] == pytest.approx(b["v"], abs=CONFIDENCE)


@pytest.mark.parametrize("task", TASKS)
def test_single_batch_and_job_agree(task: str, images: list[Path], tmp_path: Path) -> None:
    adapter = snellen.load_adapter("ultralytics", checkpoint=FIXTURES / f"tiny-{task}.pt")
    singles = [adapter.infer_single(image) for image in images]
    batch = adapter.infer_batch(images, batch_size=3)
    several = predicted(task, tmp_path, images).results().to_dicts()
    assert [row["image_path"] for row in several] == [str(image) for image in images]
    for row, single, of_batch in zip(several, singles, batch, strict=True):
        assert_same(row, single)
        assert_same(row, of_batch)
    (alone,) = predicted(task, tmp_path, images[:1]).results().to_dicts()
    assert_same(alone, singles[0])
    if task != "classify":
        assert any(row["predicted_boxes"] for row in several)


def test_a_confidence_filter_leaves_out_unsure_boxes(images: list[Path], tmp_path: Path) -> None:
    def boxes(**settings: Any) -> list[float]:
        job = snellen.predict(
            {"run": {"engine": "inline"}, "output": {"dir": str(tmp_path / "out")},
             "database": f"sqlite:///{tmp_path / 'runs.db'}"},
            images, checkpoint=FIXTURES / "tiny-detect.pt", adapter="ultralytics", **settings,
        )  # fmt: skip
        rows = job.results(["predicted_boxes"]).to_dicts()
        return [box["confidence"] for row in rows for box in row["predicted_boxes"]]

    usual, confident = boxes(), boxes(confidence=0.6)
    assert min(usual) >= 0.25
    assert sorted(confident) == sorted(value for value in usual if value > 0.6)
    assert 0 < len(confident) < len(usual)


def test_the_job_object(images: list[Path], tmp_path: Path) -> None:
    job = predicted("segment", tmp_path, images)
    database = f"sqlite:///{tmp_path / 'runs.db'}"
    again = snellen.open_predictions(job.id, database=database)
    assert (again.id, again.name, again.status) == (job.id, job.name, "completed")
    assert repr(again) == (
        "InferenceJob(id=1, name='tiny-segment-5-images', status='completed', 5 of 5 images)"
    )
    assert [file.parent.name for file in job.files()] == ["units"]
    assert job.lazy().select("image_index").collect().height == 5
    assert job.row.inference_type == "batch"
    first = job.results().row(0, named=True)
    drawn = job.draw(0)
    assert drawn.shape[2] == 3
    assert max(drawn.shape) >= max(320, first["width"])
    assert job.results_dir.is_dir()

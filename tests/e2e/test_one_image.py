"""One photograph by every interface: a call, a batch, a job, HTTP, and each through ONNX."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import snellen
from snellen.adapters.types import InferenceResult
from snellen.pipelines.model_tools.export import ExportSettings, export_model
from snellen.store.jobs import TrainingJobRecord, upsert_training_job
from snellen.store.sql.database import Database
from tests.serve.local_service import FIXTURES, TASKS, served

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
PIXELS, CONFIDENCE = 1e-2, 1e-4
THRESHOLD = 0.27
"""A threshold far from every box of these models, so that rounding changes no count."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def photograph() -> Path:
    package = find_spec("ultralytics")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "assets" / "bus.jpg"


def facts_of(result: InferenceResult) -> dict[str, Any]:
    """Return a result of any interface as plain numbers."""
    return facts(
        [(s["label"], s["confidence"]) for s in result.top5_predictions or []],
        [
            (b["class_id"], b["confidence"], [b["x1"], b["y1"], b["x2"], b["y2"]])
            for b in result.predicted_boxes or []
        ],
        [[(p["x"], p["y"], p["v"]) for p in one] for one in result.predicted_keypoints or []],
        [mask.decode() for mask in result.predicted_masks or []],
    )


def facts_of_row(row: dict[str, Any]) -> dict[str, Any]:
    return facts(
        [(s["label"], s["confidence"]) for s in row["top5_predictions"] or []],
        [
            (b["class_id"], b["confidence"], [b["x1"], b["y1"], b["x2"], b["y2"]])
            for b in row["predicted_boxes"] or []
        ],
        [[(p["x"], p["y"], p["v"]) for p in one] for one in row["predicted_keypoints"] or []],
        [mask.decode() for mask in row["predicted_masks"] or []],
    )


def facts_of_answer(body: dict[str, Any]) -> dict[str, Any]:
    return facts(
        [(s["label"], s["confidence"]) for s in body["top5_predictions"] or []],
        [(b["class_id"], b["confidence"], b["xyxy"]) for b in body["predicted_boxes"] or []],
        [
            [(p["x"], p["y"], p["v"]) for p in one["keypoints"]]
            for one in body["predicted_keypoints"] or []
        ],
        [mask["counts"] for mask in body["predicted_masks"] or []],
    )


def facts(top5: Any, boxes: Any, poses: Any, masks: Any) -> dict[str, Any]:
    return {"top5": top5, "boxes": boxes, "poses": poses, "masks": masks}


def assert_alike(found: dict[str, Any], expected: dict[str, Any], *, same_masks: bool) -> None:
    for (label, p), (its_label, q) in zip(found["top5"], expected["top5"], strict=True):
        assert (label, p) == (its_label, pytest.approx(q, abs=CONFIDENCE))
    for ours, its in zip(found["boxes"], expected["boxes"], strict=True):
        assert ours[0] == its[0]
        assert ours[1] == pytest.approx(its[1], abs=CONFIDENCE)
        assert ours[2] == pytest.approx(its[2], abs=PIXELS)
    for ours, its in zip(found["poses"], expected["poses"], strict=True):
        for (x, y, v), (a, b, c) in zip(ours, its, strict=True):
            assert (x, y) == pytest.approx((a, b), abs=PIXELS)
            assert v == pytest.approx(c, abs=CONFIDENCE)
    assert len(found["masks"]) == len(expected["masks"])
    if same_masks:
        assert found["masks"] == expected["masks"]


@pytest.mark.parametrize("task", TASKS)
async def test_every_way_gives_the_same_prediction(
    task: str, photograph: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    database = Database.open(url)
    checkpoint = tmp_path / "mine.pt"
    checkpoint.write_bytes((FIXTURES / f"tiny-{task}.pt").read_bytes())
    job = upsert_training_job(
        database,
        TrainingJobRecord(
            name="mine",
            framework="ultralytics",
            task_type=TASKS[task],
            model_name="yolo11",
            output_dir=str(checkpoint),
            class_names=None,
            num_classes=3,
            config=None,
        ),
    )
    export_model("mine", ExportSettings("onnx"), database=url)
    adapter = snellen.load_adapter("ultralytics", checkpoint=checkpoint)
    single = adapter.infer_single(photograph)
    if single.predicted_boxes is not None:
        gaps = [abs(box["confidence"] - THRESHOLD) for box in single.predicted_boxes]
        assert min(gaps, default=1.0) > 10 * CONFIDENCE
    (_, batched) = adapter.infer_batch([photograph, photograph])
    threshold = None if task == "classify" else THRESHOLD
    found: dict[str, dict[str, Any]] = {}
    async with served(database, tmp_path) as service:
        for name in ("mine", "mine-onnx"):
            config = {
                "run": {"engine": "inline"},
                "output": {"dir": str(tmp_path / "out")},
                "database": url,
            }
            predicted = snellen.predict(config, [photograph], job=name, confidence=threshold)
            (row,) = predicted.results().to_dicts()
            found[f"job of {name}"] = facts_of_row(row)
            number = job.id if name == "mine" else job.id + 1
            fields = {} if threshold is None else {"confidence": threshold}
            answer = await service.single(
                photograph.read_bytes(), number, photograph.name, **fields
            )
            assert answer.status_code == 200, answer.text
            found[f"http of {name}"] = facts_of_answer(answer.json())
    database.close()
    expected = kept(facts_of(single), THRESHOLD)
    assert expected["top5"] or expected["boxes"]
    assert_alike(kept(facts_of(batched), THRESHOLD), expected, same_masks=False)
    for way, one in found.items():
        assert_alike(one, expected, same_masks="onnx" not in way)


def kept(whole: dict[str, Any], limit: float) -> dict[str, Any]:
    """Return the detections above a threshold."""
    places = [n for n, box in enumerate(whole["boxes"]) if box[1] > limit]
    parts = {key: [whole[key][n] for n in places if n < len(whole[key])]
             for key in ("boxes", "poses", "masks")}  # fmt: skip
    return {**whole, **parts}

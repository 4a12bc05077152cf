"""``POST /inference/single``."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select

from snellen.adapters.registry import load_adapter_class
from snellen.adapters.runtime.threads import set_compute_threads
from snellen.adapters.types import AdapterSpec
from snellen.serve.api.backend import Busy, Unavailable
from snellen.store.runs import list_inference_jobs
from snellen.store.sql.database import Database
from snellen.store.sql.models import InferenceJob, InferenceResultRow
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import FIXTURES, TASKS, served

pytestmark = pytest.mark.anyio
Jobs = dict[str, JobView]


@pytest.mark.parametrize("task", TASKS)
async def test_the_response_equals_infer_single(
    task: str, db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    set_compute_threads(1)  # as the service: sums of several threads differ in the last digits
    data = picture("JPEG")
    spec = AdapterSpec("ultralytics", checkpoint=str(FIXTURES / f"tiny-{task}.pt"))
    expected = load_adapter_class("ultralytics").from_spec(spec, device="cpu").infer_single(data)
    async with served(db, tmp_path) as service:
        response = await service.single(data, jobs[task].id, "cat.jpg")
    body = response.json()
    assert response.status_code == 200
    assert (body["id"], body["inference_job_id"]) == (None, None)
    assert (body["image_name"], body["image_path"]) == ("cat.jpg", "cat.jpg")
    assert (body["width"], body["height"]) == (150, 110)
    assert body["predicted_label"] == expected.predicted_label
    assert body["top5_predictions"] == expected.top5_predictions
    assert (body["predicted_boxes"] is None) == (expected.predicted_boxes is None)
    for box, its in zip(body["predicted_boxes"] or [], expected.predicted_boxes or [], strict=True):
        x1, y1, x2, y2 = box["xyxy"]
        assert [x1, y1, x2, y2] == [its["x1"], its["y1"], its["x2"], its["y2"]]
        assert box["bbox"] == [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
        assert (box["format"], box["confidence"]) == ("xywh_center_px", its["confidence"])
        assert box["label"] == ("circle", "square", "triangle")[box["class_id"]]
    masks = [mask["counts"].encode() for mask in body["predicted_masks"] or []]
    assert masks == (expected.predicted_masks or [])
    poses = [pose["keypoints"] for pose in body["predicted_keypoints"] or []]
    assert poses == (expected.predicted_keypoints or [])
    assert body["inference_time_ms"] > 0
    assert body["preprocessing_time_ms"] > 0


async def test_parameters_are_form_fields_or_query_parameters(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    files = {"image": ("a.png", picture())}
    job = jobs["detect"].id
    async with served(db, tmp_path) as service:
        client = service.client
        by_form = await client.post(
            "/inference/single", files=files, data={"training_job_id": job, "confidence": "0.7"}
        )
        by_query = await client.post(
            f"/inference/single?training_job_id={job}&confidence=0.7&checkpoint=last", files=files
        )
        assert by_form.status_code == by_query.status_code == 200
        assert by_form.json()["predicted_boxes"] == by_query.json()["predicted_boxes"]
        assert by_query.json()["checkpoint"] == "last"
        twice = await client.post(
            f"/inference/single?training_job_id={job}", files=files, data={"training_job_id": job}
        )
        assert (twice.status_code, twice.json()["code"]) == (422, "VALIDATION")
        assert "both as a form field and in the query" in twice.json()["detail"]


async def test_confidence_may_be_below_the_default(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    async with served(db, tmp_path) as service:
        counts = {}
        for confidence in (0.01, 0.25, 0.7, 1.0):
            response = await service.single(picture(), jobs["detect"].id, confidence=confidence)
            boxes = response.json()["predicted_boxes"]
            assert all(box["confidence"] > confidence for box in boxes)
            counts[confidence] = len(boxes)
        usual = await service.single(picture(), jobs["detect"].id)
    assert counts[0.01] > counts[0.25] >= counts[0.7] > counts[1.0] == 0
    assert len(usual.json()["predicted_boxes"]) == counts[0.25]


async def test_visualize_returns_the_annotated_image(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    async with served(db, tmp_path) as service:
        response = await service.single(picture(), jobs["detect"].id, visualize="true")
    body = response.json()
    head, _, data = body["visualization"].partition(",")
    assert head == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.format == "JPEG"
    assert body["visualization_path"] is None
    assert not list(tmp_path.rglob("*.jpg"))


async def test_record_stores_the_request(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    async with served(db, tmp_path / "runs") as service:
        response = await service.single(
            picture(), jobs["detect"].id, "é.png", record="true", visualize="true"
        )
        body = response.json()
        failed = await service.single(b"no image", jobs["detect"].id, record="true")
    assert failed.status_code == 415
    with db.read() as session:
        job, wrong = session.scalars(select(InferenceJob).order_by(InferenceJob.id)).all()
        row, wrong_row = session.scalars(
            select(InferenceResultRow).order_by(InferenceResultRow.id)
        ).all()
    assert (job.id, row.id) == (body["inference_job_id"], body["id"])
    assert (job.inference_type, job.status, job.total_images) == ("single", "completed", 1)
    assert job.input_data == {"image_name": "é.png"}
    assert job.avg_inference_time_ms == pytest.approx(body["inference_time_ms"])
    assert len(row.predicted_boxes or ()) == len(body["predicted_boxes"])
    assert row.visualization_path == body["visualization_path"]
    assert (tmp_path / "runs" / body["visualization_path"]).read_bytes()[:2] == b"\xff\xd8"
    assert (wrong.status, wrong.failed_images) == ("failed", 1)
    assert (wrong_row.error_code, wrong_row.predicted_boxes) == ("UNSUPPORTED", None)


async def test_recording_can_be_the_default(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    async with served(db, tmp_path, record=True) as service:
        kept = await service.single(picture(), jobs["classify"].id)
        not_kept = await service.single(picture(), jobs["classify"].id, record="false")
    assert kept.json()["id"] == 1
    assert not_kept.json()["id"] is None
    assert len(list_inference_jobs(db)) == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"job": 99}, (404, "JOB_NOT_FOUND")),
        ({"job": 0}, (422, "VALIDATION")),
        ({"job": 2**40}, (422, "VALIDATION")),
        ({"job": "tiny"}, (422, "VALIDATION")),
        ({"checkpoint": "7"}, (404, "CHECKPOINT_NOT_FOUND")),
        ({"checkpoint": "middle"}, (422, "VALIDATION")),
        ({"checkpoint": "../../etc/passwd"}, (403, "PATH_FORBIDDEN")),
        ({"checkpoint": "/etc/passwd"}, (403, "PATH_FORBIDDEN")),
        ({"checkpoint": "hf-hub:timm/resnet18"}, (403, "PATH_FORBIDDEN")),
        ({"checkpoint": "https://example.com/best.pt"}, (403, "PATH_FORBIDDEN")),
        ({"confidence": "1.5"}, (422, "VALIDATION")),
        ({"confidence": "nan"}, (422, "VALIDATION")),
        ({"visualize": "perhaps"}, (422, "VALIDATION")),
        ({"colour": "red"}, (422, "FORM_FIELD")),
    ],
)
async def test_invalid_parameters(
    fields: dict[str, Any], expected: tuple[int, str], db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    parameters = dict(fields)
    job = parameters.pop("job", jobs["detect"].id)
    async with served(db, tmp_path) as service:
        response = await service.single(picture(), job, **parameters)
    assert (response.status_code, response.json()["code"]) == expected, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert str(FIXTURES) not in response.text


async def test_forms_without_required_parts(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        post = service.client.post
        nothing = await post("/inference/single")
        assert (nothing.status_code, nothing.json()["code"]) == (400, "MULTIPART")
        no_job = await post("/inference/single", files={"image": ("a.png", picture())})
        assert no_job.status_code == 422
        assert "training_job_id: Field required" in no_job.json()["detail"]
        no_image = await post("/inference/single", files={"training_job_id": (None, "1")})
        assert "no file in the field 'image'" in no_image.json()["detail"]
        text = {"training_job_id": (None, "1"), "image": (None, "https://example.com/cat.jpg")}
        address = await post("/inference/single", files=text)
        assert (address.status_code, address.json()["code"]) == (400, "NOT_A_FILE")
        path = await post(
            "/inference/single?training_job_id=1&checkpoint=/etc/passwd",
            files={"image": ("a.png", picture())},
        )
        assert (path.status_code, path.json()["code"]) == (403, "PATH_FORBIDDEN")
        odd = await post("/inference/single?colour=red", files={"image": ("a.png", picture())})
        assert "Unknown query parameter 'colour'" in odd.json()["detail"]


async def test_identical_requests_are_served_from_the_cache(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    async with served(db, tmp_path, cache_bytes=1_000_000) as service:
        first = await service.single(picture(), jobs["detect"].id)
        again = await service.single(picture(), jobs["detect"].id)
        other = await service.single(picture(), jobs["detect"].id, confidence=0.5)
        assert len(service.backend.requests) == 2
        assert "snellen_cache_hits_total 1.0" in (await service.client.get("/metrics")).text
    assert first.json()["predicted_boxes"] == again.json()["predicted_boxes"]
    assert other.status_code == 200


@pytest.mark.slow
async def test_an_overwritten_checkpoint_is_another_model(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    """Training overwrites ``best`` while the service runs."""
    folder = tmp_path / "run" / "weights"
    folder.mkdir(parents=True)
    (tmp_path / "run" / "args.yaml").write_text("task: detect\nmodel: yolo11n.pt\n")
    best = folder / "best.pt"
    best.write_bytes((FIXTURES / "tiny-detect.pt").read_bytes())
    from snellen.pipelines.models.training_jobs import register_directory

    job = register_directory(db, tmp_path / "run")
    async with served(db, tmp_path) as service:
        first = await service.single(picture(), job.id)
        best.write_bytes((FIXTURES / "tiny-detect-8.pt").read_bytes())
        service.state.resolver._cache.clear()
        second = await service.single(picture(), job.id)
    assert first.status_code == second.status_code == 200
    assert first.json()["checkpoint_sha256"] != second.json()["checkpoint_sha256"]


@pytest.mark.parametrize("error", [Unavailable("died"), Busy("full")])
async def test_no_process_for_the_model_is_503(
    error: Exception, db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    async with served(db, tmp_path) as service:
        service.backend.problem = error
        response = await service.single(picture(), jobs["detect"].id)
        ready = await service.client.get("/health/ready")
    assert response.status_code == ready.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.json()["code"] in {"WORKER_DIED", "OVERLOADED"}


async def test_a_full_queue_is_503_and_accepted_requests_succeed(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    async with served(db, tmp_path, limits={"max_queued": 3, "retry_after_s": 2}) as service:
        await service.single(picture(), jobs["detect"].id)
        responses = await asyncio.gather(
            *(service.single(picture(), jobs["detect"].id) for _ in range(12))
        )
        after = await service.single(picture(), jobs["detect"].id)
    statuses = [response.status_code for response in responses]
    assert statuses.count(200) >= 3
    assert set(statuses) == {200, 503}
    rejected = next(response for response in responses if response.status_code == 503)
    assert (rejected.json()["code"], rejected.headers["retry-after"]) == ("OVERLOADED", "2")
    assert after.status_code == 200
    assert (service.state.admission.running, service.state.admission.buffered) == (0, 0)


async def test_a_prediction_that_takes_too_long_is_503(
    db: Database, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(db, tmp_path, limits={"request_timeout_s": 0.05}) as service:

        async def slow(_: object) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr(service.backend, "infer", slow)
        response = await service.single(picture(), jobs["detect"].id)
    assert (response.status_code, response.json()["code"]) == (503, "REQUEST_TIMEOUT")
    assert "retry-after" in response.headers
    assert service.state.admission.running == 0


async def test_disconnecting_frees_the_slot(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        await service.single(picture(), jobs["detect"].id)
        task = asyncio.create_task(service.single(picture(), jobs["detect"].id))
        while not service.state.admission.running:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        admission = service.state.admission
        assert (admission.running, admission.open, admission.buffered) == (0, 0, 0)

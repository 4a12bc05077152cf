"""The routes below ``/v2``: metadata, health, predictions and errors."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import FIXTURES, Service, add_job, served

pytestmark = pytest.mark.anyio
Jobs = dict[str, JobView]
LENGTH = "Inference-Header-Content-Length"
NO_BOXES = picture(size=(40, 40))


def encoded(*images: bytes) -> list[str]:
    return [base64.b64encode(image).decode() for image in images]


def body_of(*images: bytes, **members: Any) -> dict[str, Any]:
    """Return a JSON body; ``members`` replace those of the body or of its input."""
    one = {"name": "image", "datatype": "BYTES", "shape": [len(images)], "data": encoded(*images)}
    one |= {key: members.pop(key) for key in tuple(one) if key in members}
    return {"inputs": [one], **members}


async def infer(service: Service, model: str, body: dict[str, Any]) -> Any:
    return await service.client.post(f"/v2/models/{model}/infer", json=body)


async def send_binary(
    service: Service, model: str, body: dict[str, Any], data: bytes, length: str | None = None
) -> Any:
    text = json.dumps(body).encode()
    headers = {LENGTH: str(len(text)) if length is None else length}
    return await service.client.post(
        f"/v2/models/{model}/infer", content=text + data, headers=headers
    )


def tensors(response: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return the JSON outputs of a response as arrays."""
    kinds = {"INT64": np.int64, "FP32": np.float32, "BYTES": object}
    return {
        one["name"]: np.array(one["data"], kinds[one["datatype"]]).reshape(one["shape"])
        for one in response.json()["outputs"]
    }


async def test_metadata_and_health(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        get = service.client.get
        server = (await get("/v2")).json()
        assert (server["name"], server["extensions"]) == ("snellen", ["binary_tensor_data"])
        assert (await get("/v2/health/live")).json() == {"live": True}
        assert (await get("/v2/health/ready")).json() == {"ready": True}
        model = (await get("/v2/models/tiny-segment")).json()
        assert (model["name"], model["platform"]) == ("tiny-segment", "snellen_ultralytics")
        assert model["versions"] == ["best"]
        assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
        outputs = {one["name"]: (one["datatype"], one["shape"]) for one in model["outputs"]}
        assert outputs["boxes"] == ("FP32", [-1, 4])
        assert outputs["masks"] == ("BYTES", [-1])
        by_id = await get(f"/v2/models/{jobs['segment'].id}/versions/last")
        assert by_id.json() == model
        for path in ("tiny-pose/ready", "tiny-pose/versions/best/ready"):
            assert (await get(f"/v2/models/{path}")).json() == {"name": "tiny-pose", "ready": True}
        await service.state.admission.drain(0.1, settle_s=0.0)
        stopping = await get("/v2/health/ready")
        assert (stopping.status_code, stopping.json()["code"]) == (503, "DRAINING")
        assert stopping.json()["error"] == "The service is being stopped."


@pytest.mark.parametrize("task", ["classify", "detect", "segment", "pose"])
async def test_outputs_equal_those_of_single(
    task: str, db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    images = [picture(), NO_BOXES, picture("JPEG", (200, 120))]
    async with served(db, tmp_path) as service:
        response = await infer(service, f"tiny-{task}", body_of(*images, id="r-7"))
        assert response.status_code == 200, response.text
        singles = [(await service.single(one, jobs[task].id)).json() for one in images]
    body = response.json()
    assert body["id"] == "r-7"
    assert (body["model_name"], body["model_version"]) == (f"tiny-{task}", "best")
    assert body["parameters"]["checkpoint_sha256"] == singles[0]["checkpoint_sha256"]
    found = tensors(response)
    assert found["image_sizes"].tolist() == [[one["width"], one["height"]] for one in singles]
    if task == "classify":
        for row, one in enumerate(singles):
            top = one["top5_predictions"]
            assert found["class_ids"][row].tolist() == [score["label_id"] for score in top]
            assert found["class_names"][row].tolist() == [score["label"] for score in top]
            expected = [score["confidence"] for score in top]
            assert found["probabilities"][row] == pytest.approx(expected, abs=1e-4)
        return
    boxes = [box for one in singles for box in one["predicted_boxes"]]
    assert len(boxes) > 2
    assert found["boxes"] == pytest.approx(np.array([box["xyxy"] for box in boxes]), abs=0.05)
    assert found["scores"] == pytest.approx([box["confidence"] for box in boxes], abs=1e-4)
    assert found["class_ids"].tolist() == [box["class_id"] for box in boxes]
    assert found["class_names"].tolist() == [box["label"] for box in boxes]
    index = [row for row, one in enumerate(singles) for _ in one["predicted_boxes"]]
    assert found["image_index"].tolist() == index
    if task == "segment":
        masks = [mask["counts"] for one in singles for mask in one["predicted_masks"]]
        assert found["masks"].tolist() == masks
    if task == "pose":
        poses = [pose["keypoints"] for one in singles for pose in one["predicted_keypoints"]]
        points = np.array([[[one["x"], one["y"], one["v"]] for one in pose] for pose in poses])
        assert found["keypoints"] == pytest.approx(points, abs=0.05)


async def test_parameters_and_chosen_outputs(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        many = await infer(
            service, "tiny-detect", body_of(picture(), parameters={"confidence": 0.01})
        )
        outputs = [{"name": "scores"}, {"name": "boxes"}]
        few = await infer(
            service,
            "tiny-detect",
            body_of(picture(), parameters={"confidence": 1.0}, outputs=outputs),
        )
        assert len(tensors(many)["scores"]) > 2
        assert [one["name"] for one in few.json()["outputs"]] == ["scores", "boxes"]
        assert [one["shape"] for one in few.json()["outputs"]] == [[0], [0, 4]]
        top = await infer(service, "tiny-classify", body_of(picture(), parameters={"top_k": 2}))
        assert tensors(top)["class_ids"].shape == (1, 2)
        kept = await infer(service, "tiny-detect", body_of(picture(), parameters={"record": True}))
        assert kept.status_code == 200
        text = (await service.client.get("/metrics")).text
    assert 'snellen_requests_total{route="/v2/models/{model}/infer",status="200"} 4.0' in text
    with db.read() as session:
        from snellen.store.sql.models import InferenceJob

        assert session.query(InferenceJob).count() == 1


async def test_binary_data_in_both_directions(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    images = [picture(), NO_BOXES]
    data = b"".join(struct.pack("<I", len(one)) + one for one in images)
    one: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [2, 1]}
    one["parameters"] = {"binary_data_size": len(data)}
    wanted = [
        {"name": "boxes", "parameters": {"binary_data": True}},
        {"name": "scores"},
        {"name": "class_names", "parameters": {"binary_data": True}},
    ]
    async with served(db, tmp_path) as service:
        plain = tensors(await infer(service, "tiny-detect", body_of(*images)))
        response = await send_binary(
            service, "tiny-detect", {"inputs": [one], "outputs": wanted}, data
        )
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/octet-stream"
    split = int(response.headers[LENGTH])
    head, rest = json.loads(response.content[:split]), response.content[split:]
    boxes, scores, names = head["outputs"]
    size = boxes["parameters"]["binary_data_size"]
    found = np.frombuffer(rest[:size], "<f4").reshape(boxes["shape"])
    assert found == pytest.approx(plain["boxes"], abs=0.01)
    assert scores["data"] == pytest.approx(plain["scores"].tolist(), abs=1e-4)
    packed = b"".join(struct.pack("<I", len(one)) + one.encode() for one in plain["class_names"])
    assert rest[size:] == packed
    assert names["parameters"] == {"binary_data_size": len(packed)}


async def test_models_and_versions_that_do_not_exist(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    add_job(db, str(jobs["pose"].id), FIXTURES / "tiny-detect-8.pt")
    expected = {
        "/v2/models/nothing": (404, "JOB_NOT_FOUND"),
        "/v2/models/999": (404, "JOB_NOT_FOUND"),
        f"/v2/models/{2**40}/ready": (404, "JOB_NOT_FOUND"),
        "/v2/models/tiny-detect/versions/7": (404, "CHECKPOINT_NOT_FOUND"),
        "/v2/models/tiny-detect/versions/latest": (404, "CHECKPOINT_NOT_FOUND"),
        "/v2/models/tiny-detect/versions/7/ready": (404, "CHECKPOINT_NOT_FOUND"),
        f"/v2/models/{jobs['pose'].id}": (400, "JOB_AMBIGUOUS"),
        "/v2/nothing": (404, "NOT_FOUND"),
        "/v2/models/tiny-detect/infer": (405, "METHOD_NOT_ALLOWED"),
    }
    async with served(db, tmp_path) as service:
        for path, problem in expected.items():
            response = await service.client.get(path)
            assert (response.status_code, response.json()["code"]) == problem, path
            assert set(response.json()) == {"error", "code"}
            assert response.headers["content-type"] == "application/json"
        missing = await infer(service, "nothing", body_of(picture()))
        assert (missing.status_code, missing.json()["code"]) == (404, "JOB_NOT_FOUND")
        version = await service.client.post(
            "/v2/models/tiny-detect/versions/7/infer", json=body_of(picture())
        )
        assert (version.status_code, version.json()["code"]) == (404, "CHECKPOINT_NOT_FOUND")
        plain = await service.client.get("/nothing")
        assert plain.headers["content-type"] == "application/problem+json"

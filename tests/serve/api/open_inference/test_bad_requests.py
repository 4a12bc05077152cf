"""Requests to ``/v2/models/{model}/infer`` that are rejected, with the reason."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.api.open_inference.test_routes import (
    LENGTH,
    body_of,
    encoded,
    infer,
    send_binary,
)
from tests.serve.conftest import picture
from tests.serve.local_service import served

pytestmark = pytest.mark.anyio
Jobs = dict[str, JobView]
IMAGE = picture()
ONE = encoded(IMAGE)

BODIES: dict[str, tuple[dict[str, Any], int, str]] = {
    "no inputs": ({"inputs": []}, 400, "inputs: List should have at least 1 item"),
    "two inputs": ({"inputs": 2 * body_of(IMAGE)["inputs"]}, 400, "at most 1 item"),
    "another input": (body_of(IMAGE, name="x"), 400, "Unknown input 'x'. Expected 'image'."),
    "datatype": (body_of(IMAGE, datatype="FP32"), 400, "has datatype 'FP32'. Expected BYTES"),
    "an image tensor": (body_of(IMAGE, shape=[1, 3, 224, 224]), 400, "has shape [1, 3, 224, 224]"),
    "two columns": (body_of(IMAGE, shape=[1, 2]), 400, "Expected [N] or [N, 1] for N images"),
    "no dimension": (body_of(IMAGE, shape=[]), 400, "has shape []"),
    "no image": (body_of(shape=[0]), 400, "has shape [0]"),
    "a negative size": (body_of(IMAGE, shape=[-1]), 400, "inputs.0.shape.0"),
    "too few elements": (body_of(IMAGE, shape=[2]), 400, "has 1 elements. Expected 2"),
    "too many elements": (body_of(IMAGE, IMAGE, shape=[1]), 400, "more than 1 elements"),
    "too many images": (body_of(*[b"x"] * 5), 400, "has 5 images. Expected at most 4."),
    "no data": (body_of(IMAGE, data=None), 400, "neither data nor binary_data_size"),
    "no base64": (body_of(IMAGE, data=["/a/b.png"]), 400, "is no base64 text"),
    "a number": (body_of(IMAGE, data=[7]), 400, "Element 0 of input 'image'"),
    "an empty image": (body_of(b""), 400, "Image 0 is empty"),
    "a large image": (body_of(bytes(30_001)), 413, "Image 0 is larger than 30000 bytes"),
    "an unknown output": (body_of(IMAGE, outputs=[{"name": "x"}]), 400, "Unknown output 'x'"),
    "an output twice": (body_of(IMAGE, outputs=[{"name": "boxes"}] * 2), 400, "Duplicate output"),
    "a parameter": (body_of(IMAGE, parameters={"priority": 1}), 400, "parameters.priority"),
    "confidence": (body_of(IMAGE, parameters={"confidence": 2}), 400, "parameters.confidence"),
    "top_k": (body_of(IMAGE, parameters={"top_k": 6}), 400, "parameters.top_k"),
    "a member": (body_of(IMAGE, sequence=1), 400, "sequence: Extra inputs"),
    "a corrupt image": (body_of(IMAGE, IMAGE[:300]), 422, "Image 1: "),
    "no image file": (body_of(b"no image"), 415, "content starts with"),
}


async def test_json_bodies(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    limits = {"max_image_bytes": 30_000, "max_images": 4}
    async with served(db, tmp_path, limits=limits) as service:
        for name, (body, status, text) in BODIES.items():
            response = await infer(service, "tiny-detect", body)
            assert response.status_code == status, (name, response.text)
            assert text in response.json()["error"], name
            assert set(response.json()) == {"error", "code"}
        post, url = service.client.post, "/v2/models/tiny-detect/infer"
        for content in (b"", b"{", b"[]", b"\xff", b"[" * 100_000):
            assert (await post(url, content=content)).status_code == 400
        compressed = await post(url, content=b"x", headers={"Content-Encoding": "gzip"})
        assert compressed.status_code == 415
        admission = service.state.admission
        assert (admission.running, admission.open, admission.buffered) == (0, 0, 0)


def element(data: bytes, length: int | None = None) -> bytes:
    return struct.pack("<I", len(data) if length is None else length) + data


BINARY: dict[str, tuple[bytes, int, int | None, str]] = {
    "one element of two": (element(IMAGE), 2, None, "has 1 elements. Expected 2"),
    "three elements of two": (3 * element(b"x"), 2, None, "more than 2 elements"),
    "a length beyond the data": (element(b"abc", 4), 1, None, "element 0 of input 'image' ends"),
    "the largest length": (element(b"abc", 2**32 - 1), 1, None, "ends after the data"),
    "half a length": (element(b"abc") + b"\0\0", 2, None, "Element 1 of input 'image' ends"),
    "a size beyond the data": (element(IMAGE), 1, 10**9, "Expected 1000000000, the binary_data"),
    "a size below the data": (element(IMAGE), 1, 4, "Expected 4, the binary_data_size"),
    "no data": (b"", 1, None, "has 0 elements. Expected 1"),
}


async def test_binary_bodies(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    def tensor(count: int, size: int) -> dict[str, Any]:
        one: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [count]}
        return {"inputs": [{**one, "parameters": {"binary_data_size": size}}]}

    async with served(db, tmp_path) as service:
        for name, (data, count, size, text) in BINARY.items():
            body = tensor(count, len(data) if size is None else size)
            response = await send_binary(service, "tiny-detect", body, data)
            assert response.status_code == 400, (name, response.text)
            assert text.lower() in response.json()["error"].lower(), name
        both = body_of(IMAGE)
        both["inputs"][0]["parameters"] = {"binary_data_size": 3}
        response = await send_binary(service, "tiny-detect", both, b"abc")
        assert "both data and binary_data_size" in response.json()["error"]
        response = await send_binary(service, "tiny-detect", body_of(IMAGE), b"abc")
        assert "3 bytes follow the JSON, and no input is binary" in response.json()["error"]
        for length in ("x", "-1", "99999999", "9" * 5000, "\u0661"):
            found = await service.client.post(
                "/v2/models/tiny-detect/infer",
                content=b"{}",
                headers={LENGTH.encode(): length.encode()},
            )
            assert (found.status_code, found.json()["code"]) == (400, "TENSOR"), length
            assert LENGTH in found.json()["error"]


async def test_admission_keys_and_limits_are_those_of_single(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    limits = {"max_queued": 3, "max_image_bytes": 30_000, "max_images": 3}
    url = "/v2/models/tiny-detect/infer"
    async with served(db, tmp_path, keys=["k:read", "r:run"], limits=limits) as service:
        post, get = service.client.post, service.client.get
        body, run = body_of(IMAGE, IMAGE), {"X-API-Key": "r"}
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert (await get(path)).status_code == 200
        unknown = await post(url, json=body)
        assert (unknown.status_code, unknown.json()["code"]) == (401, "API_KEY")
        assert set(unknown.json()) == {"error", "code"}
        assert unknown.headers["www-authenticate"] == "Bearer"
        scope = await post(url, json=body, headers={"X-API-Key": "k"})
        assert (scope.status_code, scope.json()["code"]) == (403, "SCOPE")
        assert (await get("/v2", headers={"X-API-Key": "k"})).status_code == 200
        assert (await post(url, json=body, headers=run)).status_code == 200
        with service.state.admission.slot(2):
            full = await post(url, json=body, headers=run)
            assert (full.status_code, full.json()["code"]) == (503, "OVERLOADED")
            assert full.headers["retry-after"] == "1"
            assert (await post(url, json=body_of(IMAGE), headers=run)).status_code == 200
        with service.state.admission.slot(3):
            assert (await post(url, content=b"never read", headers=run)).status_code == 503
        large = await post(url, content=bytes(300_000), headers=run)
        assert (large.status_code, large.json()["code"]) == (413, "BYTE_LIMIT")
        text = (await get("/metrics", headers={"X-API-Key": "k"})).text
    assert 'snellen_requests_total{route="/v2/models/{model}/infer",status="503"} 2.0' in text

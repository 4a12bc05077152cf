"""``POST /inference/single`` with the image itself as the body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import served

pytestmark = pytest.mark.anyio
Jobs = dict[str, JobView]
SINGLE = "/inference/single"
TIMES = ("inference_time_ms", "preprocessing_time_ms", "postprocessing_time_ms", "created_at")


NAMED = {"Content-Disposition": "inline; filename=a.png"}
CONTENT_TYPES = (
    "image/png",
    "IMAGE/PNG; charset=binary",
    "image/x-anything",
    "application/octet-stream",
)


async def test_a_raw_body_gives_the_response_of_a_form(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    query: dict[str, Any] = {"training_job_id": jobs["detect"].id, "visualize": "true"}
    async with served(db, tmp_path) as service:
        post = service.client.post
        form = await post(SINGLE, params=query, files={"image": ("a.png", picture())})
        for content_type in CONTENT_TYPES:
            headers = {**NAMED, "Content-Type": content_type}
            raw = await post(SINGLE, params=query, content=picture(), headers=headers)
            assert raw.status_code == 200, raw.text
            assert comparable(raw.json()) == comparable(form.json())
    assert form.json()["visualization"].startswith("data:image/jpeg")


def comparable(body: dict[str, Any]) -> dict[str, Any]:
    """Return a response without times."""
    return {name: value for name, value in body.items() if name not in TIMES}


async def test_the_name_is_that_of_content_disposition(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    names = {
        "": "image",
        "attachment; filename=cat.png": "cat.png",
        "inline; filename*=UTF-8''%C3%A9t%C3%A9.png": "été.png",
        'attachment; filename="/etc/passwd"': "passwd",
        "attachment; filename": "image",
        "\x01;;filename=": "image",
    }
    query = {"training_job_id": jobs["classify"].id}
    async with served(db, tmp_path) as service:
        for disposition, name in names.items():
            headers = {"Content-Type": "image/png", "Content-Disposition": disposition}
            response = await service.client.post(
                SINGLE, params=query, content=picture(), headers=headers
            )
            assert response.json()["image_name"] == name, disposition


REJECTED: list[tuple[bytes, dict[str, str], tuple[int, str]]] = [
    (b"", {}, (400, "EMPTY")),
    (b"no image", {}, (415, "UNSUPPORTED")),
    (picture()[:300], {}, (422, "TRUNCATED")),
    (bytes(30_001), {}, (413, "BYTE_LIMIT")),
    (picture(), {"Content-Encoding": "gzip"}, (415, "UNSUPPORTED")),
    (picture(), {"Content-Type": "application/x-www-form-urlencoded"}, (400, "MULTIPART")),
    (picture(), {"Content-Type": "application/json"}, (400, "MULTIPART")),
    (picture(), {"Content-Type": "text/image/png"}, (400, "MULTIPART")),
]


async def test_bodies_that_are_rejected(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    url = f"{SINGLE}?training_job_id={jobs['detect'].id}"
    async with served(db, tmp_path, limits={"max_image_bytes": 30_000}) as service:
        for body, headers, expected in REJECTED:
            sent = {"Content-Type": "image/png", **headers}
            response = await service.client.post(url, content=body, headers=sent)
            assert (response.status_code, response.json()["code"]) == expected, response.text
            assert response.headers["content-type"] == "application/problem+json"
        admission = service.state.admission
        assert (admission.running, admission.open, admission.buffered) == (0, 0, 0)


async def test_another_content_type_gets_both_forms_as_advice(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    """``curl --data-binary`` sends application/x-www-form-urlencoded."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with served(db, tmp_path) as service:
        response = await service.client.post(SINGLE, content=picture(), headers=headers)
    assert "is 'application/x-www-form-urlencoded'" in response.json()["detail"]
    assert "field 'image', or an image file as the body" in response.json()["detail"]
    assert "Content-Type: image/jpeg" in response.json()["detail"]


async def test_a_chunked_body_is_counted_as_it_arrives(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 10_000
            yield bytes(10_000)

    url = f"{SINGLE}?training_job_id={jobs['detect'].id}"
    headers = {"Content-Type": "image/jpeg"}
    async with served(db, tmp_path, limits={"max_image_bytes": 30_000}) as service:
        response = await service.client.post(url, content=endless(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "BYTE_LIMIT")
    assert "larger than 30000 bytes" in response.json()["detail"]
    assert sent <= 50_000


async def test_a_body_that_does_not_arrive_is_408(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield picture()[:100]
        await asyncio.sleep(30)

    url = f"{SINGLE}?training_job_id={jobs['detect'].id}"
    headers = {"Content-Type": "image/png"}
    async with served(db, tmp_path, limits={"body_timeout_s": 0.1}) as service:
        response = await service.client.post(url, content=slow(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (408, "BODY_TIMEOUT")


async def test_parameters_are_checked_as_those_of_a_form(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    expected = {
        "": (422, "training_job_id: Field required"),
        "?training_job_id=0": (422, "training_job_id"),
        "?training_job_id=1&colour=red": (422, "Unknown query parameter 'colour'"),
        "?training_job_id=1&training_job_id=1": (422, "Duplicate query parameter"),
        "?training_job_id=1&checkpoint=/etc/passwd": (403, "Paths and addresses"),
        "?training_job_id=1&confidence=2": (422, "confidence"),
        "?training_job_id=99": (404, "no such training job"),
    }
    headers = {"Content-Type": "image/png"}
    async with served(db, tmp_path) as service:
        for query, (status, text) in expected.items():
            response = await service.client.post(SINGLE + query, content=b"x", headers=headers)
            assert response.status_code == status, query
            assert text in response.json()["detail"]


async def test_every_body_is_documented(db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        document = (await service.client.get("/openapi.json")).json()
    operation = document["paths"][SINGLE]["post"]
    content = operation["requestBody"]["content"]
    assert list(content) == ["multipart/form-data", "image/*", "application/octet-stream"]
    fields = set(content["multipart/form-data"]["schema"]["properties"]) - {"image"}
    assert {one["name"] for one in operation["parameters"] if one["in"] == "query"} == fields
    assert "job" in fields

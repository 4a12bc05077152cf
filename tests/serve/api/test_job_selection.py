"""Requests select a training job by id or name, on every route that runs one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import FIXTURES, Service, add_job, served
from tests.serve.site import Site

pytestmark = pytest.mark.anyio
Jobs = dict[str, JobView]
SINGLE = "/inference/single"
RAW = {"Content-Type": "image/png"}


async def by_form(service: Service, **fields: Any) -> Any:
    return await service.client.post(SINGLE, files={"image": ("a.png", picture())}, data=fields)


async def by_query(service: Service, **fields: Any) -> Any:
    files = {"image": ("a.png", picture())}
    return await service.client.post(SINGLE, files=files, params=fields)


async def by_raw_body(service: Service, **fields: Any) -> Any:
    return await service.client.post(SINGLE, content=picture(), headers=RAW, params=fields)


@pytest.mark.parametrize("send", [by_form, by_query, by_raw_body])
async def test_a_model_by_name(send: Any, db: Database, jobs: Jobs, tmp_path: Path) -> None:
    job = jobs["detect"].id
    async with served(db, tmp_path) as service:
        named = await send(service, job="tiny-detect")
        assert (named.status_code, named.json()["training_job_id"]) == (200, job), named.text
        both = await send(service, job="tiny-detect", training_job_id=job)
        assert (both.status_code, both.json()["training_job_id"]) == (200, job)
        other = await send(service, job="tiny-detect", training_job_id=job + 1)
        assert (other.status_code, other.json()["code"]) == (422, "VALIDATION")
        assert f"training_job_id {job + 1} and job 'tiny-detect'" in other.json()["detail"]
        assert f"the name belongs to {job}" in other.json()["detail"]
        unknown = await send(service, job="no such")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "JOB_NOT_FOUND")
        assert "name 'no such'" in unknown.json()["detail"]
        neither = await send(service, checkpoint="best")
        assert neither.status_code == 422
        assert neither.json()["detail"] == (
            "training_job_id: Field required, or the name of a training job as job."
        )
        for wrong in ("", "x" * 501, "a\0b"):
            response = await send(service, job=wrong)
            assert response.status_code == 422, wrong


async def test_a_number_is_a_name_in_job_and_an_id_in_training_job_id(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    """A training job may be called '2' whatever its id is."""
    two = add_job(db, "2", FIXTURES / "tiny-detect-8.pt")
    assert two.id != 2
    async with served(db, tmp_path) as service:
        assert (await by_form(service, job="2")).json()["training_job_id"] == two.id
        assert (await by_form(service, training_job_id="2")).json()["training_job_id"] == 2
        digits = await by_form(service, job=str(two.id))
    assert (digits.status_code, digits.json()["code"]) == (404, "JOB_NOT_FOUND")
    assert "send an id as training_job_id" in digits.json()["detail"]


async def test_submitted_work_takes_a_name(site: Site) -> None:
    name = site.job.name
    bodies: dict[str, dict[str, Any]] = {
        "/inference/test-runs": {"dataset_path": "data"},
        "/inference/inference-jobs": {"dataset_path": "data"},
    }
    async with served(site.db, site.output, **site.settings) as service:
        for path, body in bodies.items():
            sent = await service.client.post(path, json={**body, "job": name})
            assert sent.status_code == 202, sent.text
            assert sent.json()["training_job_id"] == site.job.id
            neither = await service.client.post(path, json=body)
            assert neither.status_code == 422
            assert "training_job_id: Field required" in neither.json()["detail"]
            both = {**body, "job": name, "training_job_id": site.job.id + 1}
            assert (await service.client.post(path, json=both)).status_code == 422
            unknown = await service.client.post(path, json={**body, "job": "no such"})
            assert (unknown.status_code, unknown.json()["code"]) == (404, "JOB_NOT_FOUND")
        files = [("images", ("a.png", picture()))]
        batch = await service.client.post("/inference/batch", files=files, data={"job": name})
        assert (batch.status_code, batch.json()["training_job_id"]) == (202, site.job.id)
        inspect = "/inference/datasets/inspect"
        query = {"path": "data"}
        plain = (await service.client.get(inspect, params=query)).json()
        named = (await service.client.get(inspect, params={**query, "job": name})).json()
        by_id: dict[str, Any] = {**query, "training_job_id": site.job.id}
        assert named == (await service.client.get(inspect, params=by_id)).json()
        assert (plain["class_map"], named["class_map"] is None) == (None, False)

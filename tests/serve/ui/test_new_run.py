"""The form of a new test run: the check while it is filled in, and what is submitted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from examples.shapes.make_dataset import make
from snellen.store.datasets import add_dataset
from snellen.store.kinds import TEST_RUN
from snellen.store.runs import get_test_run
from snellen.store.service.job_queue import queued_jobs
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.local_service import FIXTURES, Service, add_job, served

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make(tmp_path / "data" / "shapes", counts={"test": 3})
    return tmp_path / "data"


@pytest.fixture
def job(db: Database) -> JobView:
    names = ["circle", "square", "triangle"]
    return add_job(db, "tiny", FIXTURES / "tiny-detect.pt", class_names=names, num_classes=3)


@pytest.fixture
async def service(db: Database, root: Path, job: JobView, tmp_path: Path) -> AsyncIterator[Service]:
    async with served(db, tmp_path, roots=[str(root)]) as running:
        yield running


async def check(service: Service, job: JobView, path: str, **fields: str) -> str:
    query = {"training_job_id": str(job.id), "checkpoint": "best", "path": path, **fields}
    found = await service.client.get("/ui/new/check", params=query)
    assert found.status_code == 200
    return found.text


@pytest.mark.slow
async def test_a_dataset_is_checked_before_anything_runs(service: Service, job: JobView) -> None:
    html = await check(service, job, "shapes/detect/data.yaml")
    assert "yolo, split test" in html
    assert "<span>Images</span><span>3</span>" in html
    for name in ("circle", "square", "triangle"):
        assert f"<bdi>{name}</bdi>" in html
    assert f"snellen eval --job {job.id}@best --dataset shapes/detect/data.yaml" in html


@pytest.mark.parametrize("path", ["none", "/etc", "../x"])
async def test_what_cannot_be_used_is_said(
    service: Service, job: JobView, path: str, root: Path
) -> None:
    html = await check(service, job, path)
    assert 'class="note bad"' in html
    assert str(root) not in html


async def test_nothing_typed_is_no_error(service: Service, job: JobView) -> None:
    assert "Type a path" in await check(service, job, "")


@pytest.mark.slow
async def test_classes_that_differ_are_mapped_by_hand(
    service: Service, job: JobView, root: Path, db: Database
) -> None:
    file = root / "shapes" / "detect" / "data.yaml"
    file.write_text(file.read_text().replace("circle", "disc <b>"))
    path = "shapes/detect/data.yaml"
    html = await check(service, job, path)
    assert "Some classes are not in the checkpoint." in html
    assert 'name="map:disc &lt;b&gt;"' in html
    data = {"training_job_id": str(job.id), "checkpoint": "best", "path": path, "name": "mapped"}
    unmapped = await service.client.post("/new", data={**data, "map:disc <b>": ""})
    assert unmapped.status_code == 422
    assert "Choose what becomes of these classes: disc &lt;b&gt;." in unmapped.text
    chosen = {"map:disc <b>": "circle", "map:square": "square", "map:triangle": "-"}
    html = await check(service, job, path, **chosen)
    assert "Some classes" not in html
    sent = await service.client.post("/new", data={**data, **chosen})
    assert sent.status_code == 303, sent.text
    run = get_test_run(db, "mapped")
    assert run.config is not None
    assert run.config["model"]["class_map"] == {
        "disc <b>": "circle",
        "square": "square",
        "triangle": None,
    }


@pytest.mark.slow
async def test_a_run_is_submitted(service: Service, job: JobView, db: Database) -> None:
    add_dataset(db, "everyday", {"path": str(service.state.config.roots[0]) + "/shapes/test.json"})
    for path, name in (("shapes/detect/data.yaml", "first"), ("shapes/detect/data.yaml", "")):
        data = {"training_job_id": str(job.id), "checkpoint": "best", "path": path, "name": name}
        sent = await service.client.post("/new", data=data)
        assert sent.status_code == 303, sent.text
        run = get_test_run(db, int(sent.headers["location"].rpartition("/")[2]))
        assert run.status == "pending"
        assert run.name == (name or run.name)
        assert run.id in queued_jobs(db, TEST_RUN)
    assert '<option value="everyday">' in (await service.client.get("/new")).text


async def test_the_form_keeps_what_was_typed(service: Service, job: JobView) -> None:
    data = {"training_job_id": str(job.id), "checkpoint": "best", "path": "none", "name": "mine"}
    found = await service.client.post("/new", data=data)
    assert found.status_code == 404
    assert 'value="none"' in found.text
    assert 'value="mine"' in found.text
    assert 'role="alert"' in found.text
    missing = await service.client.post("/new", data={"name": "mine"})
    assert missing.status_code == 422


async def test_the_address_fills_the_form(service: Service, job: JobView) -> None:
    page = await service.client.get(f"/new?training_job_id={job.id}&path=shapes&name=a")
    assert page.headers["referrer-policy"] == "same-origin"  # else forms are sent without an origin
    html = page.text
    assert 'value="shapes"' in html
    assert "Start test run" in html

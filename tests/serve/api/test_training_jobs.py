"""Training jobs over HTTP: listing, and registration inside the roots only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import FIXTURES, served

pytestmark = pytest.mark.anyio
Jobs = dict[str, JobView]


def run_directory(root: Path, name: str = "run") -> Path:
    folder = root / name
    (folder / "weights").mkdir(parents=True)
    (folder / "args.yaml").write_text("task: detect\nmodel: yolo11n.pt\nsave_period: 1\n")
    for file in ("best.pt", "last.pt", "epoch3.pt"):
        (folder / "weights" / file).write_bytes((FIXTURES / "tiny-detect.pt").read_bytes())
    return folder


async def test_training_jobs_are_listed_newest_first(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    async with served(db, tmp_path) as service:
        body = (await service.client.get("/inference/training-jobs")).json()
        page = (await service.client.get("/inference/training-jobs?skip=1&limit=2")).json()
        wrong = await service.client.get("/inference/training-jobs?limit=0")
    assert body["total_count"] == page["total_count"] == 4
    assert [job["name"] for job in body["jobs"]][-1] == "tiny-classify"
    assert page["jobs"] == body["jobs"][1:3]
    assert str(FIXTURES) not in str(body)
    assert wrong.status_code == 422


@pytest.mark.slow
async def test_a_directory_inside_the_roots_is_registered_and_used(
    db: Database, tmp_path: Path
) -> None:
    run_directory(tmp_path / "models")
    (tmp_path / "models" / "notes").mkdir()
    async with served(db, tmp_path, roots=[str(tmp_path / "models")]) as service:
        post = service.client.post
        created = await post("/inference/training-jobs", json={"output_dir": "run", "name": "mine"})
        assert created.status_code == 201, created.text
        job = created.json()
        assert (job["name"], job["framework"]) == ("mine", "ultralytics")
        listed = await service.client.get(f"/inference/training-jobs/{job['id']}/checkpoints")
        names = [entry["name"] for entry in listed.json()["checkpoints"]]
        assert {"best", "last", "3"} <= set(names)
        assert str(tmp_path) not in listed.text + created.text
        for name in names:
            response = await service.single(picture(), job["id"], checkpoint=name)
            assert response.status_code == 200, response.text
        outside = await post("/inference/training-jobs", json={"output_dir": str(tmp_path)})
        assert (outside.status_code, outside.json()["code"]) == (403, "PATH_FORBIDDEN")
        remote = await post("/inference/training-jobs", json={"output_dir": "https://x.org/run"})
        assert (remote.status_code, remote.json()["code"]) == (403, "REMOTE_REFUSED")
        gone = await post("/inference/training-jobs", json={"output_dir": "gone"})
        assert gone.status_code == 404
        notes = await post("/inference/training-jobs", json={"output_dir": "notes"})
        assert (notes.status_code, notes.json()["code"]) == (422, "RUN_DIRECTORY_UNKNOWN")
        odd = await post("/inference/training-jobs", json={"output_dir": "run", "colour": "red"})
        assert odd.status_code == 422
        missing = await service.client.get("/inference/training-jobs/99/checkpoints")
        assert missing.status_code == 404


@pytest.mark.slow
async def test_a_job_keeps_its_name_and_a_taken_one_is_an_error(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    run_directory(tmp_path / "models")
    async with served(db, tmp_path, roots=[str(tmp_path / "models")]) as service:
        post = service.client.post
        await post("/inference/training-jobs", json={"output_dir": "run", "name": "mine"})
        again = await post("/inference/training-jobs", json={"output_dir": "run"})
        assert (again.status_code, again.json()["name"]) == (201, "mine")
        taken = {"output_dir": "run", "name": "tiny-classify"}
        rejected = await post("/inference/training-jobs", json=taken)
        assert (rejected.status_code, rejected.json()["code"]) == (409, "JOB_NAME_TAKEN")
        assert rejected.json()["detail"] == "Another training job has this name."


async def test_class_names_outside_the_roots_are_not_revealed(db: Database, tmp_path: Path) -> None:
    """Others may have written the arguments of a run, and responses contain the class names."""
    (tmp_path / "secret.txt").write_text("root:x:0\ndaemon:x:1\n")
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.png").touch()
    run = tmp_path / "models" / "run"
    run.mkdir(parents=True)
    (run / "last.pth.tar").touch()
    (run / "summary.csv").write_text("epoch,eval_top1\n0,50\n")
    async with served(db, tmp_path, roots=[str(tmp_path / "models")]) as service:

        async def register(args: str, **fields: Any) -> httpx.Response:
            (run / "args.yaml").write_text(f"model: resnet18\n{args}")
            body = {"output_dir": "run", **fields}
            return await service.client.post("/inference/training-jobs", json=body)

        for args in (
            f"class_map: {tmp_path / 'secret.txt'}\n",
            f"class_map: {tmp_path / 'none.txt'}\n",  # whether it exists is not revealed, either
            f"data_dir: {tmp_path / 'data'}\n",
            "data_dir: /none\n",
        ):
            rejected = await register(args)
            assert (rejected.status_code, rejected.json()["code"]) == (403, "PATH_FORBIDDEN"), args
            assert "class_names" in rejected.json()["detail"]
            named = await register(args, class_names=["a", "b"])
            assert (named.status_code, named.json()["class_names"]) == (201, ["a", "b"])
        (tmp_path / "models" / "map.txt").write_text("one\ntwo\n")
        inside = await register(f"class_map: {tmp_path / 'models' / 'map.txt'}\n")
        assert (inside.status_code, inside.json()["class_names"]) == (201, ["one", "two"])
        (run / "class_names.txt").write_text("x\ny\n")
        beside = await register("data_dir: /none\n")
        assert (beside.status_code, beside.json()["class_names"]) == (201, ["x", "y"])


async def test_a_run_directory_with_links_out_of_the_roots_is_rejected(
    db: Database, tmp_path: Path
) -> None:
    folder = run_directory(tmp_path / "models")
    (tmp_path / "other.pt").write_bytes((FIXTURES / "tiny-pose.pt").read_bytes())
    (folder / "weights" / "best.pt").unlink()
    (folder / "weights" / "best.pt").symlink_to(tmp_path / "other.pt")
    async with served(db, tmp_path, roots=[str(tmp_path / "models")]) as service:
        response = await service.client.post("/inference/training-jobs", json={"output_dir": "run"})
        listed = (await service.client.get("/inference/training-jobs")).json()
    assert (response.status_code, response.json()["code"]) == (403, "PATH_FORBIDDEN")
    assert listed["total_count"] == 0


async def test_registering_is_disabled_without_roots(db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        response = await service.client.post("/inference/training-jobs", json={"output_dir": "/"})
    assert (response.status_code, response.json()["code"]) == (403, "PATH_FORBIDDEN")


async def test_large_and_malformed_bodies(db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        post = service.client.post
        large = await post("/inference/training-jobs", content=b" " * (5 * 2**20))
        assert (large.status_code, large.json()["code"]) == (413, "BYTE_LIMIT")
        for content in (b"{", b"[]", b'{"output_dir": 3}', b"\xff"):
            wrong = await post(
                "/inference/training-jobs", content=content,
                headers={"content-type": "application/json"},
            )  # fmt: skip
            assert wrong.status_code in {400, 422}, wrong.text
            assert wrong.headers["content-type"] == "application/problem+json"

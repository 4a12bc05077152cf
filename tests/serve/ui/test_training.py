"""The pages of training jobs: curves are those of the log, registration stays inside the roots."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from snellen.serve.ui.epoch_curves import HEIGHT, WIDTH, epoch_charts
from snellen.store.jobs import list_training_jobs, replace_validation_results, validation_results
from snellen.store.runs import create_test_run
from snellen.store.sql.database import Database
from tests.serve.api.test_training_jobs import run_directory
from tests.serve.local_service import add_job, fixture_job, served
from tests.serve.ui.run_page.reading import read

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
AWKWARD = "<script>alert(1)</script>\N{HEBREW LETTER ALEF}\N{GRINNING FACE}" + "x" * 150
LOG = """epoch,train/box_loss,train/cls_loss,metrics/mAP50(B),metrics/mAP50-95(B),val/box_loss
1,2.0,1.0,0.5,0.25,1.6
2,1.0,0.5,0.8,0.75,0.8
3,0.5,0.25,0.7,0.5,1.2
"""


def logged(root: Path) -> Path:
    """Return a run directory of Ultralytics with a log of three epochs."""
    folder = run_directory(root)
    (folder / "results.csv").write_text(LOG)
    (folder / "class_names.txt").write_text("circle\nsquare\n")  # no checkpoint is loaded
    return folder


async def test_a_run_directory_is_registered(db: Database, tmp_path: Path) -> None:
    logged(tmp_path / "models")
    async with served(db, tmp_path, roots=[str(tmp_path / "models")]) as service:
        assert "No training jobs yet" in await read(service, "/training-jobs")
        form = {"path": " run ", "name": AWKWARD}
        sent = await service.client.post("/training-jobs", data=form)
        assert sent.status_code == 303, sent.text
        page = await read(service, sent.headers["location"])
        listed = await read(service, "/training-jobs")
    (job,) = list_training_jobs(db)
    assert sent.headers["location"] == f"/training-jobs/{job.id}"
    for text in (page, listed):
        assert AWKWARD.replace("<", "&lt;").replace(">", "&gt;") in text
        assert "<script>alert" not in text
        assert str(tmp_path) not in text
        assert "style=" not in text
        assert "0.750" in text
    assert "best ultralytics_mAP50-95" in page
    assert "0.750 at epoch 1" in page
    assert "0.800 at epoch 1" in page  # the validation loss
    assert [f"{name}.pt" in page for name in ("best", "last", "epoch3")] == [True] * 3
    assert f'href="/new?training_job_id={job.id}&amp;checkpoint=best"' in page
    assert '<small class="faint">1</small><bdi class="cut">square</bdi>' in page


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("gone", 404, "There is no such directory."),
        ("..", 403, "PATH_FORBIDDEN"),
        ("https://x.org/run", 403, "Remote addresses are rejected"),
        ("notes", 422, "is not a training run. Expected a timm run"),
        ("", 422, "VALIDATION"),
    ],
)
async def test_problems_are_said_in_words(
    db: Database, tmp_path: Path, path: str, status: int, words: str
) -> None:
    (tmp_path / "models" / "notes").mkdir(parents=True)
    async with served(db, tmp_path, roots=[str(tmp_path / "models")]) as service:
        sent = await service.client.post("/training-jobs", data={"path": path, "name": "mine"})
    assert sent.status_code == status
    assert words in sent.text
    assert 'role="alert"' in sent.text
    assert 'value="mine"' in sent.text
    assert str(tmp_path) not in sent.text
    assert list_training_jobs(db) == []


async def test_registration_needs_roots_and_the_scope_of_an_admin(
    db: Database, tmp_path: Path
) -> None:
    fixture_job(db, "detect")
    async with served(db, tmp_path) as service:
        assert "may not read any folder yet" in await read(service, "/training-jobs")
    keys = ("one:read+run", "two:admin")
    async with served(db, tmp_path, keys=keys, roots=[str(tmp_path)]) as service:
        for key, status, form in (("one", 403, False), ("two", 404, True)):
            headers = {"Authorization": f"Bearer {key}"}
            page = await service.client.get("/training-jobs", headers=headers)
            assert ('method="post" action="/training-jobs"' in page.text) is form
            data = {"path": "gone"}
            sent = await service.client.post("/training-jobs", data=data, headers=headers)
            assert sent.status_code == status


async def test_the_list_is_filtered_and_counts_runs(db: Database, tmp_path: Path) -> None:
    jobs = {task: fixture_job(db, task) for task in ("detect", "pose")}
    create_test_run(
        db, name="first", training_job_id=jobs["pose"].id, status="completed", total_images=3,
        checkpoint_path="/w/best.pt", task_type="pose_estimation", dataset_path="/data/x",
        primary_metric_name="oks_mAP50-95", primary_metric_value=0.4321,
    )  # fmt: skip
    async with served(db, tmp_path) as service:
        for query, names in (
            ("", {"tiny-pose", "tiny-detect"}),
            ("?text=POSE", {"tiny-pose"}),
            ("?task=object_detection", {"tiny-detect"}),
            ("?page=x&text=", {"tiny-pose", "tiny-detect"}),
        ):
            page = await read(service, f"/training-jobs{query}")
            found = re.findall(r'href="/training-jobs/\d+"><bdi>(.*?)</bdi>', page)
            assert set(found) == names
        assert "No training job meets" in await read(service, "/training-jobs?text=dragon")
        page = await read(service, f"/training-jobs/{jobs['pose'].id}")
        assert '<a class="cut" href="/runs/1"><bdi>first</bdi></a>' in page
        assert "0.432" in page
        assert "No curves" in page
        assert await read(service, "/training-jobs/tiny-pose") == page
        for missing in ("99", "9" * 30, "nobody"):
            response = await service.client.get(f"/training-jobs/{missing}")
            assert response.status_code == 404


async def test_files_that_are_gone_are_said(db: Database, tmp_path: Path) -> None:
    folder = logged(tmp_path / "models")
    async with served(db, tmp_path, roots=[str(tmp_path / "models")]) as service:
        await service.client.post("/training-jobs", data={"path": "run"})
        folder.rename(tmp_path / "elsewhere")
        page = await read(service, "/training-jobs/run")
        add_job(db, "constant", Path("noop"), framework="noop")
        without = await read(service, "/training-jobs/constant")
    assert "do not exist any more" in page
    assert "do not exist any more" not in without
    assert "0.750 at epoch 1" in page


def test_curves_go_through_the_values_of_the_log(db: Database) -> None:
    job = fixture_job(db, "detect")
    rows = [
        {"epoch": epoch, "primary_metric_name": "accuracy", "primary_metric_value": value,
         "overall_loss": None, "metrics": {"train_loss": loss, "top5_accuracy": 0.9}}
        for epoch, value, loss in ((4, 0.0, 3.0), (5, None, 2.0), (8, 1.0, 1.0))
    ]  # fmt: skip
    replace_validation_results(db, job.id, rows)
    metrics, losses = epoch_charts(validation_results(db, job.id))
    assert [line.name for line in metrics.lines] == ["accuracy", "top5_accuracy"]
    assert metrics.lines[0].path == f"M0 {HEIGHT}L{WIDTH} 0"
    assert [text for _, text in metrics.x] == ["4", "6", "8"]
    assert metrics.mark[:2] == (WIDTH, 0)
    assert metrics.mark[2] == "1.000 at epoch 8"
    assert [text for _, text in losses.y] == ["0", "0.75", "1.5", "2.25", "3"]
    assert losses.lines[0].path == f"M0 0L75 {HEIGHT / 3:.1f}L{WIDTH} {2 * HEIGHT / 3:.1f}"
    assert epoch_charts([]) == []

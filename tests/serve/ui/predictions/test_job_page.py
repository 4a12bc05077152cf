"""The page of an inference job: its tiles are its rows, its counts those of the files."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

import snellen
from snellen.adapters.errors import RunError
from snellen.analysis.reader import open_results, unit_files
from snellen.serve.jobs.execute_analysis import execute_analysis
from snellen.serve.ui.rendering import POLICY
from snellen.store.kinds import INFERENCE_JOB
from snellen.store.runs import create_inference_job, get_inference_job
from snellen.store.service.analyses import exports_of
from snellen.store.service.job_queue import queued_jobs
from snellen.store.sql.database import Database
from tests.serve.local_service import Service
from tests.serve.ui.predictions.conftest import AWKWARD
from tests.serve.ui.run_page.reading import read, total

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def tiles(page: str) -> list[int]:
    return [
        int(n) for n in re.findall(r'class="tile" href="/inference-jobs/\d+/images/(\d+)', page)
    ]


def rows(db: Database, number: int) -> list[dict[str, Any]]:
    return open_results(db, get_inference_job(db, number)).lazy().collect().to_dicts()


async def test_every_prediction_is_a_tile(service: Service, db: Database) -> None:
    response = await service.client.get("/inference-jobs/1")
    assert response.headers["content-security-policy"] == POLICY
    page = response.text
    assert tiles(page) == list(range(8))
    assert total(page) == 8
    assert "<b>8</b> images, <b>3</b> classes" in page
    assert "style=" not in page
    for row in rows(db, 1)[1:]:
        tile = re.search(
            rf'href="/inference-jobs/1/images/{row["image_index"]}".*?</a>', page, re.S
        )
        assert tile is not None
        drawn = re.search(r'<path class="pr" d="([^"]*)"', tile[0])
        assert (drawn[1].count("M") if drawn else 0) == len(row["predicted_boxes"])
    picture = re.search(r'img src="([^"]*/images/3/thumbnail[^"]*)"', page)
    assert picture is not None
    shown = await service.client.get(html.unescape(picture[1]))
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")


async def test_failed_images_are_tiles_with_their_code(service: Service) -> None:
    page = await read(service, "/inference-jobs/1")
    assert '<a class="warn" href="/inference-jobs/1?error_code=TRUNCATED#images"><b>1</b>' in page
    for query in ("status=failed", "show=failed", "error_code=TRUNCATED"):
        failed = await read(service, f"/inference-jobs/1?{query}")
        assert tiles(failed) == [0]
        assert "<b>TRUNCATED</b>" in failed
    detail = await read(service, "/inference-jobs/1/images/0?status=failed")
    assert "TRUNCATED, at the stage decode" in detail
    assert "coverage" not in detail


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ("min_confidence=0.6", lambda row: any(b["confidence"] >= 0.6 for b in row["boxes"])),
        ("predicted_class=circle", lambda row: any(b["class_id"] == 0 for b in row["boxes"])),
        ("status=ok", lambda row: row["status"] == "ok"),
        ("text=0005", lambda row: "0005" in row["image_id"]),
        ("class=circle&match=FN&correct=false", lambda row: True),  # there is no ground truth
    ],
)
async def test_filters_select_rows(
    service: Service, db: Database, query: str, condition: Any
) -> None:
    found = [{**row, "boxes": row["predicted_boxes"] or []} for row in rows(db, 1)]
    names = get_inference_job(db, 1).class_names or []
    assert names[0] == "circle"
    expected = [row["image_index"] for row in found if condition(row)]
    assert expected
    assert tiles(await read(service, f"/inference-jobs/1?{query}")) == expected


async def test_objects_below_the_minimum_confidence_are_not_drawn(
    service: Service, db: Database
) -> None:
    page = await read(service, "/inference-jobs/1?min_confidence=0.6")
    boxes = [box for row in rows(db, 1) for box in row["predicted_boxes"] or ()]
    assert sum(path.count("M") for path in re.findall(r'class="pr" d="([^"]*)"', page)) == sum(
        box["confidence"] >= 0.6 for box in boxes
    )
    assert "snellen export --inference 1 --format csv --min-confidence 0.6 -o" in page


async def test_an_image_of_a_job_has_no_ground_truth(service: Service, db: Database) -> None:
    page = await read(service, "/inference-jobs/1/images/3?sort=-confidence")
    (row,) = rows(db, 1)[3:4]
    assert page.count('<g class="ob pr-ob"') == len(row["predicted_boxes"])
    assert "Ground truth" not in page
    assert "IoU" not in page
    picture = re.search(r'<image href="([^"]*)"', page)
    assert picture is not None
    assert (await service.client.get(html.unescape(picture[1]))).status_code == 200
    order = tiles(await read(service, "/inference-jobs/1?sort=-confidence"))
    after = order[order.index(3) + 1]
    assert f'href="/inference-jobs/1/images/{after}?sort=-confidence" data-key="ArrowRight"' in page


async def test_a_classifier_shows_its_classes(service: Service, db: Database) -> None:
    page = await read(service, "/inference-jobs/2")
    for row in rows(db, 2):
        assert f'<bdi>{row["predicted_label"]}</bdi></span><span class="faint push">' in page
        assert f"{row['confidence']:.3f}" in page
    assert "Top 3" in await read(service, "/inference-jobs/2/images/1")


async def test_awkward_names_are_text(service: Service) -> None:
    escaped = AWKWARD.replace("<", "&lt;").replace(">", "&gt;")
    page = await read(service, "/inference-jobs/1")
    assert escaped in page
    assert "<b onclick" not in page
    assert "<b onclick" not in await read(service, "/inference-jobs/1/images/7")


@pytest.mark.parametrize(
    "path", ["99", "9" * 30, "nobody", "1/images/99", "1/images/x", "1/images"]
)
async def test_unknown_jobs_and_images(service: Service, path: str) -> None:
    assert (await service.client.get(f"/inference-jobs/{path}")).status_code == 404


@pytest.mark.parametrize("query", ["page=x", "sort=evil", "slice_by=x&slice=y", "min_confidence=7"])
async def test_bad_values_are_ignored(service: Service, query: str) -> None:
    assert tiles(await read(service, f"/inference-jobs/1?{query}")) == list(range(8))


async def test_the_list_of_runs_leads_to_the_job(service: Service) -> None:
    page = await read(service, "/?kind=inference_job")
    assert '<a href="/inference-jobs/1"' in page
    assert '<a href="/inference-jobs/1?status=failed#images"' in page


async def test_a_job_is_exported_from_its_page(
    service: Service, db: Database, place: tuple[Path, Database]
) -> None:
    page = await read(service, "/inference-jobs/1")
    offered = re.findall(r'<option value="([^"]*)">[^<]*</option>', page.split("export-format")[2])
    assert offered[:3] == ["zip", "csv", "ndjson"]
    form = {"format": "csv", "min_confidence": "0.5"}
    started = await service.client.post("/ui/inference-jobs/1/exports", data=form)
    assert started.status_code == 200
    assert "sn-poll" in started.text
    (export,) = exports_of(db, INFERENCE_JOB, 1)
    assert export.request == {"format": "csv", "filter": {"min_confidence": 0.5}}
    execute_analysis(db, export.id, service.state.place.output_dir)
    written = await read(service, "/ui/inference-jobs/1/exports")
    assert "sn-poll" not in written
    link = re.search(r'href="(/inference/exports/\d+/file)"', written)
    assert link is not None
    file = await service.client.get(link[1])
    assert file.text.splitlines()[0].startswith("image_index,")
    missing = await service.client.post("/ui/inference-jobs/1/exports", data={"format": "exe"})
    assert missing.status_code == 422
    gone = await service.client.delete(f"/ui/inference-jobs/1/exports/{export.id}")
    assert "/file" not in gone.text
    assert exports_of(db, INFERENCE_JOB, 1) == []


async def test_a_stopped_job_is_resumed_and_deleted(service: Service, db: Database) -> None:
    done = get_inference_job(db, 1)
    number = create_inference_job(
        db, name="half", status="interrupted", training_job_id=done.training_job_id,
        checkpoint_path=done.checkpoint_path, task_type=done.task_type, inference_type="dataset",
        error_message="Ctrl-C in /secret/place", config=done.config, total_images=50,
        class_names=done.class_names,
    )  # fmt: skip
    page = await read(service, f"/inference-jobs/{number}")
    assert "The job was interrupted: 0 of 50 images are kept." in page
    assert "/secret" not in page
    response = await service.client.post(f"/ui/inference-jobs/{number}/resume")
    assert (response.status_code, response.headers["HX-Refresh"]) == (204, "true")
    assert number in queued_jobs(db, INFERENCE_JOB)
    await service.client.post(f"/ui/inference-jobs/{number}/cancel")
    response = await service.client.delete(f"/ui/inference-jobs/{number}")
    assert (response.status_code, response.headers["HX-Redirect"]) == (204, "/")
    assert (await service.client.get(f"/inference-jobs/{number}")).status_code == 404


async def test_a_job_whose_images_all_failed_is_tried_again(
    service: Service, db: Database, place: tuple[Path, Database]
) -> None:
    broken = sorted((place[0] / "shapes" / "detect" / "images" / "test").iterdir())[0]
    model = {"job": get_inference_job(db, 1).training_job_id}
    with pytest.raises(RunError) as caught:
        snellen.predict(
            {"name": "all failed", "model": model, "dataset": {"path": str(broken)},
             "run": {"engine": "inline"}, "output": {"dir": str(place[0] / "out")},
             "database": db.url}
        )  # fmt: skip
    assert caught.value.code == "ALL_FAILED"
    job = get_inference_job(db, "all failed")
    page = await read(service, f"/inference-jobs/{job.id}")
    assert "No image is left, and 1 failed." in page
    assert "Resume goes on" not in page
    assert f'hx-post="/ui/inference-jobs/{job.id}/retry"' in page
    response = await service.client.post(f"/ui/inference-jobs/{job.id}/retry")
    assert (response.status_code, response.headers["HX-Refresh"]) == (204, "true")
    assert job.id in queued_jobs(db, INFERENCE_JOB)
    await service.client.delete(f"/ui/inference-jobs/{job.id}")


async def test_progress_is_shown_until_the_end(service: Service, db: Database) -> None:
    done = get_inference_job(db, 1)
    number = create_inference_job(
        db, name="waiting", status="pending", training_job_id=done.training_job_id,
        checkpoint_path=done.checkpoint_path, task_type=done.task_type, inference_type="batch",
        total_images=7, input_data={"num_images": 7, "passed_over": {"hidden": 2}},
    )  # fmt: skip
    page = await read(service, f"/inference-jobs/{number}")
    assert f'hx-get="/ui/inference-jobs/{number}/live"' in page
    assert "uploaded images" in page
    assert "<b>2</b> hidden" in page
    part = await service.client.get(f"/ui/inference-jobs/{number}/live")
    assert "<b>0</b> of 7 images" in part.text
    assert "HX-Refresh" not in part.headers
    ended = await service.client.get("/ui/inference-jobs/1/live")
    assert ended.headers["HX-Refresh"] == "true"


async def test_a_recorded_request_keeps_its_prediction(service: Service, db: Database) -> None:
    detector = get_inference_job(db, 1).training_job_id
    folder = Path(str((get_inference_job(db, 1).input_data or {})["path"]))
    response = await service.single(
        (folder / "0005.png").read_bytes(), detector, name="<i>cat.png", record="true"
    )
    result = response.json()
    page = await read(service, f"/inference-jobs/{result['inference_job_id']}")
    assert "&lt;i&gt;cat.png" in page
    assert page.count('<th scope="row"') == len(result["predicted_boxes"]) > 0
    assert "not its image" in page


@pytest.mark.parametrize(("count", "words"), [(1, "0005.png"), (2, "0005.png and 1 more")])
async def test_images_that_were_named_are_shown(
    service: Service, db: Database, place: tuple[Path, Database], count: int, words: str
) -> None:
    folder = place[0] / "shapes" / "detect" / "images" / "test"
    named = [str(folder / name) for name in ("0005.png", "0006.png")][:count]
    model = {"job": get_inference_job(db, 1).training_job_id}
    run = snellen.predict(
        {"model": model, "dataset": {"path": named}, "run": {"engine": "inline"},
         "output": {"dir": str(place[0] / "out")}, "database": db.url}
    )  # fmt: skip
    page = await read(service, f"/inference-jobs/{run.id}")
    assert tiles(page) == list(range(count))
    assert re.search(rf"<bdi>[^<]*{words}</bdi>", page)


async def test_missing_result_files_are_said(service: Service, db: Database) -> None:
    path = unit_files(db, get_inference_job(db, 2))[0]
    hidden = path.with_suffix(".hidden")
    path.rename(hidden)
    try:
        service.state.pages = type(service.state.pages)(db)
        page = await read(service, "/inference-jobs/2")
    finally:
        hidden.rename(path)
    assert "cannot be read: RESULTS_MISSING" in page

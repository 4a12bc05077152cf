"""The page of a run that waits, works or has stopped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from snellen.analysis.reader import open_results
from snellen.store.jobs import list_training_jobs
from snellen.store.runs import create_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.serve.local_service import Service, served
from tests.serve.ui.run_page.reading import read, tiles, total

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
AWKWARD = "<script>alert(1)</script> " + "\N{HEBREW LETTER ALEF}\N{GRINNING FACE}" + "x" * 300


@pytest.mark.parametrize(("scopes", "shown"), [("read", []), ("read+run", ["resume"])])
async def test_only_what_the_key_allows_is_shown(
    db: Database, tmp_path: Path, scopes: str, shown: list[str]
) -> None:
    number = unfinished(db, "interrupted", name="stopped")
    headers = {"Authorization": "Bearer " + "k" * 40}
    async with served(db, tmp_path, keys=["k" * 40 + f":{scopes}"]) as opened:
        response = await opened.client.get(f"/runs/{number}", headers=headers)
    assert response.status_code == 200
    found = re.findall(r'hx-(?:post|delete)="/ui/runs/\d+/?(\w*)"', response.text)
    assert found == shown


def unfinished(db: Database, status: str, **columns: Any) -> int:
    return create_test_run(
        db, status=status, training_job_id=list_training_jobs(db)[0].id, total_images=50,
        checkpoint_path="/w/best.pt", task_type="object_detection", dataset_path="/data/street",
        **columns,
    )  # fmt: skip


async def test_the_list_of_a_live_run_fills_up(service: Service, db: Database) -> None:
    number = unfinished(db, "pending")
    page = await read(service, f"/runs/{number}")
    asks = f'hx-get="/runs/{number}" hx-trigger="sn-poll" hx-select="#images"'
    assert asks in page
    done = await read(service, "/runs/1")
    assert 'hx-select="#images" hx-swap="outerHTML" data-poll' not in done


@pytest.mark.parametrize(("asked_by", "pushed"), [("images", False), ("", True)])
async def test_only_filters_change_the_address(
    service: Service, asked_by: str, pushed: bool
) -> None:
    headers = {"HX-Request": "true", "HX-Trigger": asked_by}
    response = await service.client.get("/runs/1?match=FP", headers=headers)
    assert (response.headers.get("HX-Push-Url") == "/runs/1?match=FP") == pushed


async def test_a_pending_run_is_polled(service: Service, db: Database) -> None:
    number = unfinished(db, "pending", name=AWKWARD)
    page = await read(service, f"/runs/{number}")
    assert "data-poll" in page
    assert "Waiting for a worker" in page
    assert "<b>0</b> of 50 images" in page
    part = await service.client.get(f"/ui/runs/{number}/live")
    assert "HX-Refresh" not in part.headers
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; \N{HEBREW LETTER ALEF}" in page
    stopped = await service.client.post(f"/ui/runs/{number}/cancel")
    assert (stopped.status_code, stopped.headers["HX-Refresh"]) == (204, "true")
    await anyio.sleep(0.6)  # progress is at most half a second old
    ended = await service.client.get(f"/ui/runs/{number}/live")
    assert ended.headers["HX-Refresh"] == "true"


@pytest.mark.parametrize("status", ["failed", "interrupted", "cancelled"])
async def test_a_stopped_run_says_what_is_kept(service: Service, db: Database, status: str) -> None:
    number = unfinished(db, status, name="stopped", error_message="disk full at /srv/secret/x")
    page = await read(service, f"/runs/{number}")
    assert "0 of 50 images are kept" in page
    assert "disk full" in page
    assert "/srv/secret" not in page
    assert f"/ui/runs/{number}/resume" in page
    assert (await service.client.get(f"/ui/runs/{number}/errors")).status_code in (404, 409, 422)
    deleted = await service.client.delete(f"/ui/runs/{number}")
    assert (deleted.status_code, deleted.headers["HX-Redirect"]) == (204, "/")
    assert (await service.client.get(f"/runs/{number}")).status_code == 404


async def test_a_stopped_run_shows_the_images_it_has(
    service: Service, db: Database, detected: RunView
) -> None:
    number = create_test_run(
        db, name="half", status="interrupted", training_job_id=detected.training_job_id,
        checkpoint_path=detected.checkpoint_path, task_type=detected.task_type, results_of=1,
        dataset_path=detected.dataset_path, config=detected.config, total_images=50,
        class_names=detected.class_names, results_dir=detected.results_dir,
    )  # fmt: skip
    assert tiles(await read(service, f"/runs/{number}")) == list(range(14))
    # Errors are those of a completed run; without one, the objects are all that were matched.
    every = await read(service, f"/runs/{number}?view=objects")
    assert total(await read(service, f"/runs/{number}?view=objects&bucket=Cls")) == total(every)
    detail = await read(service, f"/runs/{number}/images/3?view=objects&true=circle")
    assert len(re.findall(r'<g class="ob ', detail)) == sum(
        one["matches"] is not None and len(one["matches"])
        for one in open_results(db, detected).lazy().collect().to_dicts()[3:4]
    )

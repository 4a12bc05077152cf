"""The list of runs: rows, filters in the address, actions, and awkward names as text."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.serve.ui.rendering import POLICY
from snellen.store.jobs import list_training_jobs
from snellen.store.runs import create_inference_job, create_test_run
from snellen.store.sql.database import Database
from tests.serve.local_service import Service, fixture_job, served

pytestmark = pytest.mark.anyio
AWKWARD = "<script>alert(1)</script> " + "\N{HEBREW LETTER ALEF}\N{GRINNING FACE}" + "x" * 300


def add_run(db: Database, name: str, **columns: Any) -> int:
    shared = {
        "training_job_id": list_training_jobs(db)[0].id,
        "checkpoint_path": "/w/best.pt",
        "task_type": "object_detection",
        "dataset_path": "/data/street",
        "status": "completed",
        "total_images": 1000,
        "scored_images": 998,
        "failed_images": 2,
        "primary_metric_name": "mAP50-95",
        "primary_metric_value": 0.5764,
        "intervals": {"mAP50-95": [0.575, 0.578]},
        "fingerprint": {"manifest_hash": "abc"},
    }
    return create_test_run(db, name=name, **{**shared, **columns})


@pytest.fixture
async def service(db: Database, tmp_path: Path) -> AsyncIterator[Service]:
    async with served(db, tmp_path) as running:
        yield running


@pytest.fixture
def runs(db: Database) -> dict[str, int]:
    job = fixture_job(db, "detect")
    made = {
        "first": add_run(db, "first"),
        "broken": add_run(db, "broken", status="failed", error_message="disk full at /srv/secret"),
        AWKWARD: add_run(db, AWKWARD),
    }
    made["cams"] = create_inference_job(
        db, name="cams", training_job_id=job.id, checkpoint_path="/w/best.pt", status="pending",
        task_type="object_detection", inference_type="dataset", total_images=20,
    )  # fmt: skip
    return made


def shown(html: str) -> list[str]:
    """Return the anchors of the rows."""
    return re.findall(r'<tr id="([tj]\d+)"', html)


async def test_an_empty_list_teaches_the_first_command(service: Service) -> None:
    page = await service.client.get("/")
    assert page.status_code == 200
    assert page.headers["content-security-policy"] == POLICY
    assert "No runs yet" in page.text
    assert "snellen eval --job mine --dataset /data/mine" in page.text


async def test_runs_and_jobs_are_listed(runs: dict[str, int], service: Service) -> None:
    html = (await service.client.get("/")).text
    expected = [f"j{runs['cams']}", f"t{runs[AWKWARD]}", f"t{runs['broken']}", f"t{runs['first']}"]
    assert shown(html) == expected
    assert "<b>0.576</b>" in html
    assert "0.575–0.578" in html
    assert 'title="0.5764"' in html
    assert "1 pending · 3 finished" in html
    assert "Waiting for a worker" in html
    assert "/srv/secret" not in html  # no path of the server
    assert "disk full" in html


async def test_awkward_names_are_text(runs: dict[str, int], service: Service) -> None:
    html = (await service.client.get("/")).text
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; \N{HEBREW LETTER ALEF}" in html


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("kind=test_run&sort=name&order=asc", [AWKWARD, "broken", "first"]),
        ("status=failed", ["broken"]),
        ("text=FIRST", ["first"]),
        ("kind=inference_job", ["cams"]),
        ("days=1&status=pending", ["cams"]),
        ("task=pose_estimation", []),
        ("status=x&sort=x&days=x&job=-1&page=99", ["cams", AWKWARD, "broken", "first"]),
    ],
)
async def test_the_address_says_what_is_shown(
    runs: dict[str, int], service: Service, query: str, names: list[str]
) -> None:
    html = (await service.client.get(f"/?{query}")).text
    letters = {"cams": "j"}
    assert shown(html) == [f"{letters.get(name, 't')}{runs[name]}" for name in names]
    if not names:
        assert "No run meets these filters." in html


async def test_pages_of_25(runs: dict[str, int], db: Database, service: Service) -> None:
    for number in range(30):
        add_run(db, f"more-{number}")
    first, second = [(await service.client.get(f"/?page={n}&kind=test_run")).text for n in (1, 2)]
    assert (len(shown(first)), len(shown(second))) == (25, 8)
    assert not set(shown(first)) & set(shown(second))
    assert "Page 2 of 2" in second
    assert "snellen runs --limit 25 --offset 25" in second


async def test_a_row_is_cancelled_resumed_and_deleted(
    runs: dict[str, int], db: Database, service: Service
) -> None:
    job, first = f"j{runs['cams']}", runs["first"]
    cancelled = await service.client.post(f"/ui/rows/{job}/cancel")
    assert cancelled.status_code == 200
    assert shown(cancelled.text) == [job]
    assert "Cancelled" in cancelled.text
    resumed = await service.client.post(f"/ui/rows/{job}/resume")
    assert "Waiting for a worker" in resumed.text
    assert "data-poll" in (await service.client.get(f"/ui/rows/{job}")).text
    deleted = await service.client.delete(f"/ui/rows/t{first}")
    assert (deleted.status_code, deleted.text) == (200, "")
    assert (await service.client.get(f"/ui/rows/t{first}")).status_code == 404
    with pytest.raises(Exception, match="there is no test run"):
        EVALUATION.get(db, first)


@pytest.mark.parametrize("anchor", ["x1", "t", "tx", "t99999", "t" + "9" * 30, "j0"])
async def test_unknown_rows(service: Service, anchor: str) -> None:
    assert (await service.client.get(f"/ui/rows/{anchor}")).status_code == 404
    assert (await service.client.delete(f"/ui/rows/{anchor}")).status_code == 404


async def test_pages_of_other_sites_change_nothing(runs: dict[str, int], service: Service) -> None:
    headers = {"Origin": "https://evil.example"}
    path = f"/ui/rows/t{runs['first']}"
    assert (await service.client.delete(path, headers=headers)).status_code == 403
    assert (await service.client.get(f"/ui/rows/t{runs['first']}")).status_code == 200

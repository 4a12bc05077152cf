"""Problems are pages for people and documents for programs."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest

from snellen.serve.api.problems import MEDIA_TYPE
from snellen.serve.ui.rendering import POLICY
from snellen.store.sql.database import Database
from tests.serve.local_service import fixture_job, served

pytestmark = pytest.mark.anyio
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PAGES = (
    *("/", "/?kind=inference_job", "/new", "/single", "/compare", "/training-jobs", "/review"),
    *("/training-jobs/1", "/sign-in", "/nowhere"),
)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nowhere", 404, "NOT_FOUND"),
        ("/runs/99", 404, "RUN_NOT_FOUND"),
        ("/runs/<script>alert(1)</script>", 404, "RUN_NOT_FOUND"),
        ("/inference-jobs/99", 404, "RUN_NOT_FOUND"),
        ("/training-jobs/99", 404, "JOB_NOT_FOUND"),
        ("/review/suspects", 422, "VALIDATION"),
        ("/single?job=x", 422, "VALIDATION"),
    ],
)
async def test_people_get_a_page(
    db: Database, tmp_path: Path, path: str, status: int, code: str
) -> None:
    async with served(db, tmp_path) as service:
        page = await service.client.get(path, headers=BROWSER)
        document = await service.client.get(path, headers={"Accept": "application/json"})
        part = await service.client.get(path, headers={**BROWSER, "HX-Request": "true"})
    assert page.status_code == document.status_code == part.status_code == status
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == POLICY
    assert int(page.headers["content-length"]) == len(page.content)
    assert document.headers["content-type"] == part.headers["content-type"] == MEDIA_TYPE
    problem = document.json()
    assert problem["code"] == code
    assert f"{code} · {status}" in page.text
    assert problem["detail"][1:] in html.unescape(page.text)
    assert "<script>alert" not in page.text


async def test_the_api_keeps_its_documents(db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        for path in ("/inference/test-runs/99", "/inference/nowhere", "/ui/runs/99/errors"):
            response = await service.client.get(path, headers=BROWSER)
            assert response.headers["content-type"] == MEDIA_TYPE


async def test_an_internal_error_is_a_page(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("a secret of the server")

    monkeypatch.setattr("snellen.serve.ui.routes.runs.read_list", fail)
    async with served(db, tmp_path) as service:
        response = await service.client.get("/", headers=BROWSER)
    assert response.status_code == 500
    assert "Something went wrong" in response.text
    assert "secret" not in response.text


async def test_what_a_key_may_not_do_is_a_page(db: Database, tmp_path: Path) -> None:
    headers = {**BROWSER, "Authorization": "Bearer one"}
    async with served(db, tmp_path, keys=("one:read",)) as service:
        form = {"path": "run"}
        response = await service.client.post("/training-jobs", data=form, headers=headers)
        wrong = await service.client.post(
            "/new", data={}, headers={**BROWSER, "Authorization": "Bearer two"}
        )
    assert response.status_code == 403
    assert "Not allowed" in response.text
    assert "scope" in response.text
    assert wrong.status_code == 401
    assert 'href="/sign-in"' in wrong.text


async def test_every_page_has_a_title_a_skip_link_and_a_theme(db: Database, tmp_path: Path) -> None:
    fixture_job(db, "detect")
    titles = set()
    async with served(db, tmp_path) as service:
        for path in PAGES:
            page = (await service.client.get(path, headers=BROWSER)).text
            title = page.split("<title>")[1].split("</title>")[0]
            assert title.endswith(" · Snellen")
            titles.add(title)
            assert '<a class="skip" href="#main">' in page
            assert 'id="main"' in page
            assert "/theme.js" in page
            assert "<sn-theme>" in page
            assert page.count("<h1") == 1
            assert 'style="' not in page
    assert len(titles) == len(PAGES) - 1  # both lists are the list of runs

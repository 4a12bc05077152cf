"""The service below a path prefix of a reverse proxy, which removes the prefix or leaves it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

import snellen
from snellen.serve.config import ServeConfig
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.conftest import AccessLines, picture
from tests.serve.local_service import served
from tests.serve.path_prefix import behind_prefix
from tests.serve.site import Site

PREFIX = "/lab/snellen"
anyio = pytest.mark.anyio
removed_or_left = pytest.mark.parametrize("removed", [True, False], ids=["removed", "left"])


@asynccontextmanager
async def below_prefix(
    db: Database, root: Path, *, removed: bool = True, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Start the application behind a proxy, with a client for the proxy."""
    async with served(db, root, root_path=PREFIX, **settings) as service:
        proxy = behind_prefix(service.app, PREFIX, removed=removed)
        transport = httpx.ASGITransport(proxy)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers={"Origin": "http://localhost"}
        ) as client:
            yield client


@anyio
@removed_or_left
async def test_the_api_answers_below_the_prefix(
    db: Database, jobs: dict[str, JobView], tmp_path: Path, removed: bool
) -> None:
    async with below_prefix(db, tmp_path, removed=removed, keys=["k:read+run"]) as client:
        key = {"X-API-Key": "k"}
        assert (await client.get(f"{PREFIX}/health/live")).status_code == 200
        url = f"{PREFIX}/inference/single"
        assert (await client.post(url)).status_code == 401
        data = {"training_job_id": str(jobs["detect"].id)}
        files = {"image": ("a.png", picture())}
        assert (await client.post(url, files=files, data=data, headers=key)).status_code == 200
        deleted = await client.delete(f"{PREFIX}/inference/test-runs/1", headers=key)
        assert deleted.json()["code"] == "SCOPE"
        document = (await client.get(f"{PREFIX}/openapi.json", headers=key)).json()
        assert document["servers"] == [{"url": PREFIX}]
        assert "/inference/single" in document["paths"]
        assert (await client.get("/health/live")).status_code == 418  # the proxy, not the service


@anyio
@removed_or_left
async def test_a_browser_signs_in_and_opens_the_docs(
    db: Database, tmp_path: Path, removed: bool
) -> None:
    async with below_prefix(db, tmp_path, removed=removed, keys=["k"]) as client:
        html = {"Accept": "text/html"}
        asked = await client.get(f"{PREFIX}/docs", headers=html)
        assert asked.status_code == 303
        assert asked.headers["location"] == f"{PREFIX}/sign-in?next=%2Fdocs"
        form = {"key": "k", "next": "/docs"}
        signed_in = await client.post(f"{PREFIX}/sign-in", data=form, headers=html)
        assert signed_in.headers["location"] == f"{PREFIX}/docs"
        assert f"Path={PREFIX};" in signed_in.headers["set-cookie"]
        page = await client.get(f"{PREFIX}/docs", headers=html)
        assert page.status_code == 200
        for name in re.findall(r'(?:href|src)="(docs/[^"]+)"', page.text):
            assert (await client.get(f"{PREFIX}/{name}")).status_code == 200
        signed_out = await client.post(f"{PREFIX}/sign-out", headers=html)
        assert signed_out.headers["location"] == f"{PREFIX}/sign-in"
        assert (await client.get(f"{PREFIX}/docs", headers=html)).status_code == 303
        refreshed = await client.get(f"{PREFIX}/", headers={"HX-Request": "true"})
        assert refreshed.headers["hx-redirect"] == f"{PREFIX}/sign-in"


@anyio
@removed_or_left
async def test_links_of_all_pages_keep_the_prefix(
    site: Site, tmp_path: Path, removed: bool
) -> None:
    """Follow every link from the first page."""
    run = site.run_here(metrics={"bootstrap": 0})
    settings = {**site.settings, "removed": removed}
    async with below_prefix(site.db, site.output, **settings) as client:
        seen, left = set[str](), [f"{PREFIX}/"]
        while left:
            path = left.pop()
            seen.add(path)
            response = await client.get(path)
            assert response.status_code == 200, path
            if "text/html" not in response.headers["content-type"]:
                continue
            links = re.findall(
                r'\s(?:href|src|action|hx-\w+|data-post|data-api)="([^"#]+)', response.text
            )
            pages = [unescape(link) for link in links if link.startswith("/")]
            assert all(link.startswith(f"{PREFIX}/") for link in pages), (path, pages)
            new = {link for link in pages if _is_page(link)} - seen - set(left)
            left.extend(sorted(new)[:20])
    assert f"{PREFIX}/runs/{run.id}" in seen
    assert len(seen) > 10


def _is_page(link: str) -> bool:
    return "/cancel" not in link and "?" not in link and not re.search(r"/(ui|inference)/", link)


@anyio
async def test_redirects_keep_the_prefix(site: Site) -> None:
    run = site.run_here(metrics={"bootstrap": 0})
    async with below_prefix(site.db, site.output, **site.settings) as client:
        form = {"training_job_id": site.job.id, "path": "data"}
        created = await client.post(f"{PREFIX}/new", data=form)
        assert created.headers.get("location", "").startswith(f"{PREFIX}/runs/"), created.text
        deleted = await client.delete(f"{PREFIX}/ui/runs/{run.id}", headers={"HX-Request": "true"})
        assert deleted.headers["hx-redirect"] == f"{PREFIX}/"


@anyio
async def test_the_access_log_has_the_path_that_was_sent(
    db: Database, tmp_path: Path, access_log: AccessLines
) -> None:
    async with below_prefix(db, tmp_path, removed=False) as client:
        await client.get(f"{PREFIX}/health/live")
    assert access_log()[0]["path"] == f"{PREFIX}/health/live"


@anyio
async def test_clients_take_the_prefix_in_their_address(db: Database, tmp_path: Path) -> None:
    async with below_prefix(db, tmp_path) as client:
        own = snellen.AsyncClient(f"http://localhost{PREFIX}")
        own._transport.http = httpx.AsyncClient(
            transport=client._transport, base_url=own._transport.http.base_url
        )
        assert await own.training_jobs() == []


@anyio
async def test_the_docs_may_be_open(db: Database, tmp_path: Path) -> None:
    security = {"open_docs": True}
    async with served(db, tmp_path, keys=["k"], security=security) as service:
        paths = ("/docs", "/openapi.json", "/docs/assets/swagger-ui.css")
        for path in paths:
            assert (await service.client.get(path)).status_code == 200
        for path in ("/metrics", "/docsx", "/docs/assets", "/inference/training-jobs"):
            assert (await service.client.get(path)).status_code == 401


@pytest.mark.parametrize(
    "path", ["snellen", "/snellen/", "/", "/a b", "//a", "/inference", "/ui/a"]
)
def test_invalid_prefixes_are_rejected(path: str) -> None:
    with pytest.raises(ValidationError, match=r"expected a path|use another prefix"):
        ServeConfig(root_path=path)

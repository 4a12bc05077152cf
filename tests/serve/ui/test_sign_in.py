"""Sign-in with an API key: sessions, what they may do, and what other sites may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from snellen.serve.api.middleware.api_keys import SESSION_COOKIE
from snellen.serve.api.middleware.web_sessions import LIFETIME
from snellen.serve.ui import assets
from snellen.store.sql.database import Database
from tests.serve.local_service import Service, fixture_job, served
from tests.serve.ui.test_runs import add_run

pytestmark = pytest.mark.anyio
KEYS = ("all-of-it", "look-only:read", "runner:read+run")
HTML = {"Accept": "text/html,application/xhtml+xml"}
OWN = {"Origin": "http://localhost"}


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snellen.serve.ui.routes.sign_in._WRONG_KEY_DELAY_S", 0.0)


@pytest.fixture
async def service(db: Database, tmp_path: Path) -> AsyncIterator[Service]:
    fixture_job(db, "detect")
    async with served(db, tmp_path, keys=KEYS) as running:
        yield running


async def sign_in(service: Service, key: str, **fields: Any) -> httpx.Response:
    return await service.client.post("/sign-in", data={"key": key, **fields})


async def test_a_browser_is_sent_to_the_form_and_back(service: Service) -> None:
    sent = await service.client.get("/?text=a%20b&page=2", headers=HTML)
    assert sent.status_code == 303
    assert sent.headers["location"] == "/sign-in?next=%2F%3Ftext%3Da%2520b%26page%3D2"
    form = await service.client.get(sent.headers["location"])
    assert form.status_code == 200
    assert 'value="/?text=a%20b&amp;page=2"' in form.text
    back = await sign_in(service, "all-of-it", next="/?text=a%20b&page=2")
    assert (back.status_code, back.headers["location"]) == (303, "/?text=a%20b&page=2")
    assert (await service.client.get("/", headers=HTML)).status_code == 200


async def test_the_cookie_is_out_of_reach_and_holds_no_key(service: Service, db: Database) -> None:
    cookie = (await sign_in(service, "all-of-it")).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert f"Max-Age={int(LIFETIME.total_seconds())}" in cookie
    token = service.client.cookies[SESSION_COOKIE]
    with db.read() as session:
        stored = str(session.execute(text("SELECT * FROM web_sessions")).all())
    assert token not in stored
    assert "all-of-it" not in stored + cookie


async def test_a_wrong_key_starts_nothing(service: Service) -> None:
    for key in ("", "wrong", "all-of-it:read", "\N{GRINNING FACE}"):
        found = await sign_in(service, key)
        assert found.status_code == 401
        assert "set-cookie" not in found.headers
        assert "not a key of this service" in found.text


@pytest.mark.parametrize(
    "after", ["//evil.example", "https://evil.example", "/\\evil", "x", "/a\nb"]
)
async def test_the_way_back_stays_on_this_server(service: Service, after: str) -> None:
    assert (await sign_in(service, "all-of-it", next=after)).headers["location"] == "/"


async def test_programs_get_a_problem_as_before(service: Service) -> None:
    for path, headers in (("/inference/test-runs", HTML), ("/", {"Accept": "*/*"})):
        found = await service.client.get(path, headers=headers)
        assert (found.status_code, found.json()["code"]) == (401, "API_KEY")
    part = await service.client.get("/ui/rows/t1", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/sign-in")


async def test_files_and_the_form_need_no_key(service: Service) -> None:
    for path in (assets.address("snellen.css"), "/sign-in"):
        assert (await service.client.get(path)).status_code == 200


async def test_scopes_decide_what_is_shown_and_done(service: Service, db: Database) -> None:
    run = add_run(db, "stopped", status="interrupted")
    done = add_run(db, "done")
    await sign_in(service, "look-only")
    page = (await service.client.get("/")).text
    assert "Resume" not in page
    assert "hx-delete" not in page
    assert (await service.client.delete(f"/ui/rows/t{done}", headers=OWN)).status_code == 403
    assert 'href="/new"' not in page
    single = (await service.client.get("/single")).text
    assert "Your key may not run models." in single
    assert "<sn-drop" not in single
    assert "Predict an image" not in (await service.client.get("/training-jobs/1")).text
    await sign_in(service, "runner")
    assert "<sn-drop" in (await service.client.get("/single")).text
    page = (await service.client.get("/")).text
    assert 'href="/new"' in page
    assert f"/ui/rows/t{run}/resume" in page
    assert "hx-delete" not in page
    await sign_in(service, "all-of-it")
    assert f'hx-delete="/ui/rows/t{done}"' in (await service.client.get("/")).text
    assert (await service.client.delete(f"/ui/rows/t{done}", headers=OWN)).status_code == 200


async def test_a_session_changes_nothing_for_other_sites(service: Service, db: Database) -> None:
    done = add_run(db, "done")
    await sign_in(service, "all-of-it")
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        path = f"/ui/rows/t{done}"
        assert (await service.client.delete(path, headers=headers)).status_code == 403
    assert (await service.client.get(f"/ui/rows/t{done}")).status_code == 200


async def test_sign_out_ends_the_session(service: Service) -> None:
    await sign_in(service, "all-of-it")
    token = service.client.cookies[SESSION_COOKIE]
    assert "Sign out" in (await service.client.get("/")).text
    assert (await service.client.post("/sign-out", headers=OWN)).status_code == 303
    again = {"Cookie": f"{SESSION_COOKIE}={token}", **HTML}
    assert (await service.client.get("/", headers=again)).status_code == 303


async def test_a_session_ends_with_its_key(db: Database, tmp_path: Path) -> None:
    fixture_job(db, "detect")
    async with served(db, tmp_path, keys=KEYS) as service:
        await sign_in(service, "all-of-it")
        cookies = dict(service.client.cookies)
    async with served(db, tmp_path, keys=("new",)) as service:
        service.client.cookies.update(cookies)
        assert (await service.client.get("/", headers=HTML)).status_code == 303

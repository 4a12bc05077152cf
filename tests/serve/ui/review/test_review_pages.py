"""Reviews on pages: the queue has the suspects of a run, notes are those of the API."""

from __future__ import annotations

import html
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from snellen.analysis.suspects.label_search import find_suspects
from snellen.analysis.suspects.suspect import Suspect
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.finish import results_folder
from snellen.serve.jobs.execute_analysis import execute_analysis
from snellen.store.kinds import TEST_RUN
from snellen.store.runs import get_test_run
from snellen.store.service.analyses import exports_of
from snellen.store.service.reviews import list_reviews
from snellen.store.sql.database import Database
from tests.serve.local_service import Service, served
from tests.serve.ui.review.conftest import AWKWARD
from tests.serve.ui.run_page.reading import read

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def suspects(db: Database, number: int) -> list[Suspect]:
    return find_suspects(db, [get_test_run(db, number)], Reporter()).found


async def shown(service: Service, query: str) -> str:
    """Return a place of a queue, after the search."""
    return await read(service, f"/ui/review/suspects?{query}")


async def note(service: Service, place: int, status: str, **more: Any) -> str:
    form = {"run": 1, "place": place, "status": status, **more}
    sent = await service.client.post("/review/suspects", data=form)
    assert sent.status_code == 303, sent.text
    return str(sent.headers["location"])


async def test_the_queue_has_the_suspects_in_their_order(service: Service, db: Database) -> None:
    expected = suspects(db, 1)
    assert len(expected) > 3
    waiting = await read(service, "/review/suspects?run=1")
    assert 'hx-get="/ui/review/suspects?run=1" hx-trigger="load"' in waiting
    for place, one in enumerate(expected[:4], 1):
        page = await shown(service, f"run=1&place={place}")
        assert f"{place} of {len(expected)}, 0 reviewed" in page
        assert f"<bdi>{html.escape(one.image_id)}</bdi>" in page
        assert f'href="/runs/1/images/{one.image_index}"' in page
        assert f"<dd>{one.score:.3f}</dd>" in page
        assert one.box is not None
        assert f'x="{one.box[0]:.1f}" y="{one.box[1]:.1f}"' in page
        assert "style=" not in page
    ready = await read(service, "/review/suspects?run=1&place=2")
    assert "hx-trigger=" not in ready
    assert f"2 of {len(expected)}" in ready


async def test_a_kind_is_a_queue_of_its_own(service: Service, db: Database) -> None:
    for kind in ("wrong_class", "missing_label", "unseen_label"):
        number = sum(one.kind == kind for one in suspects(db, 1))
        page = await shown(service, f"run=1&kind={kind}&place=999")
        assert (f"{number} of {number}," in page) == (number > 0)
        assert ("No such suspect label" in page) == (number == 0)


async def test_decisions_are_reviews_and_lead_on(service: Service, db: Database) -> None:
    first, second = suspects(db, 1)[:2]
    assert await note(service, 1, "wrong_label", note=" <i>no</i> ") == (
        "/review/suspects?run=1&place=2"
    )
    await note(service, 2, "unclear")
    await note(service, 1, "fixed")  # changes the review, and keeps the note
    total, found = list_reviews(db, {}, limit=10, offset=0)
    assert total == 2
    newer, older = found
    assert (newer.image_id, newer.status) == (second.image_id, "unclear")
    assert (older.image_id, older.status, older.note) == (first.image_id, "fixed", "<i>no</i>")
    page = await shown(service, "run=1")
    assert "1 of " in page
    assert ", 2 reviewed" in page
    assert 'value="&lt;i&gt;no&lt;/i&gt;"' in page
    await note(service, 1, "fixed", note="  ")
    assert list_reviews(db, {}, limit=10, offset=0)[1][1].note is None
    for form in ({"run": 1, "status": "maybe"}, {"run": 1, "status": "fixed", "place": "9999"}):
        assert (await service.client.post("/review/suspects", data=form)).status_code in (404, 422)


async def test_a_missing_label_is_noted_with_its_box(service: Service, db: Database) -> None:
    found = suspects(db, 1)
    place = next(n for n, one in enumerate(found) if one.kind == "missing_label")
    await note(service, place + 1, "wrong_label")
    (review,) = list_reviews(db, {}, limit=10, offset=0)[1]
    assert (review.kind, review.true_index) == ("box", None)
    assert review.box == pytest.approx(found[place].box)
    assert ", 1 reviewed" in await shown(service, f"run=1&place={place + 1}")


async def test_reviews_are_listed_with_filters(service: Service, db: Database) -> None:
    assert "No review yet." in await read(service, "/review")
    for index, status, text in ((0, "wrong_label", "first"), (3, "unclear", "second")):
        body = {"run_id": 1, "image_index": index, "status": status, "note": text}
        await service.client.post("/inference/reviews", json=body)
    every = await read(service, "/review?run=1")
    assert set(re.findall(r'href="/runs/1/images/(\d+)"', every)) == {"0", "3"}
    assert every.count("/thumbnail?size=256") == 2
    for query, names in (
        ("", ["second", "first"]),
        ("run=1&status=unclear", ["second"]),
        ("text=FIRST", ["first"]),
        ("run=2", []),
        ("status=x&page=x", ["second", "first"]),
        ("page=99", ["second", "first"]),
    ):
        page = await read(service, f"/review?{query}")
        assert re.findall(r'note-text"><bdi>(\w+)</bdi>', page) == names
    assert (await service.client.get("/review?run=99")).status_code == 404
    number = list_reviews(db, {"status": "unclear"}, limit=1, offset=0)[1][0].id
    changed = await service.client.post(f"/ui/reviews/{number}", data={"status": "fixed"})
    assert (changed.status_code, changed.headers["HX-Refresh"]) == (204, "true")
    assert list_reviews(db, {"status": "fixed"}, limit=1, offset=0)[0] == 1
    assert (await service.client.delete(f"/ui/reviews/{number}")).status_code == 204
    assert list_reviews(db, {}, limit=1, offset=0)[0] == 1


async def test_an_image_has_its_reviews_and_a_form(service: Service, db: Database) -> None:
    page = await read(service, "/runs/1/images/2")
    assert 'hx-get="/ui/runs/1/images/2/reviews" hx-trigger="load"' in page
    row = service.state.pages.row(service.state.pages.open(get_test_run(db, 1)), 2)
    part = await read(service, "/ui/runs/1/images/2/reviews")
    assert len(re.findall(r"<option", part)) == 1 + len(row["true_boxes"])
    form = {"target": "0", "status": "wrong_label", "note": "<script>x</script>"}
    sent = await service.client.post("/ui/runs/1/images/2/reviews", data=form)
    assert "&lt;script&gt;x&lt;/script&gt;" in sent.text
    await service.client.post("/ui/runs/1/images/2/reviews", data={"status": "unclear"})
    found = list_reviews(db, {"image_id": row["image_id"]}, limit=9, offset=0)[1]
    assert [(one.kind, one.true_index, one.status) for one in found] == [
        ("image", None, "unclear"), ("object", 0, "wrong_label")]  # fmt: skip
    for form in ({"target": "99", "status": "fixed"}, {"target": "x", "status": "fixed"}):
        wrong = await service.client.post("/ui/runs/1/images/2/reviews", data=form)
        assert wrong.status_code in (404, 422)
    missing = await service.client.get("/ui/runs/1/images/99/reviews")
    assert missing.status_code == 404


@pytest.mark.parametrize("name", ["label-studio", "cvat", "csv"])
async def test_reviewed_images_are_exported(service: Service, db: Database, name: str) -> None:
    names = {}
    for index, status in ((0, "wrong_label"), (4, "wrong_label"), (5, "unclear")):
        body = {"run_id": 1, "image_index": index, "status": status}
        made = await service.client.post("/inference/reviews", json=body)
        names[index] = made.json()["image_id"]
    form = {"run": 1, "format": name, "status": "wrong_label"}
    sent = await service.client.post("/ui/review/exports", data=form)
    assert "sn-poll" in sent.text
    export = exports_of(db, TEST_RUN, 1)[0]
    execute_analysis(db, export.id, service.state.place.output_dir)
    part = await read(service, "/ui/review/exports?run=1")
    assert "2 reviewed images" in part
    file = await service.client.get(f"/inference/exports/{export.id}/file")
    path = Path(service.state.place.output_dir) / "found"
    path.write_bytes(file.content)
    text = text_of(path) if zipfile.is_zipfile(path) else file.text
    for index, image in names.items():
        known = json.dumps(image, ensure_ascii=False)[1:-1]
        found = known in text or html.escape(image) in text or html.escape(image, False) in text
        assert found == (index != 5)
    none = await service.client.post("/ui/review/exports", data=form | {"status": "fixed"})
    assert "No image of the run has such a review." in none.text


def text_of(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist())


async def test_awkward_names_are_text(service: Service, db: Database) -> None:
    names = [await name_at(service, number) for number in range(10)]
    index = names.index(f"images/test/{AWKWARD}.png")
    body = {"run_id": 1, "image_index": index, "status": "unclear", "note": AWKWARD}
    await service.client.post("/inference/reviews", json=body)
    for path in ("/review", "/review?run=1", f"/ui/runs/1/images/{index}/reviews"):
        page = await read(service, path)
        assert "<b onclick" not in page
        assert "&lt;b onclick=x&gt;" in page


async def name_at(service: Service, index: int) -> str:
    found = await service.client.get(f"/inference/test-runs/1/images/{index}")
    return str(found.json()["image_path"])


async def test_a_queue_without_a_run_or_its_files(service: Service, db: Database) -> None:
    assert (await service.client.get("/review/suspects")).status_code == 422
    assert (await service.client.get("/review/suspects?run=99")).status_code == 404
    page = await shown(service, "run=2")
    number = len(suspects(db, 2))
    assert f"1 of {number}" in page if number else "No suspect label" in page


async def test_a_dataset_without_its_manifest_is_a_problem(service: Service, db: Database) -> None:
    manifest = results_folder(get_test_run(db, 2)) / MANIFEST_NAME
    hidden = manifest.rename(manifest.with_suffix(".hidden"))
    try:
        for address in ("/review?run=2", "/inference/reviews?run_id=2"):
            found = await service.client.get(address)
            assert (found.status_code, "RESULTS_MISSING" in found.text) == (409, True), address
    finally:
        hidden.rename(manifest)


async def test_a_key_for_reading_sees_no_forms(db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path, keys=("one:read",)) as service:
        service.client.headers["Authorization"] = "Bearer one"
        for path in ("/review?run=1", "/ui/review/suspects?run=1", "/ui/runs/1/images/2/reviews"):
            assert 'method="post"' not in (await read(service, path)).replace("sign-out", "")
        form = {"run": 1, "status": "fixed"}
        assert (await service.client.post("/review/suspects", data=form)).status_code == 403


async def test_without_runs_the_page_says_how_to_begin(tmp_path: Path) -> None:
    db = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    async with served(db, tmp_path) as service:
        assert "Nothing to review yet" in await read(service, "/review")
    db.close()

"""Exports of a run from its page: with the filters of the list, or not at all."""

from __future__ import annotations

import pytest

from snellen.store.kinds import TEST_RUN
from snellen.store.service.analyses import exports_of
from snellen.store.sql.database import Database
from tests.serve.local_service import Service
from tests.serve.ui.run_page.reading import read

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
PATH = "/ui/runs/1/exports"


async def started(service: Service, query: str, **fields: str) -> str:
    response = await service.client.post(
        PATH,
        data={"format": "csv", **fields},
        headers={"HX-Current-URL": f"http://localhost/runs/1{query}"},
    )
    assert response.status_code == 200, response.text
    return response.text


async def test_the_menu_offers_formats_of_the_task(service: Service) -> None:
    assert f'hx-get="{PATH}"' in await read(service, "/runs/1")
    part = await read(service, PATH)
    assert '<option value="coco">' in part
    assert '<option value="coco">' not in await read(service, "/ui/runs/2/exports")


async def test_the_filters_of_the_list_become_conditions(service: Service, db: Database) -> None:
    query = "?class=circle&correct=false&status=ok&min_confidence=0.4&sort=-fp"
    part = await started(service, query, listed="true")
    (newest, *_) = exports_of(db, TEST_RUN, 1)
    assert newest.request == {
        "format": "csv",
        "filter": {
            "true_class": "circle", "correct": False, "status": "ok", "min_confidence": 0.4,
        },
    }  # fmt: skip
    assert "confidence ≥ 0.4" in part
    assert "class circle" in part
    await started(service, query)
    (newest, *_) = exports_of(db, TEST_RUN, 1)
    assert newest.request["filter"] == {}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?match=FP&text=0003", "Match, Text"),
        ("?view=objects&true=circle&predicted=square", "Ground truth, Prediction"),
        ("?view=objects", "objects"),
    ],
)
async def test_filters_that_an_export_lacks_are_said(
    service: Service, db: Database, query: str, found: str
) -> None:
    before = exports_of(db, TEST_RUN, 1)
    part = await started(service, query, listed="true")
    assert f"cannot select what the list shows: {found}." in part
    assert exports_of(db, TEST_RUN, 1) == before

"""The page at another threshold than the run's: the matrix, its lists, and the address."""

from __future__ import annotations

from typing import Any

import pytest

from snellen.analysis.error_analysis import ErrorAnalysis
from snellen.analysis.rescore import rescore_run
from snellen.pipelines.progress import Reporter
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.serve.local_service import Service
from tests.serve.ui.run_page.reading import links, read, section, total

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
AT = 0.4


def cells(matrix: list[list[int]]) -> list[int]:
    return [count for row in matrix for count in row if count]


async def test_the_matrix_is_that_of_a_rescored_run(
    service: Service, db: Database, detected: RunView
) -> None:
    words = [f"metrics.operating_confidence={AT}", "metrics.bootstrap=0", "metrics.slices=[]"]
    rescored = rescore_run(db, detected, words, Reporter())
    assert rescored.confusion_matrix != detected.confusion_matrix
    part = section(await read(service, f"/ui/runs/1/matrix?at={AT}"), "confusion")
    found = links(part)
    counts = cells(rescored.confusion_matrix)
    # A cell shows its share and its count.
    assert [int(text.removeprefix("·")[-len(str(n)) :]) for (_, text), n in zip(
        found, counts, strict=True
    )] == counts  # fmt: skip
    for (href, _), count in zip(found, counts, strict=True):
        assert f"at={AT}" in href
        assert total(await read(service, href)) == count
    assert "at confidence ≥ 0.4" in part
    page = await read(service, f"/runs/1?at={AT}")
    assert section(page, "confusion") == part
    assert f'data-out="value">{AT:.2f}</dd>' in section(page, "operating")


async def test_the_own_matrix_of_a_run_is_that_of_its_files(
    db: Database, detected: RunView, classified: RunView
) -> None:
    for run in (detected, classified):
        assert ErrorAnalysis(db, run).confusion_matrix() == run.confusion_matrix


async def test_the_threshold_is_in_the_address(service: Service) -> None:
    headers = {"HX-Current-URL": "http://localhost/runs/1?match=FP&at=0.3"}
    response = await service.client.get(f"/ui/runs/1/matrix?at={AT}", headers=headers)
    assert response.headers["HX-Replace-Url"] == f"/runs/1?match=FP&at={AT}"


async def test_buckets_of_all_stored_predictions(
    service: Service, db: Database, detected: RunView
) -> None:
    part = section(await read(service, "/ui/runs/1/errors?all=true"), "errors")
    summary: Any = ErrorAnalysis(db, detected).summary(min_confidence=0.0)
    expected = [one.count for one in summary.buckets if one.count]
    found = links(part)
    assert [int(text.replace(",", "")) for _, text in found] == expected
    assert expected != [one.count for one in _at_the_point(db, detected).buckets if one.count]
    for (href, _), count in zip(found, expected, strict=True):
        assert total(await read(service, href)) == count
    assert "of all stored predictions" in part


def _at_the_point(db: Database, run: RunView) -> Any:
    return ErrorAnalysis(db, run).summary()


async def test_commands_of_a_threshold(service: Service) -> None:
    page = await read(service, "/runs/1?view=objects&bucket=Miss&at=0.4")
    assert "snellen errors 1 --bucket Miss --min-confidence 0.4 --limit 60" in page
    page = await read(service, "/runs/1?view=objects&true=circle&predicted=circle&at=0.4")
    assert "snellen errors 1" not in section(page, "images")


@pytest.mark.parametrize("path", ["/ui/runs/2/matrix?at=0.4", "/ui/runs/1/matrix?at=0.0001"])
async def test_no_matrix(service: Service, path: str) -> None:
    assert (await service.client.get(path)).status_code == 422

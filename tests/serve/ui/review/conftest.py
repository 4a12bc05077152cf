"""A run of a detector (1) and one of a classifier (2) whose labels are partly wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import snellen
from examples.shapes.make_dataset import make
from snellen.store.service.reviews import delete_review, list_reviews
from snellen.store.sql.database import Database
from tests.serve.local_service import FIXTURES, Service, served

AWKWARD = "<b onclick=x>\N{HEBREW LETTER ALEF}\N{GRINNING FACE}" + "x" * 200
"""Name of an image."""


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Database]]:
    folder = tmp_path_factory.mktemp("review")
    make(folder / "shapes", counts={"test": 10, "val": 1}, seed=5)
    first = min((folder / "shapes" / "detect" / "images" / "test").iterdir())
    first.rename(first.with_name(f"{AWKWARD}.png"))
    label = folder / "shapes" / "detect" / "labels" / "test" / f"{first.stem}.txt"
    label.rename(label.with_name(f"{AWKWARD}.txt"))
    label.with_name("0002.txt").write_text("")  # a confident prediction is not labelled
    common: dict[str, Any] = {
        "run": {"engine": "inline", "unit_rows": 4},
        "output": {"dir": str(folder / "out")},
        "database": f"sqlite:///{folder / 'runs.db'}",
        "metrics": {"bootstrap": 0},
    }
    for task, path in (("detect", "detect/data.yaml"), ("classify", "classify")):
        model = {"checkpoint": str(FIXTURES / f"tiny-{task}.pt")}
        dataset = {"path": str(folder / "shapes" / path), "split": "test"}
        snellen.evaluate({"name": task, "model": model, "dataset": dataset, **common})
    db = Database.open(common["database"])
    yield folder, db
    db.close()


@pytest.fixture
def db(place: tuple[Path, Database]) -> Iterator[Database]:
    """Return the run tables; reviews of a test are deleted at its end."""
    yield place[1]
    for review in list_reviews(place[1], {}, limit=1000, offset=0)[1]:
        delete_review(place[1], review.id)


@pytest.fixture
async def service(place: tuple[Path, Database], db: Database) -> AsyncIterator[Service]:
    async with served(db, place[0] / "service", roots=[str(place[0])]) as opened:
        yield opened

"""Runs of a detector (1) and a classifier (2) on drawn shapes, one image of them broken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import snellen
from examples.shapes.make_dataset import make
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.serve.local_service import FIXTURES, Service, served

AWKWARD = "<b onclick=x>\N{HEBREW LETTER ALEF}\N{GRINNING FACE}" + "x" * 200
"""Name of an image."""
SLICES = {"detect": ["object_count", "image_size"], "classify": ["image_size"]}


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Database]]:
    folder = tmp_path_factory.mktemp("viewer")
    make(folder / "shapes", counts={"test": 14, "val": 1}, seed=5)
    first = min((folder / "shapes" / "detect" / "images" / "test").iterdir())
    first.write_bytes(first.read_bytes()[:200])
    circle = min((folder / "shapes" / "classify" / "test" / "circle").iterdir())
    circle.rename(circle.with_name(f"{AWKWARD}.png"))
    common: dict[str, Any] = {
        "run": {"engine": "inline", "unit_rows": 5},
        "output": {"dir": str(folder / "out")},
        "database": f"sqlite:///{folder / 'runs.db'}",
    }
    for task, path in (("detect", "detect/data.yaml"), ("classify", "classify")):
        snellen.evaluate(
            {
                "name": task,
                "model": {"checkpoint": str(FIXTURES / f"tiny-{task}.pt")},
                "dataset": {"path": str(folder / "shapes" / path), "split": "test"},
                "metrics": {"bootstrap": 20, "slices": SLICES[task]},
                **common,
            }
        )
    db = Database.open(common["database"])
    yield folder, db
    db.close()


@pytest.fixture
def db(place: tuple[Path, Database]) -> Database:
    return place[1]


@pytest.fixture
async def service(place: tuple[Path, Database]) -> AsyncIterator[Service]:
    folder, db = place
    async with served(db, folder / "service", roots=[str(folder / "shapes")]) as opened:
        yield opened


@pytest.fixture
def detected(db: Database) -> RunView:
    return get_test_run(db, 1)


@pytest.fixture
def classified(db: Database) -> RunView:
    return get_test_run(db, 2)

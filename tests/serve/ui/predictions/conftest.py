"""Inference jobs of a detector (1) and a classifier (2) on drawn shapes, one image broken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import snellen
from examples.shapes.make_dataset import make
from snellen.store.sql.database import Database
from tests.serve.local_service import FIXTURES, Service, served

AWKWARD = "<b onclick=x>\N{HEBREW LETTER ALEF}\N{GRINNING FACE}" + "x" * 200
"""Name of an image."""


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Database]]:
    folder = tmp_path_factory.mktemp("predictions")
    make(folder / "shapes", counts={"test": 8, "val": 1}, seed=5)
    images = sorted((folder / "shapes" / "detect" / "images" / "test").iterdir())
    images[0].write_bytes(images[0].read_bytes()[:200])
    images[1].rename(images[1].with_name(f"{AWKWARD}.png"))
    common: dict[str, Any] = {
        "run": {"engine": "inline", "unit_rows": 3},
        "output": {"dir": str(folder / "out")},
        "database": f"sqlite:///{folder / 'runs.db'}",
    }
    for task, path in (("detect", "detect/images/test"), ("classify", "classify/test")):
        model = {"checkpoint": str(FIXTURES / f"tiny-{task}.pt")}
        dataset = {"path": str(folder / "shapes" / path)}
        snellen.predict({"name": task, "model": model, "dataset": dataset, **common})
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

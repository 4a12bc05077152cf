"""Finished runs to export."""

from __future__ import annotations

from pathlib import Path

import pytest

from snellen.adapters.types import ImageStatus
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.sql.database import Database
from tests.analysis.detected import Detected
from tests.contracts.exporter_contract import Exportable
from tests.pipelines.making import grey_folder, write_image
from tests.pipelines.pixel_adapter import NAME

AWKWARD = ("=1+1.png", "+a.png", "-a.png", "@a.png", "a,b.png", 'a"b.png', "ä 名.png", "a.b.png")
"""Names of images; the first four are formulas where they are the whole cell."""


def classified(folder: Path) -> Exportable:
    """A run with correct and incorrect images, one that fails, and awkward names."""
    data = grey_folder(folder / "data")
    for number, name in enumerate(AWKWARD):
        write_image(data / "1" / name, 30 + 20 * number)
    (data / "2" / "broken.png").write_bytes(b"no image")
    config = build_config(
        {
            "name": "greys",
            "model": {"adapter": NAME},
            "dataset": {"path": str(data)},
            "run": {"engine": "inline", "unit_rows": 6},
            "output": {"dir": str(folder / "out")},
        }
    )
    url = f"sqlite:///{folder / 'runs.db'}"
    run = TestRunner(config, database=url).run_test()
    return Exportable(Database.open(url), run)


@pytest.fixture(scope="session")
def greys(tmp_path_factory: pytest.TempPathFactory) -> Exportable:
    """A classification run of 21 images in four units, 20 of them scored."""
    made = classified(tmp_path_factory.mktemp("greys"))
    rows = made.results.frame(["status", "is_correct"])
    assert rows["status"].to_list().count(ImageStatus.FAILED) == 1
    assert {True, False, None} == set(rows["is_correct"].to_list())
    return made


@pytest.fixture
def boxes(detected: Detected) -> Exportable:
    """A detection run of four images in two units."""
    return Exportable(detected.db, detected.run)

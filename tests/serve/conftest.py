"""Fixtures: run tables with a training job for each tiny checkpoint, and images."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snellen.serve.logs import ACCESS_LOGGER, AccessFormatter
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.local_service import TASKS, fixture_job
from tests.serve.site import Site

AccessLines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    yield database
    database.close()


@pytest.fixture
def jobs(db: Database) -> dict[str, JobView]:
    return {task: fixture_job(db, task) for task in TASKS}


@pytest.fixture
def site(tmp_path: Path, db: Database, importable: None) -> Site:
    return Site(tmp_path, db)


@pytest.fixture
def access_log() -> Iterator[AccessLines]:
    """Return a function that returns the lines of the access log, parsed from JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(AccessFormatter(as_json=True))
    logger = logging.getLogger(ACCESS_LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def picture(kind: str = "PNG", size: tuple[int, int] = (150, 110), **options: object) -> bytes:
    """Draw a red circle and a blue square on grey, which the tiny checkpoints can detect."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    pixels = np.full((size[1], size[0], 3), 128, np.uint8)
    pixels[(rows - 40) ** 2 + (columns - 50) ** 2 < 30**2] = (220, 40, 40)
    pixels[60:100, 90:130] = (40, 40, 220)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()

"""Column types: finite JSON, whole texts and UTC times survive a round trip."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from snellen.store.runs import get_test_run
from snellen.store.sql.columns import clean_json, clean_text
from snellen.store.sql.database import Database
from tests.store.conftest import make_run


def test_json_columns_hold_plain_finite_values(db: Database, job_id: int) -> None:
    metrics = {
        "nan": float("nan"),
        "inf": [float("inf"), np.float32(0.5)],
        3: np.arange(2),
        "rle": b"ab1",
        "name": "bad\udcff\x00",
    }
    run = get_test_run(db, make_run(db, job_id, metrics=metrics, overall_loss=float("nan")))
    assert run.metrics == {
        "nan": None,
        "inf": [None, 0.5],
        "3": [0, 1],
        "rle": "ab1",
        "name": "bad\\udcff\\x00",
    }
    assert run.overall_loss is None


def test_an_object_without_json_form_is_rejected() -> None:
    with pytest.raises(TypeError, match="Expected a JSON value"):
        clean_json({"x": object()})


def test_texts_of_any_length_are_stored_whole(db: Database, job_id: int) -> None:
    path = "/data/" + "ü" * 5000
    assert get_test_run(db, make_run(db, job_id, dataset_path=path)).dataset_path == path
    assert clean_text("plain") == "plain"


def test_times_are_utc_whatever_zone_they_came_in(db: Database, job_id: int) -> None:
    local = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=9)))
    run = get_test_run(db, make_run(db, job_id, started_at=local))
    assert run.started_at == local
    assert run.started_at is not None and run.started_at.tzinfo is UTC
    assert abs(run.created_at - datetime.now(UTC)) < timedelta(minutes=1)

"""The Ray engine equals the inline engine, row by row, whatever is among the images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import RunError
from snellen.analysis.reader import open_results
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.ledger import committed_units
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.adapters.making import save_timm
from tests.pipelines.making import TIMES, grey_folder, pixel_config, write_image
from tests.pipelines.pixel_adapter import KILL, NAME, RAISE, RAISE_IN_PREPROCESS

UNIT_ROWS = 8


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return grey_folder(tmp_path / "data", each=14)


def run(data: Path, engine: str, **sections: Any) -> RunView:
    place = data.parent
    settings = {"engine": engine, "unit_rows": UNIT_ROWS, "batch_size": 3}
    config = pixel_config(
        data, place / "out", **{**sections, "run": {**settings, **sections.get("run", {})}}
    )
    return TestRunner(config, database=f"sqlite:///{place / 'runs.db'}").run_test()


def rows(data: Path, of: RunView) -> list[dict[str, Any]]:
    db = Database.open(f"sqlite:///{data.parent / 'runs.db'}")
    found = open_results(db, of).frame().drop(TIMES).to_dicts()
    db.close()
    return found


def spoil(data: Path) -> dict[str, str]:
    """Make some images bad; give id -> code."""
    (data / "0" / "00.png").write_bytes(b"")
    (data / "0" / "03.png").write_bytes(b"text, not an image")
    whole = (data / "1" / "05.png").read_bytes()
    (data / "1" / "05.png").write_bytes(whole[: len(whole) // 2])
    write_image(data / "1" / "07.png", marker=RAISE_IN_PREPROCESS)
    write_image(data / "2" / "13.png", marker=RAISE)
    return {
        "0/00.png": "EMPTY",
        "0/03.png": "UNSUPPORTED",
        "1/05.png": "TRUNCATED",
        "1/07.png": "INTERNAL",
        "2/13.png": "INTERNAL",
    }


def assert_same_run(one: RunView, other: RunView) -> None:
    for column in (
        "metrics", "intervals", "per_class_metrics", "confusion_matrix", "details", "total_images",
        "scored_images", "failed_images", "overall_loss", "fingerprint", "class_map",
    ):  # fmt: skip
        assert getattr(one, column) == getattr(other, column), column


@pytest.mark.ray
def test_ray_equals_inline_row_by_row(data: Path, shared_ray: None) -> None:
    expected = spoil(data)
    inline, on_ray = run(data, "inline"), run(data, "ray")
    assert rows(data, inline) == rows(data, on_ray)
    assert_same_run(inline, on_ray)
    failed = {row["image_id"]: row["error_code"] for row in rows(data, on_ray) if row["error_code"]}
    assert failed == expected
    assert on_ray.metrics is not None
    assert on_ray.metrics["coverage"] == (42 - 5) / 42
    assert on_ray.resolved is not None
    assert on_ray.resolved["layout"] == "cpu"


@pytest.mark.ray
def test_ray_equals_inline_with_a_real_model(data: Path, shared_ray: None) -> None:
    save_timm(data.parent / "m.pth", num_classes=3)
    model = {"adapter": "timm", "checkpoint": str(data.parent / "m.pth"), "class_names": "dataset"}
    sections = {"model": model, "preprocess": {"img_size": 32}}
    inline, on_ray = run(data, "inline", **sections), run(data, "ray", **sections)
    assert rows(data, inline) == rows(data, on_ray)
    assert_same_run(inline, on_ray)


@pytest.mark.ray
def test_a_model_that_does_not_load_on_the_workers_stops_the_run(
    data: Path, shared_ray: None
) -> None:
    with pytest.raises(RunError, match="no such weights") as caught:
        run(data, "ray", model={"adapter": NAME, "options": {"fail_load": "no such weights"}})
    assert caught.value.code == "MODEL_BROKEN"
    db = Database.open(f"sqlite:///{data.parent / 'runs.db'}")
    assert get_test_run(db, "latest").status == "failed"


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("kill_at", ["infer", "preprocess"])
def test_an_image_that_kills_its_worker_is_one_failed_row(
    data: Path, shared_ray: None, kill_at: str
) -> None:
    model = {"adapter": NAME, "options": {"kill_at": kill_at}}
    clean = rows(data, run(data, "inline", model=model))
    write_image(data / "1" / "06.png", marker=KILL)
    found = run(data, "ray", model=model)
    assert (found.status, found.failed_images, found.scored_images) == ("completed", 1, 41)
    for before, after in zip(clean, rows(data, found), strict=True):
        if after["image_id"] == "1/06.png":
            assert (after["status"], after["error_stage"]) == ("failed", "infer")
            assert after["error_code"] == "WORKER_DIED"
            assert after["error_message"] == "the worker process died twice on image 20"
        else:
            assert after == before
    assert not list(Path(found.results_dir or "").glob(".notice-*"))


def command(place: Path, *words: str, timeout: float = 90) -> dict[str, Any]:
    """Run ``snellen eval`` in a process of its own, since Ray is one a process."""
    finished = subprocess.run(
        [sys.executable, "-m", "snellen", "eval", str(place / "run.yaml"), *words, "--json",
         "--database", f"sqlite:///{place / 'runs.db'}"],
        check=False, capture_output=True, text=True, timeout=timeout, cwd=place,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    document: dict[str, Any] = json.loads(finished.stdout)
    return document


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(("cpus", "gpus"), [(1, 0), (4, 0), (2, 2), (2, 4)])
def test_no_machine_deadlocks_and_all_agree(
    data: Path, importable: None, cpus: int, gpus: int
) -> None:
    place = data.parent
    spoil(data)
    config = pixel_config(data, place / "out", run={"unit_rows": 4}).model_dump(mode="json")
    (place / "run.yaml").write_text(json.dumps(config))
    document = command(
        place, "run.engine=ray", f"ray.num_cpus={cpus}", f"ray.num_gpus={gpus}", timeout=60
    )
    db = Database.open(f"sqlite:///{place / 'runs.db'}")
    found = get_test_run(db, document["id"])
    assert document["resolved"]["layout"] == ("gpu" if gpus else "cpu")
    inline = run(data, "inline", run={"unit_rows": 4})
    assert rows(data, inline) == rows(data, found)
    assert_same_run(inline, found)
    workers = {record.worker for record in committed_units(db, "test_run", found.id)}
    if gpus:
        assert len({worker.rpartition("/gpu")[2] for worker in workers}) >= 2
    db.close()


@pytest.mark.ray
@pytest.mark.slow
def test_a_death_is_not_printed_between_the_results(data: Path, importable: None) -> None:
    place = data.parent
    write_image(data / "1" / "06.png", marker=KILL)
    config = pixel_config(data, place / "out", run={"engine": "ray"}).model_dump(mode="json")
    (place / "run.yaml").write_text(json.dumps(config))
    assert command(place, "ray.num_cpus=2")["failed_images"] == 1

"""Runs in this process from configuration to stored metrics, and what is left when one fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snellen.adapters.errors import ConfigError, InputError, RunError, SnellenError
from snellen.analysis.reader import unit_files, verify_run
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.ledger import committed_units
from snellen.store.runs import get_test_run, list_test_runs
from snellen.store.views import RunView
from tests.pipelines.pixel_adapter import NAME, PixelAdapter
from tests.pipelines.place import Place


def test_a_run_from_end_to_end(place: Place) -> None:
    run = place.run(name="first")
    assert (run.status, run.name, run.total_images) == ("completed", "first", 12)
    assert (run.scored_images, run.failed_images) == (12, 0)
    rows = place.rows(run)
    assert [row["image_id"] for row in rows] == [
        f"{c}/{n:02}.png" for c in range(3) for n in range(4)
    ]
    right = sum(row["is_correct"] for row in rows)
    assert run.metrics is not None
    assert run.metrics["accuracy"] == right / 12 == run.primary_metric_value
    assert run.metrics["coverage"] == 1.0
    assert run.primary_metric_name == "accuracy"
    assert run.class_names == ["0", "1", "2"]
    assert run.class_map["ids"] == {"0": 0, "1": 1, "2": 2}
    assert run.resolved is not None
    assert (run.resolved["unit_rows"], run.resolved["batch_size"]) == (4, 3)
    assert run.lease_token is None
    assert run.started_at and run.completed_at and run.started_at <= run.completed_at
    records = committed_units(place.db, "test_run", run.id)
    assert [(r.start, r.stop) for r in records] == [(0, 4), (4, 8), (8, 12)]
    assert unit_files(place.db, run) == [Path(run.results_dir or "") / r.file for r in records]
    assert verify_run(place.db, run) == (3, [])
    left = {path.name for path in place.output.iterdir()}
    assert left == {"1-first"}
    assert {path.name for path in (place.output / "1-first").iterdir()} == {
        "manifest.parquet", "units"}  # fmt: skip


def test_the_same_run_twice_gives_the_same_results(place: Place) -> None:
    first, second = place.run(), place.run(run={"engine": "inline", "threads": 1})
    assert first.metrics == second.metrics
    assert first.fingerprint is not None
    assert second.fingerprint is not None
    assert first.fingerprint["manifest_hash"] == second.fingerprint["manifest_hash"]


def test_the_sql_tables_hold_small_runs_only(place: Place) -> None:
    from sqlalchemy import text

    def count(run: RunView) -> int:
        with place.db.read() as session:
            query = text("SELECT count(*) FROM test_image_results WHERE test_run_id = :id")
            return int(session.execute(query, {"id": run.id}).scalar_one())

    assert count(place.run()) == 12
    assert count(place.run(output={"dir": str(place.output), "sql_rows_limit": 11})) == 0


def test_an_adapter_that_is_loaded_already(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from snellen.adapters.types import AdapterSpec

    monkeypatch.chdir(place.output.parent)
    adapter = PixelAdapter.from_spec(AdapterSpec(NAME, class_names=("0", "1", "2")))
    run = TestRunner(adapter, database=place.url).run_test(place.data)
    assert (run.status, run.total_images) == ("completed", 12)
    assert adapter.batches
    assert Path(run.results_dir or "").parent == place.output.parent / "runs"
    with pytest.raises(ConfigError, match="a configuration, or an adapter and a path"):
        TestRunner(adapter).run_test()


@pytest.mark.parametrize(
    ("sections", "code"),
    [
        ({"dataset": {"path": "/not/there"}}, "DATASET_NOT_FOUND"),
        ({"model": {"adapter": NAME, "class_names": ["a", "b", "c"]}}, "CLASS_MAP_MISMATCH"),
        ({"model": {"adapter": NAME, "options": {"num_classes": 4}}}, "CLASS_MAP_MISMATCH"),
        ({"model": {"adapter": "timm"}}, "MODEL_MISSING"),
        ({"output": {"dir": "/proc/no"}}, "OUTPUT_NOT_WRITABLE"),
        ({"run": {"engine": "inline", "device": "cuda"}}, "PLAN_UNSCHEDULABLE"),
    ],
)
def test_wrong_input_leaves_nothing_behind(
    place: Place, sections: dict[str, Any], code: str
) -> None:
    with pytest.raises(SnellenError) as caught:
        place.run(**sections)
    assert (caught.value.code, caught.value.exit_code) == (code, 2)
    assert list_test_runs(place.db) == []
    assert list(place.output.glob("*")) == []


def test_an_empty_data_set_leaves_nothing_behind(place: Place) -> None:
    for file in place.data.rglob("*.png"):
        file.unlink()
    with pytest.raises(InputError) as caught:
        place.run()
    assert caught.value.code == "DATASET_EMPTY"
    assert list_test_runs(place.db) == []
    assert list(place.output.iterdir()) == []


def test_equal_ids_leave_nothing_behind(place: Place) -> None:
    table = pa.table({"path": ["0/00.png", "0/00.png"], "label": ["0", "1"]})
    pq.write_table(table, place.data / "m.parquet")
    with pytest.raises(InputError, match=r"duplicate image id '0/00\.png'") as caught:
        place.run(
            dataset={"path": str(place.data / "m.parquet")},
            model={"adapter": NAME, "class_map": "subset"},
        )
    assert caught.value.code == "DATASET_DUPLICATE_IDS"
    assert list_test_runs(place.db) == []


def test_failed_images_are_out_of_the_metrics_and_in_the_coverage(place: Place) -> None:
    for name in ("0/00.png", "1/02.png"):
        (place.data / name).write_bytes(b"")
    run = place.run()
    rows = [row for row in place.rows(run) if row["status"] == "ok"]
    assert (run.scored_images, run.failed_images, len(rows)) == (10, 2, 10)
    assert run.metrics is not None
    assert run.metrics["accuracy"] == sum(row["is_correct"] for row in rows) / 10
    assert run.metrics["coverage"] == 10 / 12


def test_a_class_without_images_has_no_metric(place: Place) -> None:
    for file in (place.data / "1").iterdir():
        file.unlink()
    run = place.run()
    assert run.per_class_metrics is not None
    empty = run.per_class_metrics["1"]
    assert (empty["precision"], empty["recall"], empty["f1"]) == (None, None, None)
    assert empty["support"] == 0
    assert run.metrics is not None
    assert run.metrics["macro_recall"] is not None


def test_where_every_image_fails_the_run_fails(place: Place) -> None:
    for file in place.data.rglob("*.png"):
        file.write_bytes(b"" if file.name == "00.png" else b"text")
    with pytest.raises(RunError) as caught:
        place.run()
    assert (caught.value.code, caught.value.exit_code) == ("ALL_FAILED", 1)
    assert caught.value.message.startswith(
        "none of the 12 images could be scored: 9 UNSUPPORTED (0/01.png: "
    )
    assert "), 3 EMPTY (0/00.png: the file has 0 bytes" in caught.value.message
    assert caught.value.message.endswith(" List them: snellen images 1 --status failed")
    run = get_test_run(place.db, "latest")
    assert (run.status, run.error_message) == ("failed", caught.value.message)
    for column in ("metrics", "intervals", "per_class_metrics", "confusion_matrix"):
        assert getattr(run, column) is None
    assert (run.primary_metric_value, run.scored_images, run.failed_images) == (None, 0, 12)
    assert {row["error_code"] for row in place.rows(run)} == {"UNSUPPORTED", "EMPTY"}


def test_too_many_failures_stop_the_run_which_can_go_on(place: Place) -> None:
    for name in ("0/00.png", "1/02.png"):
        (place.data / name).write_bytes(b"")
    with pytest.raises(RunError, match=r"2 images failed, more than run\.max_failed allows \(0\.1"):
        place.run(run={"engine": "inline", "max_failed": 0.1, "unit_rows": 4, "threads": 1})
    assert get_test_run(place.db, "latest").status == "failed"
    run = place.resume("run.max_failed=2")
    assert (run.status, run.failed_images) == ("completed", 2)


def test_a_subset_and_a_mapping(place: Place) -> None:
    names = ["2", "1", "0", "3"]
    run = place.run(model={"adapter": NAME, "class_names": names, "class_map": "subset",
                           "options": {"num_classes": 4}})  # fmt: skip
    assert [row["true_label_id"] for row in place.rows(run)][::4] == [2, 1, 0]
    run = place.run(
        model={"adapter": NAME, "class_names": ["even", "odd"], "options": {"num_classes": 2},
               "class_map": {0: "even", 1: "odd", 2: None}},
    )  # fmt: skip
    assert run.total_images == 8
    assert {row["true_label"] for row in place.rows(run)} == {"even", "odd"}


def test_a_limit_and_a_relative_path_with_dots(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.output.mkdir()
    monkeypatch.chdir(place.output)
    run = place.run(dataset={"path": "../data", "limit": 3})
    assert [row["image_id"] for row in place.rows(run)] == ["0/00.png", "1/00.png", "2/00.png"]
    assert run.failed_images == 0


def test_an_unforeseen_error_leaves_a_failed_run_that_can_go_on(place: Place) -> None:
    class Broken(Reporter):
        def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
            raise LookupError("boom")

    with pytest.raises(LookupError):
        place.run(Broken())
    run = get_test_run(place.db, 1)
    assert (run.status, run.error_message) == ("failed", "LookupError: boom")
    assert place.resume().status == "completed"


def test_an_adapter_without_model_and_device(place: Place) -> None:
    run = place.run(model={"adapter": "noop", "options": {"num_classes": 3}})
    assert run.metrics is not None
    assert (run.metrics["accuracy"], run.metrics["loss"]) == (1 / 3, None)

"""Runs in this process from configuration to stored metrics, and what is left when one fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.types import ConfigError, InputError, RunError, RunInterrupted, SnellenError
from pipelines.evaluate import TestRunner
from pipelines.reporter import Reporter
from pipelines.runs import open_results, rescore_run, unit_files, verify_run
from store.database import Database
from store.ledger import committed_units
from store.runs import get_test_run, list_test_runs
from store.views import RunView
from tests.pipelines.making import grey_folder, pixel_config, write_image
from tests.pipelines.pixel_adapter import NAME, PixelAdapter


class Place:
    """A data set, an output folder and a database of one test."""

    def __init__(self, folder: Path) -> None:
        self.data = grey_folder(folder / "data")
        self.output = folder / "out"
        self.url = f"sqlite:///{folder / 'runs.db'}"

    def config(self, **sections: Any) -> Any:
        return pixel_config(self.data, self.output, **sections)

    def run(self, reporter: Reporter | None = None, **sections: Any) -> RunView:
        return TestRunner(self.config(**sections), database=self.url, reporter=reporter).run_test()

    def resume(self, *words: str, reference: str = "latest") -> RunView:
        return TestRunner(database=self.url).resume(reference, words)

    @property
    def db(self) -> Database:
        return Database.open(self.url)

    def rows(self, run: RunView) -> list[dict[str, Any]]:
        return open_results(self.db, run).frame().to_dicts()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Stopping(Reporter):
    """Presses Ctrl-C after so many commits."""

    def __init__(self, after: int) -> None:
        self._left = after

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


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
    assert left == {".snellen.lock.guard", "1-first"}
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
    from adapters.types import AdapterSpec

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
    assert not any(path.name[0] != "." for path in place.output.glob("*"))


def test_an_empty_data_set_leaves_nothing_behind(place: Place) -> None:
    for file in place.data.rglob("*.png"):
        file.unlink()
    with pytest.raises(InputError) as caught:
        place.run()
    assert caught.value.code == "DATASET_EMPTY"
    assert list_test_runs(place.db) == []
    assert [path.name for path in place.output.iterdir()] == [".snellen.lock.guard"]


def test_equal_ids_leave_nothing_behind(place: Place) -> None:
    table = pa.table({"path": ["0/00.png", "0/00.png"], "label": ["0", "1"]})
    pq.write_table(table, place.data / "m.parquet")
    with pytest.raises(InputError, match=r"'0/00\.png' stands more than once") as caught:
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
        "none of the 12 images could be scored (9 UNSUPPORTED, 3 EMPTY). See `snellen images 1"
    )
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


def test_a_locked_output_names_its_owner(place: Place) -> None:
    from pipelines.output import OutputLock

    place.output.mkdir()
    lock = OutputLock(place.output).acquire("run 'other'")
    with pytest.raises(InputError, match=rf"run 'other' \(process {os.getpid()} on"):
        place.run()
    assert list_test_runs(place.db) == []
    lock.release()
    assert place.run().status == "completed"


def test_an_interrupted_run_is_resumed_to_the_same_result(place: Place) -> None:
    whole = place.run(name="whole")
    options = {"engine": "inline", "threads": 1, "unit_rows": 2, "batch_size": 3}
    with pytest.raises(RunInterrupted) as caught:
        place.run(Stopping(2), name="cut", run=options)
    assert caught.value.exit_code == 130
    assert caught.value.message == (
        "run 2 was interrupted; 4 of 12 images are committed. Go on with: snellen resume 2"
    )
    cut = get_test_run(place.db, "cut")
    assert (cut.status, cut.lease_token, cut.metrics) == ("interrupted", None, None)
    before = {p: p.stat().st_mtime_ns for p in unit_files(place.db, cut)}
    assert len(before) == 2
    run = place.resume()
    assert (run.id, run.status, run.metrics) == (cut.id, "completed", whole.metrics)
    for path, mtime in before.items():
        assert path.stat().st_mtime_ns == mtime
    units = Path(run.results_dir or "") / "units"
    assert sorted(units.iterdir()) == sorted(unit_files(place.db, run))


def test_an_interrupt_while_listing_is_resumed(place: Place) -> None:
    class AtListing(Reporter):
        def status(self, text: str) -> None:
            if text.startswith("listing the images of"):
                raise KeyboardInterrupt

    with pytest.raises(RunInterrupted, match="0 of 0 images"):
        place.run(AtListing())
    assert place.resume().total_images == 12


def test_a_resume_of_a_finished_run_says_so(place: Place) -> None:
    run = place.run()
    notes: list[str] = []

    class Told(Reporter):
        def note(self, text: str) -> None:
            notes.append(text)

    before = tree(place.output)
    again = TestRunner(database=place.url, reporter=Told()).resume("latest")
    assert again == run
    assert notes == ["run 1 is completed already; its files are as committed"]
    assert tree(place.output) == before


def test_a_resume_with_other_settings_is_refused(place: Place) -> None:
    with pytest.raises(RunInterrupted):
        place.run(Stopping(1), run={"engine": "inline", "threads": 1, "unit_rows": 4})
    with pytest.raises(InputError) as caught:
        place.resume("run.batch_size=2", "dataset.limit=4", "metrics.ece_bins=5")
    assert caught.value.code == "RESUME_CHANGED"
    assert "dataset.limit: None -> 4; run.batch_size: 3 -> 2." in caught.value.message
    assert get_test_run(place.db, 1).status == "interrupted"
    run = place.resume("metrics.ece_bins=5", "run.threads=2")
    assert run.details is not None
    assert len(run.details["reliability"]) == 5


def test_images_changed_before_a_resume_are_failed_rows(place: Place) -> None:
    with pytest.raises(RunInterrupted):
        place.run(Stopping(1), run={"engine": "inline", "threads": 1, "unit_rows": 4})
    write_image(place.data / "2" / "03.png", 9, size=(50, 50))
    write_image(place.data / "2" / "99.png", 9)  # not in the manifest: not part of this run
    run = place.resume()
    assert (run.total_images, run.failed_images) == (12, 1)
    assert place.rows(run)[11]["error_code"] == "CHANGED"


def test_a_manifest_that_changed_is_refused(place: Place) -> None:
    with pytest.raises(RunInterrupted):
        place.run(Stopping(1), run={"engine": "inline", "threads": 1, "unit_rows": 4})
    run = get_test_run(place.db, 1)
    manifest = Path(run.results_dir or "") / "manifest.parquet"
    pq.write_table(pq.read_table(manifest).slice(0, 8), manifest)
    with pytest.raises(InputError) as caught:
        place.resume()
    assert caught.value.code == "MANIFEST_CHANGED"


def test_damaged_files_are_found_and_only_their_units_made_again(place: Place) -> None:
    run = place.run()
    first, second, third = unit_files(place.db, run)
    first.unlink()
    data = bytearray(second.read_bytes())
    data[len(data) // 2] ^= 1
    second.write_bytes(data)
    untouched = third.stat().st_mtime_ns
    checked, problems = verify_run(place.db, run)
    assert checked == 3
    assert [(p.unit_id, p.problem) for p in problems] == [(0, "missing"), (1, "changed")]
    again = place.resume()
    assert (again.status, again.metrics) == ("completed", run.metrics)
    assert verify_run(place.db, again) == (3, [])
    assert third.stat().st_mtime_ns == untouched


def test_a_run_that_does_not_exist(place: Place) -> None:
    place.run(name="mine")
    with pytest.raises(InputError, match=r"1 \(mine\)") as caught:
        place.resume(reference="other")
    assert caught.value.code == "RUN_NOT_FOUND"


def test_a_rescore_makes_a_new_row_and_touches_no_file(place: Place) -> None:
    run = place.run(name="base")
    before = tree(place.output)
    new = rescore_run(place.db, run, ["metrics.ece_bins=5"], Reporter())
    assert (new.name, new.results_of, new.status) == ("base-rescored", run.id, "completed")
    assert tree(place.output) == before
    assert new.metrics is not None
    assert run.metrics is not None
    assert {k: v for k, v in new.metrics.items() if k != "ece"} == {
        k: v for k, v in run.metrics.items() if k != "ece"}  # fmt: skip
    assert new.details is not None
    assert len(new.details["reliability"]) == 5
    assert place.rows(new) == place.rows(run)
    assert verify_run(place.db, new) == (3, [])
    again = rescore_run(place.db, new, ["metrics.ece_bins=15", "name=third"], Reporter())
    assert (again.results_of, again.name) == (run.id, "third")
    assert again.metrics == run.metrics
    with pytest.raises(InputError, match="only re-reads run 1"):
        place.resume(reference=str(new.id))


@pytest.mark.parametrize(
    "word", ["run.batch_size=2", "dataset.limit=3", "metricsx.y=1", "model={}"]
)
def test_a_rescore_changes_metrics_only(place: Place, word: str) -> None:
    run = place.run()
    with pytest.raises(InputError, match=r"metrics\.\* can") as caught:
        rescore_run(place.db, run, [word], Reporter())
    assert caught.value.code == "RESCORE_SETTING"
    assert len(list_test_runs(place.db)) == 1


def test_only_completed_runs_are_rescored(place: Place) -> None:
    with pytest.raises(RunInterrupted):
        place.run(Stopping(1))
    with pytest.raises(InputError, match="snellen resume 1") as caught:
        rescore_run(place.db, get_test_run(place.db, 1), [], Reporter())
    assert caught.value.code == "RUN_NOT_COMPLETED"


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

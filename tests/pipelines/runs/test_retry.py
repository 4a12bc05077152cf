"""Failed images are scored again; the oracle is a run on data that was never damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

import snellen
from snellen.adapters.errors import ConfigError, InputError, RunError, RunInterrupted
from snellen.analysis.reader import unit_files, verify_run
from snellen.analysis.rescore import rescore_run
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.ledger import committed_units
from snellen.store.runs import get_test_run
from snellen.store.sql.models import RunUnit, TestImageResult
from snellen.store.views import RunView
from tests.pipelines.making import TIMES, write_image
from tests.pipelines.place import Place

UNITS = {"engine": "inline", "threads": 1, "unit_rows": 4, "batch_size": 3}
MISSING = ("0/01.png", "0/03.png", "1/00.png", "1/02.png", "2/03.png")


class AfterListing(Reporter):
    """Does something between the listing of the images and their scoring."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self._action = action

    def begin(self, total: int, done: int) -> None:
        self._action()


class Told(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def take_away(place: Place, folder: Path) -> None:
    for name in MISSING:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (place.data / name).rename(target)


def bring_back(place: Place, folder: Path, copy: Callable[[Path, Path], Any]) -> None:
    for name in MISSING:
        copy(folder / name, place.data / name)


def damaged(place: Place, folder: Path) -> RunView:
    """Run with five images gone between listing and scoring."""
    run = place.run(AfterListing(lambda: take_away(place, folder)), name="damaged", run=UNITS)
    assert (run.status, run.failed_images, run.revision) == ("completed", 5, 0)
    return run


def retry(place: Place, given: Any = True, reporter: Reporter | None = None) -> RunView:
    runner = TestRunner(database=place.url, reporter=reporter)
    run: RunView = runner.resume("damaged", retry_failed=given)
    return run


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


@pytest.mark.parametrize("copy", [shutil.copy2, shutil.copyfile], ids=["R-same-time", "R-new-time"])
def test_restored_images_give_the_rows_of_an_intact_run(
    place: Place, tmp_path: Path, copy: Callable[[Path, Path], Any]
) -> None:
    intact = place.run(name="intact", run=UNITS)
    before = damaged(place, tmp_path / "away")
    former = place.rows(before)
    files = {path.name: path.read_bytes() for path in unit_files(place.db, before)}
    bring_back(place, tmp_path / "away", copy)
    run = retry(place)
    assert (run.id, run.status, run.failed_images, run.revision) == (
        before.id, "completed", 0, 1)  # fmt: skip
    rows = place.rows(run)
    assert without_times(rows) == without_times(place.rows(intact))
    for key in ("metrics", "intervals", "per_class_metrics", "confusion_matrix", "scored_images"):
        assert getattr(run, key) == getattr(intact, key), key
    kept = [row for row in former if row["status"] == "ok"]
    assert [row for row in rows if row["image_id"] not in MISSING] == kept  # times, too
    assert verify_run(place.db, run) == (3, [])
    folder = Path(run.results_dir or "")
    assert sorted((folder / "units").iterdir()) == sorted(unit_files(place.db, run))
    assert not files.keys() & {path.name for path in unit_files(place.db, run)}
    # the content is that of the whole dataset now; nothing else of the fingerprint changes
    content = {"content_hash": (intact.fingerprint or {})["content_hash"]}
    assert run.fingerprint == {**(before.fingerprint or {}), **content} != before.fingerprint


def test_the_sql_rows_are_replaced(place: Place, tmp_path: Path) -> None:
    run = damaged(place, tmp_path / "away")
    bring_back(place, tmp_path / "away", shutil.copyfile)
    retry(place)
    with place.db.read() as session:
        rows = session.execute(
            select(TestImageResult.status, func.count())
            .where(TestImageResult.test_run_id == run.id)
            .group_by(TestImageResult.status)
        ).all()
    assert [tuple(row) for row in rows] == [("ok", 12)]


def test_only_units_with_chosen_codes_are_scored(place: Place, tmp_path: Path) -> None:
    write_image(place.data / "2" / "00.png").write_bytes(b"no image")
    run = place.run(
        AfterListing(lambda: take_away(place, tmp_path / "a")), name="damaged", run=UNITS
    )
    assert run.failed_images == 6
    before = committed_units(place.db, "test_run", run.id)
    bring_back(place, tmp_path / "a", shutil.copyfile)
    write_image(place.data / "2" / "00.png")  # repaired, but not chosen
    told = Told()
    assert retry(place, "CHANGED,IO", told) == run
    assert told.notes == [
        f"run {run.id} is completed already; its files are intact; it has no failed images with "
        "these error codes"
    ]
    assert committed_units(place.db, "test_run", run.id) == before
    run = retry(place, ["UNSUPPORTED"])
    after = committed_units(place.db, "test_run", run.id)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False]
    assert [row["error_code"] for row in place.rows(run)[8:]] == [None, None, None, "NOT_FOUND"]
    assert (run.failed_images, run.revision) == (5, 1)
    run = retry(place, "not_found")
    assert (run.failed_images, run.revision) == (0, 2)
    with place.db.read() as session:
        former = session.scalars(select(RunUnit).where(RunUnit.superseded_by.is_not(None))).all()
        ids = set(session.scalars(select(RunUnit.id)))
    assert len(former) == 4
    assert {row.superseded_by for row in former} <= ids


def test_an_image_that_changed_is_taken_as_it_is_now(place: Place) -> None:
    def change() -> None:
        write_image(place.data / "0" / "01.png", 9, size=(50, 50))

    run = place.run(AfterListing(change), name="damaged", run=UNITS)
    assert [row["error_code"] for row in place.rows(run)[:3]] == [None, "CHANGED", None]
    run = retry(place, "CHANGED")
    row = place.rows(run)[1]
    assert (row["status"], row["width"], row["height"]) == ("ok", 50, 50)


def test_an_image_that_is_still_gone_fails_again(place: Place, tmp_path: Path) -> None:
    before = damaged(place, tmp_path / "away")
    (tmp_path / "away" / MISSING[0]).rename(place.data / MISSING[0])
    run = retry(place)
    assert run.failed_images == 4
    assert {row["error_code"] for row in place.rows(run) if row["status"] == "failed"} == {
        "NOT_FOUND"
    }
    assert run.metrics != before.metrics


def test_a_run_in_which_every_image_failed_can_be_retried(place: Place) -> None:
    folder = place.data.rename(place.data.with_name("away"))
    place.data = folder
    gone = folder.with_name("gone")
    with pytest.raises(RunError) as caught:
        place.run(AfterListing(lambda: shutil.move(folder, gone)), name="damaged", run=UNITS)
    assert caught.value.code == "ALL_FAILED"
    shutil.move(gone, folder)
    run = retry(place)
    assert (run.status, run.failed_images, run.error_message) == ("completed", 0, None)


@pytest.mark.parametrize("after", [1, 2], ids=["R-stopped-after-1", "R-stopped-after-2"])
def test_a_retry_that_is_stopped_leaves_each_unit_old_or_new(
    place: Place, tmp_path: Path, after: int
) -> None:
    intact = place.run(name="intact", run=UNITS)
    before = damaged(place, tmp_path / "away")
    bring_back(place, tmp_path / "away", shutil.copyfile)

    class Stopping(Reporter):
        left = after

        def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    with pytest.raises(RunInterrupted):
        retry(place, reporter=Stopping())
    run = get_test_run(place.db, "damaged")
    assert (run.status, run.revision) == ("interrupted", 1)
    old = {record.attempt for record in committed_units(place.db, "test_run", before.id)}
    run = place.resume(reference="damaged")
    records = committed_units(place.db, "test_run", run.id)
    assert {record.attempt for record in records} == old, "a plain resume scores nothing again"
    assert [record.failed for record in records] == [[0, 2, 1], [0, 0, 1]][after - 1]
    assert (run.status, run.failed_images) == ("completed", [3, 1][after - 1])
    run = retry(place)
    assert without_times(place.rows(run)) == without_times(place.rows(intact))
    assert (run.metrics, run.revision) == (intact.metrics, 2)


def test_an_interrupted_run_is_finished_and_retried_at_once(place: Place, tmp_path: Path) -> None:
    intact = place.run(name="intact", run=UNITS)

    class Both(AfterListing):
        left = 1

        def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    with pytest.raises(RunInterrupted):
        place.run(Both(lambda: take_away(place, tmp_path / "away")), name="damaged", run=UNITS)
    bring_back(place, tmp_path / "away", shutil.copy2)
    run = retry(place)
    assert without_times(place.rows(run)) == without_times(place.rows(intact))
    assert run.revision == 1


def test_a_retry_that_cannot_start_leaves_a_completed_run(place: Place, tmp_path: Path) -> None:
    before = damaged(place, tmp_path / "away")
    runner = TestRunner(database=place.url)
    with pytest.raises(InputError) as caught:
        runner.resume("damaged", ["run.precision=fp16"], retry_failed=True)
    assert caught.value.code == "RESUME_CHANGED"
    after = get_test_run(place.db, "damaged")
    assert after == before


def test_rescored_runs_are_named(place: Place, tmp_path: Path) -> None:
    run = damaged(place, tmp_path / "away")
    rescored = rescore_run(place.db, run, ["metrics.ece_bins=5"], Reporter())
    bring_back(place, tmp_path / "away", shutil.copyfile)
    told = Told()
    retried = retry(place, reporter=told)
    assert (rescored.revision, retried.revision) == (0, 1)
    assert rescore_run(place.db, retried, [], Reporter()).revision == 1
    assert any(f"Rescored from the former rows: run {rescored.id}." in note for note in told.notes)


def test_the_python_function(place: Place, tmp_path: Path) -> None:
    damaged(place, tmp_path / "away")
    bring_back(place, tmp_path / "away", shutil.copyfile)
    run = snellen.open_run("damaged", database=place.url)
    assert snellen.resume(run).row.failed_images == 5
    again = snellen.resume(run, retry_failed=["NOT_FOUND"])
    assert (again.id, again.row.failed_images) == (run.id, 0)
    with pytest.raises(
        ConfigError, match=r"'GONE' is unknown\. Expected all, or one or more of EMPTY"
    ):
        snellen.resume(run, retry_failed=["GONE"])


def test_a_moved_folder_of_runs_still_works(place: Place, tmp_path: Path) -> None:
    """Rows, verify, resume, retry and rescore after ``mv``."""
    root = tmp_path / "runs"
    place.output, place.url = root, f"sqlite:///{root / 'snellen.db'}"
    run = damaged(place, tmp_path / "away")
    rows = place.rows(run)
    moved = root.rename(tmp_path / "elsewhere")
    place.url = f"sqlite:///{moved / 'snellen.db'}"
    run = get_test_run(place.db, "damaged")
    assert run.results_dir == str(moved / "1-damaged")
    assert place.rows(run) == rows
    assert verify_run(place.db, run) == (3, [])
    assert place.resume(reference="damaged") == run
    unit_files(place.db, run)[0].unlink()
    again = place.resume(reference="damaged")
    assert without_times(place.rows(again)) == without_times(rows)
    bring_back(place, tmp_path / "away", shutil.copyfile)
    assert retry(place).failed_images == 0
    run = get_test_run(place.db, "damaged")
    assert rescore_run(place.db, run, [], Reporter()).results_of == run.id
    assert not root.exists(), "nothing is written at the former place"


@pytest.mark.ray
def test_a_retry_on_ray_equals_one_inline(place: Place, tmp_path: Path, shared_ray: None) -> None:
    intact = place.run(name="intact", run=UNITS)
    damaged(place, tmp_path / "away")
    bring_back(place, tmp_path / "away", shutil.copyfile)
    runner = TestRunner(database=place.url)
    run = runner.resume("damaged", ["run.engine=ray"], retry_failed=True)
    assert without_times(place.rows(run)) == without_times(place.rows(intact))
    assert run.metrics == intact.metrics

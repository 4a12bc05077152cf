"""Stopped, changed and damaged runs: what a resume makes of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from snellen.adapters.errors import InputError, RunInterrupted
from snellen.analysis.reader import unit_files, verify_run
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.runs import get_test_run
from tests.pipelines.making import write_image
from tests.pipelines.place import Place, Stopping, tree


def test_an_interrupted_run_is_resumed_to_the_same_result(place: Place) -> None:
    whole = place.run(name="whole")
    options = {"engine": "inline", "threads": 1, "unit_rows": 2, "batch_size": 3}
    with pytest.raises(RunInterrupted) as caught:
        place.run(Stopping(2), name="cut", run=options)
    assert caught.value.exit_code == 130
    assert caught.value.message == (
        "run 2 was interrupted; 4 of 12 images are committed. Resume with: snellen resume 2"
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
            if text.startswith("Listing images of"):
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
    assert notes == ["run 1 is completed already; its files are intact"]
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


@pytest.mark.parametrize(
    ("word", "change"),
    [
        ("dataset.limit=4", "dataset.limit: None -> 4."),
        ("run.batch_size=2", "run.batch_size: 3 -> 2."),
        ("preprocess.img_size=96", "preprocess.img_size: None -> 96."),
        ("model.options.num_classes=4", "model.options"),
    ],
)
def test_a_completed_run_names_the_changed_settings(place: Place, word: str, change: str) -> None:
    place.run()
    before = tree(place.output)
    with pytest.raises(InputError) as caught:
        place.resume(word)
    assert (caught.value.code, caught.value.exit_code) == ("RESUME_CHANGED", 2)
    assert change in caught.value.message
    assert get_test_run(place.db, 1).status == "completed"
    assert tree(place.output) == before
    assert place.resume("run.threads=2", "output.sql_rows_limit=3").status == "completed"


def test_a_completed_run_names_the_changed_settings_of_its_metrics(place: Place) -> None:
    run = place.run()
    with pytest.raises(InputError) as caught:
        place.resume("metrics.ece_bins=5", "run.seed=3")
    assert (caught.value.code, caught.value.exit_code) == ("RESUME_CHANGED", 2)
    assert "metrics.ece_bins: 15 -> 5; run.seed: 0 -> 3." in caught.value.message
    assert caught.value.message.endswith("snellen rescore 1 metrics.ece_bins=5 run.seed=3")
    assert get_test_run(place.db, 1) == run


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

"""Run folders: any number of runs share one output, and none of them shares a folder."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.run_folder import make_run_folder, output_root
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.runs import list_test_runs
from snellen.store.views import RunView
from tests.pipelines.making import TIMES, grey_folder, pixel_config
from tests.pipelines.place import Place


def test_run_folders_never_collide(tmp_path: Path) -> None:
    names = [make_run_folder(tmp_path, 7, "a b/ü").name for _ in range(3)]
    assert names == ["7-a-b", "7-a-b-2", "7-a-b-3"]
    assert make_run_folder(tmp_path, 8, "../..").name == "8-run"
    assert make_run_folder(tmp_path, 9, "x" * 500).name == "9-" + "x" * 60
    assert (tmp_path / "7-a-b" / "units").is_dir()


def test_the_root_is_made_and_must_be_writable(tmp_path: Path) -> None:
    root = output_root(str(tmp_path / "a" / "b"))
    assert root == tmp_path / "a" / "b"
    assert list(root.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"output\.dir: '.*file' cannot be written to") as caught:
        output_root(str(tmp_path / "file"))
    assert caught.value.code == "OUTPUT_NOT_WRITABLE"


def test_a_read_only_root_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        output_root("/proc/snellen")
    assert caught.value.code == "OUTPUT_NOT_WRITABLE"


def test_twenty_starts_at_once_get_twenty_folders(tmp_path: Path) -> None:
    """Runs of different databases have equal ids, and start in the same moment."""
    gate = threading.Barrier(20)

    def start(number: int) -> Path:
        gate.wait()
        return make_run_folder(output_root(str(tmp_path / "shared")), 1, "run")

    with ThreadPoolExecutor(20) as pool:
        folders = set(pool.map(start, range(20)))
    assert len(folders) == 20
    assert set((tmp_path / "shared").iterdir()) == folders


class _Meeting(Reporter):
    """Reporter that waits, after the first commit, until another run is as far."""

    def __init__(self, gate: threading.Barrier) -> None:
        self._gate: threading.Barrier | None = gate

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        if self._gate is not None:
            self._gate.wait(60)
            self._gate = None


def _rows(place: Place, run: RunView) -> list[dict[str, Any]]:
    rows = place.rows(run)
    return [{k: v for k, v in row.items() if k not in (*TIMES, "image_path")} for row in rows]


def test_two_runs_at_once_in_a_named_folder(tmp_path: Path) -> None:
    """Each has its results, as if it were alone; the databases of two people are two."""
    first, second = Place(tmp_path / "a"), Place(tmp_path / "b")
    grey_folder(second.data, each=6)
    for place in (first, second):
        place.db.close()  # its tables exist
    shared, gate = tmp_path / "shared", threading.Barrier(2)

    def run(place: Place) -> RunView:
        config = pixel_config(place.data, shared, name="nightly")
        return TestRunner(config, database=place.url, reporter=_Meeting(gate)).run_test()

    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(run, (first, second)))
    assert [one.status for one in runs] == ["completed", "completed"]
    assert sorted(p.name for p in shared.iterdir()) == ["1-nightly", "1-nightly-2"]
    for place, together in zip((first, second), runs, strict=True):
        alone = place.run()
        assert _rows(place, together) == _rows(place, alone)
        assert together.metrics == alone.metrics
        assert [one.id for one in list_test_runs(place.db)] == [alone.id, together.id]

"""``metrics.slices``: refused before anything runs, stored with the run, never its ruin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from snellen.adapters.errors import ConfigError, RunError
from snellen.analysis.reader import open_results
from snellen.analysis.rescore import rescore_run
from snellen.analysis.slices import slice_run
from snellen.metrics.slices import MAX_SLICES
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.pipelines.runs.slices import MetricsSpec, check_slices
from snellen.store.parquet.results import Results
from snellen.store.parquet.schema import result_schema
from snellen.store.runs import list_test_runs
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.pipelines.making import pixel_config, write_image

CAMERAS = ["north", "south", "south"]


class Notes(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Place:
    """Twelve images in a manifest that knows their camera and distance."""

    def __init__(self, folder: Path, count: int = 12) -> None:
        lines = ["path,label,camera,distance"]
        for index in range(count):
            write_image(folder / "images" / f"{index:03}.png", index * 7 % 200 + 20)
            camera = CAMERAS[index % 3]
            lines.append(f"images/{index:03}.png,{index % 3},{camera},{index * 10}")
        self.manifest = folder / "set.csv"
        self.manifest.write_text("\n".join(lines))
        self.output = folder / "out"
        self.db = Database.open(f"sqlite:///{folder / 'runs.db'}")
        self.url = f"sqlite:///{folder / 'runs.db'}"
        self.notes = Notes()

    def config(self, *slices: Any, **sections: Any) -> Any:
        return pixel_config(
            self.manifest, self.output, metrics={"slices": list(slices)}, **sections
        )

    def run(self, *slices: Any) -> RunView:
        runner = TestRunner(self.config(*slices), database=self.url, reporter=self.notes)
        return runner.run_test()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def stored(run: RunView) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (run.details or {})["slices"]
    return found


def test_slices_are_stored_with_the_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[list[str]] = []
    plain = Results.iter_units

    def counted(self: Results, columns: Any = None) -> Any:
        passes.append(list(columns or ()))
        return plain(self, columns)

    monkeypatch.setattr(Results, "iter_units", counted)
    run = place.run("meta_camera", {"by": "meta_distance", "edges": [30, 60]}, "image_size")
    assert sum("meta_camera" in columns for columns in passes) == 1  # one pass for all slices
    camera, distance, size = stored(run)
    assert (camera["by"], camera["edges"]) == ("meta_camera", None)
    assert list(camera["slices"]) == ["north", "south"]
    assert (distance["by"], distance["edges"]) == ("meta_distance", [30.0, 60.0])
    assert {name: one["total_images"] for name, one in distance["slices"].items()} == {
        "< 30": 3, "30 - 60": 3, ">= 60": 6}  # fmt: skip
    assert list(size["slices"]) == ["small"]
    assert size["slices"]["small"]["metrics"] == run.metrics
    rows = open_results(place.db, run).frame().to_dicts()
    right = [row["is_correct"] for row in rows if row["meta_camera"] == "north"]
    north = camera["slices"]["north"]
    assert north["metrics"]["accuracy"] == sum(right) / len(right)
    assert north["intervals"]["accuracy"][0] <= north["metrics"]["accuracy"]
    assert (run.details or {})["reliability"]  # the other details are still there


def test_asking_later_gives_the_same(place: Place) -> None:
    run = place.run("meta_camera")
    assert slice_run(place.db, run, "meta_camera") == stored(run)[0]
    again = rescore_run(place.db, run, ["metrics.slices=[object_count, meta_camera]"], Reporter())
    assert [one["by"] for one in stored(again)] == ["object_count", "meta_camera"]
    assert stored(again)[1] == stored(run)[0]
    bare = rescore_run(place.db, run, ["metrics.slices=[]"], Reporter())
    assert "slices" not in (bare.details or {})


WRONG: list[tuple[Any, str, str]] = [
    ("camera", "SLICE_COLUMN", r"metrics\.slices: by camera: .*did you mean meta_camera"),
    ("meta_nothing", "SLICE_COLUMN", r"Expected image_size, .*, meta_camera, meta_distance"),
    ("top5_predictions", "SLICE_COLUMN", "expected a column of text or numbers, it holds list"),
    ({"by": "meta_camera", "edges": [1]}, "SLICE_VALUES", "limits are for a column of numbers"),
    ({"by": "image_size", "edges": [1]}, "SLICE_VALUES", "Expected rising limits"),
]


@pytest.mark.parametrize(("one", "code", "message"), WRONG)
def test_what_cannot_be_sliced_starts_no_run(
    place: Place, one: Any, code: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        place.run(one)
    assert caught.value.code == code
    assert list_test_runs(place.db) == []
    assert not list(place.output.glob("*-*"))
    with pytest.raises(ConfigError, match=message):
        TestRunner(place.config(one), database=place.url).plan_test()


def test_what_cannot_be_sliced_makes_no_rescore(place: Place) -> None:
    run = place.run()
    with pytest.raises(ConfigError, match="did you mean meta_camera"):
        rescore_run(place.db, run, ["metrics.slices=[camera]"], Reporter())
    with pytest.raises(ConfigError, match="slices by camera"):
        slice_run(place.db, run, "camera")
    with pytest.raises(ConfigError, match="Expected rising limits"):
        slice_run(place.db, run, "meta_distance", edges=[2, 1])
    assert len(list_test_runs(place.db)) == 1


def test_too_many_values_cost_their_slices_alone(tmp_path: Path) -> None:
    place = Place(tmp_path, count=MAX_SLICES + 1)
    run = place.run("image_id", "meta_camera")
    assert run.status == "completed"
    ids, camera = stored(run)
    assert set(ids) == {"by", "edges", "error"}
    assert "image_id has too many values. Expected at most 100 slices" in ids["error"]
    assert set(camera["slices"]) == {"north", "south"}
    assert any(note.startswith("no slices by image_id: image_id has") for note in place.notes.notes)
    with pytest.raises(ConfigError, match="image_id has too many values") as caught:
        slice_run(place.db, run, "image_id")
    assert caught.value.code == "SLICE_VALUES"


def test_an_unforeseen_fault_does_not_cost_the_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("boom")

    monkeypatch.setattr("snellen.pipelines.runs.slices.SlicedMetrics.add", fail)
    run = place.run("meta_camera", "image_size")
    assert (run.status, bool(run.metrics)) == ("completed", True)
    assert [one["error"] for one in stored(run)] == ["LookupError: boom"] * 2


def test_a_run_of_which_all_failed_says_so_and_nothing_else(place: Place) -> None:
    for file in place.manifest.parent.glob("images/*.png"):
        file.write_bytes(b"")
    with pytest.raises(RunError, match="none of the 12 images"):
        place.run("meta_camera")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([3], r"metrics\.slices: expected a column, or \{by: column"),
        ([""], "expected a column"),
        ([{"by": "a", "egdes": [1]}], "expected a column"),
        ([{"edges": [1]}], "expected a column"),
        ([{"by": "a", "edges": [2, 1]}], "expected rising limits"),
        ([{"by": "a", "edges": []}], "expected rising limits"),
        ([{"by": "a", "edges": [float("inf")]}], "finite"),
        ("image_size", "metrics.slices"),
    ],
)
def test_the_setting_is_read_strictly(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config({"model": {}, "dataset": {"path": "x"}, "metrics": {"slices": value}})


def test_integers_and_floats_have_limits_and_text_has_not() -> None:
    schema = result_schema([pa.field("meta_n", pa.int64()), pa.field("meta_t", pa.string())])
    for column, fine in (("meta_n", True), ("confidence", True), ("width", True),
                         ("meta_t", False), ("status", False)):  # fmt: skip
        data = {"slices": [{"by": column, "edges": [1]}]}
        config = build_config({"model": {}, "dataset": {"path": "x"}, "metrics": data}).metrics
        if fine:
            check_slices(MetricsSpec("image_classification", (), config), schema)
        else:
            with pytest.raises(ConfigError, match="limits are for a column of numbers"):
                check_slices(MetricsSpec("image_classification", (), config), schema)

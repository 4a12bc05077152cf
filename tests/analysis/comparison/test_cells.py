"""From every number of a comparison to exactly the images or objects that it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from snellen.analysis.comparison.changed_files import listed_images
from snellen.analysis.comparison.compare import CompareSettings, compare_runs
from snellen.analysis.reader import open_results
from snellen.analysis.weak_slices.conditions import Condition, images_where
from snellen.store.views import RunView
from tests.analysis.detected import Detected
from tests.pipelines.place import Place

SWAPPED = {"class_names": ["0", "2", "1"]}


@pytest.fixture(scope="module")
def classified(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Place, tuple[RunView, RunView], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("cells")
    place = Place(folder)
    runs = (place.run(name="a"), place.run(name="b", model=SWAPPED))
    settings = CompareSettings(output=folder / "lists", slices=("image_size", "true_label"))
    return place, runs, compare_runs(place.db, runs, settings)


@pytest.fixture(scope="module")
def objects(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Detected, tuple[RunView, RunView], dict[str, Any]]:
    detected = Detected(tmp_path_factory.mktemp("objects"))
    runs = (detected.run, detected.at(0.5))
    output = tmp_path_factory.mktemp("lists")
    return detected, runs, compare_runs(detected.db, runs, CompareSettings(output=output))


def rows(db: Any, run: RunView) -> dict[str, dict[str, Any]]:
    return {row["image_id"]: row for row in open_results(db, run).frame().to_dicts()}


def test_a_class_row_counts_the_images_of_its_class(classified: Any) -> None:
    place, runs, found = classified
    sides = [rows(place.db, run) for run in runs]
    images = pl.read_parquet(found["images"]["fixed"]["indices_file"])
    for row in found["classes"]:
        listed = images.filter(pl.col("class") == row["class"])
        for side, name in zip(sides, "ab", strict=True):
            right = [side[image]["is_correct"] for image in listed["image_id"]]
            assert sum(right) / len(right) == row[name]
        kinds = listed["kind"].to_list()
        difference = (kinds.count("fixed") - kinds.count("broken")) / len(kinds)
        assert row["difference"] == pytest.approx(difference)


def test_a_slice_row_counts_the_images_of_its_slice(classified: Any) -> None:
    place, runs, found = classified
    images = pl.read_parquet(found["images"]["fixed"]["indices_file"])
    results = open_results(place.db, runs[0])
    for row in found["slices"]:
        by, value = row["slice"]["by"], row["slice"]["value"]
        listed = images.filter(pl.col(f"slice_{by}") == value)
        assert (listed["kind"].is_in(["broken", "both_correct"])).mean() == row["a"]
        assert listed["index_a"].to_list() == images_where(
            results, [Condition.parse(f"{by}={value}")]
        )
    assert {row["slice"]["value"] for row in found["slices"]} == {"small", "0", "1", "2"}


def test_a_kind_of_images_is_listed(classified: Any) -> None:
    place, runs, found = classified
    sides = [rows(place.db, run) for run in runs]
    states = {
        "fixed": (False, True), "broken": (True, False),
        "both_correct": (True, True), "both_incorrect": (False, False),
    }  # fmt: skip
    for kind, one in found["images"].items():
        expected = [
            image
            for image in sides[0]
            if tuple(side[image]["is_correct"] for side in sides) == states[kind]
        ]
        assert one["count"] == len(expected)
        if expected:
            assert listed_images(Path(one["indices_file"]), kind) == expected


def test_a_disagreement_cell_counts_the_images_of_its_classes(classified: Any) -> None:
    place, runs, found = classified
    a, b = (rows(place.db, run) for run in runs)
    disagreements = found["disagreements"]
    listed = pl.read_parquet(disagreements["indices_file"])
    assert disagreements["count"] == len(listed)
    assert disagreements["objects"] is None
    assert sum(cell["count"] for cell in disagreements["cells"]) == len(listed)
    for cell in disagreements["cells"]:
        of_cell = listed.filter(pl.col("class_a") == cell["a"], pl.col("class_b") == cell["b"])
        expected = [
            image
            for image, row in a.items()
            if row["predicted_label"] == cell["a"] and b[image]["predicted_label"] == cell["b"]
        ]
        assert of_cell["image_id"].to_list() == expected
        assert cell["count"] == len(expected) > 0
    assert all(a[row["image_id"]]["true_label"] == row["class"] for row in listed.to_dicts())


def test_the_deciding_images_make_their_share(classified: Any) -> None:
    _, _, found = classified
    deciding = found["deciding"]
    listed = pl.read_parquet(deciding["indices_file"])
    assert len(listed) == deciding["count"]
    if found["primary"]["difference"]:
        share = listed["contribution"].sum() / found["primary"]["difference"]
        assert deciding["share"] == pytest.approx(share)
        assert share >= 0.6 - 1e-9
        fewer = listed["contribution"][:-1].sum() / found["primary"]["difference"]
        assert fewer < 0.6, "one image less is too few"
        assert deciding["command"].endswith(f"--listed {deciding['indices_file']}")


def test_a_kind_of_objects_lists_each_object(objects: Any) -> None:
    detected, runs, found = objects
    a, b = (rows(detected.db, run) for run in runs)
    listed = pl.read_parquet(found["objects"]["fixed"]["indices_file"])
    for kind, one in found["objects"].items():
        of_kind = listed.filter(pl.col("kind") == kind).to_dicts()
        assert len(of_kind) == one["count"]
        for row in of_kind:
            image = row["image_id"]
            if kind in ("fixed", "broken"):
                states = [_kind_of(side[image], "true_index", row["true_index"]) for side in (a, b)]
                assert states == {"fixed": ["FN", "TP"], "broken": ["TP", "FN"]}[kind]
            else:
                side = b if kind == "new_fp" else a
                assert _kind_of(side[image], "predicted_index", row["predicted_index"]) == "FP"


def test_found_and_missed_objects_are_those_of_the_matches(objects: Any) -> None:
    detected, runs, found = objects
    a, b = (rows(detected.db, run) for run in runs)
    disagreements = found["disagreements"]
    listed = pl.read_parquet(disagreements["indices_file"])
    kinds = {
        ("TP", "TP"): "both", ("TP", "FN"): "only_a", ("FN", "TP"): "only_b",
        ("FN", "FN"): "neither",
    }  # fmt: skip
    for row in listed.to_dicts():
        in_a, in_b = (
            _kind_of(side[row["image_id"]], "true_index", row["true_index"]) for side in (a, b)
        )
        assert kinds[in_a, in_b] == row["found"]
    for kind, count in disagreements["objects"].items():
        assert len(listed.filter(pl.col("found") == kind)) == count
    assert disagreements["objects"]["only_a"] == found["objects"]["broken"]["count"] > 0
    for cell in disagreements["cells"]:
        of_cell = listed.filter(pl.col("class_a") == cell["a"], pl.col("class_b") == cell["b"])
        assert len(of_cell) == cell["count"]
    assert disagreements["cells"] == [{"a": "dog", "b": "background", "count": 2}]


def test_a_class_row_of_a_detector_has_its_objects(objects: Any) -> None:
    detected, runs, found = objects
    listed = pl.read_parquet(found["disagreements"]["indices_file"])
    a = rows(detected.db, runs[0])
    names = runs[0].class_names
    for row in found["classes"]:
        true = sum(
            names[box["class_id"]] == row["class"]
            for one in a.values()
            for box in one["true_boxes"]
        )
        assert len(listed.filter(pl.col("class") == row["class"])) == true


def _kind_of(row: dict[str, Any], side: str, index: int) -> str:
    (kind,) = [match["kind"] for match in row["matches"] if match[side] == index]
    return str(kind)


def test_the_document_is_json(classified: Any, objects: Any) -> None:
    for _, _, found in (classified, objects):
        json.dumps(found, allow_nan=False)

"""Stored predictions are scored against corrected labels; no file of the run changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from snellen.adapters.errors import InputError
from snellen.analysis.comparison.pairing import pair_runs
from snellen.analysis.error_analysis import ErrorAnalysis, InstanceQuery
from snellen.analysis.export.run_export import ExportTarget, export_run
from snellen.analysis.reader import open_results, verify_run
from snellen.analysis.rescore import rescore_run
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.deletion import deletion_of_run
from snellen.pipelines.runs.reading.ground_truth import GROUND_TRUTH_NAME
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.runs import list_test_runs
from snellen.store.sql.database import Database
from snellen.store.sql.models import TestImageResult
from snellen.store.views import RunView
from tests.analysis.detected import Detected
from tests.pipelines.imports.coco_made_up import results_of, write_dataset
from tests.pipelines.imports.importing import Importing
from tests.pipelines.making import grey_folder, pixel_config
from tests.pipelines.place import tree

TIMES = ("preprocessing_time_ms", "inference_time_ms", "postprocessing_time_ms")
KEYS = ("metrics", "per_class_metrics", "confusion_matrix", "scored_images", "failed_images")


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Detected:
    return Detected(tmp_path_factory.mktemp("relabelled"))


def corrected(boxes: Detected, change: Callable[[dict[str, Any]], None], name: str) -> Path:
    path = Path(boxes.config.dataset.path)
    document = json.loads(path.read_text())
    change(document)
    target = path.with_name(name)
    target.write_text(json.dumps(document))
    return target


def swapped(document: dict[str, Any]) -> None:
    """The first object is a dog; the last one does not exist; image 2 has a cat."""
    document["annotations"][0]["category_id"] = 2
    last = document["annotations"].pop()
    document["annotations"].append({**last, "image_id": 2, "category_id": 1, "bbox": [0, 0, 9, 10]})


@pytest.fixture(scope="module")
def relabelled(boxes: Detected) -> RunView:
    path = corrected(boxes, swapped, "corrected.json")
    return rescore_run(boxes.db, boxes.run, [], Reporter(), str(path))


def rows(db: Database, run: RunView) -> Any:
    return open_results(db, run).frame().drop(TIMES)


def test_objects_equal_an_evaluation_on_the_corrected_labels(
    boxes: Detected, relabelled: RunView
) -> None:
    data = boxes.config.model_dump()
    data["dataset"]["path"] = relabelled.dataset_path
    fresh = TestRunner(build_config(data), database=boxes.url).run_test()
    assert rows(boxes.db, relabelled).equals(rows(boxes.db, fresh))
    assert [getattr(relabelled, key) for key in KEYS] == [getattr(fresh, key) for key in KEYS]
    assert relabelled.metrics != boxes.run.metrics
    report, expected = dict(relabelled.dataset_report or {}), dict(fresh.dataset_report or {})
    expected.pop("copies", None)  # of the images, which are those of the run
    assert report == expected


def test_every_reader_shows_the_new_ground_truth(
    boxes: Detected, relabelled: RunView, tmp_path: Path
) -> None:
    found = open_results(boxes.db, relabelled).frame(["true_boxes", "tp", "fp", "fn"]).to_dicts()
    assert [[box["class_id"] for box in row["true_boxes"]] for row in found] == [
        [1, 1], [0], [0], [0, 1],
    ]  # fmt: skip
    assert [(row["tp"], row["fp"], row["fn"]) for row in found] == [
        (1, 1, 1), (1, 1, 0), (1, 1, 0), (2, 0, 0),
    ]  # fmt: skip
    results = open_results(boxes.db, relabelled)
    assert results.filter(true_class=1).collect()["image_index"].to_list() == [0, 3]
    page = ErrorAnalysis(boxes.db, relabelled).instances(InstanceQuery(true="dog"))
    assert page.total == 3
    with boxes.db.session() as session:
        query = select(TestImageResult).where(TestImageResult.test_run_id == relabelled.id)
        stored = session.execute(query.order_by(TestImageResult.image_index)).scalars().all()
        labels = [[box["class_id"] for box in row.true_boxes or ()] for row in stored]
    assert labels == [[1, 1], [0], [0], [0, 1]]
    export_run(boxes.db, relabelled, ExportTarget("manifest", tmp_path / "m.parquet"), {})
    exported = pq.read_table(tmp_path / "m.parquet")["true_boxes"].to_pylist()
    assert [len(one) for one in exported] == [2, 1, 1, 2]
    pair = pair_runs(boxes.db, [boxes.run, relabelled])
    assert pair.left_out["other_ground_truth"] == 3


def test_files_of_the_run_stay_as_they_are(boxes: Detected) -> None:
    folder = Path(boxes.run.results_dir or "")
    before = tree(folder)
    path = corrected(boxes, swapped, "again.json")
    new = rescore_run(boxes.db, boxes.run, ["name=fixed"], Reporter(), str(path))
    assert (new.results_of, new.name) == (boxes.run.id, "fixed")
    assert tree(folder) == before
    own = Path(new.results_dir or "")
    assert own.parent == folder.parent and own.name == f"{new.id}-fixed"
    assert verify_run(boxes.db, new) == (4, [])
    # a rescore of it has the same labels, in a folder of its own
    third = rescore_run(boxes.db, new, ["metrics.operating_confidence=0.5"], Reporter())
    assert third.results_dir not in (new.results_dir, boxes.run.results_dir)
    truth = [open_results(boxes.db, one).frame(["true_boxes"]) for one in (new, third)]
    assert truth[0].equals(truth[1])
    assert third.dataset_path == new.dataset_path
    (own / GROUND_TRUTH_NAME).write_bytes(b"damaged")
    (problem,) = verify_run(boxes.db, new)[1]
    assert problem.file == GROUND_TRUTH_NAME
    deletion_of_run(boxes.db, new).carry_out(boxes.db)
    assert not own.exists() and folder.is_dir()
    assert verify_run(boxes.db, third) == (4, [])


def without_image(document: dict[str, Any]) -> None:
    document["images"] = [one for one in document["images"] if one["id"] != 3]
    document["annotations"] = [one for one in document["annotations"] if one["image_id"] != 3]


def renamed(document: dict[str, Any]) -> None:
    document["categories"][0]["name"] = "cats"


def elsewhere(document: dict[str, Any]) -> None:
    for image in document["images"]:
        image["file_name"] = f"x{image['file_name']}"


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (renamed, "CLASS_MAP_MISMATCH", "the class 'cats', which run 1 does not have; did you"),
        (elsewhere, "DATASET_IMAGES_NOT_FOUND", "none of the 4 images"),
    ],
)
def test_labels_that_do_not_fit_leave_nothing(
    boxes: Detected, change: Callable[[dict[str, Any]], None], code: str, says: str
) -> None:
    path = corrected(boxes, change, "other.json")
    ids = [run.id for run in list_test_runs(boxes.db)]
    folders = sorted(Path(boxes.run.results_dir or "").parent.iterdir())
    with pytest.raises(InputError, match=says) as caught:
        rescore_run(boxes.db, boxes.run, [], Reporter(), str(path))
    assert caught.value.code == code
    assert [run.id for run in list_test_runs(boxes.db)] == ids
    assert sorted(Path(boxes.run.results_dir or "").parent.iterdir()) == folders


def test_images_that_the_report_counts_are_failed_rows(boxes: Detected) -> None:
    # the file of image 3 is there, and the report counts it as not listed
    path = corrected(boxes, without_image, "fewer.json")
    run = rescore_run(boxes.db, boxes.run, [], Reporter(), str(path))
    row = open_results(boxes.db, run).frame().to_dicts()[3]
    assert (row["status"], row["error_stage"], row["error_code"]) == (
        "failed", "label", "LABEL_MISSING",
    )  # fmt: skip
    assert row["predicted_boxes"] is None and row["true_boxes"] is None and row["tp"] is None
    assert run.metrics is not None and run.metrics["coverage"] == 3 / 4
    assert (run.scored_images, run.failed_images) == (3, 1)


def test_images_that_are_not_counted_are_an_error(boxes: Detected, tmp_path: Path) -> None:
    root = Path(boxes.config.dataset.path).parent
    lines = ["path,label", *(f"{root}/images/{n}.png,cat" for n in range(3))]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"1 of 4 images .* not in the labels: '3.png'") as caught:
        rescore_run(boxes.db, boxes.run, [], Reporter(), str(tmp_path / "labels.csv"))
    assert caught.value.code == "RESCORE_IMAGES"


def test_only_labels_may_have_keys_of_a_dataset(boxes: Detected) -> None:
    with pytest.raises(InputError) as caught:
        rescore_run(boxes.db, boxes.run, ["dataset.limit=2"], Reporter())
    assert caught.value.code == "RESCORE_SETTING"


@pytest.mark.parametrize("kind", ["segm", "keypoints"])
def test_masks_and_keypoints_are_corrected(tmp_path: Path, kind: str) -> None:
    path = write_dataset(tmp_path / "data", images=4)
    dataset = {"format": "coco", "path": str(path.parent / "images"), "annotations": str(path)}
    importing = Importing(tmp_path, dataset)
    (tmp_path / "results.json").write_text(json.dumps(results_of(path, kind)))
    run = importing.run(tmp_path / "results.json")
    other = write_dataset(tmp_path / "other", images=4, seed=5)
    new = rescore_run(importing.db, run, [], Reporter(), str(other))
    importing.dataset = {**dataset, "annotations": str(other)}
    fresh = importing.run(tmp_path / "results.json")
    assert rows(importing.db, new).equals(rows(importing.db, fresh))
    assert [getattr(new, key) for key in KEYS] == [getattr(fresh, key) for key in KEYS]


@pytest.fixture(scope="module")
def greys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, RunView, Path]:
    folder = tmp_path_factory.mktemp("greys")
    config = pixel_config(grey_folder(folder / "data"), folder / "out")
    url = f"sqlite:///{folder / 'runs.db'}"
    run = TestRunner(config, database=url).run_test()
    return Database.open(url), run, folder


def labels_file(folder: Path, labels: dict[str, str]) -> Path:
    """A manifest with the labels of the folders, but for some images."""
    images = sorted((folder / "data").rglob("*.png"))
    ids = [str(image.relative_to(folder / "data")) for image in images]
    lines = [f"{one},{labels.get(one, one.split('/')[0])}" for one in ids]
    target = folder / f"labels-{len(labels)}.csv"
    target.write_text("\n".join(["path,label", *lines]))
    return target


def test_classes_equal_an_evaluation_on_the_corrected_labels(
    greys: tuple[Database, RunView, Path],
) -> None:
    db, run, folder = greys
    path = labels_file(folder, {"0/00.png": "1", "2/03.png": "0"})
    new = rescore_run(db, run, [f"dataset.root={folder / 'data'}"], Reporter(), str(path))
    data = {**(run.config or {})}
    data["dataset"] = {"path": str(path), "root": str(folder / "data")}
    fresh = TestRunner(build_config(data), database=str(db.url)).run_test()
    exact = ["image_id", "status", "true_label", "true_label_id", "predicted_label", "is_correct"]
    found, expected = (open_results(db, one).frame() for one in (new, fresh))
    assert found.select(exact).equals(expected.select(exact))
    for name in ("true_confidence", "loss"):
        assert found[name].to_list() == pytest.approx(expected[name].to_list(), rel=1e-5)
    assert new.metrics is not None and fresh.metrics is not None
    assert new.metrics == {
        key: None if value is None else pytest.approx(value, rel=1e-6)
        for key, value in fresh.metrics.items()
    }
    assert new.metrics != run.metrics
    assert new.confusion_matrix == fresh.confusion_matrix


def test_a_probability_that_was_not_stored_leaves_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple("abcdefg")
    grey_folder(tmp_path / "data", names, each=1)
    importing = Importing(tmp_path, {"format": "imagefolder", "path": str(tmp_path / "data")})
    values = [0.4, 0.25, 0.2, 0.1, 0.03, 0.015, 0.005]
    lines = [",".join(["image_id", *names])]
    lines += [f"{name}/00.png,{','.join(map(str, values))}" for name in names]
    (tmp_path / "p.csv").write_text("\n".join(lines))
    run = importing.run(tmp_path / "p.csv")
    assert run.metrics is not None and run.metrics["loss"] is not None
    words = [f"dataset.root={tmp_path / 'data'}"]
    known, unknown = labels_file(tmp_path, {"a/00.png": "b"}), {"a/00.png": "g", "b/00.png": "a"}
    first = rescore_run(importing.db, run, words, Reporter(), str(known))
    assert first.metrics is not None and first.metrics["loss"] > run.metrics["loss"]
    second = rescore_run(importing.db, run, words, Reporter(), str(labels_file(tmp_path, unknown)))
    assert second.metrics is not None and second.metrics["loss"] is None
    assert open_results(importing.db, second).frame()["loss"].null_count() == 7

"""Imports of COCO results: boxes, masks and keypoints, whatever their ids refer to."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from snellen.adapters.errors import InputError
from snellen.analysis.comparison.pairing import pair_runs
from snellen.analysis.comparison.speed import speed_rows
from snellen.analysis.export.run_export import ExportTarget, export_run
from snellen.analysis.reader import open_results, verify_run
from snellen.analysis.rescore import rescore_run
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.jobs import list_training_jobs
from snellen.store.runs import list_test_runs
from snellen.store.views import RunView
from tests.pipelines.imports.coco_made_up import CATEGORIES, POINTS, results_of, write_dataset
from tests.pipelines.imports.importing import Importing

KINDS = {"bbox": "", "segm": "mask_", "keypoints": "oks_"}
STATS = {
    "bbox": ("mAP50-95", "mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large", "mAR_1"),
    "segm": ("mAP50-95", "mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large", "mAR_1"),
    "keypoints": ("mAP50-95", "mAP50", "mAP75", "mAP_medium", "mAP_large", "mAR", "mAR50"),
}
"""Keys of the first numbers of pycocotools."""


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Importing:
    folder = tmp_path_factory.mktemp("coco")
    path = write_dataset(folder / "data")
    dataset = {"format": "coco", "path": str(path.parent / "images"), "annotations": str(path)}
    return Importing(folder, dataset)


def written(coco: Importing, records: Any, name: str = "results.json") -> Path:
    folder = coco.folder / f"file-{len(list(coco.folder.iterdir()))}"
    folder.mkdir()
    (folder / name).write_text(json.dumps(records))
    return folder / name


def results(coco: Importing, kind: str) -> list[dict[str, Any]]:
    return results_of(Path(coco.dataset["annotations"]), kind)


@pytest.fixture(scope="module")
def imported(coco: Importing) -> Callable[[str], RunView]:
    made: dict[str, RunView] = {}

    def run(kind: str) -> RunView:
        if kind not in made:
            made[kind] = coco.run(written(coco, results(coco, kind)))
        return made[kind]

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_are_those_of_pycocotools(
    coco: Importing, imported: Callable[[str], RunView], kind: str
) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(coco.dataset["annotations"])
        found = COCOeval(truth, truth.loadRes(results(coco, kind)), kind)
        if kind == "keypoints":
            found.params.kpt_oks_sigmas = np.full(POINTS, 1 / POINTS)
        found.evaluate()
        found.accumulate()
        found.summarize()
    metrics = imported(kind).metrics
    assert metrics is not None
    for key, value in zip(STATS[kind], found.stats, strict=False):
        ours = metrics[KINDS[kind] + key]
        assert ours == (None if value == -1 else pytest.approx(value, abs=1e-6)), key


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_imported_again_is_the_same_run(
    coco: Importing, imported: Callable[[str], RunView], kind: str, tmp_path: Path
) -> None:
    run = imported(kind)
    export_run(coco.db, run, ExportTarget("coco", tmp_path / "exported"), {})
    again = coco.run(tmp_path / "exported")
    assert again.metrics == run.metrics
    assert again.per_class_metrics == run.per_class_metrics
    assert again.confusion_matrix == run.confusion_matrix
    first, second = (open_results(coco.db, one).frame() for one in (run, again))
    assert first.equals(second)
    assert first["matches"].list.len().sum() > 0


def test_an_imported_run_is_a_run(
    coco: Importing, imported: Callable[[str], RunView], tmp_path: Path
) -> None:
    run = imported("bbox")
    assert (run.status, run.total_images, run.scored_images) == ("completed", 6, 6)
    assert verify_run(coco.db, run) == (1, [])
    rows = open_results(coco.db, run).frame()
    for name in ("preprocessing_time_ms", "inference_time_ms", "content_hash"):
        assert rows[name].null_count() == 6
    assert run.inference_time_ms is None
    assert rows["width"].to_list() == [40] * 6
    rescored = rescore_run(
        coco.db, run, ["metrics.operating_confidence=0.0001"], Reporter()
    )  # no prediction was left out, whatever its confidence
    assert rescored.status == "completed"
    speed = speed_rows(pair_runs(coco.db, (run, rescored)))
    for side in "ab":  # no model of this machine has run
        assert {speed[side][key] for key in ("device", "precision", "batch_size")} == {None}
    with pytest.raises(InputError, match=r"snellen import .* --dataset") as caught:
        TestRunner(database=coco.url).resume(run.id)
    assert caught.value.code == "RUN_IS_IMPORTED"


def test_the_run_belongs_to_a_job(coco: Importing, imported: Callable[[str], RunView]) -> None:
    run = imported("bbox")
    jobs = {job.id: job for job in list_training_jobs(coco.db)}
    job = jobs[run.training_job_id]
    assert (job.framework, job.output_dir) == ("imported", run.checkpoint_path)
    other = coco.run(written(coco, results(coco, "bbox")), job=job.name)
    assert other.training_job_id == job.id
    with pytest.raises(InputError) as caught:
        coco.run(written(coco, results(coco, "bbox")), job="no-such-job")
    assert caught.value.code == "JOB_NOT_FOUND"


def as_ultralytics(records: list[dict[str, Any]], *, names: bool) -> list[dict[str, Any]]:
    """Return results as `ultralytics` writes them: positions from 1, and numeric names as ids."""
    place = {number: position for position, number in enumerate(sorted(n for n, _ in CATEGORIES))}
    found = []
    for one in records:
        stem = one["image_id"] - 100
        found.append({**one, "image_id": stem, "category_id": place[one["category_id"]] + 1})
        if names:
            found[-1]["file_name"] = f"{stem:03}.png"
    return found


@pytest.mark.parametrize("names", [True, False], ids=["file_name", "stem"])
def test_ids_of_ultralytics(
    coco: Importing, imported: Callable[[str], RunView], *, names: bool
) -> None:
    file = written(coco, as_ultralytics(results(coco, "bbox"), names=names), "predictions.json")
    # the categories of the dataset in the order of their ids are the names of the model
    run = coco.run(file, first_class=1)
    assert run.metrics == imported("bbox").metrics


def test_an_export_of_the_results_beside_other_ids(
    coco: Importing, imported: Callable[[str], RunView]
) -> None:
    annotations = Path(coco.dataset["annotations"])
    document = json.loads(annotations.read_text())
    moved = {one: 500 + one for one, _ in CATEGORIES}
    for one in document["categories"]:
        one["id"] = moved[one["id"]]
    for image in document["images"]:
        image["id"] += 5000
    other = written(coco, document, "other.json")
    records = [
        {**one, "image_id": one["image_id"] + 5000, "category_id": moved[one["category_id"]]}
        for one in results(coco, "bbox")
    ]
    run = coco.run(written(coco, records), annotations=other)
    assert run.metrics == imported("bbox").metrics


@pytest.mark.parametrize(
    ("shift", "says"),
    [(1, "shifted by one"), (1000, None)],
    ids=["shifted", "unknown"],
)
def test_ids_that_are_not_the_datasets(coco: Importing, shift: int, says: str | None) -> None:
    records = results(coco, "bbox")
    changed = [{**one, "category_id": one["category_id"] + shift} for one in records]
    if says is None:
        changed += records
        report = (coco.run(written(coco, changed)).dataset_report or {})["predictions"]
        assert report["ignored"] == {"unknown_class": len(records)}
        return
    with pytest.raises(InputError, match=says) as caught:
        coco.run(written(coco, changed))
    assert caught.value.code == "IMPORT_CATEGORIES"


def test_what_is_not_used_is_counted(coco: Importing) -> None:
    records = results(coco, "bbox")
    bad = [
        {**records[0], "image_id": 999},
        {**records[0], "category_id": 999},
        {**records[0], "score": float("nan")},
        {**records[0], "bbox": [1, 1, -4, 4]},
    ]
    file = written(coco, [*records, *bad])
    run = coco.run(file)
    report = (run.dataset_report or {})["predictions"]
    assert report["ignored"] == {
        "unknown_image": 1, "unknown_class": 1, "not_finite": 1, "negative_size": 1,
    }  # fmt: skip
    assert report["used"] == len(records)
    assert report["examples"]["unknown_image"] == ["999"]
    before = list_test_runs(coco.db)
    with pytest.raises(InputError, match="1 prediction is not used: unknown image") as caught:
        coco.run(file, config={"dataset": {"strict": True}})
    assert caught.value.code == "IMPORT_STRICT"
    assert [run.id for run in list_test_runs(coco.db)] == [run.id for run in before]


def test_images_without_predictions_have_no_objects(coco: Importing) -> None:
    records = [one for one in results(coco, "bbox") if one["image_id"] != 103]
    run = coco.run(written(coco, records))
    row = open_results(coco.db, run).frame().to_dicts()[3]
    assert (row["status"], row["predicted_boxes"], row["fn"]) == ("ok", [], len(row["true_boxes"]))
    report = (run.dataset_report or {})["predictions"]
    assert (report["without_prediction"], report["warnings"]) == (1, [])
    assert report["notes"][-1].startswith("1 of 6 images have no prediction")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda one: {**one, "score": 87.5}, "IMPORT_SCORES"),
        (lambda one: {**one, "bbox": [v / 40 for v in one["bbox"]]}, "IMPORT_BOX_UNITS"),
        (lambda one: {**one, "bbox": [1, 2, 3]}, "IMPORT_FORMAT"),
        (lambda one: {**one, "image_id": one["image_id"] + 9000}, "IMPORT_IMAGES"),
        (lambda one: {"image_id": one["image_id"]}, "IMPORT_FORMAT"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_rejected(
    coco: Importing, change: Callable[[dict[str, Any]], dict[str, Any]], code: str
) -> None:
    file = written(coco, [change(one) for one in results(coco, "bbox")])
    before = len(list_test_runs(coco.db))
    with pytest.raises(InputError) as caught:
        coco.run(file)
    assert caught.value.code == code
    assert len(list_test_runs(coco.db)) == before


def test_a_dataset_in_the_place_of_results(coco: Importing) -> None:
    with pytest.raises(InputError, match=r"holds a dataset\. Expected COCO results"):
        coco.run(Path(coco.dataset["annotations"]))


def test_masks_of_another_size_are_failed_rows(coco: Importing) -> None:
    records = results(coco, "segm")
    wrong = records[0]["image_id"]
    for one in records:
        if one["image_id"] == wrong:
            one["segmentation"] = {"size": [20, 80], "counts": one["segmentation"]["counts"]}
    run = coco.run(written(coco, records))
    rows = open_results(coco.db, run).frame(["error_code", "error_message"]).rows()
    assert [code for code, _ in rows] == ["DIMENSION", *[None] * 5]
    assert "80 x 20 pixels, and the image 40 x 40" in rows[0][1]


def test_numeric_names_that_are_other_ids_are_asked_for(tmp_path: Path) -> None:
    path = write_dataset(tmp_path / "data", images=4)
    document = json.loads(path.read_text())
    for image in document["images"]:  # id 1 is the image 000.png
        image["id"] -= 99
    for one in document["annotations"]:
        one["image_id"] -= 99
    path.write_text(json.dumps(document))
    dataset = {"format": "coco", "path": str(path.parent / "images"), "annotations": str(path)}
    coco = Importing(tmp_path, dataset)
    records = [one for one in results(coco, "bbox") if one["image_id"] < 4]
    with pytest.raises(InputError, match="--image-key id or --image-key stem") as caught:
        coco.run(written(coco, records))
    assert caught.value.code == "IMPORT_IMAGE_KEY"
    by_id, by_stem = (coco.run(written(coco, records), image_key=key) for key in ("id", "stem"))
    assert by_id.metrics != by_stem.metrics

"""Imports of YOLO text files with confidences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snellen.adapters.errors import InputError
from snellen.analysis.export.run_export import ExportTarget, export_run
from snellen.analysis.reader import open_results
from tests.analysis.conftest import detected
from tests.analysis.detected import Detected
from tests.pipelines.imports.importing import Importing

__all__ = ["detected"]


@pytest.fixture(scope="module")
def yolo(detected: Detected, tmp_path_factory: pytest.TempPathFactory) -> Importing:
    dataset = detected.config.dataset.model_dump(mode="json", exclude_unset=True)
    return Importing(tmp_path_factory.mktemp("yolo"), dataset)


def folder(yolo: Importing, lines: dict[str, str]) -> Path:
    root = yolo.folder / f"labels-{len(list(yolo.folder.iterdir()))}"
    root.mkdir()
    for name, text in lines.items():
        (root / name).write_text(text)
    return root


def test_an_export_imported_again(detected: Detected, yolo: Importing) -> None:
    target = ExportTarget("yolo", yolo.folder / "exported")
    export_run(detected.db, detected.run, target, {})
    run = yolo.run(target.path)
    assert run.metrics == detected.run.metrics
    found, expected = (
        open_results(db, one).frame(["tp", "fp", "fn", "predicted_boxes"])
        for db, one in ((yolo.db, run), (detected.db, detected.run))
    )
    assert found.drop("predicted_boxes").equals(expected.drop("predicted_boxes"))
    corners = [
        [[box[key] for key in ("class_id", "x1", "y1", "x2", "y2", "confidence")] for box in row]
        for frame in (found, expected)
        for row in frame["predicted_boxes"].to_list()
    ]
    assert np.allclose(np.array(corners[:4]), np.array(corners[4:]), atol=1e-4)


def test_lines_of_save_txt_with_save_conf(yolo: Importing) -> None:
    # image 1 has the object cat at (0, 0) to (10, 10) of 24 x 24 pixels; the others have no file
    edge = 10 / 24
    file = folder(yolo, {"1.txt": f"0 {edge / 2} {edge / 2} {edge} {edge} 0.75\n\n", "2.txt": ""})
    run = yolo.run(file)
    rows = open_results(yolo.db, run).frame().to_dicts()
    assert [(row["tp"], row["fp"], row["fn"]) for row in rows] == [
        (0, 0, 2), (1, 0, 0), (0, 0, 0), (0, 0, 3),
    ]  # fmt: skip
    (box,) = rows[1]["predicted_boxes"]
    assert [box[key] for key in ("x1", "y1", "x2", "y2")] == pytest.approx([0, 0, 10, 10], abs=1e-5)
    report = (run.dataset_report or {})["predictions"]
    assert (report["used"], report["images"], report["without_prediction"]) == (1, 2, 2)
    assert "images are named by their file name without suffix" in report["notes"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0.5 0.5 0.2 0.2", "has 5 values. .*save_conf=True"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2 0.9", "has 8 values. .*use COCO results"),
        ("0 12 12 10 10 0.9", "is not normalised"),
        ("cat 0.5 0.5 0.2 0.2 0.9", "has 6 values"),
        ("0 0.5 0.5 0.2 0.2 90", "has the score 90"),
    ],
)
def test_other_lines_are_rejected(yolo: Importing, line: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        yolo.run(folder(yolo, {"0.txt": line}))


def test_class_names_may_be_given(yolo: Importing) -> None:
    box = "0.2 0.2 0.4 0.4 0.9"
    file = folder(yolo, {"0.txt": f"0 {box}\n1 {box}\n7 {box}\n"})
    report = (yolo.run(file, classes=("dog", "cat")).dataset_report or {})["predictions"]
    assert report["ignored"] == {"unknown_class": 1}
    run = yolo.run(file, classes=("dog", "cat"))
    assert run.class_names == ["dog", "cat"]
    with pytest.raises(InputError, match="Only in the checkpoint: 'cow'") as caught:
        yolo.run(file, classes=("dog", "cat", "cow"))
    assert caught.value.code == "CLASS_MAP_MISMATCH"
    subset = yolo.run(
        file, classes=("dog", "cat", "cow"), config={"model": {"class_map": "subset"}}
    )
    assert subset.status == "completed"

"""The ground truth and the results of a COCO export, read by supervision."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from examples.shapes.make_dataset import make
from snellen.store.sql.database import Database
from tests.contracts.exporter_contract import Exportable
from tests.e2e.test_detection import coco_set, evaluated

os.environ.setdefault("MPLBACKEND", "Agg")


def test_supervision_reads_the_boxes(tmp_path: Path) -> None:
    import supervision  # after the choice of a backend that needs no screen

    make(tmp_path / "shapes", counts={"test": 4, "val": 1}, seed=3)
    row = evaluated("detect", tmp_path / "run", coco_set(tmp_path / "shapes", "detect")).row
    db = Database.open(f"sqlite:///{tmp_path / 'run' / 'runs.db'}")
    Exportable(db, row).export("coco", tmp_path / "out")
    db.close()
    document = json.loads((tmp_path / "out" / "ground_truth.json").read_text())
    images = tmp_path / "shapes" / "detect" / "images" / "test"
    dataset = supervision.DetectionDataset.from_coco(
        images_directory_path=str(images),
        annotations_path=str(tmp_path / "out" / "ground_truth.json"),
    )
    assert dataset.classes == [category["name"] for category in document["categories"]]
    assert len(dataset) == len(document["images"]) == 4
    found = {Path(path).name: detections for path, _, detections in dataset}
    for image in document["images"]:
        boxes = [
            (*one["bbox"][:2], one["bbox"][0] + one["bbox"][2], one["bbox"][1] + one["bbox"][3])
            for one in document["annotations"]
            if one["image_id"] == image["id"]
        ]
        read = found[Path(image["file_name"]).name]
        assert np.allclose(read.xyxy, np.array(boxes).reshape(-1, 4), atol=1)

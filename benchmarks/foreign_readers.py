"""Exports read by the programs that they are for, each in an environment of its own.

label-studio-sdk and datumaro need other versions of shared packages, so no test can import them.
The script installs each from the package index into a temporary environment, lets it read an export
of a real run, and compares what it found with the rows of the run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import snellen
from examples.shapes.make_dataset import make

ROOT = Path(__file__).resolve().parent.parent
LEAST = 0.25
_TOLERANCE = 0.02
"""Pixels: CVAT's files have two decimals, Label Studio's are per cent."""

_LABEL_STUDIO = """
import json, sys
from pathlib import Path
from label_studio_sdk.label_interface import LabelInterface
folder = Path(sys.argv[1])
interface = LabelInterface((folder / "config.xml").read_text())
interface.validate()
found = {}
for task in json.loads((folder / "tasks.json").read_text()):
    (prediction,) = task["predictions"]
    problems = interface.validate_prediction(prediction, return_errors=True)
    assert not problems, problems
    for annotation in task.get("annotations", []):
        assert interface.validate_annotation(annotation), annotation
    boxes = []
    for one in prediction["result"]:
        v, w, h = one["value"], one["original_width"] / 100, one["original_height"] / 100
        left, top = v["x"] * w, v["y"] * h
        right, bottom = left + v["width"] * w, top + v["height"] * h
        boxes.append([v["rectanglelabels"][0], left, top, right, bottom])
    found[Path(task["data"]["image"]).name] = boxes
print(json.dumps(found))
"""
_CVAT = """
import json, sys
from pathlib import Path
from datumaro.components.dataset import Dataset
dataset = Dataset.import_from(sys.argv[1], "cvat")
names = [label.name for label in dataset.categories()[__import__("datumaro").AnnotationType.label]]
found = {}
for item in dataset:
    boxes = [[names[one.label], *one.points[:4]] for one in item.annotations]
    found[Path(item.id).name] = boxes
print(json.dumps(found))
"""


def _read(folder: Path, package: str, script: str, *arguments: str) -> dict[str, list[Any]]:
    """Install a package into a new environment and return what a script prints there."""
    place = folder / package
    venv.create(place, with_pip=True)
    python = str(place / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", package]
    subprocess.run(install, check=True)
    done = subprocess.run(
        [python, "-c", script, *arguments], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{package} cannot read the export:\n{done.stderr[-2000:]}")
    found: dict[str, list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _expected(run: snellen.TestRun) -> Iterator[tuple[str, list[list[Any]]]]:
    names: list[str] = run.row.class_names or []
    for row in run.results().to_dicts():
        boxes = [box for box in row["predicted_boxes"] if box["confidence"] >= LEAST]
        yield (
            Path(row["image_id"]).name,
            [[names[box["class_id"]], box["x1"], box["y1"], box["x2"], box["y2"]] for box in boxes],
        )


def _same(found: dict[str, list[Any]], run: snellen.TestRun) -> int:
    """Compare boxes by image and return their number; differing ones end the program."""
    total = 0
    for name, boxes in _expected(run):
        # The confidence is a filter of images, too: those without a box are not exported.
        read = found.get(name, found.get(Path(name).stem, []))
        key = lambda box: (box[0], *np.round(box[1:], 0).tolist())  # noqa: E731
        first, second = sorted(boxes, key=key), sorted(read, key=key)
        assert [box[0] for box in first] == [box[0] for box in second], name
        if first:
            ours, theirs = (np.array([box[1:] for box in side], float) for side in (first, second))
            assert np.allclose(ours, theirs, atol=_TOLERANCE), name
        total += len(boxes)
    return total


def main() -> int:
    """Export a run of a tiny detector and let both programs read it."""
    console = Console()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder / "shapes", counts={"test": 8, "val": 1}, seed=4)
        run = snellen.evaluate(
            {
                "model": {"checkpoint": str(ROOT / "tests" / "fixtures" / "tiny-detect.pt")},
                "dataset": {"path": str(folder / "shapes" / "detect" / "data.yaml")},
                "run": {"engine": "inline"},
                "output": {"dir": str(folder / "runs")},
                "database": f"sqlite:///{folder / 'runs.db'}",
            }
        )
        run.export("label-studio", folder / "studio", min_confidence=LEAST)
        # datumaro wants the images beside the annotations.
        shutil.copytree(
            folder / "shapes" / "detect" / "images", folder / "cvat" / "images" / "images"
        )
        run.export("cvat", folder / "cvat" / "annotations.xml", min_confidence=LEAST)
        for package, script, source in (
            ("label-studio-sdk", _LABEL_STUDIO, folder / "studio"),
            ("datumaro", _CVAT, folder / "cvat"),
        ):
            console.print(f"Installing {package} ...")
            boxes = _same(_read(folder, package, script, str(source)), run)
            console.print(f"{package} reads the {boxes} boxes of the run")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Compare two checkouts: the same runs must give the same rows and metrics.

python -m benchmarks.same_results BEFORE AFTER

Each checkout evaluates the shapes (detection, segmentation, poses, classification), the digits
and the photographs of the demo (made by `make demo` in AFTER), inline and on Ray, and predicts
with pictures, in folders of its own. Every column of every result row but the times, every
metric, and the bytes of every picture are compared. Exit code 1 tells a difference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

TIMES = ("preprocessing_time_ms", "inference_time_ms", "postprocessing_time_ms")
COMPARED = (
    "status",
    "task_type",
    "metrics",
    "intervals",
    "per_class_metrics",
    "confusion_matrix",
    "details",
    "total_images",
    "scored_images",
    "failed_images",
)
RUN = {"unit_rows": 37, "batch_size": 8}


@dataclass(frozen=True)
class Checkout:
    """A checkout, the interpreter that runs it, and a folder for what it writes."""

    path: Path
    python: Path
    folder: Path

    def run(self, command: str, config: dict[str, Any]) -> tuple[dict[str, Any], pl.DataFrame]:
        """Run one configuration; return the JSON document and the result rows without times."""
        config = {**config, "output": {**config.get("output", {}), "dir": str(self.folder)}}
        file = self.folder / f"{config['name']}.yaml"
        file.write_text(yaml.safe_dump(config))
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.path),
            "SNELLEN_DATABASE": f"sqlite:///{self.folder / 'runs.db'}",
        }
        finished = subprocess.run(
            [str(self.python), "-m", "snellen", command, str(file), "--json"],
            cwd=self.path, env=environment, stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if finished.returncode != 0:
            raise SystemExit(f"{self.path}: {command} {config['name']}: {finished.stdout}")
        document: dict[str, Any] = json.loads(finished.stdout)
        rows = pl.concat(pl.read_parquet(path) for path in document["files"])
        return document, rows.drop(TIMES)


def cases(data: Path, fixtures: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield commands and configurations."""
    shapes = data / "shapes"
    for task in ("detect", "segment", "pose"):
        yield (
            "eval",
            {
                "name": task,
                "model": {
                    "adapter": "ultralytics",
                    "checkpoint": str(fixtures / f"tiny-{task}.pt"),
                },
                "dataset": {"path": str(shapes / task / "data.yaml"), "split": "test"},
                "run": {"engine": "inline", **RUN},
                "metrics": {"bootstrap": 20, "slices": ["image_size", "object_count"]},
            },
        )
    yield (
        "eval",
        {
            "name": "classify",
            "model": {"adapter": "ultralytics", "checkpoint": str(fixtures / "tiny-classify.pt")},
            "dataset": {"path": str(shapes / "classify"), "split": "test"},
            "run": {"engine": "inline", **RUN},
        },
    )
    yield (
        "eval",
        {
            "name": "detect-on-ray",
            "model": {"adapter": "ultralytics", "checkpoint": str(fixtures / "tiny-detect.pt")},
            "dataset": {"path": str(shapes / "detect" / "data.yaml"), "split": "test"},
            "run": {"engine": "ray", **RUN},
            "metrics": {"bootstrap": 20},
        },
    )
    for name in ("digits", "photographs"):
        yield "eval", demo_config(data, name)
    yield (
        "predict",
        {
            "name": "predict",
            "model": {"adapter": "ultralytics", "checkpoint": str(fixtures / "tiny-segment.pt")},
            "dataset": {"path": str(shapes / "segment" / "images" / "test")},
            "run": {"engine": "inline", **RUN},
            "output": {"visualize": 20, "masks": "png"},
        },
    )


def demo_config(data: Path, name: str) -> dict[str, Any]:
    """Read a configuration of the demo, with absolute paths."""
    file = data.parent / "configs" / f"{name}.yaml"
    config: dict[str, Any] = yaml.safe_load(file.read_text())
    config["dataset"]["path"] = str(data.parent / config["dataset"]["path"])
    if name == "digits":
        config["model"]["job"] = str(sorted((data / "digits" / "runs").glob("*/"))[-1])
    else:
        config["model"]["checkpoint"] = str(data.parent / config["model"]["checkpoint"])
    return config


def pictures(document: dict[str, Any]) -> dict[str, str]:
    """Return the digests of the pictures of a run, by their path in its folder."""
    folder = Path(document["results_dir"])
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".jpg", ".png"}
    }


def compare(name: str, command: str, config: dict[str, Any], both: list[Checkout]) -> bool:
    """Run one configuration in both checkouts and print what differs."""
    (first, rows), (second, other) = (checkout.run(command, config) for checkout in both)
    differences = [key for key in COMPARED if first.get(key) != second.get(key)]
    if not rows.equals(other):
        columns = [c for c in rows.columns if c not in other.columns or
                   not rows[c].equals(other[c])]  # fmt: skip
        differences.append(f"rows ({', '.join(columns)})")
    drawn = pictures(first)
    if drawn != pictures(second):
        differences.append("pictures")
    values = len(first.get("metrics") or {})
    found = "DIFFERENT: " + ", ".join(differences) if differences else "identical"
    print(f"{name:15} {rows.height:4} rows x {rows.width} columns, {values:2} metrics, "
          f"{len(drawn):3} pictures: {found}", flush=True)  # fmt: skip
    return not differences


def main() -> int:
    """Compare every case; 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--before-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--after-python", type=Path, default=Path(sys.executable))
    given = parser.parse_args()
    after = given.after.absolute()
    with tempfile.TemporaryDirectory(prefix="snellen-same-") as folder:
        both = []
        for name, path, python in (
            ("before", given.before.absolute(), given.before_python),
            ("after", after, given.after_python),
        ):
            place = Path(folder) / name
            place.mkdir()
            both.append(Checkout(path, python.absolute(), place))
        if not (after / "demo-data" / "shapes").is_dir():
            make = [str(both[1].python), "-m", "examples.shapes.make_dataset"]
            subprocess.run(
                [*make, "--root", str(after / "demo-data" / "shapes")], cwd=after, check=True
            )
        same = [
            compare(config["name"], command, config, both)
            for command, config in cases(after / "demo-data", after / "tests" / "fixtures")
        ]
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())

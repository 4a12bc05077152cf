"""Whole commands on small sets, from start to exit: `snellen eval` against `yolo val`, inline, Ray.

Each pair takes turns, so the ratio is stable on a noisy machine. Reported are the fastest run and
the median, in seconds.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.files import make_images
from examples.shapes.make_dataset import make

ROOT = Path(__file__).resolve().parent.parent
_SNELLEN = (sys.executable, "-m", "snellen", "eval", "--database", "sqlite:///runs.db")
_YOLO = (str(Path(sys.executable).with_name("yolo")), "val", "plots=False", "imgsz=160", "batch=16")
_ENGINES = ("auto", "inline", "ray")


def _detector(folder: Path) -> dict[str, tuple[str, ...]]:
    make(folder / "shapes")
    shutil.copy(ROOT / "tests" / "fixtures" / "tiny-detect.pt", folder / "best.pt")
    data = str(folder / "shapes" / "detect" / "data.yaml")
    return {
        "snellen eval, 120 images": (*_SNELLEN, "best.pt", data),
        "yolo val, 120 images": (*_YOLO, "model=best.pt", f"data={data}"),
    }


def _photographs(folder: Path) -> dict[str, tuple[str, ...]]:
    script = ROOT / "examples" / "photographs" / "make_dataset.py"
    target = folder / "demo-data" / "photographs"
    subprocess.run([sys.executable, str(script), "--root", str(target)], check=True)
    config = str(ROOT / "configs" / "photographs.yaml")
    return {
        f"7 photographs, {engine}": (*_SNELLEN, config, f"run.engine={engine}")
        for engine in _ENGINES
    }


def _jpegs(folder: Path, count: int) -> dict[str, tuple[str, ...]]:
    import timm
    import torch

    (folder / "files").mkdir()
    make_images(folder / "files" / "data", count)
    model = timm.create_model("test_resnet", num_classes=10)
    torch.save(model.state_dict(), folder / "files" / "model.pth")
    words = (
        str(folder / "files" / "model.pth"), str(folder / "files" / "data"),
        "model.architecture=test_resnet", "model.class_names=dataset",
    )  # fmt: skip
    return {
        f"{count} JPEGs, {engine}": (*_SNELLEN, *words, f"run.engine={engine}")
        for engine in _ENGINES
    }


def _seconds(command: tuple[str, ...], folder: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - began


def main() -> int:
    """Run the commands in turn; the exit code is 1 if `snellen eval` is slower than `yolo val`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--jpegs", type=int, default=3000)
    arguments = parser.parse_args()
    table = Table("command", "fastest s", "median s", title="Small runs")
    fastest: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        groups = (_detector(folder), _photographs(folder), _jpegs(folder, arguments.jpegs))
        for commands in groups:
            seconds: dict[str, list[float]] = {name: [] for name in commands}
            for _ in range(arguments.repeat):
                for name, command in commands.items():
                    seconds[name].append(_seconds(command, folder))
            for name, found in seconds.items():
                fastest[name] = min(found)
                table.add_row(name, f"{min(found):.1f}", f"{statistics.median(found):.1f}")
    Console().print(table)
    return int(fastest["snellen eval, 120 images"] > 1.05 * fastest["yolo val, 120 images"])


if __name__ == "__main__":
    sys.exit(main())

"""20,000 JPEG files with a tiny model, compared with timm's own loader and loop.

Both decode, resize and infer the same files with the same weights on the same cores, in turn, so
the ratio is stable on a noisy machine although the seconds are not. timm runs as in `validate.py`:
`create_loader` with worker processes, one forward pass per batch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.watch import watch

ARCHITECTURE = "test_resnet"
_SIDES = ((500, 375), (375, 500), (640, 480))

_TIMM = """
import sys, time, torch, timm
from timm.data import create_dataset, create_loader, resolve_data_config
torch.set_num_threads(1)
model = timm.create_model("{architecture}", num_classes=10).eval()
model.load_state_dict(torch.load("model.pth", weights_only=True))
config = resolve_data_config({{}}, model=model)
loader = create_loader(
    create_dataset("", root="data"), input_size=config["input_size"], batch_size=32,
    use_prefetcher=False, interpolation=config["interpolation"], mean=config["mean"],
    std=config["std"], crop_pct=config["crop_pct"], num_workers={workers},
)
seen, correct, begin = 0, 0, None
with torch.inference_mode():
    for images, target in loader:
        correct += int((model(images).argmax(1) == target).sum())
        if begin is None:
            begin = time.monotonic()
        else:
            seen += len(target)
print(seen / (time.monotonic() - begin), correct)
"""

_COMMAND = (sys.executable, "-m", "snellen", "eval", "config.yaml", "run.engine=ray", "--json")


def make_images(folder: Path, count: int) -> None:
    """Write ``count`` JPEG files of typical size, cropped from real photographs."""
    from sklearn.datasets import load_sample_images

    photographs = [np.asarray(image) for image in load_sample_images().images]
    rng = np.random.default_rng(0)
    for label in range(10):
        (folder / str(label)).mkdir(parents=True)
    for index in range(count):
        source = photographs[index % len(photographs)]
        width, height = _SIDES[index % len(_SIDES)]
        height, width = min(height, source.shape[0]), min(width, source.shape[1])
        top = int(rng.integers(0, source.shape[0] - height + 1))
        left = int(rng.integers(0, source.shape[1] - width + 1))
        crop = Image.fromarray(source[top : top + height, left : left + width])
        crop.save(folder / str(index % 10) / f"{index:06d}.jpg", quality=88)


def run_timm(folder: Path) -> tuple[float, int]:
    """Return the images per second after the first batch and the correct predictions of timm."""
    code = _TIMM.format(architecture=ARCHITECTURE, workers=len(os.sched_getaffinity(0)))
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.split()
    return float(out[0]), int(out[1])


def main() -> int:
    """Measure both, print the table, and return 1 if their predictions differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1, help="paired rounds")
    arguments = parser.parse_args()
    console = Console()
    table = Table(title=f"{arguments.images:,} JPEG files, {ARCHITECTURE}")
    for name in (
        "",
        "images/s",
        "first commit s",
        "total s",
        "driver MB",
        "workers MB",
        "object store MB",
    ):
        table.add_column(name, justify="left" if not name else "right")
    agree = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        console.print(f"writing {arguments.images:,} files ...")
        make_images(folder / "data", arguments.images)
        _save_model(folder / "model.pth")
        (folder / "config.yaml").write_text(
            f"model: {{checkpoint: model.pth, architecture: {ARCHITECTURE}, "
            "class_names: dataset}\ndataset: {path: data}\noutput: {dir: out}\n"
        )
        for number in range(arguments.rounds):
            console.print(f"round {number + 1}: snellen eval ...")
            found = watch(
                list(_COMMAND),
                cwd=folder,
                database=folder / f"{number}.db",
            )
            console.print(f"round {number + 1}: timm's loader ...")
            begin = time.monotonic()
            rate, correct = run_timm(folder)
            total = time.monotonic() - begin
            table.add_row(
                "snellen eval",
                f"{found.steady_rate:,.0f}",
                f"{found.first_commit:.1f}",
                f"{found.seconds:.1f}",
                f"{found.driver_mb:.0f}",
                f"{found.workers_mb:.0f}",
                f"{found.object_store_mb:.0f}",
            )
            table.add_row("timm loader", f"{rate:,.0f}", "-", f"{total:.1f}", "-", "-", "-")
            table.add_row("ratio", f"{found.steady_rate / rate:.2f}", "", "", "", "", "")
            ours = round(found.document["metrics"]["accuracy"] * arguments.images)
            agree = agree and ours == correct
    console.print(table)
    console.print(f"same number of correct predictions: {'yes' if agree else 'NO'}")
    return 0 if agree else 1


def _save_model(path: Path) -> None:
    code = (
        "import torch, timm; torch.manual_seed(0); "
        f"model = timm.create_model('{ARCHITECTURE}', num_classes=10); "
        f"torch.save(model.state_dict(), {str(path)!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    sys.exit(main())

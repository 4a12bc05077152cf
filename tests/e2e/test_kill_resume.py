"""A run that is killed at any time and resumed at once equals an uninterrupted one.

The whole process group is killed with SIGKILL: no handler runs, nothing is flushed. Ray's workers
leave that group and outlive it for a moment, so a resume also meets their late files.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from polars.testing import assert_frame_equal

IMAGES = 2000
UNIT_ROWS = 64
KILLS = 5
SINGLE_KILLS = 4
SEED = 20240611
TIMINGS = ["preprocessing_time_ms", "inference_time_ms", "postprocessing_time_ms"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 real images in class folders, six of them broken, and a checkpoint."""
    import timm
    import torch
    from sklearn.datasets import load_digits

    root = tmp_path_factory.mktemp("kill")
    digits = load_digits()
    for index in range(IMAGES):
        label = int(digits.target[index % 1797])
        folder = root / "data" / "test" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = (digits.images[index % 1797] * 15.9).astype(np.uint8)
        Image.fromarray(pixels).resize((48, 48)).save(folder / f"{index:05d}.png")
    for index in range(100, 700, 100):
        broken = next((root / "data" / "test").glob(f"*/{index:05d}.png"))
        broken.write_bytes(broken.read_bytes()[:60])
    torch.manual_seed(SEED)
    model = timm.create_model("test_resnet", num_classes=10)
    torch.save(model.state_dict(), root / "model.pth")
    (root / "config.yaml").write_text(
        "model: {checkpoint: model.pth, architecture: test_resnet, class_names: dataset}\n"
        "dataset: {path: data}\n"
        f"run: {{unit_rows: {UNIT_ROWS}, batch_size: 16}}\n"
    )
    return root


class Runner:
    """The command, run in its own process group and results folder."""

    def __init__(self, root: Path, name: str, engine: str) -> None:
        self.root = root
        self.engine = engine
        self.database = root / f"{name}.db"
        self.output = root / name
        self.environment = {**os.environ, "SNELLEN_DATABASE": f"sqlite:///{self.database}"}

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "snellen", *words],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def eval_words(self) -> list[str]:
        return [
            "eval",
            "config.yaml",
            "--json",
            f"output.dir={self.output}",
            f"run.engine={self.engine}",
        ]

    def document(self, *words: str) -> dict[str, Any]:
        process = self.start(*words)
        out, _ = process.communicate(timeout=240)
        found: dict[str, Any] = json.loads(out)
        assert process.returncode == 0, found
        return found

    def committed(self) -> int:
        if not self.database.exists():
            return 0
        try:
            with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=1) as db:
                return int(db.execute("SELECT count(*) FROM run_units").fetchone()[0])
        except sqlite3.OperationalError:
            return 0

    def kill_after(self, process: subprocess.Popen[bytes], units: int, delay: float) -> bool:
        """SIGKILL the group once ``units`` are committed; False if the run ended before."""
        until = time.monotonic() + 120
        while self.committed() < units and time.monotonic() < until:
            if process.poll() is not None:
                return False
            time.sleep(0.002)
        time.sleep(delay)
        if process.poll() is not None:
            return False
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def results(document: dict[str, Any]) -> pl.DataFrame:
    return pl.read_parquet(document["files"]).drop(TIMINGS)


def assert_same_run(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["status"] == "completed"
    frame = results(found)
    assert frame["image_index"].to_list() == list(range(IMAGES))
    assert_frame_equal(frame, results(expected), check_exact=True)
    for key in ("metrics", "intervals", "per_class_metrics", "confusion_matrix", "details"):
        assert found[key] == expected[key], key
    assert found["failed_images"] == 6


@pytest.fixture(scope="module")
def undisturbed(workspace: Path) -> dict[str, Any]:
    return Runner(workspace, "undisturbed", "inline").document(
        *Runner(workspace, "undisturbed", "inline").eval_words()
    )


def kill_points() -> Iterator[tuple[int, float]]:
    """Return seeded times of a kill: a number of committed units, and a pause."""
    rng = random.Random(SEED)
    units = IMAGES // UNIT_ROWS
    return ((rng.randrange(1, units - 1), rng.random() * 0.15) for _ in range(SINGLE_KILLS))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("point", list(kill_points()))
def test_killed_once_and_resumed_at_once(
    workspace: Path, undisturbed: dict[str, Any], point: tuple[int, float]
) -> None:
    units, delay = point
    runner = Runner(workspace, f"once-{units}-{delay:.4f}", "inline")
    assert runner.kill_after(runner.start(*runner.eval_words()), units, delay)

    found = runner.document("resume", "latest", "--json")

    assert_same_run(found, undisturbed)
    assert runner.document("verify", "latest", "--json")["ok"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_one_ray_run_killed_five_times(workspace: Path, undisturbed: dict[str, Any]) -> None:
    """Five kills of one run: each resume takes over from an owner that has just died."""
    runner = Runner(workspace, "ray", "ray")
    rng = random.Random(SEED + 1)
    words = runner.eval_words()
    killed = 0
    while killed < KILLS:
        target = runner.committed() + rng.randrange(0, 4)
        # A target of nothing new kills while Ray, the workers or the manifest are starting.
        delay = rng.random() * (4.0 if target == runner.committed() else 0.05)
        if not runner.kill_after(runner.start(*words), max(target, 0), delay):
            break
        killed += 1
        if runner.database.exists() and _has_run(runner):
            words = ["resume", "latest", "--json"]

    found = runner.document(*words)

    assert killed == KILLS
    assert_same_run(found, undisturbed)
    assert runner.document("verify", "latest", "--json")["ok"]
    stored = {Path(path).name for path in found["files"]}
    on_disk = {path.name for path in (Path(found["results_dir"]) / "units").iterdir()}
    assert on_disk == stored


def _has_run(runner: Runner) -> bool:
    try:
        with sqlite3.connect(runner.database, timeout=5) as db:
            return bool(db.execute("SELECT count(*) FROM test_runs").fetchone()[0])
    except sqlite3.OperationalError:
        return False

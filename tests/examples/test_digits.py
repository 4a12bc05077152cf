"""The digits demo: its dataset, its training run, and their evaluation."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

import snellen
from examples.digits import train
from examples.digits.make_dataset import write_digits
from snellen.adapters.checkpoints.run_directory import read_run_directory
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import AdapterSpec

ROOT = Path(__file__).parents[2]
SIZES = {"train": 1149, "val": 288, "test": 360}


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.png")):
        found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("digits")
    assert write_digits(root) == SIZES
    return root


@pytest.fixture(scope="module")
def directory(data: Path) -> Iterator[Path]:
    """A run directory of three epochs."""
    threads = torch.get_num_threads()
    given = Namespace(
        root=data,
        model="test_efficientnet",
        epochs=3,
        batch_size=64,
        lr=3e-3,
        img_size=32,
        seed=0,
    )
    yield train.train(given)
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def test_splits_have_their_sizes_and_every_class(data: Path) -> None:
    for split, size in SIZES.items():
        files = list((data / split).rglob("*.png"))
        assert len(files) == size
        per_class = [len(list((data / split / str(digit)).iterdir())) for digit in range(10)]
        assert sum(per_class) == size
        assert max(per_class) - min(per_class) <= 0.1 * max(per_class)
    names = [path.name for path in data.rglob("*.png")]
    assert len(set(names)) == 1797, "no digit is in two splits"


def test_files_are_small_grey_images(data: Path) -> None:
    with Image.open(next(data.rglob("*.png"))) as image:
        assert (image.size, image.mode) == ((32, 32), "L")


def test_the_seed_makes_the_set(data: Path, tmp_path: Path) -> None:
    stale = tmp_path / "test" / "3" / "9999.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"left over")
    write_digits(tmp_path)
    assert digest(tmp_path) == digest(data)
    write_digits(tmp_path, seed=1)
    assert digest(tmp_path) != digest(data)


def test_run_directory_is_laid_out_as_timms(directory: Path) -> None:
    assert {path.name for path in directory.iterdir()} == {
        "args.yaml",
        "summary.csv",
        "last.pth.tar",
        "model_best.pth.tar",
        *(f"checkpoint-{epoch}.pth.tar" for epoch in range(3)),
    }
    with (directory / "summary.csv").open() as file:
        header = next(csv.reader(file))
    assert header == ["epoch", "train_loss", "eval_loss", "eval_top1", "eval_top5", "lr"]
    with torch.serialization.safe_globals([Namespace]):
        state = torch.load(directory / "last.pth.tar", weights_only=True)
    keys = {"epoch", "arch", "state_dict", "optimizer", "version", "args", "metric"}
    assert keys <= set(state)
    assert (state["epoch"], state["arch"], state["version"]) == (2, "test_efficientnet", 2)
    assert vars(state["args"]) == yaml.safe_load((directory / "args.yaml").read_text())


def test_run_directory_is_recognised(directory: Path) -> None:
    found = read_run_directory(directory)
    assert (found.framework, found.model_name) == ("timm", "test_efficientnet")
    assert found.class_names == tuple("0123456789")
    assert [epoch.epoch for epoch in found.epochs] == [0, 1, 2]
    assert [entry.name for entry in found.checkpoints] == ["best", "last", "0", "1", "2"]


def test_adapter_sees_the_pixels_that_training_saw(directory: Path, data: Path) -> None:
    spec = AdapterSpec(adapter="timm", checkpoint=str(directory / "last.pth.tar"))
    adapter = load_adapter_class("timm").from_spec(spec, device="cpu")
    images, labels = train.load_split(train.as_timm(_given(data)), "test")
    path = next((data / "test" / "0").iterdir())
    assert adapter.info.preprocess["crop_pct"] == 1.0
    pixels = torch.from_numpy(adapter.preprocess_image(path).array).float() / 255
    same = [torch.allclose(pixels * 2 - 1, image, atol=1e-5) for image in images]
    assert labels[same.index(True)] == 0


def test_snellen_repeats_the_accuracy_of_training(
    directory: Path, data: Path, tmp_path: Path
) -> None:
    config: dict[str, Any] = {
        "model": {"job": str(directory), "checkpoint": "last"},
        "dataset": {"path": str(data), "split": "val"},
        "run": {"engine": "inline"},
        "output": {"dir": str(tmp_path)},
        "database": f"sqlite:///{tmp_path}/runs.db",
    }
    run = snellen.evaluate(config)
    with (directory / "summary.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert run.metrics["accuracy"] == pytest.approx(float(last["eval_top1"]) / 100, abs=1e-6)
    assert run.metrics["loss"] == pytest.approx(float(last["eval_loss"]), abs=1e-4)
    assert run.metrics["accuracy"] > 0.9


@pytest.mark.parametrize("script", ["digits/make_dataset.py", "photographs/make_dataset.py"])
def test_scripts_explain_themselves(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--root" in done.stdout
    assert "scikit" in done.stdout


def _given(data: Path) -> Namespace:
    return Namespace(
        root=data, model="test_efficientnet", epochs=1, batch_size=64, lr=1e-3, img_size=32, seed=0
    )

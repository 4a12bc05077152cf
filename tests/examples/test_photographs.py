"""The photographs demo: real images, ImageNet weights and predictions."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import snellen
from examples.photographs.make_dataset import PHOTOGRAPHS, copy_weights, write_photographs
from snellen.adapters.timm.imagenet import imagenet_class_names

CONFIG = Path(__file__).parents[2] / "configs" / "photographs.yaml"


def test_photographs_lie_in_folders_of_imagenet_classes(tmp_path: Path) -> None:
    written = write_photographs(tmp_path)
    assert len(written) == len(PHOTOGRAPHS)
    for path in written:
        assert path.parent.name in imagenet_class_names()
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
    assert write_photographs(tmp_path) == written


def test_the_model_knows_all_but_the_blurred_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "demo-data" / "photographs"
    write_photographs(root)
    assert copy_weights(root).stat().st_size > 10_000_000
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNELLEN_DATABASE", raising=False)
    run = snellen.evaluate(CONFIG, overrides=["run.engine=inline"])
    rows = run.results(["image_id", "is_correct"])
    wrong = rows.filter(~rows["is_correct"])["image_id"].to_list()
    assert wrong == ["wall clock/clock_motion.jpg"]
    assert run.metrics["accuracy"] == pytest.approx(6 / 7)

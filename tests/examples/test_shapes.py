"""The shapes: deterministic images, equivalent formats, and stripped checkpoints."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from examples.shapes.make_dataset import CLASSES, SIZES, make
from examples.shapes.train import ENDINGS, FAMILIES, model_yaml, strip_checkpoint
from snellen.adapters.ultralytics.environment import import_ultralytics
from snellen.adapters.ultralytics.yolo_file import load_yolo

COUNTS = {"test": 18, "val": 6}
FIXTURES = Path(__file__).parents[1] / "fixtures"


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "data.yaml"  # it has the folder's name
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    make(folder, counts=COUNTS, seed=1)
    return folder


def test_nothing_is_random_but_by_the_seed(root: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        make(tmp_path / str(seed), counts=COUNTS, seed=seed)
    assert digests(tmp_path / "1") == digests(root)
    assert digests(tmp_path / "2") != digests(root)


def test_the_forms_say_the_same(root: Path) -> None:
    document = json.loads((root / "test.json").read_text())
    assert len(document["images"]) == COUNTS["test"]
    assert {c["name"]: c["id"] for c in document["categories"]} == dict(
        zip(CLASSES, (10, 15, 20), strict=True)
    )
    for image in document["images"]:
        path = root / "detect" / "images" / "test" / image["file_name"]
        size = Image.open(path).size
        assert size == (image["width"], image["height"])
        assert size in SIZES
        mine = [a for a in document["annotations"] if a["image_id"] == image["id"]]
        for kind, length in (("detect", 5), ("segment", None), ("pose", 5 + 12)):
            label = root / kind / "labels" / "test" / image["file_name"]
            lines = label.with_suffix(".txt").read_text().splitlines()
            assert len(lines) == len(mine)
            for line, annotation in zip(lines, mine, strict=True):
                words = line.split()
                assert 10 + 5 * int(words[0]) == annotation["category_id"]
                assert length in (None, len(words))
                if kind != "segment":
                    x, _, w, _ = annotation["bbox"]
                    assert float(words[1]) * size[0] == pytest.approx(x + w / 2, abs=1e-3)


def test_there_are_hard_scenes_empty_ones_and_every_class(root: Path) -> None:
    document = json.loads((root / "test.json").read_text())
    assert {a["category_id"] for a in document["annotations"]} == {10, 15, 20}
    assert len({(i["width"], i["height"]) for i in document["images"]}) > 3
    areas = [a["area"] for a in document["annotations"]]
    assert min(areas) < 32**2 < max(areas)


def test_data_yaml_names_its_splits(root: Path) -> None:
    for kind in ("detect", "segment", "pose"):
        data = yaml.safe_load((root / kind / "data.yaml").read_text())
        assert list(data["names"].values()) == list(CLASSES)
        assert ("kpt_shape" in data) == (kind == "pose")
        assert (Path(data["path"]) / data["test"]).is_dir()


@pytest.mark.parametrize("task", ENDINGS)
def test_stripping_keeps_the_model_and_forgets_the_machine(task: str, tmp_path: Path) -> None:
    import_ultralytics()
    from ultralytics.nn.tasks import torch_safe_load

    whole = tmp_path / "whole.pt"
    shutil.copy(FIXTURES / f"tiny-{task}.pt", whole)
    content = torch_safe_load(str(whole), safe_only=True)[0]
    weights = {k: v.clone() for k, v in content["model"].state_dict().items()}
    secret = str(tmp_path / "secret")
    content["train_args"] |= {"project": secret, "data": secret, "optimizer": "AdamW"}
    content["model"].args = dict(content["train_args"])
    content["model"].yaml["yaml_file"] = f"{secret}/tiny-{task}.yaml"
    content |= {"git": {"root": secret}, "date": "today", "optimizer": {"state": [1]}}
    torch.save(content, whole)

    strip_checkpoint(whole)
    assert b"secret" not in whole.read_bytes()
    stripped = torch_safe_load(str(whole), safe_only=True)[0]
    assert set(stripped["train_args"]) == {"task", "imgsz"}
    assert not {"git", "date", "optimizer"} & set(stripped)
    kept = stripped["model"].state_dict()
    assert kept.keys() == weights.keys()
    assert all(torch.equal(kept[name], value) for name, value in weights.items())
    assert load_yolo(str(whole), fuse=False).architecture == f"tiny-{task}"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", ENDINGS)
def test_models_are_tiny(task: str, family: str, tmp_path: Path) -> None:
    document = yaml.safe_load(model_yaml(task, family, tmp_path).read_text())
    assert document["nc"] == len(CLASSES)
    assert ("kpt_shape" in document) == (task == "pose")
    model = load_yolo(str(FIXTURES / f"tiny-{task}.pt"), fuse=False).model
    assert sum(p.numel() for p in model.parameters()) < 800_000

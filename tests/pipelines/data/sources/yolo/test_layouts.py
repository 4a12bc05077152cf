"""Every layout of a YOLO dataset that Ultralytics accepts: equal images and equal labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from snellen.adapters.errors import InputError
from snellen.adapters.ultralytics.environment import import_ultralytics
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.sources.registry import open_source
from tests.pipelines.making import write_image

SIZE = (40, 20)
BOX, OTHER = "0 0.5 0.5 0.25 0.5", "1 0.25 0.25 0.125 0.25"
TRIANGLE = "0 0.1 0.1 0.9 0.2 0.5 0.8"


@dataclass
class Layout:
    """Files of a dataset; ``{root}`` stands for its absolute folder.

    Attributes:
        document: data.yaml without its names.
        images: from the path of an image to its labels; None writes no label file.
        lists: further text files.
        names: class names.
        yaml_path: where data.yaml is.
    """

    document: dict[str, Any]
    images: dict[str, str | None]
    lists: dict[str, str] = field(default_factory=dict)
    names: Any = field(default_factory=lambda: ["cat", "dog"])
    yaml_path: str = "data.yaml"

    def write(self, root: Path) -> Path:
        for name, text in self.images.items():
            image = write_image(root / name, size=SIZE)
            if text is not None:
                label = Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt")
                label.parent.mkdir(parents=True, exist_ok=True)
                label.write_text(text)
        for name, text in self.lists.items():
            (root / name).write_text(text.replace("{root}", str(root)))
        content = yaml.safe_dump({**self.document, "names": self.names})
        file = root / self.yaml_path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content.replace("{root}", str(root)))
        return file


PLAIN: dict[str, str | None] = {
    "images/train/t.png": BOX,
    "images/val/a.png": f"{BOX}\n{OTHER}",
    "images/val/b.png": OTHER,
}
ROBOFLOW: dict[str, str | None] = {
    "train/images/t.png": BOX,
    "valid/images/a.png": f"{BOX}\n{OTHER}",
    "valid/images/b.png": OTHER,
}
USUAL = {"train": "images/train", "val": "images/val"}
LISTED = {"train": "images/train", "val": "val.txt"}
LAYOUTS = {
    "images-val": Layout({"path": "{root}", **USUAL}, PLAIN),
    "no-path": Layout(USUAL, PLAIN),
    "val-images": Layout({"train": "train/images", "val": "valid/images"}, ROBOFLOW),
    "roboflow": Layout({"train": "../train/images", "val": "../valid/images"}, ROBOFLOW),
    "folder-beside-the-yaml": Layout(
        {"train": "../train/images", "val": "../valid/images"}, ROBOFLOW, yaml_path="cfg/data.yaml"
    ),
    "absolute-split": Layout({"train": "{root}/images/train", "val": "{root}/images/val"}, PLAIN,
                             yaml_path="cfg/data.yaml"),
    "absolute-path": Layout({"path": "{root}", **USUAL}, PLAIN, yaml_path="cfg/data.yaml"),
    "path-below-the-working-directory": Layout({"path": "set", **USUAL}, PLAIN,
                                               yaml_path="cfg/data.yaml"),
    "validation": Layout({"train": "images/train", "validation": "images/val"}, PLAIN),
    "list-with-dots": Layout(LISTED, PLAIN, {"val.txt": "./images/val/a.png\n./images/val/b.png"}),
    "absolute-list": Layout(LISTED, PLAIN,
                            {"val.txt": "{root}/images/val/b.png\n{root}/images/val/a.png\n\n"}),
    "list-with-other-files": Layout(LISTED, PLAIN,
                                    {"val.txt": "./images/val/a.png\n./labels/val/a.txt\n"}),
    "folders": Layout({"train": "images/train", "val": ["images/val", "images/train"]}, PLAIN),
    "deep-folders": Layout(USUAL, {"images/train/t.png": BOX, "images/val/x/y/a.png": BOX,
                                   "images/val/b.png": OTHER}),
    "names-by-id": Layout(USUAL, PLAIN, names={1: "dog", 0: "cat"}),
    "duplicate-lines": Layout(USUAL, {**PLAIN, "images/val/c.png": f"{BOX}\n{OTHER}\n{BOX}"}),
    "background": Layout(USUAL, {**PLAIN, "images/val/c.png": "", "images/val/d.png": None}),
    "upper-case-suffixes": Layout(USUAL, {**PLAIN, "images/val/C.PNG": BOX,
                                          "images/val/d.Jpg": OTHER}),
    "polygons-for-a-detector": Layout(USUAL, {**PLAIN, "images/val/c.png": TRIANGLE}),
    "dots-in-names": Layout(USUAL, {**PLAIN, "images/val/c.v2.png": BOX}),
}  # fmt: skip
Found = dict[str, list[tuple[float, ...]]]


def theirs(file: Path) -> Found:
    """Return the images and boxes of Ultralytics' own dataset."""
    import_ultralytics()
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(file), autodownload=False)
    dataset = YOLODataset(img_path=data["val"], data=data, augment=False, cache=False, imgsz=32)
    width, height = SIZE
    found: Found = {}
    for label in dataset.labels:
        rows = np.concatenate([label["cls"], label["bboxes"]], axis=1).tolist()
        found[label["im_file"]] = sorted(
            (
                c,
                (x - w / 2) * width,
                (y - h / 2) * height,
                (x + w / 2) * width,
                (y + h / 2) * height,
            )
            for c, x, y, w, h in rows
        )
    return found


def ours(file: Path, folder: Path) -> tuple[Found, dict[str, Any]]:
    """Return the images and boxes of the manifest, and its report, which adds up."""
    config = DatasetConfig(path=str(file), split="val", missing_labels="background")
    source = open_source(config)
    source.needs = frozenset()
    report = write_manifest(source, source.describe(), folder / "m.parquet").report
    passed = sum(one["count"] for one in report["passed_over"].values())
    assert report["found"] == report["used"] + passed
    assert report["annotations"]["used"] == sum(report["classes"].values())
    rows = pq.read_table(folder / "m.parquet").to_pylist()
    assert {row["label_error"] for row in rows} == {None}
    keys = ("class_id", "x1", "y1", "x2", "y2")
    found = {
        row["location"]: sorted(tuple(box[key] for key in keys) for box in row["true_boxes"])
        for row in rows
    }
    return found, report


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_images_and_labels_are_ultralytics_own(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = layout.write(tmp_path / "set")
    expected = theirs(file)
    found, _ = ours(file, tmp_path)
    assert found.keys() == expected.keys()
    assert len(found) > 0
    for image, boxes in expected.items():
        assert np.allclose(found[image], boxes, atol=1e-4), image


def config_of(layout: Layout, root: Path, **options: Any) -> DatasetConfig:
    return DatasetConfig(path=str(layout.write(root)), **options)


def test_images_of_every_layout_are_below_the_root(tmp_path: Path) -> None:
    config = config_of(LAYOUTS["absolute-split"], tmp_path, split="val")
    source = open_source(config)
    info = source.describe()
    assert info.root == tmp_path
    ids = [image_id for batch in source.batches(info) for image_id in batch["image_id"]]
    assert ids == ["images/val/a.png", "images/val/b.png"]


def test_a_test_split_that_does_not_exist_does_not_win(tmp_path: Path) -> None:
    layout = Layout({**USUAL, "test": "../test/images"}, PLAIN)
    info = open_source(config_of(layout, tmp_path)).describe()
    assert info.split == "val"
    assert info.notes == (
        "skipped the split 'test': ../test/images does not exist",
        f"took the split 'val' of {tmp_path / 'data.yaml'}",
    )
    with pytest.raises(InputError, match=r"split 'test'.*test/images' does not exist") as caught:
        open_source(config_of(layout, tmp_path, split="test")).describe()
    assert caught.value.code == "DATASET_NOT_FOUND"


def test_a_path_below_ultralytics_own_folder_of_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.json").write_text(f'{{"datasets_dir": "{tmp_path / "datasets"}"}}')
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    Layout(USUAL, PLAIN).write(tmp_path / "datasets" / "mine")
    file = Layout({"path": "mine", **USUAL}, {}).write(tmp_path / "elsewhere")
    info = open_source(DatasetConfig(path=str(file))).describe()
    assert info.root == tmp_path / "datasets" / "mine"


def test_images_that_are_listed_twice_are_counted(tmp_path: Path) -> None:
    layout = Layout({"train": "images/train", "val": ["images/val", "val.txt"]}, PLAIN,
                    {"val.txt": "./images/val/a.png\n./notes.md\n"})  # fmt: skip
    found, report = ours(layout.write(tmp_path), tmp_path)
    assert sorted(found) == [str(tmp_path / "images/val" / name) for name in ("a.png", "b.png")]
    assert {reason: one["examples"] for reason, one in report["passed_over"].items()} == {
        "duplicate": ["images/val/a.png"], "not_an_image": ["notes.md"],
    }  # fmt: skip


def test_duplicate_lines_are_counted(tmp_path: Path) -> None:
    _, report = ours(LAYOUTS["duplicate-lines"].write(tmp_path), tmp_path)
    assert report["annotations"]["ignored"] == {"duplicate_line": 1}


@pytest.mark.parametrize("name", ["coco8.yaml", "set.yml"])
def test_data_yaml_may_have_another_name(tmp_path: Path, name: str) -> None:
    layout = Layout(USUAL, PLAIN, yaml_path=name)
    layout.write(tmp_path)
    (tmp_path / "hyp.yaml").write_text("lr: 0.1")
    info = open_source(DatasetConfig(path=str(tmp_path))).describe()
    assert (info.classes, info.split) == (("cat", "dog"), "val")
    (tmp_path / "other.yaml").write_text((tmp_path / name).read_text())
    with pytest.raises(InputError, match=r"no data.yaml but .*other.yaml") as caught:
        open_source(DatasetConfig(path=str(tmp_path), format="yolo")).describe()
    assert caught.value.code == "DATASET_FORMAT"


NAMES: dict[str, tuple[dict[str, Any], str]] = {
    "D-from-1": ({"names": {1: "a", 2: "b", 3: "c"}}, "names has the ids 1, 2, 3. Expected 0 to 2"),
    "D-gap": ({"names": {0: "a", 2: "c"}}, "names has the ids 0, 2. Expected 0 to 1"),
    "D-nc": ({"names": ["a", "b"], "nc": 3}, "nc is 3, but there are 2 names"),
    "D-nc-text": ({"names": ["a", "b"], "nc": "many"}, "nc is many, but there are 2 names"),
    "D-duplicate": ({"names": ["a", "a"]}, "duplicate names: a"),
    "D-none": ({"names": {}}, "has no names"),
}


@pytest.mark.parametrize(("keys", "told"), NAMES.values(), ids=NAMES)
def test_names_are_checked_as_ultralytics_does(
    tmp_path: Path, keys: dict[str, Any], told: str
) -> None:
    layout = Layout({**USUAL, **keys}, PLAIN, names=keys["names"])
    with pytest.raises(InputError) as caught:
        open_source(config_of(layout, tmp_path)).describe()
    assert caught.value.code == "DATASET_FORMAT"
    assert told in caught.value.message


@pytest.mark.parametrize("nc", [2, "2", 2.0])
def test_names_may_be_left_out_or_counted(tmp_path: Path, nc: Any) -> None:
    counted = config_of(Layout({**USUAL, "nc": nc}, PLAIN), tmp_path)
    assert open_source(counted).describe().classes == ("cat", "dog")
    file = tmp_path / "data.yaml"
    file.write_text(yaml.safe_dump({**USUAL, "nc": nc}))
    assert open_source(DatasetConfig(path=str(file))).describe().classes == ("class_0", "class_1")


def test_keypoints_are_known_before_the_images(tmp_path: Path) -> None:
    layout = Layout({**USUAL, "kpt_shape": [5, 3]}, PLAIN)
    assert open_source(config_of(layout, tmp_path)).describe().keypoints == 5

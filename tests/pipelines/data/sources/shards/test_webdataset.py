"""Tar shards as a dataset; one bad member is one failed row."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

import snellen
from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.data.sources.shards.webdataset import WebDatasetSource
from tests.adapters.making import encode, picture
from tests.contracts.source_contract import SourceContract, collected
from tests.pipelines.pixel_adapter import NAME

PNG = encode(picture())


def shard(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def opened(path: Path, **options: Any) -> Source:
    return open_source(DatasetConfig(path=str(path), format="webdataset", **options))


def found(path: Path) -> dict[str, list[Any]]:
    source = opened(path)
    return collected(source, source.describe())


def labelled(count: int, first: int = 0, ending: str = ".cls") -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    for number in range(first, first + count):
        members[f"{number:06}.png"] = encode(picture(seed=number))
        members[f"{number:06}{ending}"] = str(number % 2).encode()
    return members


class TestShardsContract(SourceContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> DatasetConfig:
        for number in range(2):
            shard(tmp_path / f"{number}.tar", labelled(3, 3 * number))
        return DatasetConfig(path=str(tmp_path))


class TestNamedClassesContract(SourceContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> DatasetConfig:
        (tmp_path / "classes.txt").write_text("cat\ndog\n")
        shard(tmp_path / "only.tar", labelled(6))
        return DatasetConfig(path=str(tmp_path / "only.tar"))


def test_the_bytes_of_an_image_lie_at_its_offset(tmp_path: Path) -> None:
    members = labelled(3)
    path = shard(tmp_path / "a.tar", members)
    source = opened(path)
    rows: dict[str, list[Any]] = {}
    for batch in source.batches(source.describe()):
        for name, values in batch.items():
            rows.setdefault(name, []).extend(values)
    data = path.read_bytes()
    for number, (offset, length) in enumerate(zip(rows["offset"], rows["length"], strict=True)):
        assert data[offset : offset + length] == members[f"{number:06}.png"]
    assert rows["image_id"] == [f"a.tar/00000{n}.png" for n in range(3)]
    assert rows["shard"] == ["a.tar"] * 3


def test_shards_are_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        shard(tmp_path / f"s{number}.tar", labelled(1, number))
    ids = ["s1.tar/000001.png", "s2.tar/000002.png", "s10.tar/000010.png"]
    assert found(tmp_path)["image_id"] == ids
    source = WebDatasetSource(DatasetConfig(path=f"{tmp_path}/s1*.tar"))
    assert collected(source, source.describe())["image_id"] == [ids[0], ids[2]]


@pytest.mark.parametrize("ending", [".cls", ".txt", ".json"])
def test_labels_are_ids_or_names(tmp_path: Path, ending: str) -> None:
    path = shard(tmp_path / "a.tar", labelled(4, ending=ending))
    info = opened(path).describe()
    assert (info.classes, info.labels_are_ids) == (("0", "1"), True)
    assert found(path)["label"] == ["0", "1", "0", "1"]
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert opened(path).describe().classes == ("cat", "dog")
    assert found(path)["label"] == ["cat", "dog", "cat", "dog"]


def test_names_in_json_and_images_without_labels(tmp_path: Path) -> None:
    path = shard(
        tmp_path / "a.tar",
        {"x/1.png": PNG, "x/1.json": b'{"label": "dog", "more": 1}', "x/2.seg.png": PNG,
         "x/3.png": PNG, "x/3.json": b'"cat"', "readme.md": b"hello"},
    )  # fmt: skip
    rows = found(path)
    assert rows["image_id"] == ["a.tar/x/1.png", "a.tar/x/2.seg.png", "a.tar/x/3.png"]
    assert rows["label"] == ["dog", None, "cat"]
    assert found(shard(tmp_path / "b" / "b.tar", {"1.png": PNG}))["label"] == [None]


def boxes_of(**keys: Any) -> bytes:
    box = {"class_id": 1, "x1": 2, "y1": 3, "x2": 12, "y2": 13}
    return json.dumps({"boxes": [box], "height": 32, "width": 48, **keys}).encode()


def test_boxes_masks_and_keypoints(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    more = boxes_of(masks=[[[2, 3, 12, 3, 12, 13]]], keypoints=[[[4, 5, 2]]])
    path = shard(tmp_path / "a.tar", {"1.png": PNG, "1.json": more, "2.png": PNG,
                                      "2.json": b'{"boxes": []}'})  # fmt: skip
    rows = found(path)
    box = rows["true_boxes"][0][0]
    # The area is that of the mask, a triangle: half of the box.
    assert (box["class_id"], box["area"], box["is_crowd"]) == (1, 45, False)
    assert rows["true_keypoints"][0] == [[{"x": 4, "y": 5, "v": 2}]]
    assert len(rows["true_masks"][0]) == 1
    assert rows["true_boxes"][1] == []
    assert rows["label"] == [None, None]


@pytest.mark.parametrize(
    "label",
    [
        b"{",
        b"\xff\xfe",
        b'{"boxes": 3}',
        b'{"boxes": [{"class_id": 1}]}',
        b'{"boxes": [{"class_id": 0, "x1": NaN, "y1": 0, "x2": 1, "y2": 1}]}',
        b'{"boxes": [{"class_id": 0, "x1": 5, "y1": 0, "x2": 1, "y2": 1}]}',
        b'{"boxes": [], "masks": [[]]}',
        b'{"labels": "cat"}',
        boxes_of(masks=[[[1, 2]]]),
        boxes_of(keypoints=[[[1, 2]]]),
    ],
)
def test_a_wrong_label_costs_its_image_alone(tmp_path: Path, label: bytes) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    path = shard(
        tmp_path / "a.tar",
        {"1.png": PNG, "1.json": boxes_of(), "2.png": PNG, "2.json": label,
         "3.png": PNG, "3.json": boxes_of()},
    )  # fmt: skip
    rows = found(path)
    assert rows["label_error"][1].startswith("LABEL_INVALID: ")
    assert (rows["label_error"][0], rows["label_error"][2]) == (None, None)
    assert rows["true_boxes"][1] is None


def test_what_is_no_set_of_shards(tmp_path: Path) -> None:
    for make, code in (
        (lambda folder: None, "DATASET_EMPTY"),
        (lambda folder: (folder / "a.tar").write_bytes(b"no tar" * 200), "DATASET_UNREADABLE"),
        (lambda folder: shard(folder / "a.tar", {"1.png": PNG, "1.json": boxes_of()}),
         "DATASET_CLASSES"),
    ):  # fmt: skip
        folder = tmp_path / code
        folder.mkdir()
        make(folder)
        with pytest.raises(InputError) as caught:
            opened(folder).describe()
        assert caught.value.code == code


def test_a_corrupt_member_is_one_failed_row(tmp_path: Path) -> None:
    members = labelled(6)
    members["000001.png"] = b"not an image"
    members["000004.png"] = PNG[:60]
    shard(tmp_path / "data" / "0.tar", members)
    run = snellen.evaluate(
        {
            "model": {"adapter": NAME, "class_names": ["0", "1"], "options": {"num_classes": 2}},
            "dataset": {"path": str(tmp_path / "data")},
            "run": {"engine": "inline", "unit_rows": 4, "batch_size": 3},
            "output": {"dir": str(tmp_path / "out")},
            "database": f"sqlite:///{tmp_path / 'runs.db'}",
        }
    )
    rows = run.results()
    assert rows["status"].to_list() == ["ok", "failed", "ok", "ok", "failed", "ok"]
    assert [code for code in rows["error_code"] if code] == ["UNSUPPORTED", "TRUNCATED"]
    assert rows["true_label"].to_list() == ["0", "1"] * 3
    assert run.metrics["coverage"] == pytest.approx(4 / 6)

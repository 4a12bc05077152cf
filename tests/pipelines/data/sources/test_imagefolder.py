"""A folder of class folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.data.sources.file_listing import escape_id, unescape_id
from snellen.pipelines.data.sources.registry import open_source
from tests.contracts.source_contract import SourceContract, collected
from tests.pipelines.data.listed import Listed
from tests.pipelines.making import grey_folder, write_image


def opened(path: Path | str, **options: Any) -> Source:
    return open_source(DatasetConfig(path=str(path), **options))


def ids(source: Source) -> list[str]:
    return collected(source, source.describe())["image_id"]


class TestImageFolderContract(SourceContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> DatasetConfig:
        return DatasetConfig(path=str(grey_folder(tmp_path / "data")))


class TestDeepUnicodeFolderContract(SourceContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> DatasetConfig:
        root = tmp_path / "data"
        for name in ("\u00e9.png", "e\u0301.png", "日本.png", "a b.PNG", "deep/er/x.png"):
            write_image(root / "test" / "class 1" / name)
        write_image(root / "test" / "ß" / "1.png")
        return DatasetConfig(path=f"{root}/../data", split="test")


@pytest.mark.parametrize(
    ("order", "classes", "files"),
    [
        ("natural", ("1", "2", "10"), ["1/1.png", "1/2.png", "1/10.png"]),
        ("lexicographic", ("1", "10", "2"), ["1/1.png", "1/10.png", "1/2.png"]),
    ],
)
def test_classes_and_files_follow_one_order(
    tmp_path: Path, order: str, classes: tuple[str, ...], files: list[str]
) -> None:
    for name in ("10", "2", "1"):
        for file in ("10.png", "2.png", "1.png"):
            write_image(tmp_path / name / file)
    source = opened(tmp_path, class_order=order)
    info = source.describe()
    assert (info.classes, info.class_order) == (classes, order)
    assert ids(source)[:3] == files


def test_the_class_order_is_timms_and_torchvisions(tmp_path: Path) -> None:
    timm_data = pytest.importorskip("timm.data")
    torchvision_datasets = pytest.importorskip("torchvision.datasets")
    for name in ("10", "2", "1", "b", "A", "a2", "a10"):
        write_image(tmp_path / name / "x.png")
    theirs = timm_data.create_dataset("", str(tmp_path)).reader.class_to_idx
    assert opened(tmp_path).describe().classes == tuple(sorted(theirs, key=theirs.get))
    folder = torchvision_datasets.ImageFolder(str(tmp_path))
    assert opened(tmp_path, class_order="lexicographic").describe().classes == tuple(folder.classes)


def test_the_split_is_chosen_in_a_fixed_order_and_said(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        write_image(tmp_path / split / "a" / f"{split}.png")
    info = opened(tmp_path).describe()
    assert (info.split, info.root.name) == ("test", "test")
    assert info.notes == (f"took the split 'test' of {tmp_path}",)
    assert ids(opened(tmp_path)) == ["a/test.png"]
    assert ids(opened(tmp_path, split="val")) == ["a/val.png"]


def test_without_a_split_every_folder_is_a_class(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_image(tmp_path / split / "x.png")
    assert opened(tmp_path, split=None).describe().classes == ("test", "train")


def test_one_split_name_beside_other_folders_is_a_class_and_two_are_splits(tmp_path: Path) -> None:
    write_image(tmp_path / "test" / "a" / "x.png")
    write_image(tmp_path / "cat" / "x.png")
    assert opened(tmp_path).describe().classes == ("cat", "test")
    write_image(tmp_path / "train" / "a" / "x.png")
    info = opened(tmp_path).describe()
    assert (info.split, info.classes) == ("test", ("a",))


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    write_image(tmp_path / "val" / "a" / "x.png")
    with pytest.raises(InputError, match=r"has no folder 'test'\. Expected one of val\.") as caught:
        opened(tmp_path, split="test").describe()
    assert caught.value.code == "DATASET_SPLIT"


def test_an_empty_class_folder_is_a_class(tmp_path: Path) -> None:
    grey_folder(tmp_path, ("a", "c"), 1)
    (tmp_path / "b").mkdir()
    source = opened(tmp_path)
    assert source.describe().classes == ("a", "b", "c")
    assert ids(source) == ["a/00.png", "c/00.png"]
    assert collected(source, source.describe())["label_id"] == [0, 2]


def test_hidden_files_and_other_endings_are_no_images(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "x.png")
    write_image(tmp_path / "a" / ".hidden.png")
    write_image(tmp_path / "a" / ".thumbs" / "y.png")
    write_image(tmp_path / ".git" / "y.png")
    (tmp_path / "a" / "notes.txt").write_text("no")
    (tmp_path / "a" / "broken.JPEG").write_bytes(b"")
    source = opened(tmp_path)
    assert source.describe().classes == ("a",)
    assert ids(source) == ["a/broken.JPEG", "a/x.png"]


def test_links_to_folders_are_never_followed(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "x.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    source = opened(tmp_path)
    assert source.describe().classes == ("a",)
    assert ids(source) == ["a/x.png"]
    followed = opened(tmp_path, follow_links=True)
    assert followed.describe().classes == ("a", "b")
    assert ids(followed) == ["a/x.png", "b/x.png"]  # and the loop below is still not entered


def test_equal_basenames_have_different_ids(tmp_path: Path) -> None:
    grey_folder(tmp_path, ("a", "b"), 1)
    assert ids(opened(tmp_path)) == ["a/00.png", "b/00.png"]


def test_names_that_are_not_utf8_are_escaped_and_still_found(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write_image(folder / "plain.png")
    raw = os.fsencode(folder) + b"/\xff\\x.png"
    os.rename(folder / "plain.png", raw)  # noqa: PTH104
    source = opened(tmp_path)
    found = collected(source, source.describe())
    assert found["image_id"] == [r"a/\xff\\x.png"]
    assert os.fsencode(unescape_id(found["location"][0])) == raw
    assert Path(unescape_id(found["location"][0])).is_file()


@pytest.mark.parametrize(
    "raw", [b"plain", b"\xff", b"\\xff", b"\\", "é\\x41".encode(), b"\xc3\\xa9\xfe"]
)
def test_escaping_is_reversible(raw: bytes) -> None:
    name = os.fsdecode(raw)
    escaped = escape_id(name)
    escaped.encode("utf-8")
    assert unescape_id(escaped) == name


def test_a_class_folder_must_have_a_name_that_can_be_written(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")  # noqa: PTH102
    with pytest.raises(
        InputError, match=r"class folder '\\xff'\. Expected a name in UTF-8"
    ) as caught:
        opened(tmp_path).describe()
    assert caught.value.code == "DATASET_CLASS_NAME"


def test_a_file_that_vanishes_while_listing_keeps_its_place(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "x.png")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    source = opened(tmp_path)
    found = collected(source, source.describe())
    assert found["image_id"] == ["a/gone.png", "a/x.png"]
    assert found["size"][0] is None


def test_what_is_no_image_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist") as caught:
        opened(tmp_path / "none")
    assert caught.value.code == "DATASET_NOT_FOUND"
    with pytest.raises(InputError, match=r"Expected a folder of class folders.*dataset\.format"):
        opened(tmp_path)
    with pytest.raises(InputError, match=r"COCO JSON.*to one of coco, image_list, .*, yolo; COCO"):
        opened(tmp_path)
    with pytest.raises(InputError, match=r"has no class folders\. Expected") as caught:
        opened(tmp_path, format="imagefolder").describe()
    assert caught.value.code == "DATASET_EMPTY"
    with pytest.raises(InputError, match=r"is a web address\. Expected a local path or") as caught:
        opened("https://example.com/data")
    assert caught.value.code == "DATASET_REMOTE"
    with pytest.raises(
        ConfigError, match=r"manifest, webdataset, yolo, or .*; did you mean imagefolder"
    ):
        opened(tmp_path, format="imagefolders")
    file = tmp_path / "x.png"
    write_image(file)
    with pytest.raises(InputError, match="is not a folder"):
        opened(file, format="imagefolder").describe()


NESTED = ("animals/cat/1.png", "animals/dog/1.png", "things/cat/2.png", "things/cup/1.png",
          "things/cup/blue/1.png")  # fmt: skip
LEVELS = {
    "P-top": ("top", ["animals", "animals", "things", "things", "things"]),
    "P-leaf": ("leaf", ["cat", "dog", "cat", "cup", "blue"]),
    "P-path": ("path", ["animals/cat", "animals/dog", "things/cat", "things/cup",
                        "things/cup/blue"]),
}  # fmt: skip


@pytest.mark.parametrize(("level", "labels"), LEVELS.values(), ids=LEVELS)
def test_the_class_of_nested_folders(tmp_path: Path, level: str, labels: list[str]) -> None:
    for name in NESTED:
        write_image(tmp_path / "data" / name)
    found = Listed(tmp_path / "data", class_level=level)
    assert found.labels == dict(zip(NESTED, labels, strict=True))
    assert found.info.classes == tuple(sorted(set(labels)))
    ids = [found.info.classes.index(label) for label in found.column("label")]
    assert found.column("label_id") == ids


def test_the_levels_are_those_of_torchvision_and_timm(tmp_path: Path) -> None:
    reader = pytest.importorskip("timm.data.readers.reader_image_folder")
    datasets = pytest.importorskip("torchvision.datasets")
    for name in NESTED:
        write_image(tmp_path / "data" / name)
    root = str(tmp_path / "data")
    theirs, index = reader.find_images_and_targets(root)
    names = {number: name for name, number in index.items()}
    leaf = Listed(root, class_level="leaf")
    assert leaf.info.classes == tuple(index)
    assert leaf.labels == {path[len(root) + 1 :]: names[number] for path, number in theirs}
    folder = datasets.ImageFolder(root)
    top = Listed(root)
    assert top.info.classes == tuple(folder.classes)
    assert top.labels == {
        path[len(root) + 1 :]: folder.classes[number] for path, number in folder.samples
    }
    by_path, _ = reader.find_images_and_targets(root, leaf_name_only=False)
    assert len(by_path) == len(Listed(root, class_level="path").ids)


def test_a_level_that_fits_the_checkpoint_is_recommended(tmp_path: Path) -> None:
    for name in NESTED[:4]:
        write_image(tmp_path / "data" / name)
    source = opened(tmp_path / "data")
    assert source.advise(["cat", "cup", "dog"]) == (
        "With dataset.class_level=leaf the classes are the checkpoint's: cat, cup, dog."
    )
    assert source.advise(["horse"]) is None
    assert opened(tmp_path / "data", class_level="leaf").advise(["animals", "things"]) == (
        "With dataset.class_level=top the classes are the checkpoint's: animals, things."
    )


def test_a_format_of_another_package() -> None:
    source = open_source(
        DatasetConfig(
            path=".", format="snellen.pipelines.data.sources.imagefolder:ImageFolderSource"
        )
    )
    assert type(source).__name__ == "ImageFolderSource"

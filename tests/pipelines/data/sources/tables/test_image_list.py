"""A text file of image paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.registry import open_source
from tests.contracts.source_contract import SourceContract, collected
from tests.pipelines.data.listed import Listed
from tests.pipelines.making import grey_folder


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    grey_folder(tmp_path / "images", ("a", "b"), 3)
    return tmp_path / "list.txt"


class TestImageListContract(SourceContract):
    records_stat = False

    @pytest.fixture
    def dataset(self, listed: Path) -> DatasetConfig:
        files = sorted(listed.parent.rglob("*.png"))
        listed.write_text("\n".join(str(file.relative_to(listed.parent)) for file in files))
        return DatasetConfig(path=str(listed))


def test_lines_comments_and_blanks(listed: Path) -> None:
    root = listed.parent / "images"
    listed.write_text(f"# two images\n\nb/00.png\r\n{root}/a/01.png\n   \n/other/x.png\n")
    source = open_source(DatasetConfig(path=str(listed), root=str(root)))
    info = source.describe()
    assert (info.root, info.classes, info.split) == (root, None, None)
    found = collected(source, info)
    assert found["image_id"] == ["b/00.png", "a/01.png", "/other/x.png"]
    assert found["location"] == [f"{root}/b/00.png", f"{root}/a/01.png", "/other/x.png"]


def test_bytes_that_are_not_utf8_are_escaped(listed: Path) -> None:
    listed.write_bytes(b"a/\xff.png\n")
    source = open_source(DatasetConfig(path=str(listed)))
    found = collected(source, source.describe())
    assert found["image_id"] == [r"a/\xff.png"]
    assert found["location"] == [rf"{listed.parent}/a/\xff.png"]


def test_a_folder_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected a text file"):
        open_source(DatasetConfig(path=str(tmp_path), format="image_list")).describe()


LISTS: dict[str, tuple[str, str]] = {
    "N-windows-line-ends": ("a/00.png\r\na/01.png\r\n", "utf-8"),
    "N-old-mac-line-ends": ("a/00.png\ra/01.png", "utf-8"),
    "N-mark": ("a/00.png\na/01.png\n", "utf-8-sig"),
    "N-utf16": ("a/00.png\na/01.png\n", "utf-16"),
    "N-trailing-spaces": ("a/00.png  \n\ta/01.png\t\n", "utf-8"),
    "N-double-quotes": ('"a/00.png"\n"a/01.png"\n', "utf-8"),
    "N-single-quotes": ("'a/00.png'\na/01.png", "utf-8"),
    "N-dot-slash": ("./a/00.png\n././a/01.png\n", "utf-8"),
    "N-blank-and-comment-lines": ("\n# no image\na/00.png\n  \n  # no\na/01.png\n\n", "utf-8"),
}


@pytest.mark.parametrize(("text", "encoding"), LISTS.values(), ids=LISTS)
def test_lists_as_programs_write_them(listed: Path, text: str, encoding: str) -> None:
    path = listed.parent / "images" / "list.txt"
    path.write_bytes(text.encode(encoding))
    found = Listed(path)
    assert found.ids == ["a/00.png", "a/01.png"]
    assert all(Path(location).is_file() for location in found.column("location"))
    assert (found.report["found"], found.passed) == (2, {})


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("a/00.png\na/01.png\na/00.png\n", "DATASET_DUPLICATE_IDS", "'a/00.png'"),
        ("a/00.png\n./a/00.png\n", "DATASET_DUPLICATE_IDS", "'a/00.png'"),
        ("a/00.png 3\na/01.png 4\n", "DATASET_FORMAT", "first line is path,label"),
        ("a/00.png,cat\n", "DATASET_FORMAT", "the line 'a/00.png,cat', which is more than a path"),
        ("a\0/\0", "DATASET_FORMAT", "UTF-16 without a byte order mark"),
        ("\n# nothing\n", "DATASET_EMPTY", "has no images"),
    ],
    ids=["N-duplicate", "N-duplicate-spelling", "N-labels", "N-csv", "N-utf16", "N-empty"],
)
def test_a_list_that_is_rejected(listed: Path, text: str, code: str, message: str) -> None:
    path = listed.parent / "images" / "list.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        Listed(path)
    assert caught.value.code == code


def test_a_name_with_spaces_is_one_path(listed: Path) -> None:
    path = listed.parent / "images" / "list.txt"
    (path.parent / "a" / "00.png").rename(path.parent / "a" / "0 0.png")
    path.write_text("a/0 0.png\na/01.png\n")
    assert Listed(path).ids == ["a/0 0.png", "a/01.png"]

"""A text file of image paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.registry import open_source
from tests.contracts.source_contract import SourceContract, collected
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

"""Images without labels: folders at any depth, single images, lists of both."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.pipelines.config.dataset import DatasetConfig, ImagesConfig
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.data.sources.images import ImagesSource
from snellen.pipelines.data.sources.unlabelled import (
    check_images,
    input_of,
    open_images,
    short_name,
)
from tests.contracts.source_contract import SourceContract
from tests.pipelines.making import grey_folder, write_image


def listed(tmp_path: Path, path: Any, **config: Any) -> list[dict[str, Any]]:
    """Return the manifest rows of ``path``."""
    source = open_images(ImagesConfig(path=path, **config))
    file = tmp_path / "manifest.parquet"
    write_manifest(source, source.describe(), file)
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


def ids(tmp_path: Path, path: Any, **config: Any) -> list[str]:
    return [row["image_id"] for row in listed(tmp_path, path, **config)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in ("10.png", "2.png", "b/x.png", "a/deep/er/x.png", "a/x.png", ".hidden/x.png"):
        write_image(root / name)
    (root / "notes.txt").write_text("no image")
    return root


class TestContract(SourceContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> DatasetConfig:
        for number in range(6):
            write_image(tmp_path / "flat" / f"{number}.png")
        return DatasetConfig(path=str(tmp_path / "flat"), format="images")

    def test_the_format_is_recognised_and_registered(
        self, source: Source, dataset: DatasetConfig
    ) -> None:
        """A folder of images is no evaluation dataset; predictions fall back on this format."""
        assert isinstance(source, ImagesSource)
        assert not ImagesSource.recognises(Path(dataset.path))


def test_a_folder_at_any_depth(folder: Path, tmp_path: Path) -> None:
    rows = listed(tmp_path, str(folder))
    assert [row["image_id"] for row in rows] == [
        "2.png", "10.png", "a/deep/er/x.png", "a/x.png", "b/x.png"]  # fmt: skip
    assert {row["label"] for row in rows} == {None}
    assert all(row["size"] == Path(row["location"]).stat().st_size for row in rows)


def test_class_folders_are_folders(tmp_path: Path) -> None:
    grey_folder(tmp_path / "data" / "test", each=1)
    assert ids(tmp_path, str(tmp_path / "data")) == ["test/0/00.png", "test/1/00.png",
                                                     "test/2/00.png"]  # fmt: skip


def test_one_image(folder: Path, tmp_path: Path) -> None:
    assert ids(tmp_path, str(folder / "b" / "x.png")) == ["x.png"]


def test_named_paths_keep_their_order_and_equal_names_are_distinct(
    folder: Path, tmp_path: Path
) -> None:
    named = (str(folder / "b" / "x.png"), str(folder / "10.png"), str(folder / "a"))
    assert ids(tmp_path, named) == ["b/x.png", "10.png", "a/x.png", "a/deep/er/x.png"]


def test_paths_without_anything_in_common_have_relative_ids(folder: Path, tmp_path: Path) -> None:
    other = Path("/usr/no-such-image.png")
    found = ids(tmp_path, (str(folder / "2.png"), str(other)))
    assert found == [str(folder / "2.png").lstrip("/"), "usr/no-such-image.png"]


def test_a_duplicate_image_is_rejected(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"duplicate image id '2\.png'"):
        ids(tmp_path, (str(folder / "2.png"), str(folder / "2.png")))


def test_a_named_link_is_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "link.png").symlink_to(write_image(tmp_path / "elsewhere" / "y.png"))
    (row,) = listed(tmp_path, str(folder / "link.png"))
    assert row["image_id"] == "link.png"
    assert row["location"] == str(tmp_path / "elsewhere" / "y.png")


def test_missing_images_that_are_named_are_all_counted(folder: Path) -> None:
    named = (str(folder / "2.png"), *(str(folder / f"no{n}.png") for n in range(5)))
    with pytest.raises(InputError, match="and 2 more of 6 images do not exist") as caught:
        check_images(ImagesConfig(path=named))
    assert caught.value.code == "DATASET_NOT_FOUND"
    assert "2.png'" not in caught.value.message.split("no0")[0]
    with pytest.raises(InputError, match=r"none\.png' does not exist\. Expected a path"):
        open_images(ImagesConfig(path=str(folder / "none.png")))


def test_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no images to predict") as caught:
        open_images(ImagesConfig())
    assert caught.value.code == "DATASET_MISSING"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no images"):
        ids(tmp_path, str(tmp_path / "empty"))


def test_formats_with_labels_are_no_formats_of_predictions(folder: Path) -> None:
    with pytest.raises(ConfigError, match="'imagefolder' is no format of images") as caught:
        open_images(ImagesConfig(path=str(folder), format="imagefolder"))
    assert "did you mean" in caught.value.message
    with pytest.raises(ConfigError, match="does not apply to a list of paths"):
        open_images(ImagesConfig(path=(str(folder),), format="manifest"))


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_labels_of_a_manifest_are_not_read(ending: str, folder: Path, tmp_path: Path) -> None:
    table = pa.table(
        {"path": ["2.png", "b/x.png"], "label": ["left", "right"], "camera": ["one", "two"]}
    )
    file = folder / f"list.{ending}"
    if ending == "csv":
        file.write_text("path,label,camera\n2.png,left,one\nb/x.png,right,two\n")
    else:
        pq.write_table(table, file)
    rows = listed(tmp_path, str(file))
    assert [(r["image_id"], r["label"], r["label_id"], r["meta_camera"]) for r in rows] == [
        ("2.png", None, None, "one"), ("b/x.png", None, None, "two")]  # fmt: skip


def test_boxes_of_a_manifest_without_class_names_do_not_matter(
    folder: Path, tmp_path: Path
) -> None:
    boxes = pa.array([[{"class_id": 3, "x1": 0.0}]], pa.list_(pa.struct(
        [pa.field("class_id", pa.int32()), pa.field("x1", pa.float32())])))  # fmt: skip
    pq.write_table(pa.table({"path": ["2.png"], "true_boxes": boxes}), folder / "list.parquet")
    (row,) = listed(tmp_path, str(folder / "list.parquet"))
    assert row["true_boxes"] is None


def test_a_list_of_images(folder: Path, tmp_path: Path) -> None:
    (folder / "list.txt").write_text("b/x.png\n# none\nmissing.png\n")
    assert ids(tmp_path, str(folder / "list.txt")) == ["b/x.png", "missing.png"]


def test_shards_without_and_with_labels(folder: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    with tarfile.open(shards / "0.tar", "w") as shard:
        shard.add(folder / "2.png", "2.png")
        shard.add(folder / "notes.txt", "2.cls")
    (row,) = listed(tmp_path, str(shards))
    assert (row["image_id"], row["label"]) == ("0.tar/2.png", None)
    assert row["length"] == (folder / "2.png").stat().st_size


def test_a_stray_shard_beside_images_leaves_them_in(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(folder / "backup.tar", "w") as shard:
        shard.add(folder / "2.png", "2.png")
    assert ids(tmp_path, str(folder))[:2] == ["2.png", "10.png"]


def test_a_file_without_an_image_ending_is_taken_as_named(tmp_path: Path) -> None:
    image = write_image(tmp_path / "scan.png").rename(tmp_path / "scan")
    assert ids(tmp_path, str(image)) == ["scan"]


def test_what_a_job_is_called(folder: Path) -> None:
    image, several = str(folder / "2.png"), (str(folder / "2.png"), str(folder / "10.png"))
    assert input_of(ImagesConfig(path=image)) == ("single", {"path": image, "format": "auto"})
    assert input_of(ImagesConfig(path=several)) == ("batch", {"paths": list(several)})
    assert input_of(ImagesConfig(path=str(folder)))[0] == "dataset"
    (folder / "list.txt").write_text("2.png\n")
    assert input_of(ImagesConfig(path=str(folder / "list.txt")))[0] == "dataset"
    for path, name in ((image, "2"), (several, "2-images"), (str(folder), "photos")):
        assert short_name(ImagesConfig(path=path)) == name

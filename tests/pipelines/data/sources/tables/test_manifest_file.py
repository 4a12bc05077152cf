"""A manifest file as a dataset: Parquet or CSV with path, label and other columns."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.data.sources.file_listing import unescape_id
from snellen.pipelines.data.sources.registry import open_source
from tests.contracts.source_contract import SourceContract, collected
from tests.pipelines.data.listed import Listed
from tests.pipelines.making import grey_folder, write_image


def columns(root: Path) -> dict[str, list[Any]]:
    files = sorted((root / "images").rglob("*.png"))
    return {
        "path": [file.relative_to(root).as_posix() for file in files],
        "label": [file.parent.name for file in files],
        "camera": [n % 2 for n in range(len(files))],
        "when": [f"2026-01-{n + 1:02}" for n in range(len(files))],
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    grey_folder(tmp_path / "images", ("cat", "dog"), 3)
    return tmp_path


def written(root: Path, data: dict[str, Any] | pa.Table, name: str = "set.parquet") -> Path:
    table = data if isinstance(data, pa.Table) else pa.table(data)
    if name.endswith(".csv"):
        pa_csv.write_csv(table, root / name)
    else:
        pq.write_table(table, root / name)
    return root / name


def opened(path: Path, **options: Any) -> Source:
    return open_source(DatasetConfig(path=str(path), **options))


class TestParquetContract(SourceContract):
    @pytest.fixture
    def dataset(self, root: Path) -> DatasetConfig:
        data = columns(root)
        stats = [(root / path).stat() for path in data["path"]]
        data |= {"size": [s.st_size for s in stats], "mtime_ns": [s.st_mtime_ns for s in stats]}
        return DatasetConfig(path=str(written(root, data)))


class TestCsvContract(SourceContract):
    records_stat = False

    @pytest.fixture
    def dataset(self, root: Path) -> DatasetConfig:
        return DatasetConfig(path=str(written(root, columns(root), "set.csv")))


@pytest.mark.parametrize("name", ["set.parquet", "set.csv", "set.pq"])
def test_order_labels_and_further_columns_are_kept(root: Path, name: str) -> None:
    data = columns(root)
    for key in data:
        data[key] = data[key][::-1]
    source = opened(written(root, data, name))
    info = source.describe()
    assert info.classes == ("cat", "dog")
    assert [field.name for field in info.meta_fields] == ["meta_camera", "meta_when"]
    found = collected(source, info)
    assert found["image_id"] == data["path"]
    assert found["label"] == data["label"]
    assert found["meta_camera"] == data["camera"]


@pytest.mark.parametrize("path_column", ["path", "image_path", "location", "filename", "file_name"])
@pytest.mark.parametrize("label_column", ["label", "class", "class_name", "target"])
def test_columns_go_by_several_names(root: Path, path_column: str, label_column: str) -> None:
    data = columns(root)
    source = opened(written(root, {path_column: data["path"], label_column: data["label"]}))
    info = source.describe()
    assert (info.classes, info.meta_fields) == (("cat", "dog"), ())
    assert collected(source, info)["label"] == data["label"]


def test_labels_of_any_type_are_text(root: Path) -> None:
    path = columns(root)["path"]
    numbers = [10, 2, 2, 1, 1, None]
    for labels in (pa.array(numbers), pa.array(numbers, pa.int8())):
        source = opened(written(root, pa.table({"path": path, "label": labels})))
        info = source.describe()
        assert (info.classes, info.labels_are_ids) == (("1", "2", "10"), True)
        assert collected(source, info)["label"] == ["10", "2", "2", "1", "1", None]
    dictionary = pa.array(["b", "a", "a", "b", "", None]).dictionary_encode()
    source = opened(written(root, pa.table({"path": path, "label": dictionary})))
    assert source.describe().classes == ("", "a", "b")


def test_csv_labels_are_text_whatever_they_look_like(root: Path) -> None:
    data = {"path": columns(root)["path"], "label": ["007", "7", "1e3", "true", "", "x"]}
    source = opened(written(root, pa.table(data), "set.csv"))
    assert set(source.describe().classes or ()) == {"007", "7", "1e3", "true", "", "x"}


def test_paths_are_relative_to_the_root_or_absolute(root: Path, tmp_path: Path) -> None:
    images = root / "images"
    paths = ["cat/00.png", f"{images}/cat/01.png", "/elsewhere/x.png"]
    source = opened(written(root, {"path": paths}), root=str(images))
    info = source.describe()
    assert (info.root, info.classes) == (images, None)
    found = collected(source, info)
    assert found["image_id"] == ["cat/00.png", "cat/01.png", "/elsewhere/x.png"]
    assert found["location"] == [
        f"{images}/cat/00.png", f"{images}/cat/01.png", "/elsewhere/x.png"]  # fmt: skip


def test_given_ids_win(root: Path) -> None:
    data = {"path": columns(root)["path"], "image_id": list("abcdef")}
    source = opened(written(root, data))
    assert collected(source, source.describe())["image_id"] == list("abcdef")


def test_what_is_no_manifest(root: Path) -> None:
    with pytest.raises(
        InputError, match=r"has the columns a, b, none of which is a path\. Expected one of path, "
    ):
        opened(written(root, {"a": [1], "b": [2]})).describe()
    (root / "broken.parquet").write_bytes(b"PAR1 nothing")
    (root / "broken.csv").write_bytes(b"path,label\na.png,\xff\xfe\n")
    for name in ("broken.parquet", "broken.csv"):
        with pytest.raises(InputError) as caught:
            opened(root / name).describe()
        assert caught.value.code == "DATASET_UNREADABLE"
        assert name in caught.value.message


def test_a_csv_row_with_too_many_cells(root: Path) -> None:
    (root / "set.csv").write_text("path,label\na.png,cat\nb.png,dog,extra\n")
    with pytest.raises(InputError, match="Expected 2 columns, got 3"):
        opened(root / "set.csv").describe()


PATHS = {
    "O-string": pa.string(),
    "O-large-string": pa.large_string(),
    "O-dictionary": pa.dictionary(pa.int32(), pa.string()),
    "O-dictionary-of-large-strings": pa.dictionary(pa.int8(), pa.large_string()),
    "O-binary": pa.binary(),
    "O-large-binary": pa.large_binary(),
}


@pytest.mark.parametrize("kind", PATHS.values(), ids=PATHS)
def test_text_of_any_arrow_type(root: Path, kind: pa.DataType) -> None:
    data = columns(root)
    table = pa.table({name: pa.array(data[name]).cast(kind) for name in ("path", "label")})
    found = Listed(written(root, table))
    assert found.labels == dict(zip(data["path"], data["label"], strict=True))
    assert found.info.classes == ("cat", "dog")
    assert not found.info.labels_are_ids


NUMBERS = {
    "O-int64": (pa.array([2, 10, 1, 2, 1, 1]), ["2", "10", "1", "2", "1", "1"]),
    "O-uint8": (pa.array([2, 10, 1, 2, 1, 1], pa.uint8()), ["2", "10", "1", "2", "1", "1"]),
    "O-float": (pa.array([2.0, 10.0, 1.0, 2.0, 1.0, None]), ["2", "10", "1", "2", "1", None]),
    "O-float-of-a-data-frame": (
        pa.array([2.0, 10.0, 1.0, 2.0, 1.0, float("nan")]), ["2", "10", "1", "2", "1", None],
    ),
    "O-float32": (pa.array([2, 10, 1, 2, 1, 1], pa.float32()), ["2", "10", "1", "2", "1", "1"]),
    "O-dictionary-of-ids": (
        pa.array([2, 10, 1, 2, 1, 1]).dictionary_encode(), ["2", "10", "1", "2", "1", "1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("labels", "expected"), NUMBERS.values(), ids=NUMBERS)
def test_class_ids_of_any_arrow_type(root: Path, labels: pa.Array, expected: list[str]) -> None:
    found = Listed(written(root, pa.table({"path": columns(root)["path"], "label": labels})))
    assert found.column("label") == expected
    assert (found.info.classes, found.info.labels_are_ids) == (("1", "2", "10"), True)


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([1.5, 1.0, 2.0, 1.0, 2.0, 1.0]),
        pa.array([["cat"], ["dog"], [], [], [], []]),
        pa.array([{"name": "cat"}] * 6),
        pa.array([b"\xff"] * 6),
    ],
    ids=["O-fraction", "O-lists", "O-structures", "O-bytes"],
)
def test_a_column_that_cannot_be_a_label(root: Path, labels: pa.Array) -> None:
    path = written(root, pa.table({"path": columns(root)["path"], "label": labels}))
    with pytest.raises(
        InputError, match=r"which cannot be a label: .*Expected one class"
    ) as caught:
        Listed(path)
    assert caught.value.code == "DATASET_COLUMNS"


def test_times_and_other_types_are_kept(root: Path) -> None:
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, 678_901)
    meta = {
        "at": pa.array([now] * 6, pa.timestamp("us")),
        "zoned": pa.array([now] * 6, pa.timestamp("ms", "UTC")),
        "day": pa.array([now.date()] * 6),
        "tags": pa.array([["a", "b"]] * 6),
        "site": pa.array(["x"] * 6).dictionary_encode(),
    }
    found = Listed(written(root, pa.table({"path": columns(root)["path"], **meta})))
    for field in found.info.meta_fields:
        name = field.name.removeprefix("meta_")
        assert field.type == meta[name].type
        assert found.column(field.name) == meta[name].to_pylist()


def test_a_duplicate_column_of_a_parquet_file(root: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["x"])] * 3, names=["path", "label", "label"])
    with pytest.raises(InputError, match="has the column 'label' 2 times"):
        Listed(written(root, table))


def test_a_manifest_of_names_with_escaped_bytes_finds_its_images(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "cat"
    write_image(folder / "back\\slash.png")
    write_image(folder / "plain.png")
    os.rename(folder / "plain.png", os.fsencode(folder) + b"/\xff.png")  # noqa: PTH104
    source = opened(tmp_path / "data")
    write_manifest(source, source.describe(), tmp_path / "m.parquet")
    again = Listed(tmp_path / "m.parquet")
    assert again.ids == [r"cat/back\\slash.png", r"cat/\xff.png"]
    assert all(Path(unescape_id(location)).is_file() for location in again.column("location"))

"""The manifest of a run: streamed, ordered, unique, and read by ranges."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.manifest import ROW_GROUP, write_manifest
from snellen.pipelines.data.manifest_reader import ManifestReader
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.storage.remote_path import Place


class MadeUp(Source):
    """A source of any number of images in batches of any size."""

    def __init__(
        self,
        count: int,
        batch: int = 1000,
        ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(DatasetConfig(path="made up", limit=limit))
        self._ids = list(ids) if ids is not None else [f"{n % 3}/{n}.png" for n in range(count)]
        self._batch = batch

    @classmethod
    def recognises(cls, path: Place) -> bool:
        return False

    def describe(self) -> DatasetInfo:
        return DatasetInfo(root=Path("/data"), split=None, classes=("0", "1", "2"))

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        for start in range(0, len(self._ids), self._batch):
            ids = self._ids[start : start + self._batch]
            yield {
                "image_id": ids,
                "location": [f"/data/{image_id}" for image_id in ids],
                "size": [1] * len(ids),
                "mtime_ns": [2] * len(ids),
                "label": [image_id[0] for image_id in ids],
                "label_id": [0] * len(ids),
            }


def written(source: Source, path: Path, **options: Any) -> Any:
    return write_manifest(source, source.describe(), path, **options)


@pytest.mark.parametrize("batch", [1, 7, 1000, 100_000])
def test_row_groups_are_even_however_the_source_batches(tmp_path: Path, batch: int) -> None:
    count = 3 * ROW_GROUP + 5 if batch > 1 else ROW_GROUP + 1
    path = tmp_path / "manifest.parquet"
    summary = written(MadeUp(count, batch), path)
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert groups[:-1] == [ROW_GROUP] * (len(groups) - 1)
    assert summary.rows == sum(groups) == count
    assert summary.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    first = written(MadeUp(5000, 10), tmp_path / "a.parquet")
    assert first == written(MadeUp(5000, 999), tmp_path / "b.parquet")


@pytest.mark.parametrize(("rows", "limit"), [(10, 3), (10, 10), (10, 50), (9000, 4100), (9000, 1)])
def test_a_limit_is_spread_evenly(tmp_path: Path, rows: int, limit: int) -> None:
    path = tmp_path / "m.parquet"
    assert written(MadeUp(rows, limit=limit), path).rows == min(rows, limit)
    table = pq.read_table(path)
    expected = [i * rows // limit for i in range(limit)] if limit < rows else list(range(rows))
    assert table["image_id"].to_pylist() == [f"{n % 3}/{n}.png" for n in expected]
    assert table["image_index"].to_pylist() == list(range(min(rows, limit)))
    assert list(tmp_path.iterdir()) == [path]


def test_classes_can_be_excluded(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    summary = written(MadeUp(9, 2), path, exclude=frozenset({"1"}))
    assert (summary.rows, summary.excluded) == (6, 3)
    assert set(pq.read_table(path)["label"].to_pylist()) == {"0", "2"}
    assert pq.read_table(path)["image_index"].to_pylist() == list(range(6))


def test_progress_is_told(tmp_path: Path) -> None:
    seen: list[int] = []
    written(MadeUp(2 * ROW_GROUP + 1, 500), tmp_path / "m.parquet", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 2 * ROW_GROUP + 1


@pytest.mark.parametrize("positions", [(0, 1), (0, 4999), (4095, 4096)])
def test_equal_ids_stop_the_run(tmp_path: Path, positions: tuple[int, int]) -> None:
    ids = [f"{n}.png" for n in range(5000)]
    ids[positions[1]] = ids[positions[0]]
    with pytest.raises(InputError) as caught:
        written(MadeUp(0, ids=ids), tmp_path / "m.parquet")
    assert caught.value.code == "DATASET_DUPLICATE_IDS"
    assert caught.value.message.startswith(f"duplicate image id '{positions[0]}.png'")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_data_set_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'made up' has no images\. Expected") as caught:
        written(MadeUp(0), tmp_path / "m.parquet")
    assert caught.value.code == "DATASET_EMPTY"
    with pytest.raises(InputError, match=r"besides the 5 that model\.class_map excludes"):
        written(MadeUp(5), tmp_path / "m.parquet", exclude=frozenset("012"))
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    class Failing(MadeUp):
        def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
            yield from super().batches(info)
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        written(Failing(5000), tmp_path / "m.parquet")
    assert list(tmp_path.iterdir()) == []


_ROWS = 2 * ROW_GROUP + 100


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> ManifestReader:
    path = tmp_path_factory.mktemp("manifest") / "m.parquet"
    written(MadeUp(_ROWS), path)
    return ManifestReader(path)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_range_is_a_slice(reader: ManifestReader, data: st.DataObject) -> None:
    edges = st.sampled_from([0, 1, ROW_GROUP - 1, ROW_GROUP, ROW_GROUP + 1, 2 * ROW_GROUP, _ROWS])
    numbers = edges | st.integers(0, _ROWS)
    start, stop = sorted((data.draw(numbers), data.draw(numbers)))
    if start == stop:
        return
    table = reader.read(start, stop)
    assert table["image_index"].to_pylist() == list(range(start, stop))
    assert table["image_id"][0].as_py() == f"{start % 3}/{start}.png"


def test_the_reader_knows_its_rows(reader: ManifestReader) -> None:
    assert reader.rows == _ROWS

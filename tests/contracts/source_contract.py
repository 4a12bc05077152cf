"""Contract of a dataset format.

Subclass ``SourceContract`` in the test of a source and give the fixture ``dataset``: the
configuration of a dataset with at least five images, all of which exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.sources.base import COMMON_KEYS, DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import unescape_id
from snellen.pipelines.data.sources.registry import SOURCES, open_source, source_class_of
from snellen.store.parquet.schema import manifest_schema

COLUMNS = ("image_id", "location", "size", "mtime_ns", "label", "label_id")

OTHER_VALUES = {
    "annotations": "/a.json", "missing_labels": "background", "mixed_labels": "fail",
    "split": "other", "root": "/r", "columns": {"path": "p"}, "class_level": "leaf",
    "class_order": "lexicographic", "first_label": 1,
}  # fmt: skip
"""Every key that not all formats use, with another value than its default."""


def as_list(values: Sequence[Any]) -> list[Any]:
    return values.to_pylist() if hasattr(values, "to_pylist") else list(values)


def collected(source: Source, info: DatasetInfo) -> dict[str, list[Any]]:
    """Join all batches of a source; formats of other tasks may have more columns."""
    needed = {*COLUMNS, *(field.name for field in info.meta_fields)}
    known = set(manifest_schema(info.meta_fields).names)
    joined: dict[str, list[Any]] = {name: [] for name in needed}
    for batch in source.batches(info):
        assert needed <= set(batch) <= known
        assert len({len(values) for values in batch.values()}) == 1
        for name, values in batch.items():
            joined.setdefault(name, []).extend(as_list(values))
    return joined


class SourceContract:
    """The contract; the subclass has a fixture ``dataset`` that returns a ``DatasetConfig``."""

    records_stat = True
    """True if the source looks at each file: then size and mtime must be recorded."""

    @pytest.fixture
    def source(self, dataset: DatasetConfig) -> Source:
        return open_source(dataset)

    def test_the_format_is_recognised_and_registered(
        self, source: Source, dataset: DatasetConfig
    ) -> None:
        path = Path(dataset.path)
        recognised = [found for _, found in SOURCES if found.recognises(path)]
        assert recognised[:1] == [type(source)]

    def test_it_takes_the_keys_that_it_declares_alone(self, dataset: DatasetConfig) -> None:
        given = dataset.model_dump(exclude_unset=True)
        _, source_class = source_class_of(dataset)
        keys = source_class.keys_for(dataset)
        assert keys is None or keys <= set(DatasetConfig.model_fields) - COMMON_KEYS
        for key, value in OTHER_VALUES.items():
            changed = DatasetConfig.model_validate({**given, key: value})
            taken = source_class.keys_for(changed)
            if taken is None or key in taken:
                open_source(changed)
                continue
            with pytest.raises(ConfigError, match=rf"dataset\.{key}: .* has no effect") as caught:
                open_source(changed)
            assert caught.value.code == "DATASET_KEY"

    def test_a_stored_configuration_opens_the_same(self, dataset: DatasetConfig) -> None:
        """A stored configuration has every key, most of them with their default value."""
        stored = DatasetConfig.model_validate(dataset.model_dump(mode="json"))
        assert open_source(stored).describe() == open_source(dataset).describe()

    def test_the_root_is_absolute_and_plain(self, source: Source) -> None:
        root = source.describe().root
        assert isinstance(root, Path)
        assert root.is_absolute()
        assert ".." not in root.parts

    def test_describing_twice_says_the_same(self, source: Source) -> None:
        assert source.describe() == source.describe()

    def test_streaming_twice_gives_the_same(self, source: Source, dataset: DatasetConfig) -> None:
        info = source.describe()
        first = collected(source, info)
        assert first == collected(source, info)
        again = open_source(dataset)
        assert first == collected(again, again.describe())
        assert len(first["image_id"]) >= 5

    def test_ids_are_unique_relative_and_posix(self, source: Source) -> None:
        ids = collected(source, source.describe())["image_id"]
        assert len(set(ids)) == len(ids)
        for image_id in ids:
            assert image_id
            assert not image_id.startswith("/")
            assert "\\" not in image_id
            image_id.encode("utf-8")

    def test_locations_are_absolute_files(self, source: Source) -> None:
        for location in collected(source, source.describe())["location"]:
            assert location.startswith("/")
            assert Path(unescape_id(location)).is_file()

    def test_size_and_mtime_are_the_files(self, source: Source) -> None:
        found = collected(source, source.describe())
        for location, size, mtime in zip(
            found["location"], found["size"], found["mtime_ns"], strict=True
        ):
            stat = Path(unescape_id(location)).stat()
            if self.records_stat:
                assert (size, mtime) == (stat.st_size, stat.st_mtime_ns)
            else:
                assert size in (None, stat.st_size)
                assert mtime in (None, stat.st_mtime_ns)

    def test_labels_point_into_the_classes(self, source: Source) -> None:
        info = source.describe()
        found = collected(source, info)
        for label, label_id in zip(found["label"], found["label_id"], strict=True):
            if label is None:
                assert label_id is None
            else:
                assert info.classes is not None
                assert info.classes[label_id] == label

    def test_ground_truth_is_declared(self, source: Source) -> None:
        found = collected(source, source.describe())
        if source.labelled:
            assert any(label is not None for label in found["label"]) or "true_boxes" in found

    def test_classes_are_not_needed_where_labels_are_not_read(self, source: Source) -> None:
        ids = collected(source, source.describe())["image_id"]
        source.reads_labels = False
        info = source.describe()
        assert source.labelled or info.classes is None
        assert collected(source, info)["image_id"] == ids

    def test_the_manifest_holds_the_stream(self, source: Source, tmp_path: Path) -> None:
        info = source.describe()
        summary = write_manifest(source, info, tmp_path / "written.parquet")
        table = pq.read_table(tmp_path / "written.parquet")
        assert table.schema.equals(manifest_schema(info.meta_fields))
        found = collected(source, info)
        assert summary.rows == table.num_rows == len(found["image_id"])
        assert table["image_index"].to_pylist() == list(range(table.num_rows))
        for name in COLUMNS:
            assert table[name].to_pylist() == found[name]
        for name, values in found.items():
            assert len(values) == table.num_rows, name

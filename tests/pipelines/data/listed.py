"""The manifest and the dataset report of a dataset, for the tests of its format."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.sources.registry import open_source


class Listed:
    """A listed dataset; its report adds up, or making one fails.

    Attributes:
        report: as it is stored with a run.
        passed: reason -> number of files that were passed over.
    """

    def __init__(self, path: Path | str, **config: Any) -> None:
        source = open_source(DatasetConfig(path=str(path), **config))
        self.info = source.describe()
        with TemporaryDirectory() as folder:
            file = Path(folder) / "manifest.parquet"
            self.report = write_manifest(source, self.info, file).report
            self._table = pq.read_table(file)
        passed = self.report["passed_over"]
        self.passed = {reason: found["count"] for reason, found in passed.items()}
        assert self.report["found"] == self.report["used"] + sum(self.passed.values())
        assert self.report["annotations"]["used"] == sum(self.report["classes"].values())

    def column(self, name: str) -> list[Any]:
        """Return a column of the manifest."""
        values: list[Any] = self._table[name].to_pylist()
        return values

    @property
    def ids(self) -> list[str]:
        return self.column("image_id")

    @property
    def labels(self) -> dict[str, str | None]:
        """Image id -> label."""
        return dict(zip(self.ids, self.column("label"), strict=True))

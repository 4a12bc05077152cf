"""Contract of an exporter.

Subclass ``ExporterContract`` in the test of an exporter and give the fixtures ``exporter``, the
name of a registered format, and ``exportable``, a completed run of a task that it supports, with
correct and incorrect images, and its database. `rows` may be overridden to read an export back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest

from snellen.adapters.errors import InputError, RunError
from snellen.adapters.types import TaskType
from snellen.analysis.export.exporter import DESCRIPTION_NAME, Exporter
from snellen.analysis.export.registry import EXPORTERS
from snellen.analysis.export.run_export import ExportTarget, export_run
from snellen.analysis.reader import open_results
from snellen.store.parquet.results import Results, RowFilter
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun


@dataclass(frozen=True)
class Exportable:
    """A completed run of several units, and its database."""

    db: Database
    run: AnyRun

    @property
    def results(self) -> Results:
        return open_results(self.db, self.run)

    def export(
        self, name: str, path: Path, *, overwrite: bool = False, **chosen: Any
    ) -> dict[str, Any]:
        """Export to a path and return the document."""
        target = ExportTarget(name, path, overwrite)
        return export_run(self.db, self.run, target, cast(RowFilter, chosen))


def content(path: Path) -> dict[str, bytes]:
    """The files of an export, by path."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


CONDITIONS: tuple[RowFilter, ...] = (
    {},
    {"status": "ok"},
    {"correct": True},
    {"correct": False},
    {"min_confidence": 0.5},
    {"correct": False, "status": "ok", "min_confidence": 0.5},
)


class ExporterContract:
    """The contract; the subclass has the fixtures ``exporter`` and ``exportable``."""

    def rows(self, path: Path) -> list[str] | None:
        """Read the image ids of an export in its order; None where the format has none."""
        return None

    @pytest.fixture
    def loaded(self, exporter: str) -> Exporter:
        return EXPORTERS.load(exporter)

    @pytest.fixture
    def target(self, loaded: Exporter, tmp_path: Path) -> Path:
        return tmp_path / "exports" / f"written{loaded.suffix}"

    def test_it_declares_its_format(
        self, loaded: Exporter, exporter: str, exportable: Exportable
    ) -> None:
        assert loaded.name == exporter
        assert loaded.suffix == "" or loaded.suffix.startswith(".")
        assert loaded.suffix == loaded.suffix.lower()
        assert TaskType(exportable.run.task_type) in loaded.tasks <= frozenset(TaskType)

    def test_every_chosen_image_is_exported_or_counted(
        self, exporter: str, exportable: Exportable, target: Path
    ) -> None:
        sizes = set()
        for chosen in CONDITIONS:
            selected = exportable.results.filter(**chosen).collect()
            if selected.is_empty():
                continue
            sizes.add(selected.height)
            document = exportable.export(exporter, target, overwrite=True, **chosen)
            failed = document["left_out"].get("failed_images", 0)
            assert document["images"] + failed == selected.height
            kept = selected if failed == 0 else selected.filter(selected["status"] == "ok")
            found = self.rows(target)
            assert found is None or found == kept["image_id"].to_list()
        assert len(sizes) > 1  # some conditions choose a part of the images

    def test_the_same_run_gives_the_same_export(
        self, exporter: str, exportable: Exportable, target: Path
    ) -> None:
        first = exportable.export(exporter, target)
        written = content(target)
        assert exportable.export(exporter, target, overwrite=True) == first
        assert content(target) == written
        assert names(target.parent) == [target.name]
        assert target.is_dir() == (DESCRIPTION_NAME in written)

    def test_an_existing_target_is_kept(
        self, exporter: str, exportable: Exportable, target: Path
    ) -> None:
        target.parent.mkdir()
        target.mkdir() if not target.suffix else target.write_text("mine")
        before = content(target)
        with pytest.raises(InputError, match=r"exists. Expected a new .*--overwrite") as caught:
            exportable.export(exporter, target)
        assert caught.value.code == "OUTPUT_TAKEN"
        assert content(target) == before

    @pytest.mark.parametrize("existing", [False, True], ids=["new", "overwrite"])
    def test_a_failed_write_leaves_nothing(
        self,
        exporter: str,
        exportable: Exportable,
        target: Path,
        existing: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if existing:
            exportable.export(exporter, target)
        before = content(target)
        select = Results.select_units

        def full(self: Results, **chosen: Any) -> Iterator[pa.Table]:
            yield next(select(self, **chosen))
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Results, "select_units", full)
        with pytest.raises(RunError) as caught:
            exportable.export(exporter, target, overwrite=existing)
        assert caught.value.code == "DISK_FULL"
        assert names(target.parent) == ([target.name] if existing else [])
        assert content(target) == before

"""Base class of stored test runs and inference jobs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack

from snellen.adapters.errors import ConfigError
from snellen.api.keywords import ExportOptions, check_keywords
from snellen.api.opened import opened
from snellen.store.views import AnyRun

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl

    from snellen.store.parquet.results import Results
    from snellen.store.sql.database import Database

View = TypeVar("View", bound=AnyRun)


class Stored(ABC, Generic[View]):
    """Row of the run tables, with its result files, which are read on demand."""

    def __init__(self, view: View, database: str | None) -> None:
        self._view = view
        self._database = database

    @abstractmethod
    def _open(self, db: Database) -> Results:
        """Open a reader of the result rows."""

    @abstractmethod
    def _files(self, db: Database) -> list[Path]:
        """Return the paths of the committed files, whether they still exist or not."""

    @property
    def id(self) -> int:
        """Id in the run tables."""
        return self._view.id

    @property
    def name(self) -> str | None:
        """Name; several runs may share one."""
        return self._view.name

    @property
    def status(self) -> str:
        """Status, such as ``completed``, ``failed`` or ``interrupted``."""
        return self._view.status

    @property
    def row(self) -> View:
        """All columns of the row."""
        return self._view

    @property
    def results_dir(self) -> Path:
        """Folder of the result files; paths of pictures in the rows are relative to it."""
        return Path(self._view.results_dir or "")

    def files(self) -> list[Path]:
        """Return the result files in unit order, which is the order of the images."""
        with opened(self._database) as db:
            return self._files(db)

    def lazy(self) -> pl.LazyFrame:
        """Return the result rows as a polars LazyFrame, one row per image."""
        with opened(self._database) as db:
            return self._open(db).lazy()

    def draw(self, image_index: int, *, max_side: int = 1600) -> npt.NDArray[np.uint8]:
        """Draw the predictions on a copy of an image; in a test run beside the ground truth.

        In a test run, true positives are solid with their ground truth dashed, false positives have
        a filled corner, missed objects are dashed and ignored ones dotted.

        Args:
            image_index: index of the image in the run.
            max_side: maximum length of the longer side, in pixels; larger images are scaled down.

        Returns:
            RGB image, uint8 of shape (height, width, 3).

        Raises:
            InputError: IMAGE_NOT_FOUND.
            ImageError: the image file is gone or cannot be decoded.
        """
        from snellen.analysis.drawing import draw_image

        with opened(self._database) as db:
            return draw_image(db, self._view, image_index, max_side=max_side)

    def export(
        self, format: str, path: str | Path, **options: Unpack[ExportOptions]
    ) -> dict[str, Any]:
        """Write the rows, or some of them, in another format, as ``snellen export`` does.

        ``run.export("coco", "out")``; ``run.export("csv", "wrong.csv", correct=False)``.

        Args:
            format: name of a format, such as ``csv``, ``coco`` or ``mlflow``.
            path: the file or folder to write.
            options: see `snellen.api.keywords.ExportOptions`.

        Returns:
            The document of ``snellen export --json``; ``left_out`` counts what is not exported.

        Raises:
            ConfigError, InputError, RunError: see
                `snellen.analysis.export.run_export.export_run`.
        """
        from snellen.analysis.export.run_export import ExportTarget, export_run
        from snellen.metrics.class_filter import choose_class
        from snellen.store.parquet.results import RowFilter

        check_keywords("export", options, ExportOptions)
        files = tuple(Path(file).expanduser().absolute() for file in options.get("attach", ()))
        target = ExportTarget(format, Path(path), options.get("overwrite", False), files)
        chosen = RowFilter(
            correct=options.get("correct"),
            min_confidence=options.get("min_confidence"),
            status=options.get("status"),
        )
        wanted = options.get("true_class")
        if wanted is not None:
            names = self._view.class_names or []
            chosen["true_class"] = choose_class(wanted, names, where="true_class")
        with opened(self._database) as db:
            return export_run(db, self._view, target, chosen)

    def to_pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the result rows as a pandas DataFrame; see `results`.

        Raises:
            ConfigError: LIBRARY_MISSING, pandas is not installed.
        """
        if find_spec("pandas") is None:
            raise ConfigError("LIBRARY_MISSING", "to_pandas needs pandas. Fix: pip install pandas")
        return self.results(columns).to_pandas()

    def results(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the result rows as a polars DataFrame, one row per image, in manifest order.

        Args:
            columns: names of the columns to read; None reads all.
        """
        with opened(self._database) as db:
            return self._open(db).frame(list(columns) if columns else None)

"""What test runs and inference jobs have in common: a row, and result files read on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from snellen.api.opened import opened
from snellen.store.views import AnyRun

if TYPE_CHECKING:
    import polars as pl

    from snellen.store.parquet.results import Results
    from snellen.store.sql.database import Database

View = TypeVar("View", bound=AnyRun)


class Stored(ABC, Generic[View]):
    """A row of the run tables, and the files that it describes."""

    def __init__(self, view: View, database: str | None) -> None:
        self._view = view
        self._database = database

    @abstractmethod
    def _open(self, db: Database) -> Results:
        """A reader of the result rows."""

    @abstractmethod
    def _files(self, db: Database) -> list[Path]:
        """Where its files are, or were."""

    @property
    def id(self) -> int:
        """Its id."""
        return self._view.id

    @property
    def name(self) -> str | None:
        """Its name."""
        return self._view.name

    @property
    def status(self) -> str:
        """``completed`` or what kept it from that."""
        return self._view.status

    @property
    def row(self) -> View:
        """Every column of its row."""
        return self._view

    @property
    def results_dir(self) -> Path:
        """Folder of its files; paths of pictures in the rows start from it."""
        return Path(self._view.results_dir or "")

    def files(self) -> list[Path]:
        """The result files in unit order, which is the order of the images."""
        with opened(self._database) as db:
            return self._files(db)

    def lazy(self) -> pl.LazyFrame:
        """The result rows as a polars LazyFrame: filters and columns are read on demand."""
        with opened(self._database) as db:
            return self._open(db).lazy()

    def results(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The result rows as a polars DataFrame, one row an image, in manifest order.

        Args:
            columns: only these; all columns of a result row otherwise.
        """
        with opened(self._database) as db:
            return self._open(db).frame(list(columns) if columns else None)

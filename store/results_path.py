"""Paths of results and of exports: relative to the database's folder where they lie below it.

So a folder of runs that is moved or copied together with its database still opens. A database on a
server has no folder; its paths are absolute.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from snellen.store.sql.database import Database

RESULTS_DIR = "results_dir"


def stored(db: Database, columns: Mapping[str, Any], name: str = RESULTS_DIR) -> dict[str, Any]:
    """Return the columns of a row with one of them, a path, as it is stored."""
    path = columns.get(name)
    folder = db.folder
    if path is None or folder is None:
        return dict(columns)
    return {**columns, name: _relative(Path(path), folder)}


def opened(db: Database, row: Mapping[Any, Any], name: str = RESULTS_DIR) -> Mapping[Any, Any]:
    """Return a row with one of its columns, a path, absolute."""
    path = row.get(name)
    folder = db.folder
    if path is None or folder is None or PurePath(path).is_absolute():
        return row
    return {**row, name: str(folder / path)}


def _relative(path: Path, folder: Path) -> str:
    for below, above in ((path, folder), (path.resolve(), folder.resolve())):
        if below.is_absolute() and below.is_relative_to(above):
            return below.relative_to(above).as_posix()
    return str(path)

"""The formats of files with predictions, and the choice of ``auto``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.plugins import nearest
from snellen.pipelines.data.sources.tables.table_files import CSV_SUFFIXES
from snellen.pipelines.imports.coco_results import RESULTS_NAME, read_coco_results
from snellen.pipelines.imports.import_request import ReadRequest, check_task
from snellen.pipelines.imports.predicted import Predictions, names_text
from snellen.pipelines.imports.table_predictions import read_table
from snellen.pipelines.imports.yolo_txt import read_yolo_txt
from snellen.store.parquet.unit_files import sha256_path

READERS: dict[str, Callable[[ReadRequest], Predictions]] = {
    "coco": read_coco_results,
    "yolo": read_yolo_txt,
    "table": read_table,
}
"""Readers by the name of their format."""


def read_predictions(read: ReadRequest) -> Predictions:
    """Read a file of predictions in its format.

    Raises:
        ConfigError: IMPORT_FORMAT, an unknown name of a format.
        InputError: the file cannot be read, see the readers; IMPORT_EMPTY, it has no predictions;
            TASK_MISMATCH.
    """
    request = read.request
    name = request.format if request.format != "auto" else format_of(request.path)
    if name not in READERS:
        raise ConfigError(
            "IMPORT_FORMAT",
            f"--format {name} is unknown. Expected one of auto, {', '.join(READERS)}"
            f"{nearest(name, list(READERS)) or '.'}",
        )
    if not request.path.exists():
        raise InputError(
            "IMPORT_NOT_FOUND",
            f"'{request.path}' does not exist. Expected a file or folder of predictions.",
        )
    if not read.names:
        raise InputError(
            "CLASS_NAMES_UNKNOWN",
            "the dataset has no class names. Expected --classes with the names of the predicted "
            "classes, in the order of their ids.",
        )
    found = READERS[name](read)
    if not found.references:
        ignored = ", ".join(f"{count:,} {reason}" for reason, count in found.ignored.items())
        raise InputError(
            "IMPORT_EMPTY",
            f"'{request.path}' has no prediction that can be used{f' ({ignored})' * bool(ignored)}."
            " Expected at least one.",
        )
    check_task(found, request.task, request.path)
    return found


def format_of(path: Path) -> str:
    """Return the format of a file or folder.

    Raises:
        InputError: IMPORT_FORMAT, it is of none.
    """
    suffix = path.suffix.lower()
    if suffix == ".json" or (path / RESULTS_NAME).is_file():
        return "coco"
    if suffix in (*CSV_SUFFIXES, ".parquet"):
        return "table"
    if path.is_dir() and next(path.rglob("*.txt"), None) is not None:
        return "yolo"
    raise InputError(
        "IMPORT_FORMAT",
        f"the format of '{path}' is not recognised. Expected COCO results (.json, or a folder with "
        f"{RESULTS_NAME}), a .csv or .parquet table, or a folder of YOLO .txt files. Set --format "
        f"{names_text(list(READERS))}.",
    )


def digest(path: Path) -> str:
    """Return the sha256 of a file, or of the names and the contents of the files of a folder."""
    if path.is_file():
        return sha256_path(path)
    whole = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        whole.update(f"{file.relative_to(path).as_posix()}\0{sha256_path(file)}\n".encode())
    return whole.hexdigest()

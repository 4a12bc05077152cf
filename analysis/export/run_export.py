"""Export of a run: checks before, a file or folder that appears whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.types import TaskType
from snellen.analysis.export.exporter import (
    DESCRIPTION_NAME,
    Exporter,
    ExportRequest,
    description,
    description_text,
    spoken,
)
from snellen.analysis.export.registry import EXPORTERS
from snellen.analysis.reader import open_results, owner_of
from snellen.store.atomic_file import TEMPORARY_PREFIX, atomic_file, output_errors
from snellen.store.parquet.results import ReadUnit, RowFilter
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun, InferenceJobView


@dataclass(frozen=True, slots=True)
class ExportTarget:
    """The place and format of an export.

    Attributes:
        format: name of an exporter.
        path: the file or folder to write.
        overwrite: replace an existing file, or a folder that is an export.
        attachments: files to store with the run, such as its report.
        hide_places: write the id of an image as its path, for readers that must not learn where
            it lies.
    """

    format: str
    path: Path
    overwrite: bool = False
    attachments: tuple[Path, ...] = ()
    hide_places: bool = False


def export_run(
    db: Database, run: AnyRun, target: ExportTarget, chosen: RowFilter
) -> dict[str, Any]:
    """Write the rows of a completed run or inference job in another format.

    Args:
        db: the run tables.
        run: the test run or inference job.
        target: the place and format.
        chosen: conditions on the rows; all rows without conditions.

    Returns:
        The JSON document of the export: `description` and the ``path``.

    Raises:
        ConfigError: EXPORT_FORMAT, EXPORTER_INVALID, EXPORT_TASK, EXPORT_SUFFIX,
            EXPORT_ATTACHMENT.
        InputError: RUN_NOT_COMPLETED, EXPORT_EMPTY, OUTPUT_TAKEN, EXPORT_ATTACHMENT.
        RunError: RESULTS_MISSING; DISK_FULL, OUTPUT_READONLY, OUTPUT_NOT_WRITABLE.
    """
    exporter = EXPORTERS.load(target.format)
    path = target.path.expanduser().absolute()
    _check_task(exporter, target.format, run)
    _check_attachments(exporter, target)
    _check_completed(db, run)
    results = open_results(db, run)
    if target.hide_places:
        results.read = partial(_read_without_places, results.read)
    if not results.records:
        raise InputError(
            "EXPORT_EMPTY",
            f"{spoken(run)} has no result files. Expected a run with result files; single HTTP "
            "requests have rows in the run tables only. Choose another: snellen predictions",
        )
    _check_path(exporter, target, path, results.results_dir)
    request = ExportRequest(run, results, chosen, target.attachments)
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if exporter.suffix:
            with atomic_file(path) as temporary:
                exported = exporter.write(request, temporary)
        else:
            with atomic_folder(path) as folder:
                exported = exporter.write(request, folder)
                text = description_text(request, target.format, exported)
                (folder / DESCRIPTION_NAME).write_text(text)
    return {**description(request, target.format, exported), "path": str(path)}


def _read_without_places(read: ReadUnit, path: Path, columns: Sequence[str] | None) -> pa.Table:
    """Read the rows of a result file with the image ids in the place of the paths."""
    if columns is not None and "image_path" not in columns:
        return read(path, columns)
    table = read(path, None if columns is None else [*{*columns, "image_id"}])
    position = table.schema.get_field_index("image_path")
    table = table.set_column(position, table.schema.field(position), table["image_id"])
    return table if columns is None else table.select(list(columns))


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name beside it, and rename it at the end of the block.

    An existing folder is replaced. An exception leaves nothing behind.

    Yields:
        The temporary folder, which exists and is empty.
    """
    token = secrets.token_hex(4)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{token}-{path.name}")
    replaced = path.with_name(f"{TEMPORARY_PREFIX}{token}-replaced-{path.name}")
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.rename(replaced)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if replaced.exists():
            replaced.rename(path)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _check_task(exporter: Exporter, name: str, run: AnyRun) -> None:
    task = TaskType(run.task_type)
    if task in exporter.tasks:
        return
    able = sorted(other for other, found in EXPORTERS if task in found.tasks)
    raise ConfigError(
        "EXPORT_TASK",
        f"--format {name} does not support {task}, the task of {spoken(run)}. Expected a run of "
        f"{' or '.join(sorted(exporter.tasks))}. Choose a format for {task}: {', '.join(able)}",
    )


def _check_attachments(exporter: Exporter, target: ExportTarget) -> None:
    if not target.attachments:
        return
    if not getattr(exporter, "takes_attachments", False):
        raise ConfigError(
            "EXPORT_ATTACHMENT",
            f"--attach with --format {target.format}, which cannot store further files. Expected "
            "--format mlflow or wandb. Remove it.",
        )
    for path in target.attachments:
        if not path.is_file():
            raise InputError(
                "EXPORT_ATTACHMENT",
                f"'{path}' is not a file. Expected an existing one, such as a report. Write it "
                "first: snellen report RUN -o report.html",
            )


def _check_completed(db: Database, run: AnyRun) -> None:
    owner = owner_of(db, run)
    for one in (run, owner):
        if one.status != "completed":
            again = "predict --resume" if isinstance(one, InferenceJobView) else "resume"
            raise InputError(
                "RUN_NOT_COMPLETED",
                f"{spoken(one)} is {one.status}. Expected a completed run, whose images are all "
                f"in its files. Resume it first: snellen {again} {one.id}",
            )


def _check_path(exporter: Exporter, target: ExportTarget, path: Path, results_dir: Path) -> None:
    if exporter.suffix and path.suffix.lower() != exporter.suffix:
        raise ConfigError(
            "EXPORT_SUFFIX",
            f"--output '{target.path}' does not end in {exporter.suffix}, the suffix of --format "
            f"{target.format}. Expected such a file. Write: -o {path.stem}{exporter.suffix}",
        )
    if path.resolve().is_relative_to(results_dir.resolve()):
        raise InputError(
            "OUTPUT_TAKEN",
            f"'{path}' is inside the folder of the run. Expected a place outside of "
            f"'{results_dir}', whose files belong to the run. Choose another with -o.",
        )
    if not path.exists() and not path.is_symlink():
        return
    if not target.overwrite:
        raise InputError(
            "OUTPUT_TAKEN",
            f"'{path}' exists. Expected a new {_place(exporter)}. Remove it or add --overwrite.",
        )
    if not _replaceable(exporter, path):
        raise InputError(
            "OUTPUT_TAKEN",
            f"'{path}' exists and is not an earlier export. Expected a new {_place(exporter)}, or "
            f"one to replace{'' if exporter.suffix else f', with {DESCRIPTION_NAME}'}. Choose "
            "another with -o.",
        )


def _replaceable(exporter: Exporter, path: Path) -> bool:
    """Return True where --overwrite destroys no more than a file or an earlier export."""
    if exporter.suffix:
        return not path.is_dir()
    if path.is_symlink() or not path.is_dir():
        return False
    return (path / DESCRIPTION_NAME).is_file() or not any(path.iterdir())


def _place(exporter: Exporter) -> str:
    return "file" if exporter.suffix else "folder"

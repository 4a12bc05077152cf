"""ZIP: the rows as Parquet and CSV with the pictures of the run, in one file."""

from __future__ import annotations

import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from snellen.analysis.export.columnar import ALL_TASKS, tables, write_csv, write_parquet
from snellen.analysis.export.exporter import (
    DESCRIPTION_NAME,
    Exported,
    ExportRequest,
    description_text,
)
from snellen.analysis.export.safe_names import UniqueNames, safe_name

PICTURES = "pictures"
"""Folder of annotated images and masks in the archive."""
PICTURE_COLUMNS = ("visualization_path", "predicted_mask_path", "true_mask_path")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of every member, the earliest that ZIP has: equal rows give equal archives."""


class ZipExporter:
    """An archive with results.parquet, results.csv, export.json and the pictures of the rows.

    Every name is a relative path without ``..``; links are not followed.
    """

    name = "zip"
    suffix = ".zip"
    tasks = ALL_TASKS

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the file; pictures that do not exist any more are counted."""
        left_out: Counter[str] = Counter()
        names = UniqueNames()
        with zipfile.ZipFile(target, "x") as archive:
            with archive.open(_member("results.parquet"), "w", force_zip64=True) as file:
                images = write_parquet(request, file)
            with archive.open(_member("results.csv", deflated=True), "w", force_zip64=True) as file:
                write_csv(request, file)
            for path in _pictures(request):
                picture = _inside(request.results.results_dir, path)
                if picture is None:
                    left_out["missing_pictures"] += 1
                    continue
                name = names.add(f"{PICTURES}/{safe_name(path)}", path)
                with (
                    picture.open("rb") as source,
                    archive.open(_member(name), "w", force_zip64=True) as copy,
                ):
                    shutil.copyfileobj(source, copy)
            exported = Exported(images, dict(left_out))
            text = description_text(request, self.name, exported)
            archive.writestr(_member(DESCRIPTION_NAME), text)
        return exported


def _pictures(request: ExportRequest) -> Iterator[str]:
    """Yield the paths of pictures in the chosen rows, relative to the folder of the run."""
    for table in tables(request):
        for column in PICTURE_COLUMNS:
            if column in table.schema.names:
                yield from (path for path in table[column].to_pylist() if path is not None)


def _inside(folder: Path, path: str) -> Path | None:
    """Return a file of the run; None if it is absent, a link, or outside of the folder."""
    file = folder / path
    if file.is_symlink() or not file.is_file():
        return None
    return file if file.resolve().is_relative_to(folder.resolve()) else None


def _member(name: str, *, deflated: bool = False) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    member.external_attr = 0o100644 << 16  # a regular file
    return member

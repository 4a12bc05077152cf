"""The files of the images that a COCO file lists, in a local folder.

``file_name`` is written by other programs on other machines: with backslashes, as part of a URL, as
an absolute path, or without the folder. A name that does not exist as it is written is matched by
its spelling, then by its last parts where one file alone has them.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from snellen.adapters.errors import InputError
from snellen.pipelines.data.report import DatasetReport, PassedOver
from snellen.pipelines.data.walk import is_hidden, not_taken

_PROBED = 20


class ImageFiles:
    """The files below the folder of a dataset; each folder is listed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[str, frozenset[str]] = {}

    def match(self, names: Sequence[str]) -> tuple[list[str], Counter[str]]:
        """Return the name of each image's file relative to the root, and repairs by reason.

        Args:
            names: as written; one without a file is returned as it is, for its failed row.

        Raises:
            InputError: DATASET_IMAGES_NOT_FOUND, not one of them has a file.
        """
        spelled = [self._spelled(name) for name in names]
        taken = {name for name in spelled if name is not None}
        repairs = Counter[str]()
        found = []
        for written, name in zip(names, spelled, strict=True):
            tail = self._by_tail(written) if name is None else None
            if tail is not None and tail not in taken:
                repairs["file_name_matched_by_tail"] += 1
                taken.add(tail)
                found.append(tail)
            else:
                found.append(written if name is None else name)
        if names and not taken:
            raise InputError(
                "DATASET_IMAGES_NOT_FOUND",
                f"dataset.path: none of the {len(names):,} images of the annotation file exists. "
                f"Expected the first as '{self._root / names[0]}'. Set dataset.path to the folder "
                "that the file names are relative to, and dataset.annotations to the annotation "
                "file.",
            )
        return found, repairs

    def has_any(self, names: Sequence[str]) -> bool:
        """Return True if one of the first images has a file."""
        return any(self._spelled(name) is not None for name in names[:_PROBED])

    def pass_over_others(self, names: Sequence[str], report: DatasetReport) -> None:
        """Count the files beside the images, in the folders that hold them."""
        used: dict[str, set[str]] = defaultdict(set)
        for name in names:
            folder, base = os.path.split(name)
            used[folder].add(base)
        for folder, taken in used.items():
            for base in sorted(self._files_in(folder) - taken):
                name = os.path.join(folder, base)  # noqa: PTH118 - called for every file
                reason = PassedOver.HIDDEN if is_hidden(base) else None
                reason = reason or not_taken(base, str(self._root / name))
                report.pass_over(reason or PassedOver.NOT_LISTED, name)

    def _spelled(self, name: str) -> str | None:
        """Return the first spelling of a name that exists, relative to the root if it is below."""
        for candidate in _spellings(name):
            folder, base = os.path.split(candidate)
            if base in self._files_in(folder):
                inside = candidate.removeprefix(f"{self._root}/")
                return str(PurePosixPath(inside))
        return None

    def _files_in(self, folder: str) -> frozenset[str]:
        found = self._listed.get(folder)
        if found is None:
            found = frozenset(self._scan(folder))
            self._listed[folder] = found
        return found

    def _scan(self, folder: str) -> Iterator[str]:
        try:
            with os.scandir(self._root / folder) as entries:
                yield from (entry.name for entry in entries if not entry.is_dir())
        except (OSError, ValueError):
            return  # no folder of that name

    def _by_tail(self, name: str) -> str | None:
        """Return the one file below the root whose last parts are those of a name."""
        parts = PurePosixPath(unquote(name.replace("\\", "/"))).parts
        found = self._by_base.get(parts[-1], []) if parts else []
        for length in range(2, len(parts) + 1):
            if len(found) < 2:
                break
            tail = "/" + "/".join(parts[-length:])
            found = [path for path in found if f"/{path}".endswith(tail)] or found
        return found[0] if len(found) == 1 else None

    @cached_property
    def _by_base(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for folder, _, names in os.walk(self._root):
            inside = os.path.relpath(folder, self._root)
            for name in names:
                found[name].append(name if inside == "." else f"{inside}/{name}")
        return found


def _spellings(name: str) -> Iterator[str]:
    """Yield a name as written, and as other systems and URLs write it."""
    slashed = name.replace("\\", "/")
    yield name
    for spelled in (slashed, unquote(slashed)):
        if spelled != name:
            yield spelled
        plain = spelled.removeprefix("./").lstrip("/")
        if plain != spelled:
            yield plain

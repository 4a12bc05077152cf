"""A text file with one image path a line: images without labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from adapters.types import InputError
from pipelines.sources.base import DatasetInfo, Source, absolute_path
from pipelines.sources.listing import escape_id

_BATCH = 65_536


class ImageListSource(Source):
    """Paths, absolute or relative to ``dataset.root`` (default: the list's own folder)."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Files that end in .txt."""
        return path.is_file() and path.suffix.lower() in {".txt", ".lst"}

    def describe(self) -> DatasetInfo:
        """The list has no classes; nothing is read yet.

        Raises:
            InputError: the path is not a file.
        """
        path = absolute_path(self.config.path)
        if not path.is_file():
            raise InputError("DATASET_FORMAT", f"dataset.path: '{path}' is not a text file.")
        root = absolute_path(self.config.root) if self.config.root else path.parent
        return DatasetInfo(root=root, split=None, classes=None)

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Lines in file order; blank lines and lines that start with # are skipped."""
        path = Path(self.config.path).expanduser()
        with path.open(encoding="utf-8", errors="surrogateescape") as lines:
            wanted = (line.rstrip("\r\n") for line in lines)
            images = (line for line in wanted if line.strip() and not line.startswith("#"))
            while chunk := list(islice(images, _BATCH)):
                nothing = [None] * len(chunk)
                yield {
                    "image_id": [relative_id(text, info.root) for text in chunk],
                    "location": [escape_id(str(info.root / text)) for text in chunk],
                    "size": nothing,
                    "mtime_ns": nothing,
                    "label": nothing,
                    "label_id": nothing,
                }


def relative_id(text: str, root: Path) -> str:
    """The id of an image: its path relative to ``root`` where it lies below it."""
    prefix = f"{root}/"
    return escape_id(text[len(prefix) :] if text.startswith(prefix) else text)

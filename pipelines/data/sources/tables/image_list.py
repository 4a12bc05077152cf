"""Text file with one image path or address per line; images without labels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from snellen.adapters.errors import InputError
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import escape_id
from snellen.pipelines.storage.address import check_addresses
from snellen.pipelines.storage.remote_path import Place, join, open_binary

_BATCH = 65_536


class ImageListSource(Source):
    """Addresses and paths, absolute or relative to ``dataset.root`` (default: its folder)."""

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return True for a .txt or .lst file."""
        return path.suffix.lower() in {".txt", ".lst"} and path.is_file()

    def describe(self) -> DatasetInfo:
        """Describe the list without reading it; it has no classes.

        Raises:
            InputError: the path is not a file.
        """
        path = self.place(self.config.path)
        if not path.is_file():
            raise InputError(
                "DATASET_FORMAT", f"dataset.path: '{path}' is no file. Expected a text file."
            )
        root = self.place(self.config.root, "root") if self.config.root else path.parent
        return DatasetInfo(root=root, split=None, classes=None)

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield the lines in file order; blank lines and lines that start with # are skipped."""
        path = self.place(self.config.path)
        with io.TextIOWrapper(open_binary(path), "utf-8", "surrogateescape") as lines:
            wanted = (line.rstrip("\r\n") for line in lines)
            images = (line for line in wanted if line.strip() and not line.startswith("#"))
            while chunk := list(islice(images, _BATCH)):
                check_addresses(chunk, str(path))
                nothing = [None] * len(chunk)
                yield {
                    "image_id": [relative_id(text, info.root) for text in chunk],
                    "location": [escape_id(join(info.root, text)) for text in chunk],
                    "size": nothing,
                    "mtime_ns": nothing,
                    "label": nothing,
                    "label_id": nothing,
                }


def relative_id(text: str, root: Place) -> str:
    """Return the id of an image: its path relative to ``root`` if it is below it."""
    prefix = f"{str(root).rstrip('/')}/"
    return escape_id(text[len(prefix) :] if text.startswith(prefix) else text)

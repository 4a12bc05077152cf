"""Text file with one image path or address per line; images without labels.

Blank lines and lines that start with ``#`` are skipped. White space and quotes around a path are
no part of it. The text is UTF-8, or UTF-16 with a byte order mark; other bytes are those of names.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

from snellen.adapters.errors import InputError
from snellen.adapters.text_files import encoding_of
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import escape_id
from snellen.pipelines.storage.address import check_addresses, is_remote
from snellen.pipelines.storage.remote_path import Place, RemotePath, join, open_binary

_BATCH = 65_536


class ImageListSource(Source):
    """Addresses and paths, absolute or relative to ``dataset.root`` (default: its folder)."""

    keys: ClassVar[frozenset[str] | None] = frozenset({"root"})

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
        """Yield the lines in file order.

        Raises:
            InputError: DATASET_FORMAT for lines with more than a path, or an encoding that the
                file does not state; DATASET_REMOTE for an address that is rejected.
        """
        path = self.place(self.config.path)
        images = self._paths(path)
        first = True
        while chunk := list(islice(images, _BATCH)):
            if first:
                _check_first(chunk[0], info.root, path)
                first = False
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

    def _paths(self, path: Place) -> Iterator[str]:
        with open_binary(path) as file:
            encoding = encoding_of(file.read(4))
            file.seek(0)
            for line in io.TextIOWrapper(file, encoding, "surrogateescape"):
                text = line.strip()
                if "\0" in text:
                    raise InputError(
                        "DATASET_FORMAT",
                        f"dataset.path: '{path}' has NUL bytes, as UTF-16 without a byte order "
                        "mark has. Expected UTF-8. Convert it: iconv -f UTF-16LE -t UTF-8",
                    )
                if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'":
                    text = text[1:-1]
                if text and not text.startswith("#"):
                    yield text


def _check_first(text: str, root: Place, path: Place) -> None:
    """Reject a list with further columns, such as ``a.png 3``, by its first line."""
    words = re.split(r"[\s,;|]+", text)
    if len(words) < 2 or isinstance(root, RemotePath) or is_remote(text) or (root / text).exists():
        return
    if (root / words[0]).is_file():
        raise InputError(
            "DATASET_FORMAT",
            f"dataset.path: '{path}' has the line '{text}', which is more than a path. Expected "
            "one path per line. For labels, write a .csv file whose first line is path,label.",
        )


def relative_id(text: str, root: Place) -> str:
    """Return the id of an image: its path relative to ``root`` if it is below it."""
    prefix = f"{str(root).rstrip('/')}/"
    inside = text[len(prefix) :] if text.startswith(prefix) else text
    while inside.startswith("./"):
        inside = inside[2:]
    return escape_id(inside)

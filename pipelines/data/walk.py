"""Walk through a folder of images: every file is an image, or is counted with a reason.

A file with the suffix of an image is taken without opening it; if it cannot be decoded, it becomes
a failed row. A file with an unknown suffix, or with none, is taken if its first bytes are those of
an image.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from snellen.pipelines.data.report import DatasetReport, PassedOver
from snellen.pipelines.storage.clients import StorageError
from snellen.pipelines.storage.remote_path import HEADER, RemotePath

IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff"),
        *("ppm", "pgm", "pbm", "avif"),
    )
)
"""Suffixes of image files; a file that cannot be decoded becomes a failed row."""
_OTHER_IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("heic", "heif", "jxl", "psd", "svg", "eps", "exr", "hdr", "dng", "cr2", "nef", "arw"),
        *("jp2", "j2k", "jpx", "ico", "tga", "dcm"),
    )
)
"""Suffixes of images that are not supported, unless the content is of another format."""
_PLAIN_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("txt", "json", "jsonl", "xml", "csv", "tsv", "yaml", "yml", "md", "rst", "html", "log"),
        *("py", "ipynb", "sh", "db", "sqlite", "cache", "npy", "npz", "parquet", "pkl", "h5"),
        *("zip", "tar", "gz", "bz2", "7z", "mp4", "avi", "mov", "mp3", "wav", "pt", "pth", "onnx"),
    )
)
"""Suffixes of files that are passed over without opening them."""
_SYSTEM_FOLDERS = frozenset(
    ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
)
"""Folders of operating systems and file servers; some hold thumbnails of the images."""
SNIFFED = 64
"""Number of first bytes that tell a format."""


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return True for a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def is_hidden(name: str) -> bool:
    """Return True for the name of a hidden file or folder, or of a folder of the system."""
    return name.startswith(".") or name in _SYSTEM_FOLDERS


@dataclass(frozen=True, slots=True)
class Walker:
    """Lists the images below folders of one root.

    Attributes:
        root: absolute folder that names in the report are relative to.
        report: counts the files that are no images.
        follow_links: walk through links to folders, too.
    """

    root: str
    report: DatasetReport
    follow_links: bool = False

    def images_below(self, folder: str) -> Iterator[str]:
        """Yield the paths of the images at any depth below a folder of the root."""
        above = (_identity(self.root), _identity(folder)) if self.follow_links else ()
        yield from self._below(folder, above)

    def images_in(self, folder: str) -> list[str]:
        """Return the paths of the images directly in a folder."""
        with os.scandir(folder) as entries:
            return [
                entry.path for entry in entries if not is_folder(entry) and self._is_image(entry)
            ]

    def folders_in(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder; hidden and linked ones are counted."""
        with os.scandir(folder) as entries:
            return [
                entry.name
                for entry in entries
                if is_folder(entry) and self._enters(entry, (_identity(folder),))
            ]

    def _below(self, folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
        subfolders: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_folder(entry):
                        if self._enters(entry, above):
                            subfolders.append(entry.path)
                    elif self._is_image(entry):
                        yield entry.path
        except PermissionError:
            self.report.pass_over(PassedOver.UNREADABLE, self._name(folder))
        for subfolder in subfolders:
            inside = (*above, _identity(subfolder)) if self.follow_links else ()
            yield from self._below(subfolder, inside)

    def _enters(self, entry: os.DirEntry[str], above: tuple[tuple[int, int], ...]) -> bool:
        """Return True for a folder to walk into; a link is followed unless it is a loop."""
        if is_hidden(entry.name):
            self.report.pass_over(PassedOver.HIDDEN, self._name(entry.path))
            return False
        if not entry.is_symlink():
            return True
        if self.follow_links and _identity(entry.path) not in above:
            return True
        self.report.pass_over(PassedOver.LINKED, self._name(entry.path))
        return False

    def _is_image(self, entry: os.DirEntry[str]) -> bool:
        if is_hidden(entry.name):
            self.report.pass_over(PassedOver.HIDDEN, self._name(entry.path))
            return False
        reason = not_taken(entry.name, entry.path)
        if reason is not None:
            self.report.pass_over(reason, self._name(entry.path))
        return reason is None

    def _name(self, path: str) -> str:
        return os.path.relpath(path, self.root)


def remote_images(
    folder: RemotePath, report: DatasetReport, start: int | None = None
) -> list[RemotePath]:
    """Return the image files below a remote folder with size and time.

    One request lists a thousand files; the whole list is in memory. A file with an unknown suffix
    takes another request.

    Args:
        folder: any folder of a dataset.
        report: counts the files that are no images.
        start: length of the root's address, which names in the report are relative to; None for
            that of ``folder``.
    """
    return _images_of(folder.below(recursive=True)[0], folder, report, start)


def images_directly_in(folder: RemotePath, report: DatasetReport) -> list[RemotePath]:
    """Return the image files directly in a remote folder; see `remote_images`."""
    return _images_of(folder.below(recursive=False)[0], folder, report, None)


def _images_of(
    files: list[RemotePath], folder: RemotePath, report: DatasetReport, start: int | None
) -> list[RemotePath]:
    below = len(folder.address) + 1
    named = below if start is None else start + 1
    found = []
    for file in files:
        hidden = any(map(is_hidden, file.address[below:].split("/")))
        reason = PassedOver.HIDDEN if hidden else not_taken(file.name, file)
        if reason is None:
            found.append(file)
        else:
            report.pass_over(reason, file.address[named:])
    return found


def not_taken(name: str, file: str | RemotePath) -> PassedOver | None:
    """Return the reason why a file is passed over; None for an image."""
    return reason_of_file(name, partial(_header, file))


def reason_of_file(name: str, read_header: Callable[[], bytes]) -> PassedOver | None:
    """Return the reason why a file is passed over; None for an image.

    Args:
        name: the suffix of a known format is enough.
        read_header: reads the first `SNIFFED` bytes; called for other suffixes.
    """
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - called for every file
    if suffix in IMAGE_SUFFIXES:
        return None
    if suffix in _PLAIN_SUFFIXES:
        return PassedOver.NOT_AN_IMAGE
    try:
        header = read_header()
    except (OSError, StorageError):
        return PassedOver.UNREADABLE
    return reason_of_header(header, suffix)


def reason_of_header(header: bytes, suffix: str) -> PassedOver | None:
    """Return the reason why a file with these first bytes is passed over; None for an image."""
    from snellen.adapters.images.formats import FORMATS, sniff_format

    found = sniff_format(header)
    if found in FORMATS:
        return None
    if found is not None or suffix in _OTHER_IMAGE_SUFFIXES:
        return PassedOver.UNSUPPORTED_FORMAT
    return PassedOver.NOT_AN_IMAGE


def _header(file: str | RemotePath) -> bytes:
    if isinstance(file, RemotePath):
        with file.open(HEADER) as stream:
            return bytes(stream.read(SNIFFED))
    # O_NONBLOCK: opening a FIFO without a writer would block forever.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(descriptor, SNIFFED)
    finally:
        os.close(descriptor)


def _identity(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino

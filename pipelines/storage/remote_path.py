"""A remote file or folder with the methods of ``pathlib.Path`` that the sources use.

A source therefore reads local folders and buckets with the same code; ``Place`` is either.
"""

from __future__ import annotations

import io
import posixpath
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from snellen.adapters.errors import InputError
from snellen.pipelines.storage.address import Options, escapes, is_remote, split_address
from snellen.pipelines.storage.clients import (
    Client,
    Handle,
    RemoteStat,
    StorageError,
    client_of,
    stat_of,
)

BUFFER = 1 << 20
"""Bytes per read ahead: about as many as arrive in the latency of one request."""
HEADER = 1 << 16
"""Bytes that usually contain the header of an image."""


@dataclass(frozen=True, slots=True)
class RemotePath:
    """An address such as ``s3://bucket/folder``, without a slash at the end.

    Attributes:
        address: scheme, bucket and key, as written.
        options: options of the storage.
        known: size and time, if a listing has returned them already.
    """

    address: str
    options: Options = ()
    known: RemoteStat | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.address

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.address}/{name}", self.options)

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self.address.partition("://")[2])

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self._pure.name

    @property
    def suffix(self) -> str:
        """The suffix of the name, with its dot."""
        return self._pure.suffix

    @property
    def parent(self) -> RemotePath:
        """The folder of the file; a bucket is its own parent."""
        head, _, tail = self.address.rpartition("/")
        return self if not tail or head.endswith("/") else RemotePath(head, self.options)

    def exists(self) -> bool:
        """Return True if a file or a folder exists.

        Raises:
            InputError: DATASET_UNREADABLE, the storage rejects the request.
        """
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Return True if a file exists; raises as ``exists``."""
        return self.known is not None or bool(self._info().is_file)

    def is_dir(self) -> bool:
        """Return True if any file is below this address; raises as ``exists``."""
        from pyarrow.fs import FileType

        return self.known is None and bool(self._info().type == FileType.Directory)

    def stat(self) -> RemoteStat:
        """Return size and time.

        Raises:
            FileNotFoundError: the file does not exist.
        """
        if self.known is not None:
            return self.known
        info = self._info()
        if not info.is_file:
            raise FileNotFoundError(self.address)
        return stat_of(info)

    def below(self, *, recursive: bool) -> tuple[list[RemotePath], list[RemotePath]]:
        """Return the files, with size and time, and folders below this one, unordered.

        Raises:
            InputError: DATASET_NOT_FOUND or DATASET_UNREADABLE.
        """
        client, path = self._client()
        try:
            found = client.children(path, recursive=recursive)
        except FileNotFoundError:
            raise InputError(
                "DATASET_NOT_FOUND",
                f"dataset.path: '{self.address}' does not exist. Expected a folder.",
            ) from None
        except StorageError as error:
            raise self._unreadable(error) from None
        files = [
            RemotePath(f"{self.address}/{name}", self.options, stat_of(info))
            for name, info in found
            if info.is_file
        ]
        return files, [self / name for name, info in found if not info.is_file]

    def open(self, buffer: int = BUFFER) -> BinaryIO:
        """Open the file for reading, seekable, with a buffer of ``buffer`` bytes.

        Raises:
            FileNotFoundError, StorageError: as every later read.
        """
        return io.BufferedReader(_Ranges(self.handle()), buffer)

    def handle(self) -> Handle:
        """Open the file without a buffer; raises as ``open``."""
        client, path = self._client()
        return client.open(path)

    def read_bytes(self) -> bytes:
        """Read the whole file in two requests; raises as ``open``."""
        handle = self.handle()
        try:
            return handle.read_at(0, handle.stat.st_size) if handle.stat.st_size else b""
        finally:
            handle.close()

    def read_text(self, encoding: str = "utf-8") -> str:
        """Read the whole file as text; raises as ``open``, or UnicodeDecodeError."""
        return self.read_bytes().decode(encoding)

    def missing(self) -> InputError:
        """Return the error for a missing dataset, which says if the bucket is missing, too."""
        bucket = RemotePath("/".join(self.address.split("/")[:3]), self.options)
        what = "" if bucket == self or bucket.exists() else f": there is no bucket '{bucket}'"
        return InputError(
            "DATASET_NOT_FOUND",
            f"dataset.path: '{self.address}' does not exist{what}. Expected a file or folder. "
            "Check the name, and endpoint_override and region in dataset.storage_options.",
        )

    def _info(self) -> Any:
        client, path = self._client()
        try:
            return client.info(path)
        except StorageError as error:
            raise self._unreadable(error) from None

    def _client(self) -> tuple[Client, str]:
        try:
            return client_of(self.address, self.options)
        except StorageError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: StorageError) -> InputError:
        return InputError(
            "DATASET_UNREADABLE",
            f"dataset.path: '{self.address}' cannot be read: {error}. Expected permission to list "
            "and read. Check the credentials in the environment (or set "
            "dataset.storage_options.anonymous for public storage), region and endpoint_override.",
        )


Place = Path | RemotePath
"""A local or remote file or folder of a dataset."""


class _Ranges(io.RawIOBase):
    """An open remote file as a raw stream for a buffer."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._position, self._handle.stat.st_size)[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        length = min(len(view), self._handle.stat.st_size - self._position)
        if length <= 0:
            return 0
        data = self._handle.read_at(self._position, length)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._handle.close()
        super().close()


def place_of(text: str, options: Options, where: str = "dataset.path") -> Place:
    """Return the place that a setting or a row names; a local path becomes absolute.

    Raises:
        InputError, ConfigError: an address that is rejected.
    """
    if is_remote(text):
        scheme, bucket, key = split_address(text, where)
        if escapes(key):
            # data.yaml may name folders beside itself (../images); storage has no links.
            key = posixpath.normpath(f"/{key}").lstrip("/")
        return RemotePath(f"{scheme}://{bucket}/{key}".rstrip("/"), options)
    path = Path(text).expanduser().absolute()
    # Later checks compare the texts of paths, which must not contain '..'.
    return path.resolve() if ".." in path.parts else path


def join(root: Place, name: str) -> str:
    """Return the location of a file that a path, relative to ``root``, or an address names."""
    if is_remote(name) or (isinstance(root, RemotePath) and name.startswith("/")):
        return name
    return f"{root}/{name}" if isinstance(root, RemotePath) else str(root / name)


def open_binary(place: Place) -> BinaryIO:
    """Open a local or remote file for reading; raises OSError."""
    return place.open("rb") if isinstance(place, Path) else place.open()

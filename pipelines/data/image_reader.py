"""Reader of single images: whole, regular, unchanged files inside the dataset.

An image on remote storage takes two requests on S3, one for its size and time and one for its
bytes (for a member of a tar shard only its own bytes); other storage may take a third.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import pyarrow as pa

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError, SnellenError
from snellen.adapters.images.decode import MAX_BYTES, MAX_PIXELS, decode_image
from snellen.adapters.types import DecodedImage
from snellen.pipelines.config.dataset import DatasetConfig, ImagesConfig
from snellen.pipelines.config.sections import ImageLimits
from snellen.pipelines.data.manifest_reader import LABEL_COLUMNS
from snellen.pipelines.data.sources.file_listing import unescape_id
from snellen.pipelines.storage.address import Options, escapes, frozen_options, is_remote
from snellen.pipelines.storage.clients import RemoteStat, StorageError
from snellen.pipelines.storage.remote_path import Place, RemotePath

_DEFAULT_LIMITS = ImageLimits()


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image as the manifest records it.

    Attributes:
        location: absolute path or address.
        size: bytes of the file, mtime_ns: its modification time; None if they are not known.
        member: offset and length of the image inside a tar shard; ``size`` is the shard's.
        content_hash: sha256 of the image's bytes, hexadecimal; None if it is not known.
    """

    location: str
    size: int | None = None
    mtime_ns: int | None = None
    member: tuple[int, int] | None = None
    content_hash: str | None = None

    @staticmethod
    def of(row: Mapping[str, Any]) -> ImageFile:
        """Return the image of a manifest row."""
        offset, length = row.get("offset"), row.get("length")
        member = None if offset is None or length is None else (offset, length)
        location = unescape_id(row["location"])
        return ImageFile(location, row["size"], row["mtime_ns"], member, row.get("content_hash"))

    def known_as(self, content_hash: str | None) -> ImageFile:
        """Return the image that has these bytes, whatever its file's size and time; None: as is."""
        if content_hash is None:
            return self
        size, mtime_ns = (self.size, self.mtime_ns) if self.member else (None, None)
        return replace(self, size=size, mtime_ns=mtime_ns, content_hash=content_hash)

    def check(self, found: os.stat_result | RemoteStat, mtime_ns: int | None) -> None:
        """Check the file against the manifest before it is read.

        Args:
            found: size and time of the file now.
            mtime_ns: its time in the manifest, or None not to compare it.

        Raises:
            ImageError: CHANGED.
        """
        if self.size is not None and found.st_size != self.size:
            raise _error(
                ErrorCode.CHANGED,
                f"the file has {found.st_size} bytes, and had {self.size} when the run was planned",
            )
        # With a known hash the content decides: a copied file has another time.
        if mtime_ns is None or self.content_hash is not None:
            return
        if found.st_mtime_ns != mtime_ns:
            raise _error(ErrorCode.CHANGED, "the file was written to since the run was planned")

    def check_content(self, data: bytes) -> None:
        """Check the bytes against the hash of the manifest. Raises ImageError, CHANGED."""
        if self.content_hash is None:
            return
        found = content_hash(data)
        if found != self.content_hash:
            raise _error(
                ErrorCode.CHANGED,
                f"the content has the sha256 {found[:12]}..., and {self.content_hash[:12]}... is "
                "known of the image",
            )


@dataclass(frozen=True, slots=True)
class ImageAccess:
    """Access to the images of a dataset.

    Attributes:
        root: root of the dataset; links and ``..`` below it may not lead out of it.
        follow_links: allow links that lead out of the root.
        storage: options of remote storage, without credentials.
        max_bytes: largest file that is read.
        max_pixels: largest width * height that is decoded.
    """

    root: Place
    follow_links: bool = False
    storage: Options = ()
    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS

    @staticmethod
    def of(
        config: DatasetConfig | ImagesConfig, root: Place, limits: ImageLimits = _DEFAULT_LIMITS
    ) -> ImageAccess:
        """Return the access that a configuration describes."""
        options = frozen_options(config.storage_options)
        return ImageAccess(root, config.follow_links, options, limits.max_bytes, limits.max_pixels)

    def decode(self, data: bytes, name: str = "", preview: int | None = None) -> DecodedImage:
        """Decode an image within the limits; see `snellen.adapters.images.decode.decode_image`."""
        limits = {"max_pixels": self.max_pixels, "max_bytes": self.max_bytes}
        return decode_image(data, name=name, preview=preview, **limits)


def read_image(file: ImageFile, access: ImageAccess) -> bytes:
    """Read the bytes of an image.

    Raises:
        ImageError: stage ``read``; NOT_FOUND, PATH_ESCAPE, IO, EMPTY, BYTE_LIMIT or CHANGED.
    """
    if is_remote(file.location):
        return _read_remote(file, access)
    path = _contained(file.location, str(access.root), access.follow_links)
    try:
        # O_NONBLOCK: opening a FIFO without a writer would block forever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _error(ErrorCode.NOT_FOUND, "the file does not exist any more") from None
    except (OSError, ValueError) as error:
        raise _error(ErrorCode.IO, _reason(error)) from None
    try:
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise _error(ErrorCode.IO, "not a regular file")
            file.check(found, file.mtime_ns)
            offset, length = file.member or (0, found.st_size)
            _check_length(length, access.max_bytes)
            data = os.pread(descriptor, length, offset) if file.member else stream.readall()
    except OSError as error:
        raise _error(ErrorCode.IO, _reason(error)) from None
    if len(data) != length:
        raise _error(ErrorCode.CHANGED, f"{len(data)} bytes were read of {length}")
    file.check_content(data)
    return data


def content_hash(data: bytes) -> str:
    """Return the sha256 of an image's bytes, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_row(row: Mapping[str, Any], access: ImageAccess) -> bytes:
    """Read the bytes of the image of a manifest row; see `read_image`."""
    return read_image(ImageFile.of(row), access)


def manifest_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the columns of a manifest that reading and labelling need, as rows."""
    place = ("location", "size", "mtime_ns", "offset", "length", "content_hash")
    wanted = ("image_index", "image_id", *place, *LABEL_COLUMNS)
    columns = [name for name in wanted if name in table.schema.names]
    rows: list[dict[str, Any]] = table.select(columns).to_pylist()
    return rows


def _read_remote(file: ImageFile, access: ImageAccess) -> bytes:
    """Read an image from remote storage, with the retries of `snellen.pipelines.storage.clients`.

    Its times have whole seconds: an object that is replaced by one of the same size within the
    second of its creation counts as unchanged.
    """
    if escapes(file.location):
        raise _error(ErrorCode.PATH_ESCAPE, "the key has a part '..', which storage does not know")
    try:
        handle = RemotePath(file.location, access.storage).handle()
        try:
            found = handle.stat
            written, known = _whole_seconds(found.st_mtime_ns), _whole_seconds(file.mtime_ns)
            if written is None:
                known = None  # this storage keeps no time
            file.check(RemoteStat(found.st_size, written), known)
            offset, length = file.member or (0, found.st_size)
            _check_length(length, access.max_bytes)
            data = handle.read_at(offset, length)
        finally:
            handle.close()
    except FileNotFoundError:
        raise _error(ErrorCode.NOT_FOUND, "the file does not exist any more") from None
    except (StorageError, SnellenError) as error:
        raise _error(ErrorCode.IO, str(error)) from None
    if len(data) != length:
        raise _error(ErrorCode.CHANGED, f"{len(data)} bytes were read of {length}")
    file.check_content(data)
    return data


def _whole_seconds(time_ns: int | None) -> int | None:
    return None if time_ns is None else time_ns // 10**9


def _check_length(length: int, limit: int) -> None:
    if length == 0:
        raise _error(ErrorCode.EMPTY, "the file has 0 bytes")
    if length > limit:
        raise _error(
            ErrorCode.BYTE_LIMIT,
            f"the file has {length} bytes. Expected at most {limit} (images.max_bytes); a larger "
            "limit needs a new run.",
        )


def _contained(location: str, root: str, follow_links: bool) -> str:
    lexical = os.path.normpath(location)
    if not location.startswith(root.rstrip("/") + "/"):
        return lexical  # an absolute path that the manifest names itself
    if not _below(lexical, root):
        raise _error(ErrorCode.PATH_ESCAPE, "the path leads out of the dataset")
    if not follow_links:
        folder, name = os.path.split(lexical)
        real = os.path.join(_real_folder(folder), name)  # noqa: PTH118
        if os.path.islink(real):  # noqa: PTH114
            real = os.path.realpath(real)
        if not _below(real, _real_folder(root)):
            raise _error(
                ErrorCode.PATH_ESCAPE,
                "a link leads out of the dataset; dataset.follow_links allows that",
            )
    return lexical


def _below(path: str, root: str) -> bool:
    return path.startswith(root.rstrip("/") + "/")


@lru_cache(maxsize=65_536)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def _error(code: ErrorCode, message: str) -> ImageError:
    return ImageError(ErrorStage.READ, code, message)


def _reason(error: Exception) -> str:
    # The path has its own column; strerror alone keeps messages equal and short.
    return getattr(error, "strerror", None) or str(error)

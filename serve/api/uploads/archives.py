"""Extract the images of an uploaded ZIP archive: to generated names, and never more than allowed.

Rejected as a whole: encrypted members, links and other special files, absolute names and ``..``,
archives inside of the archive, duplicate names, too many members, and more bytes than the limit
(counted while they are extracted: the sizes in the archive may be wrong).
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from snellen.serve.api.problems import Problem
from snellen.serve.api.uploads.batch_form import StoredFile
from snellen.serve.api.uploads.filenames import display_name
from snellen.serve.config import LimitsConfig
from snellen.store.atomic_file import output_errors

SIGNATURE = b"PK\x03\x04"
_EMPTY = b"PK\x05\x06"
_END = struct.Struct("<4s4H2LH")
_END_SIZE, _MAX_COMMENT = 22, 65_535
_LOCATOR, _LOCATOR_SIZE = b"PK\x06\x07", 20
_DIRECTORY_BYTES = 1200
"""Maximum bytes of the central directory per member: a name and its fields."""
_CHUNK = 1 << 20
_ENCRYPTED = 0x1
_ARCHIVES = re.compile(r"\.(zip|tar|t?gz|tbz2?|bz2|t?xz|7z|rar|zst|jar|cab|iso)$", re.IGNORECASE)
_ARCHIVE_STARTS = (
    SIGNATURE,
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
)
_SYSTEM = frozenset(("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"))


@dataclass(slots=True)
class Extracted:
    """The images of an archive, and the number of files that were passed over, by reason."""

    files: list[StoredFile] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)


def is_archive(path: Path) -> bool:
    """Return True for a ZIP file, by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) in {SIGNATURE, _EMPTY}


def extract_images(archive: Path, folder: Path, limits: LimitsConfig) -> Extracted:
    """Extract every file of an archive to a folder, under generated names.

    Hidden files and those of operating systems are passed over and counted. Every other file
    counts as an image: one that cannot be decoded becomes a failed row.

    Args:
        archive: the ZIP file.
        folder: an existing folder.
        limits: maximum number of images and of unpacked bytes.

    Raises:
        Problem: 422, the archive is rejected; see the module.
        RunError: DISK_FULL, OUTPUT_NOT_WRITABLE.
    """
    _check_directory(archive, limits)
    found = Extracted()
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _chosen(opened.infolist(), found, limits)
            left = limits.max_unpacked_bytes
            for number, (member, name) in enumerate(members):
                path = folder / f"{number:06d}"
                size = _extract(opened, member, path, left)
                if size is None:
                    raise _too_large(limits)
                left -= size
                found.files.append(StoredFile(path, name))
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, UnicodeDecodeError):
        raise Problem(422, "ARCHIVE_INVALID", "The ZIP archive is damaged.") from None
    except NotImplementedError:
        raise Problem(
            422, "ARCHIVE_INVALID", "The ZIP archive uses a compression that is not supported."
        ) from None
    return found


def _check_directory(archive: Path, limits: LimitsConfig) -> None:
    """Reject an archive with too many members before its directory is read into memory."""
    size = archive.stat().st_size
    with archive.open("rb") as file:
        file.seek(max(0, size - _END_SIZE - _MAX_COMMENT - _LOCATOR_SIZE))
        tail = file.read()
    at = tail.rfind(_EMPTY)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise Problem(422, "ARCHIVE_INVALID", "The ZIP archive is damaged.")
    if tail[max(0, at - _LOCATOR_SIZE) : at].startswith(_LOCATOR):
        # Its sizes would replace those that are checked here; the limits are far below its own.
        raise Problem(422, "ARCHIVE_INVALID", "ZIP64 archives are not supported.")
    _, _, _, _, entries, directory, _, _ = _END.unpack(tail[at : at + _END_SIZE])
    allowed = limits.max_batch_images * 2  # folders and hidden files are members, too
    if entries > allowed or directory > allowed * _DIRECTORY_BYTES or entries == 0xFFFF:
        raise _too_many(limits)


def _chosen(
    members: list[zipfile.ZipInfo], found: Extracted, limits: LimitsConfig
) -> list[tuple[zipfile.ZipInfo, str]]:
    """Check every member, and return those that are extracted with their cleaned names."""
    chosen: list[tuple[zipfile.ZipInfo, str]] = []
    names: set[PurePosixPath] = set()
    declared = 0
    for member in members:
        path = _checked(member)
        if member.is_dir():
            continue
        reason = _passed_over(path)
        if reason is not None:
            found.passed_over[reason] = found.passed_over.get(reason, 0) + 1
            continue
        name = "/".join(display_name(part) for part in path.parts)
        if path in names:
            raise Problem(422, "ARCHIVE_DUPLICATE", "The ZIP archive has two files of one name.")
        names.add(path)
        chosen.append((member, name))
        declared += member.file_size
        if len(chosen) > limits.max_batch_images:
            raise _too_many(limits)
        if declared > limits.max_unpacked_bytes:
            raise _too_large(limits)
    return chosen


def _checked(member: zipfile.ZipInfo) -> PurePosixPath:
    mode = member.external_attr >> 16
    if member.flag_bits & _ENCRYPTED:
        raise Problem(422, "ARCHIVE_ENCRYPTED", "The ZIP archive is encrypted.")
    if mode and stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise Problem(422, "ARCHIVE_LINK", "The ZIP archive has a link or a special file.")
    text = member.filename.replace("\\", "/")
    parts = text.split("/")
    if text.startswith("/") or ".." in parts or (len(text) > 1 and text[1] == ":") or "\0" in text:
        raise Problem(422, "ARCHIVE_PATH", "The ZIP archive has a path that leads out of it.")
    if _ARCHIVES.search(text) and not member.is_dir():
        raise Problem(422, "ARCHIVE_NESTED", "The ZIP archive has an archive inside.")
    return PurePosixPath(text)


def _passed_over(path: PurePosixPath) -> str | None:
    if any(part in _SYSTEM for part in path.parts) or path.name in {"Thumbs.db", "desktop.ini"}:
        return "system"
    return "hidden" if any(part.startswith(".") for part in path.parts) else None


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, left: int) -> int | None:
    """Extract one member and return its number of bytes; None if it exceeds ``left``."""
    total = 0
    with opened.open(member) as source, output_errors(path), path.open("xb") as target:
        while chunk := source.read(_CHUNK):
            if not total and chunk.startswith(_ARCHIVE_STARTS):
                raise Problem(422, "ARCHIVE_NESTED", "The ZIP archive has an archive inside.")
            total += len(chunk)
            if total > left:
                return None
            target.write(chunk)
    return total


def _too_many(limits: LimitsConfig) -> Problem:
    limit = limits.max_batch_images
    return Problem(
        422,
        "BATCH_IMAGES",
        f"The ZIP archive has more than {limit} images (limits.max_batch_images).",
    )


def _too_large(limits: LimitsConfig) -> Problem:
    limit = limits.max_unpacked_bytes
    return Problem(
        422,
        "ARCHIVE_SIZE",
        f"The ZIP archive has more than {limit} bytes unpacked (limits.max_unpacked_bytes).",
    )

"""Read a multipart body of many images, or of one ZIP archive, to files within limits.

Bytes are counted as they arrive and written to files with generated names; the names that clients
send are labels only.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from snellen.serve.api.problems import Problem
from snellen.serve.api.uploads.filenames import display_name
from snellen.serve.api.uploads.multipart import (
    boundary_of,
    check_length,
    parser_callbacks,
    too_large,
)
from snellen.serve.config import LimitsConfig
from snellen.store.atomic_file import output_errors

IMAGES = "images"
"""Field of the files."""
_MAX_FIELD_BYTES = 1024
_MAX_FIELDS = 16
_SETTING = "limits.max_batch_bytes"
_FORM_OVERHEAD = 1024
"""Bytes of headers and boundary per file that do not count as content."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file: its place, and its name for display."""

    path: Path
    name: str


@dataclass(slots=True)
class BatchForm:
    """The parts of the body."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[StoredFile] = field(default_factory=list)


class _Writer:
    """Parser callbacks that write each file of a form to a folder."""

    def __init__(self, folder: Path, known: Collection[str], limits: LimitsConfig) -> None:
        self.form = BatchForm()
        self.ended = False
        self._folder = folder
        self._known = known
        self._limits = limits
        self._header = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._value = bytearray()
        self._file: BinaryIO | None = None

    def on_part_begin(self) -> None:
        self._headers = {}

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]

    def on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in options:
            raise Problem(400, "MULTIPART", "A part of the form has no name.")
        self._name = options[b"name"].decode("utf-8", "replace")
        if self._name == IMAGES:
            if b"filename" not in options:
                raise Problem(
                    400,
                    "NOT_A_FILE",
                    f"'{IMAGES}' was sent as text. Expected uploaded files; addresses are not "
                    "fetched.",
                )
            self._begin_file(options[b"filename"].decode("utf-8", "replace"))
            return
        if self._name not in self._known or self._name in self.form.fields:
            what = "Duplicate" if self._name in self.form.fields else "Unknown"
            raise Problem(
                422,
                "FORM_FIELD",
                f"{what} form field {self._name[:40]!r}. Expected: "
                f"{', '.join(sorted((*self._known, IMAGES)))}.",
            )
        if len(self.form.fields) >= _MAX_FIELDS:
            raise Problem(422, "FORM_PARTS", f"The form has more than {_MAX_FIELDS} fields.")
        self._value = bytearray()

    def _begin_file(self, name: str) -> None:
        files = self.form.files
        if len(files) >= self._limits.max_batch_images:
            limit = self._limits.max_batch_images
            raise Problem(
                422,
                "BATCH_IMAGES",
                f"The form has more than {limit} images (limits.max_batch_images).",
            )
        path = self._folder / f"{len(files):06d}"
        files.append(StoredFile(path, display_name(name)))
        with output_errors(path):
            self._file = path.open("xb")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            with output_errors(self._folder):
                self._file.write(data[start:end])
            return
        if len(self._value) + end - start > _MAX_FIELD_BYTES:
            raise Problem(
                413, "BYTE_LIMIT", f"The field '{self._name}' is larger than {_MAX_FIELD_BYTES} B."
            )
        self._value += data[start:end]

    def on_part_end(self) -> None:
        if self._file is None:
            self.form.fields[self._name] = self._value.decode("utf-8", "replace")
        else:
            self.close()

    def on_end(self) -> None:
        self.ended = True

    def close(self) -> None:
        """Close the file that is being written, if any."""
        if self._file is not None:
            with output_errors(self._folder):
                self._file.close()
            self._file = None


async def read_batch(
    request: Request, folder: Path, fields: Collection[str], limits: LimitsConfig
) -> BatchForm:
    """Read fields and files of a multipart request.

    Args:
        request: a request whose body has not been read.
        folder: a new folder for the files.
        fields: names of the fields that the form may have.
        limits: number of images, bytes, and seconds for their arrival.

    Raises:
        Problem: 400 malformed, 408 too slow, 413 too large, 422 unexpected fields or too many
            images.
        RunError: DISK_FULL, OUTPUT_NOT_WRITABLE.
    """
    max_bytes = limits.max_batch_bytes + _FORM_OVERHEAD * limits.max_batch_images
    check_length(request, max_bytes, _SETTING)
    writer = _Writer(folder, fields, limits)
    parser = MultipartParser(boundary_of(request, IMAGES), parser_callbacks(writer))
    size = 0
    try:
        async with asyncio.timeout(limits.upload_timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise too_large(max_bytes, _SETTING)
                await to_thread.run_sync(parser.write, chunk)  # a disk may be slow
        parser.finalize()
    except TimeoutError:
        raise Problem(
            408,
            "BODY_TIMEOUT",
            f"The body did not arrive within {limits.upload_timeout_s:g} s "
            "(limits.upload_timeout_s).",
            headers={"Connection": "close"},
        ) from None
    except MultipartParseError:
        raise Problem(400, "MULTIPART", "The multipart body is malformed.") from None
    finally:
        with suppress(Exception):
            writer.close()
    if not writer.ended:
        raise Problem(400, "MULTIPART", "The multipart body is incomplete.")
    if not writer.form.files:
        raise Problem(422, "VALIDATION", f"The form has no file in the field '{IMAGES}'.")
    return writer.form


def remove_folder(folder: Path) -> None:
    """Remove a folder of uploads; what cannot be removed is left."""
    shutil.rmtree(folder, ignore_errors=True)

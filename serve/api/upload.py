"""Read a multipart body: one image and a few short fields, in memory, within limits.

Starlette's own form parser has no limit for files and writes them to disk. Here bytes are counted
as they arrive, chunked bodies included, and nothing is ever written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from snellen.serve.api.admission import Holding
from snellen.serve.api.problems import Problem
from snellen.serve.config import FORM_OVERHEAD, LimitsConfig

_FIELD_BYTES = 1024
_MOST_PARTS = 16


@dataclass(slots=True)
class Upload:
    """An uploaded file: its bytes, and the name that the client gave it."""

    name: str
    data: bytearray


@dataclass(slots=True)
class Form:
    """What a multipart body held."""

    fields: dict[str, str] = field(default_factory=dict)
    file: Upload | None = None


class _Collector:
    """Callbacks of the parser: parts become fields, or the one file."""

    def __init__(self, file_field: str, known: Collection[str], max_file: int) -> None:
        self.form = Form()
        self.ended = False
        self._file_field = file_field
        self._known = known
        self._max_file = max_file
        self._parts = 0
        self._header = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._value: bytearray = bytearray()
        self._limit = 0

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise Problem(422, "FORM_PARTS", f"The form has more than {_MOST_PARTS} parts.")
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
        self._value = bytearray()
        if self._name == self._file_field:
            if self.form.file is not None:
                raise Problem(422, "FORM_FILES", f"More than one '{self._file_field}' was sent.")
            if b"filename" not in options:
                raise Problem(
                    400,
                    "NOT_A_FILE",
                    f"'{self._file_field}' was sent as text, an uploaded file was expected; "
                    "addresses are not fetched.",
                )
            name = options[b"filename"].decode("utf-8", "replace")
            self.form.file = Upload(name, self._value)
            self._limit = self._max_file
            return
        if self._name not in self._known:
            raise Problem(
                422,
                "FORM_FIELD",
                f"The form has an unknown field {_shown(self._name)}; it takes "
                f"{', '.join(sorted((*self._known, self._file_field)))}.",
            )
        if self._name in self.form.fields:
            raise Problem(422, "FORM_FIELD", f"The field '{self._name}' was sent twice.")
        self._limit = _FIELD_BYTES

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if len(self._value) + end - start > self._limit:
            what = "image" if self._name == self._file_field else f"field '{self._name}'"
            raise Problem(413, "BYTE_LIMIT", f"The {what} is larger than {self._limit} bytes.")
        self._value += data[start:end]

    def on_part_end(self) -> None:
        if self._name != self._file_field:
            self.form.fields[self._name] = self._value.decode("utf-8", "replace")

    def on_end(self) -> None:
        self.ended = True


def _shown(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:40]}...")


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", "").encode("latin-1"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data":
        raise Problem(
            400, "MULTIPART", "A multipart/form-data body with the field 'image' was expected."
        )
    if not 1 <= len(boundary) <= 70:
        raise Problem(400, "MULTIPART", "The multipart body names no usable boundary.")
    return boundary


async def read_form(
    request: Request,
    *,
    file_field: str,
    known: Collection[str],
    limits: LimitsConfig,
    holding: Holding,
) -> Form:
    """The fields and the file of a multipart request.

    Args:
        request: not read yet.
        file_field: name of the field that is a file.
        known: names of the other fields.
        limits: bytes of the file and seconds for the whole body.
        holding: accounts for what has arrived.

    Raises:
        Problem: 400 malformed, 408 too slow, 413 too large, 422 fields that are not expected, 503
            no room for more uploads.
    """
    most = limits.max_image_bytes + FORM_OVERHEAD
    _check_length(request, most)
    collector = _Collector(file_field, known, limits.max_image_bytes)
    parser = MultipartParser(_boundary(request), _callbacks(collector))
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for chunk in request.stream():
                holding.add(len(chunk))
                if holding.count > most:
                    raise Problem(413, "BYTE_LIMIT", f"The body is larger than {most} bytes.")
                parser.write(chunk)
        parser.finalize()
    except TimeoutError:
        raise Problem(
            408,
            "BODY_TIMEOUT",
            f"The request did not arrive within {limits.body_timeout_s:g} s.",
            headers={"Connection": "close"},
        ) from None
    except MultipartParseError:
        raise Problem(400, "MULTIPART", "The multipart body is malformed.") from None
    if not collector.ended:
        raise Problem(400, "MULTIPART", "The multipart body ends too early.")
    return collector.form


def _check_length(request: Request, most: int) -> None:
    text = request.headers.get("content-length", "0")
    # Python refuses to read a number of thousands of digits.
    if text.isdecimal() and (len(text) > 18 or int(text) > most):
        raise Problem(413, "BYTE_LIMIT", f"The body is larger than {most} bytes.")


def _callbacks(collector: _Collector) -> Any:
    names = (
        "on_part_begin",
        "on_part_data",
        "on_part_end",
        "on_header_field",
        "on_header_value",
        "on_header_end",
        "on_headers_finished",
        "on_end",
    )
    return {name: getattr(collector, name) for name in names}

"""Read a multipart body of one image and a few short fields, in memory and within limits.

Starlette's form parser has no limit on files and writes them to disk. Here bytes are counted as
they arrive, chunked bodies included, and nothing is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from snellen.serve.api.middleware.admission import Reservation
from snellen.serve.api.problems import Problem
from snellen.serve.config import FORM_OVERHEAD, LimitsConfig

_MAX_FIELD_BYTES = 1024
_MAX_PARTS = 16
_OR_RAW = ", or an image file as the body, with Content-Type: image/jpeg for example"


@dataclass(slots=True)
class Upload:
    """An uploaded file: its bytes, and its name as the client sent it."""

    name: str
    data: bytearray


@dataclass(slots=True)
class Form:
    """The parts of a multipart body."""

    fields: dict[str, str] = field(default_factory=dict)
    file: Upload | None = None


@dataclass(frozen=True, slots=True)
class FormSpec:
    """The fields of a form: one file, and the names of the others."""

    file_field: str
    fields: Collection[str]


class _Collector:
    """Parser callbacks that collect parts into a form."""

    def __init__(self, expected: FormSpec, max_file: int) -> None:
        self.form = Form()
        self.ended = False
        self._file_field = expected.file_field
        self._known = expected.fields
        self._max_file = max_file
        self._parts = 0
        self._header = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._value: bytearray = bytearray()
        self._limit = 0

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise Problem(422, "FORM_PARTS", f"The form has more than {_MAX_PARTS} parts.")
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
                    f"'{self._file_field}' was sent as text. Expected an uploaded file; addresses "
                    "are not fetched.",
                )
            name = options[b"filename"].decode("utf-8", "replace")
            self.form.file = Upload(name, self._value)
            self._limit = self._max_file
            return
        if self._name not in self._known:
            raise Problem(
                422,
                "FORM_FIELD",
                f"Unknown form field {_shortened(self._name)}. Expected: "
                f"{', '.join(sorted((*self._known, self._file_field)))}.",
            )
        if self._name in self.form.fields:
            raise Problem(422, "FORM_FIELD", f"Duplicate form field '{self._name}'.")
        self._limit = _MAX_FIELD_BYTES

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if len(self._value) + end - start > self._limit:
            is_image = self._name == self._file_field
            what = "image" if is_image else f"field '{self._name}'"
            setting = " (limits.max_image_bytes)" if is_image else ""
            raise Problem(
                413, "BYTE_LIMIT", f"The {what} is larger than {self._limit} bytes{setting}."
            )
        self._value += data[start:end]

    def on_part_end(self) -> None:
        if self._name != self._file_field:
            self.form.fields[self._name] = self._value.decode("utf-8", "replace")

    def on_end(self) -> None:
        self.ended = True


def _shortened(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:40]}...")


def boundary_of(request: Request, file_field: str, instead: str = "") -> bytes:
    """Return the boundary of a multipart request.

    Args:
        request: the request.
        file_field: name of the field of the file, for the message.
        instead: other bodies that the route accepts, for the message.

    Raises:
        Problem: 400, it is no multipart body, or has no valid boundary.
    """
    kind, options = parse_options_header(request.headers.get("content-type", "").encode("latin-1"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data":
        raise Problem(
            400,
            "MULTIPART",
            f"The Content-Type is {_shortened(kind.decode('latin-1'))}. Expected a "
            f"multipart/form-data body with the field '{file_field}'{instead}.",
        )
    if not 1 <= len(boundary) <= 70:
        raise Problem(400, "MULTIPART", "The multipart body has no valid boundary.")
    return boundary


async def read_form(
    request: Request, expected: FormSpec, limits: LimitsConfig, reservation: Reservation
) -> Form:
    """Read the fields and the file of a multipart request.

    Args:
        request: a request whose body has not been read.
        expected: the fields that the form may have.
        limits: maximum bytes of the file, and seconds for its arrival.
        reservation: reserves memory for the bytes as they arrive.

    Raises:
        Problem: 400 malformed, 408 too slow, 413 too large, 422 unexpected fields, 503 no room
            for more uploads.
    """
    collector = _Collector(expected, limits.max_image_bytes)
    parser = MultipartParser(
        boundary_of(request, expected.file_field, _OR_RAW), parser_callbacks(collector)
    )
    max_bytes = limits.max_image_bytes + FORM_OVERHEAD
    try:
        await receive_body(request, max_bytes, limits, reservation, parser.write)
        parser.finalize()
    except MultipartParseError:
        raise Problem(400, "MULTIPART", "The multipart body is malformed.") from None
    if not collector.ended:
        raise Problem(400, "MULTIPART", "The multipart body is incomplete.")
    return collector.form


async def receive_body(
    request: Request,
    max_bytes: int,
    limits: LimitsConfig,
    reservation: Reservation,
    write: Callable[[bytes], object],
) -> None:
    """Pass the chunks of a body to ``write`` as they arrive.

    Args:
        request: a request whose body has not been read.
        max_bytes: maximum size of the body.
        limits: maximum time for its arrival.
        reservation: reserves memory for the bytes as they arrive.
        write: takes the next chunk.

    Raises:
        Problem: 408 too slow, 413 too large, 503 no room for more uploads.
    """
    check_length(request, max_bytes)
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for chunk in request.stream():
                reservation.add(len(chunk))
                if reservation.size > max_bytes:
                    raise too_large(max_bytes)
                write(chunk)
    except TimeoutError:
        raise Problem(
            408,
            "BODY_TIMEOUT",
            f"The body did not arrive within {limits.body_timeout_s:g} s (limits.body_timeout_s).",
            headers={"Connection": "close"},
        ) from None


def check_length(request: Request, max_bytes: int, setting: str = "limits.max_image_bytes") -> None:
    """Reject a request whose Content-Length is above a limit. Raises Problem, 413.

    Args:
        request: a request whose body has not been read.
        max_bytes: the limit.
        setting: key of the configuration that sets the limit.
    """
    text = request.headers.get("content-length", "0")
    # int() raises for thousands of digits.
    if text.isdecimal() and (len(text) > 18 or int(text) > max_bytes):
        raise too_large(max_bytes, setting)


def too_large(max_bytes: int, setting: str = "limits.max_image_bytes") -> Problem:
    """Create a 413 problem; for the arguments see `check_length`."""
    return Problem(413, "BYTE_LIMIT", f"The body is larger than {max_bytes} bytes ({setting}).")


def parser_callbacks(collector: Any) -> Any:
    """Return the callbacks of a parser by name: the methods of ``collector``."""
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

"""Read a body that is an image file, in memory and within limits."""

from __future__ import annotations

from email.message import Message

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from snellen.serve.api.middleware.admission import Reservation
from snellen.serve.api.problems import Problem
from snellen.serve.api.uploads.multipart import Upload, receive_body
from snellen.serve.config import LimitsConfig

_BYTES = b"application/octet-stream"


def is_raw_image(request: Request) -> bool:
    """Return True if the Content-Type says that the body is an image file."""
    kind, _ = parse_options_header(request.headers.get("content-type", "").encode("latin-1"))
    return kind.startswith(b"image/") or kind == _BYTES


async def read_raw_image(
    request: Request, limits: LimitsConfig, reservation: Reservation
) -> Upload:
    """Read an image; its name is the ``filename`` of the header Content-Disposition, if any.

    Args:
        request: a request whose body has not been read.
        limits: maximum bytes of the image, and seconds for its arrival.
        reservation: reserves memory for the bytes as they arrive.

    Raises:
        Problem: 408 too slow, 413 too large, 415 a compressed body, 503 no room for more uploads.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Problem(
            415,
            "UNSUPPORTED",
            f"Content-Encoding {encoding[:40]!r} is not supported. Expected the bytes of an image "
            "file as they are.",
        )
    data = bytearray()
    await receive_body(request, limits.max_image_bytes, limits, reservation, data.extend)
    return Upload(_file_name(request.headers.get("content-disposition", "")), data)


def _file_name(disposition: str) -> str:
    """Return the file name of a Content-Disposition header (RFC 6266), or an empty text."""
    header = Message()
    header["content-disposition"] = disposition
    return header.get_filename("")

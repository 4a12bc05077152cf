"""Error codes of images that a decoder cannot read: truncated, corrupt or not supported."""

from __future__ import annotations

from PIL import Image, TiffImagePlugin

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.images.truncation import ends_early, jpeg_segments, tiff_directory

_UNSUPPORTED_WORDS = (
    "unsupported",
    "unknown",
    "cannot handle",
    "not supported",
    "not yet supported",
    "not installed",
    "samples per pixel",
)
_JPEG_PROCESSES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
"""Start-of-frame markers of lossless and hierarchical JPEG, which decoders do not read."""
_TIFF_WEBP = 50001
_COMPRESSION, _DEFAULT_COMPRESSION = 259, 1


def decode_error(code: ErrorCode, message: str) -> ImageError:
    """Return the error of an image that cannot be decoded."""
    return ImageError(ErrorStage.DECODE, code, message)


def classify(error: BaseException, data: bytes, kind: str, what: str) -> ImageError:
    """Return the error of a file that a decoder raised an exception for.

    Args:
        error: raised by the decoder.
        data: the file.
        kind: its format, one of `SUPPORTED_FORMATS`.
        what: name of the image, for the message.

    Returns:
        PIXEL_LIMIT (too large for the memory), UNSUPPORTED (a variant of the format that is not
        read), TRUNCATED (the file ends early) or CORRUPT.
    """
    reason = _reason(error)
    if isinstance(error, MemoryError | Image.DecompressionBombError) or "allocate" in reason:
        return decode_error(ErrorCode.PIXEL_LIMIT, f"{what}: not enough memory to decode: {reason}")
    variant = _unsupported_variant(data, kind)
    early = variant is None and ends_early(data, kind)
    if variant is None and not early and _says_unsupported(error):
        variant = reason
    if variant is not None:
        return decode_error(
            ErrorCode.UNSUPPORTED,
            f"{what}: this kind of {kind} is not supported: {variant}. Expected 8 or 16 bits per "
            "channel in a common encoding; convert the file to JPEG or PNG.",
        )
    if early:
        return decode_error(
            ErrorCode.TRUNCATED,
            f"{what}: the {kind} file is truncated ({reason}). Expected a complete file; copy or "
            "download it again.",
        )
    return decode_error(
        ErrorCode.CORRUPT,
        f"{what}: the {kind} data is corrupt: {reason}. Expected an undamaged file; replace it or "
        "leave it out.",
    )


def classify_pil(error: BaseException) -> ImageError:
    """Return the error of a Pillow image that cannot be converted; its file is not known."""
    reason = _reason(error)
    code = ErrorCode.CORRUPT
    if isinstance(error, MemoryError):
        code = ErrorCode.PIXEL_LIMIT
    elif _says_unsupported(error):
        code = ErrorCode.UNSUPPORTED
    elif "truncated" in reason.lower():
        code = ErrorCode.TRUNCATED
    return decode_error(code, f"Pillow image cannot be converted: {reason}")


def _reason(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    # torchvision puts a line of its source code before the reason of libjpeg.
    return text.partition("decode_jpeg.cpp:")[2].partition(", ")[2] or text


def _says_unsupported(error: BaseException) -> bool:
    text = _reason(error).lower()
    return any(words in text for words in _UNSUPPORTED_WORDS)


def _unsupported_variant(data: bytes, kind: str) -> str | None:
    """Return the property of a file, by its header, for which no decoder here can read it."""
    if kind == "JPEG":
        for marker, start, _ in jpeg_segments(data):
            if marker in _JPEG_PROCESSES:
                return f"process with the marker 0x{marker:02x} (lossless or hierarchical)"
            if 0xC0 <= marker <= 0xC2 and data[start + 4 : start + 5] not in (b"\x08", b""):
                return f"{data[start + 4]} bits per channel"
    if kind == "TIFF":
        try:
            directory = tiff_directory(data)
        except Exception:  # a parser may raise anything on a broken header
            return None
        if directory is not None:
            number = directory.get(_COMPRESSION, _DEFAULT_COMPRESSION)
            # Pillow's libtiff is built without WebP.
            if number not in TiffImagePlugin.COMPRESSION_INFO or number == _TIFF_WEBP:
                return f"compression {number}"
    return None

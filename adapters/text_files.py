"""Text files that users write: their encoding, and class names with one name per line."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from snellen.adapters.errors import InputError

_MARKS = (
    # UTF-32 first: its mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SHOWN = 60
_LINE_END = re.compile(r"\r\n|\r|\n")


class TextEncodingError(ValueError):
    """Text in an encoding that its bytes do not state."""


def encoding_of(start: bytes) -> str:
    """Return the encoding that a byte order mark states; ``utf-8`` without one.

    Args:
        start: at least the first four bytes of a file.
    """
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")


def decode_text(data: bytes) -> str:
    """Decode UTF-8, or UTF-16 and UTF-32 with a byte order mark, which is removed.

    Raises:
        TextEncodingError: any other encoding; the message names the line and the likely encoding.
    """
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise TextEncodingError(_wrong_bytes(data, error)) from None
    if encoding == "utf-8" and "\0" in text:
        raise TextEncodingError(
            "it has NUL bytes, as UTF-16 without a byte order mark has. Expected UTF-8. Convert "
            "it: iconv -f UTF-16LE -t UTF-8"
        )
    return text


def _wrong_bytes(data: bytes, error: UnicodeDecodeError) -> str:
    number = data.count(b"\n", 0, error.start) + 1
    if error.encoding != "utf-8":
        name = error.encoding.upper().removesuffix("-LE").removesuffix("-BE")
        return f"it has the byte order mark of {name}, but {error.reason}. Expected UTF-8."
    start = data.rfind(b"\n", 0, error.start) + 1
    line = data[start : start + _SHOWN].split(b"\n")[0].decode("cp1252", "replace").strip()
    return (
        f"it is not UTF-8: line {number} has the byte 0x{data[error.start]:02X}. Expected UTF-8, "
        f"or UTF-16 with a byte order mark. In Windows-1252 (Latin-1) the line is '{line}'; if "
        "that is right, convert the file: iconv -f WINDOWS-1252 -t UTF-8"
    )


def lines_of(text: str) -> list[str]:
    r"""Return the lines of a text; they end with ``\n``, ``\r\n`` or ``\r`` and nothing else."""
    lines = _LINE_END.split(text)
    return lines[:-1] if lines and not lines[-1] else lines


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read a text file with one class name per line, in the order of the class ids.

    White space around a name and blank lines at the end are ignored. Two names may be equal, as
    in lists of ImageNet's classes.

    Raises:
        InputError: CLASS_NAMES_INVALID for another encoding, or a blank line between names.
    """
    return parse_class_names(path.read_bytes(), str(path))


def parse_class_names(data: bytes, where: str) -> tuple[str, ...]:
    """Return the class names in the content of a text file; see `read_class_names`.

    Args:
        data: content of the file.
        where: its name, for messages.

    Raises:
        InputError: CLASS_NAMES_INVALID.
    """
    try:
        text = decode_text(data)
    except TextEncodingError as error:
        raise InputError("CLASS_NAMES_INVALID", f"'{where}' cannot be read: {error}") from None
    names = [line.strip() for line in lines_of(text)]
    while names and not names[-1]:
        names.pop()
    for number, name in enumerate(names, 1):
        if not name:
            raise InputError(
                "CLASS_NAMES_INVALID",
                f"'{where}': line {number} is blank. Expected one class name per line: a name's "
                f"line is its class id. Remove the line, or give class {number - 1} a name.",
            )
    return tuple(names)


def check_unique_names(names: Sequence[str], where: str) -> None:
    """Check that no two class names of a text file are equal in the Unicode form NFC.

    Args:
        names: one per line.
        where: name of the file, for messages.

    Raises:
        InputError: CLASS_NAMES_INVALID.
    """
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        earlier = first.setdefault(unicodedata.normalize("NFC", name), number)
        if earlier != number:
            raise InputError(
                "CLASS_NAMES_INVALID",
                f"'{where}': lines {earlier} and {number} are both '{name}'. Expected unique "
                "class names. Rename one of them.",
            )

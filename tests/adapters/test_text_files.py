"""Text files that users write: encodings, and class names with one name per line."""

from __future__ import annotations

from pathlib import Path

import pytest

from snellen.adapters.errors import InputError
from snellen.adapters.text_files import check_unique_names, decode_text, lines_of, read_class_names

NAMES = ("café", "dog", "日本")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("café\ndog\n日本\n".encode(), NAMES),
        ("café\ndog\n日本".encode(), NAMES),
        ("café\r\ndog\r\n日本\r\n".encode(), NAMES),
        ("café\rdog\r日本\r".encode(), NAMES),
        ("café\ndog\n日本\n".encode("utf-8-sig"), NAMES),
        ("café\ndog\n日本\n".encode("utf-16"), NAMES),
        ("\ufeffcafé\ndog\n日本\n".encode("utf-16-be"), NAMES),
        ("café\ndog\n日本\n".encode("utf-32"), NAMES),
        (b" dog \ncat\t\n\n \n", ("dog", "cat")),
        ("a\u2028b\nc\x0cd\n".encode(), ("a\u2028b", "c\x0cd")),
        (b"", ()),
    ],
    ids=[
        "O-utf8", "O-no-last-line-end", "O-windows-line-ends", "O-old-mac-line-ends", "O-bom",
        "O-utf16-little-endian", "O-utf16-big-endian", "O-utf32", "O-spaces-and-blank-end",
        "O-separators-inside-names", "O-empty",
    ],
)  # fmt: skip
def test_the_line_of_a_name_is_its_class_id(
    tmp_path: Path, data: bytes, expected: tuple[str, ...]
) -> None:
    (tmp_path / "names.txt").write_bytes(data)
    assert read_class_names(tmp_path / "names.txt") == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"dog\ncaf\xe9\n", r"line 2 has the byte 0xE9\. Expected UTF-8.*the line is 'café'"),
        ("dog\n".encode("utf-16-le"), "NUL bytes, as UTF-16 without a byte order mark"),
        (b"\xff\xfed\x00o\x00g", "has the byte order mark of UTF-16, but truncated data"),
        (b"cat\n\ndog\n", r"line 2 is blank\. Expected one class name per line"),
        (b"\ncat\n", "line 1 is blank"),
    ],
    ids=[
        "O-latin1", "O-utf16-without-mark", "O-cut-utf16", "O-blank-line-inside",
        "O-blank-first-line",
    ],
)  # fmt: skip
def test_a_file_whose_positions_are_in_doubt_is_rejected(
    tmp_path: Path, data: bytes, message: str
) -> None:
    (tmp_path / "names.txt").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_class_names(tmp_path / "names.txt")
    assert caught.value.code == "CLASS_NAMES_INVALID"
    assert "names.txt" in caught.value.message


def test_the_mark_is_no_part_of_the_text() -> None:
    assert decode_text("\ufeffa".encode()) == decode_text("a".encode("utf-16")) == "a"
    assert lines_of("a\r\n\r\nb") == ["a", "", "b"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", "dog", "cat"], r"lines 1 and 3 are both 'cat'\. Expected unique class names"),
        (["caf\u00e9", "cafe\u0301"], "lines 1 and 2 are both"),
    ],
    ids=["O-duplicate", "O-duplicate-in-another-unicode-form"],
)
def test_duplicate_names(names: list[str], message: str) -> None:
    check_unique_names(NAMES, "names.txt")
    with pytest.raises(InputError, match=message) as caught:
        check_unique_names(names, "names.txt")
    assert caught.value.code == "CLASS_NAMES_INVALID"

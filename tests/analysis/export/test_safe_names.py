"""Names in an export stay below its folder, and belong to one image each."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.adapters.errors import InputError
from snellen.analysis.export.safe_names import UniqueNames, safe_name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b c.png", "a/b c.png"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a/../../b.png", "a/b.png"),
        ("..\\..\\b.png", "b.png"),
        ("C:\\x\\y.png", "x/y.png"),
        ("s3://bucket/a.png", "bucket/a.png"),
        ("a\nb:c?.png", "a_b_c_.png"),
        ("ä/名.png", "ä/名.png"),
        ("..", "image"),
    ],
)
def test_names_are_relative_and_plain(path: str, expected: str) -> None:
    assert safe_name(path) == expected


@given(st.text(alphabet=st.sampled_from("ab./\\: \n"), max_size=12))
def test_no_text_leaves_the_folder(path: str) -> None:
    name = safe_name(path)
    assert name
    assert not PurePosixPath(name).is_absolute()
    assert not PureWindowsPath(name).drive
    assert not PureWindowsPath(name).root
    assert not {"", ".", ".."} & set(name.split("/"))
    assert safe_name(name) == name


def test_one_name_is_of_one_image() -> None:
    names = UniqueNames()
    assert names.add("a.txt", "a.png") == names.add("a.txt", "a.png") == "a.txt"
    for name in ("a.txt", "A.txt"):
        with pytest.raises(InputError, match=r"'a\.png' and 'a\.jpg'") as caught:
            names.add(name, "a.jpg")
        assert caught.value.code == "EXPORT_NAMES"

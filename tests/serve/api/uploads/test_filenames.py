"""File names of uploads are safe to display, store and print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.serve.api.uploads.filenames import display_name


@pytest.mark.parametrize(
    ("sent", "displayed"),
    [
        ("cat.jpg", "cat.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\cat.jpg", "cat.jpg"),
        ("a\0b\n.png", "ab.png"),
        ("", "image"),
        ("..", "image"),
        ("\u202egpj.exe", "gpj.exe"),
        ("<script>.png", "<script>.png"),
        ("é e\u0301.png", "é e\u0301.png"),
        ("x" * 300 + ".jpeg", "x" * 195 + ".jpeg"),
    ],
)
def test_names_are_made_safe_to_display(sent: str, displayed: str) -> None:
    assert display_name(sent) == displayed


@given(st.text(max_size=400))
def test_any_name_can_be_displayed(text: str) -> None:
    name = display_name(text)
    assert 1 <= len(name) <= 200
    assert not set(name) & set("/\\\0\n\r")
    name.encode()

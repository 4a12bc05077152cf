"""``snellen compare``: the document, the tables and its errors."""

from __future__ import annotations

import pytest

from tests.snellen.command_line import Cli


@pytest.fixture
def compared(cli: Cli) -> Cli:
    """A command line with two runs of one dataset."""
    cli.json("eval", cli.config(name="first"))
    cli.json("eval", cli.config(name="second", model={"class_names": ["0", "2", "1"]}))
    return cli


def test_the_document_has_the_agreed_keys(compared: Cli) -> None:
    found = compared.json("compare", "first", "second")
    assert set(found) == {
        "a", "b", "common_images", "left_out", "verdict", "primary", "metrics", "classes",
        "slices", "images", "objects", "group", "method",
    }  # fmt: skip
    assert set(found["primary"]) == {
        "key", "a", "b", "difference", "interval", "p", "q", "verdict", "images_needed",
        "detectable",
    }  # fmt: skip
    assert (found["a"]["name"], found["b"]["name"], found["common_images"]) == (
        "first", "second", 12,
    )  # fmt: skip
    assert len(compared.json("compare", "1", "2", "1")["comparisons"]) == 2


def test_the_tables_lead_with_the_verdict(compared: Cli) -> None:
    code, out, _ = compared("compare", "1", "2", "--per-class")
    assert code == 0
    assert "A: run 1 first and B: run 2 second" in out
    assert "not settled (accuracy: difference" in out
    assert "more images would settle it" in out
    assert "12 common images; McNemar, Tango's interval" in out
    assert "Images: " in out


def test_slices_are_compared(compared: Cli) -> None:
    found = compared.json("compare", "1", "2", "--slice", "image_size")
    (row,) = found["slices"]
    assert row["slice"] == {"by": "image_size", "value": "small"}
    assert row["difference"] == found["primary"]["difference"]
    _, out, _ = compared("compare", "1", "2", "--slice", "image_size")
    assert "image_size: small" in out
    error = compared.json("compare", "1", "2", "--slice", "meta_x", code=2)["error"]
    assert error["code"] == "COMPARE_SLICE"


def test_changes_are_written_to_files(compared: Cli) -> None:
    found = compared.json("compare", "1", "2", "-o", "changes")
    assert found["images"]["fixed"]["indices_file"] == "changes/compare-1-2-images.parquet"
    assert (compared.place / "changes" / "compare-1-2-images.parquet").is_file()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("1",), "COMPARE_RUNS"),
        (("1", "9"), "RUN_NOT_FOUND"),
        (("1", "2", "--group", "meta_x"), "COMPARE_GROUP"),
        (("1", "2", "--tolerance", "-1"), "USAGE"),
    ],
)
def test_errors_name_their_cause(compared: Cli, words: tuple[str, ...], code: str) -> None:
    assert compared.json("compare", *words, code=2)["error"]["code"] == code

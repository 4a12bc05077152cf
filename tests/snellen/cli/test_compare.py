"""``snellen compare``: the document, the tables and its errors."""

from __future__ import annotations

import pytest

from snellen.analysis.comparison import compare
from snellen.cli.compare.tables import comparison_tables
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
        "slices", "found_slices", "images", "objects", "deciding", "disagreements", "speed",
        "training_results", "group", "method",
    }  # fmt: skip
    assert set(found["primary"]) == {
        "key", "a", "b", "difference", "interval", "p", "q", "p_holm", "verdict",
        "images_needed", "detectable",
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


def test_what_would_settle_it_is_counted_in_groups_where_images_are_grouped(compared: Cli) -> None:
    found = compared.json("compare", "1", "2")
    number = found["primary"]["images_needed"]
    for group, unit in ((None, "images"), ("meta_patient", "groups")):
        shown = [str(one) for one in comparison_tables({**found, "group": group}, classes=False)]
        assert any(f"about {number:,} more {unit} would settle it" in line for line in shown)


def test_a_column_of_too_many_values_is_no_slice(
    compared: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "MAX_SLICES", 0)
    code, _, err = compared("compare", "1", "2", "--slice", "image_size")
    assert code == 2
    assert "'image_size' has 1 values. Expected at most 0 slices." in err


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


def test_three_runs_have_corrected_p_values(compared: Cli) -> None:
    found = compared.json("compare", "1", "2", "1")["comparisons"]
    p_values = [one["primary"]["p"] for one in found]
    assert [one["primary"]["p_holm"] for one in found] == pytest.approx(
        [min(1.0, 2 * min(p_values)), 1.0]
    )
    _, out, _ = compared("compare", "1", "2", "1")
    assert "p (Holm)" in out
    assert "p (Holm)" not in compared("compare", "1", "2")[1]


def test_the_lists_are_opened_by_images(compared: Cli) -> None:
    found = compared.json("compare", "1", "2", "-o", "changes")
    for kind, one in found["images"].items():
        if one["count"]:
            words = ("images", "2", "--listed", one["indices_file"], "--kind", kind)
            assert compared.json(*words)["total"] == one["count"]
    deciding = found["deciding"]
    listed = compared.json(*deciding["command"].split()[1:])
    assert listed["total"] == deciding["count"]
    error = compared.json(
        "images", "2", "--listed", found["images"]["fixed"]["indices_file"], "--kind", "new", code=2
    )["error"]
    assert error["code"] == "LIST_FILE"
    assert "Expected one of" in error["message"]
    assert compared.json("images", "2", "--kind", "fixed", code=2)["error"]["code"] == "USAGE"
    missing = compared.json("images", "2", "--listed", "none.parquet", code=2)["error"]
    assert missing["code"] == "LIST_FILE"


def test_tables_show_what_decides_disagrees_and_runs(compared: Cli) -> None:
    _, out, _ = compared("compare", "1", "2")
    assert "of the difference in accuracy" in out or "add up to 0" in out
    for title in ("most frequent disagreements", "inference speed"):
        assert title in out
    assert "No validation results beside A" in out

"""``snellen draw``: images of a run, chosen as ``snellen images`` chooses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.snellen.command_line import Cli


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """The command line after an evaluation of thirteen images, one of them unreadable."""
    (cli.place / "data" / "1" / "broken.png").write_bytes(b"no image")
    assert cli("eval", cli.config(name="mine"))[0] == 0
    return cli


@pytest.mark.parametrize(
    "words",
    [
        ("--incorrect",),
        ("--correct", "--class", "1"),
        ("--status", "ok", "--max-confidence", "0.9", "--sort", "confidence", "--desc"),
        ("--limit", "2", "--offset", "3"),
    ],
    ids=" ".join,
)
def test_conditions_are_those_of_images(words: tuple[str, ...], cli: Cli) -> None:
    listed = cli.json("images", "mine", *words)["images"]
    found = cli.json("draw", "mine", *words, "-o", "drawn")
    shown = [f"{row['image_index']:06d}-{Path(row['image_id']).stem}.jpg" for row in listed]
    assert [Path(path).name for path in found["files"]] == shown
    assert (found["drawn"], found["not_drawn"]) == (len(listed), [])
    assert all(Path(path).read_bytes()[:2] == b"\xff\xd8" for path in found["files"])


def test_an_unreadable_image_is_named(cli: Cli) -> None:
    code, out, _ = cli("draw", "mine", "--status", "failed", "-o", "drawn")
    assert (code, out.splitlines()[0]) == (0, "No image was drawn.")
    assert out.splitlines()[1].startswith("not drawn: 1/broken.png: ")


def test_a_sheet_shows_the_worst_images(cli: Cli) -> None:
    wrong = cli.json("images", "mine", "--incorrect")["total"]
    found = cli.json("draw", "mine", "--sheet", "-o", "drawn")
    assert (found["drawn"], found["files"]) == (wrong, [str(cli.place / "drawn" / "sheet-01.jpg")])
    assert cli.json("draw", "mine", "--sheet", "--status", "ok", "-o", "all")["drawn"] == 12
    code, out, _ = cli("draw", "mine", "--sheet", "--class", "2", "-o", "two", "--limit", "1")
    assert (code, out) == (0, f"1 image drawn in {cli.place / 'two'}\n")

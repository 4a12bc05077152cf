"""``snellen plots``: the charts of a run as files."""

from __future__ import annotations

import pytest

from tests.snellen.command_line import Cli

NAMES = ["by-confidence", "classes", "confusion-matrix", "precision-recall", "reliability"]


def test_the_charts_of_a_run_are_files(cli: Cli) -> None:
    assert cli("eval", cli.config(name="mine"))[0] == 0
    found = cli.json("plots", "mine", "-o", "charts")
    assert {key: found[key] for key in ("id", "name", "format")} == {
        "id": 1, "name": "mine", "format": "svg",
    }  # fmt: skip
    assert sorted(found["files"]) == NAMES
    folder = cli.place / "charts"
    assert sorted(found["files"].values()) == sorted(map(str, folder.iterdir()))
    assert "exists" in cli.json("plots", "mine", "-o", "charts", code=2)["error"]["message"]
    code, out, _ = cli("plots", "mine", "-o", "charts", "--theme", "dark", "--overwrite")
    assert (code, sorted(out.split())) == (0, [str(folder / f"{name}.svg") for name in NAMES])
    assert "#111317" in (folder / "reliability.svg").read_text()


@pytest.mark.parametrize("words", [("--format", "gif"), ("--theme", "drak")])
def test_an_unknown_choice_is_answered_with_the_known_ones(
    words: tuple[str, ...], cli: Cli
) -> None:
    message = cli.json("plots", "1", "-o", "x", *words, code=2)["error"]["message"]
    assert f"{words[1]!r} is unknown. Expected one of" in message

"""``snellen report``: one HTML file, and a folder of pages."""

from __future__ import annotations

from pathlib import Path

from tests.snellen.command_line import Cli


def test_a_report_and_its_bundle(cli: Cli) -> None:
    assert cli("eval", cli.config(name="base"))[0] == 0
    assert cli("rescore", "base", "name=other", "metrics.ece_bins=5")[0] == 0
    words = ("report", "other", "--compare", "base", "--slice", "image_size", "--bundle", "pages")
    found = cli.json(*words, "-o", "report.html")
    file = Path(found["file"])
    assert file == cli.place / "report.html"
    assert found["bytes"] == file.stat().st_size
    assert (found["id"], found["name"]) == (2, "other")
    assert [Path(page).parent for page in found["pages"]] == [cli.place / "pages"] * 3
    assert "image_size" in file.read_text()
    code, out, _ = cli("report", "other", "-o", "report.html", "--overwrite")
    assert (code, out.split(" (")[0]) == (0, str(file))


def test_errors_name_what_to_do(cli: Cli) -> None:
    assert cli("eval", cli.config(name="base"))[0] == 0
    for words, message in (
        (("--compare", "none"), "none"),
        (("--slice", "meta_none"), "meta_none"),
    ):
        error = cli.json("report", "base", "-o", "r.html", *words, code=2)["error"]
        assert message in error["message"]
    assert not (cli.place / "r.html").exists()

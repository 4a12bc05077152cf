"""``snellen suspects``: a table, a document, and a list for ``snellen images``."""

from __future__ import annotations

from tests.snellen.command_line import Cli


def test_suspects_of_a_run(cli: Cli) -> None:
    assert cli("eval", cli.config(name="mine"))[0] == 0
    found = cli.json("suspects", "mine", "--min-confidence", "0.5", "-o", "list.parquet")
    assert set(found) == {
        "runs", "min_confidence", "images", "left_out", "counts", "suspects", "file",
    }  # fmt: skip
    assert found["counts"]["wrong_class"] == len(found["suspects"]) > 0
    wrong = cli.json("images", "mine", "--incorrect", "--min-confidence", "0.5")["images"]
    assert {one["image_id"] for one in found["suspects"]} == {row["image_id"] for row in wrong}
    code, out, _ = cli("suspects", "mine", "mine", "--limit", "1")
    assert code == 0
    assert found["suspects"][0]["image_id"] in out
    error = cli.json("suspects", "mine", "--kind", "wrong", code=2)["error"]
    assert "did you mean wrong_class" in error["message"]

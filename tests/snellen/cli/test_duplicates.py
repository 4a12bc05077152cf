"""``snellen duplicates``, and what a run stores about copies."""

from __future__ import annotations

import shutil

from tests.snellen.command_line import Cli


def test_copies_are_in_the_record_of_the_run(cli: Cli) -> None:
    shutil.copy(cli.place / "data" / "1" / "00.png", cli.place / "data" / "2" / "same.png")
    code, _, err = cli("eval", cli.config(name="mine"))
    assert code == 0
    assert "1 image is an exact copy of another: 2/same.png of 1/00.png" in err
    run = cli.json("show", "mine")
    assert run["dataset_report"]["copies"] == {
        "groups": 1, "copies": 1, "conflicting": 1, "examples": [["1/00.png", "2/same.png"]],
    }  # fmt: skip
    assert len(run["fingerprint"]["content_hash"]) == 64
    code, out, _ = cli("show", "mine")
    assert "1/00.png = 2/same.png" in out
    shutil.copytree(cli.place / "data", cli.place / "moved")
    assert cli("eval", cli.config(name="moved", dataset={"path": "moved"}))[0] == 0
    moved = cli.json("show", "moved")
    assert moved["fingerprint"]["content_hash"] == run["fingerprint"]["content_hash"]
    assert moved["fingerprint"]["manifest_hash"] != run["fingerprint"]["manifest_hash"]
    assert cli("rescore", "mine", "name=again")[0] == 0
    assert cli.json("show", "again")["dataset_report"] == run["dataset_report"]


def test_a_run_and_a_folder_are_searched(cli: Cli) -> None:
    shutil.copy(cli.place / "data" / "1" / "00.png", cli.place / "data" / "2" / "same.png")
    assert cli("eval", cli.config(name="mine"))[0] == 0
    (cli.place / "train").mkdir()
    shutil.copy(cli.place / "data" / "0" / "03.png", cli.place / "train" / "x.png")
    for name in ("mine", "data"):
        found = cli.json("duplicates", name, "--against", "train", "--exact")
        assert {key: value for key, value in found.items() if key != "groups"} == {
            "images": 13, "against_images": 1, "exact_groups": 2, "near_groups": 0,
            "duplicate_images": 3, "conflicting_groups": 1, "leaked_images": 1, "unreadable": [],
        }  # fmt: skip
    code, out, _ = cli("duplicates", "mine", "--against", "train", "--exact", "--limit", "1")
    assert code == 0
    assert "exact, leaked: 0/03.png [0] = against: x.png" in out
    assert "1 more group" in out
    error = cli.json("duplicates", "none", code=2)["error"]
    assert "none" in error["message"]

"""``snellen dataset``, and registered names in the place of paths."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.snellen.command_line import Cli


def test_a_registered_name_works_wherever_a_path_does(cli: Cli) -> None:
    added = cli.json("dataset", "add", "grey", "data", "limit=8", "class_order=lexicographic")
    assert added["config"] == {
        "path": str(cli.place / "data"), "limit": 8, "class_order": "lexicographic",
    }  # fmt: skip
    run = cli.json("eval", cli.config(dataset={"path": "grey"}))
    assert (run["total_images"], run["dataset_path"]) == (8, str(cli.place / "data"))
    narrowed = cli.json("eval", cli.config(dataset={"path": "grey", "limit": 5}))
    assert narrowed["total_images"] == 5
    assert cli.json("plan", cli.config(dataset={"path": "grey"}))["dataset"]["images"] == 8
    manifest = cli.place / "grey.parquet"
    data = cli.config(dataset={"path": "grey"}, database=cli.url)
    assert cli("manifest", data, "-o", str(manifest), "--json", database=False)[0] == 0
    cli.json("eval", cli.config(dataset={"path": str(manifest)}))
    assert [one["total_images"] for one in cli.json("runs", "--dataset", "grey")] == [5, 8]
    assert len(cli.json("runs", "--dataset", str(manifest))) == 1


def test_runs_of_a_dataset_have_its_split(cli: Cli) -> None:
    for split in ("val", "test"):
        shutil.copytree(cli.place / "data", cli.place / "splits" / split)
        cli.json("dataset", "add", f"grey-{split}", "splits", f"split={split}")
        cli.json("eval", cli.config(dataset={"path": f"grey-{split}"}))
    cli.json("dataset", "add", "grey", "splits")
    found = {name: cli.json("runs", "--dataset", name) for name in ("grey-val", "grey-test")}
    assert {name: [run["dataset_split"] for run in runs] for name, runs in found.items()} == {
        "grey-val": ["val"], "grey-test": ["test"],
    }  # fmt: skip
    assert len(cli.json("runs", "--dataset", "grey")) == 2


def test_runs_are_found_by_any_path_of_their_dataset(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cli.place / "data")
    cli.json("eval", cli.config(dataset={"path": "../data"}, output={"dir": "../out"}))
    monkeypatch.chdir(cli.place)
    assert len(cli.json("runs", "--dataset", "data")) == 1
    assert len(cli.json("runs", "--dataset", "data/../data")) == 1


def test_datasets_are_listed_shown_and_removed(cli: Cli) -> None:
    cli.json("dataset", "add", "grey", "data")
    (listed,) = cli.json("dataset", "list")
    assert listed == cli.json("dataset", "show", "grey")
    code, out, _ = cli("dataset", "list")
    assert code == 0
    assert "grey" in out
    assert cli.json("dataset", "remove", "grey")["name"] == "grey"
    assert cli.json("dataset", "list") == []
    assert (cli.place / "data").is_dir()


def test_what_cannot_be_read_is_not_registered(cli: Cli) -> None:
    for words, code in (
        (("grey", "nowhere"), "DATASET_NOT_FOUND"),
        (("grey", "data", "fromat=coco"), "CONFIG_INVALID"),
        (("a/b", "data"), "DATASET_NAME"),
    ):
        assert cli.json("dataset", "add", *words, code=2)["error"]["code"] == code
    assert cli.json("dataset", "list") == []


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(cli: Cli) -> None:
    cli.json("dataset", "add", "grey", "data")
    _, out, _ = cli("runs", "--dataset", "gray", "--json")
    assert "Expected one of grey" in json.loads(out)["error"]["message"]


def test_a_path_that_exists_is_a_path(cli: Cli) -> None:
    (cli.place / "other" / "0").mkdir(parents=True)
    cli.json("dataset", "add", "other", "data")
    assert cli.json("eval", cli.config(dataset={"path": "other"}), code=2)["error"]["code"] in {
        "DATASET_EMPTY",
        "CLASS_MAP_MISMATCH",
    }

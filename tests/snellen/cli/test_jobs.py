"""``snellen manifest``: a dataset that is listed once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as pq

from tests.snellen.command_line import Cli


def test_a_dataset_is_converted_once_and_evaluated_as_before(cli: Cli) -> None:
    config = cli.config(name="folder")
    found = cli.json("manifest", config, "-o", "set.parquet", database=False)
    digest = hashlib.sha256(Path("set.parquet").read_bytes()).hexdigest()
    assert found == {"path": "set.parquet", "images": 12, "sha256": digest}
    folder = cli.json("eval", config)
    manifest = cli.json("eval", config, "dataset.path=set.parquet", "name=manifest")
    assert manifest["metrics"] == folder["metrics"]


def test_an_existing_file_is_replaced_only_on_request(cli: Cli) -> None:
    config = cli.config()
    Path("set.parquet").write_text("precious")
    error = cli.json("manifest", config, "-o", "set.parquet", database=False, code=2)["error"]
    assert error["code"] == "OUTPUT_TAKEN"
    assert Path("set.parquet").read_text() == "precious"
    code, out, _ = cli("manifest", config, "-o", "set.parquet", "--overwrite", database=False)
    assert (code, out) == (0, "12 images in set.parquet\n")


def test_a_limit_is_part_of_the_manifest(cli: Cli) -> None:
    words = ("manifest", cli.config(), "dataset.limit=5", "-o", "few.parquet")
    assert cli.json(*words, database=False)["images"] == 5


def test_a_manifest_with_hashes(cli: Cli) -> None:
    words = ("manifest", cli.config(), "-o", "set.parquet", "--hash")
    found = cli.json(*words, database=False)
    assert found["sha256"] == hashlib.sha256(Path("set.parquet").read_bytes()).hexdigest()
    table = pq.read_table("set.parquet")
    for location, digest in zip(
        table["location"].to_pylist(), table["content_hash"].to_pylist(), strict=True
    ):
        assert digest == hashlib.sha256(Path(location).read_bytes()).hexdigest()

"""NDJSON and JSON exports, read back with the standard library."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.contracts.exporter_contract import Exportable, ExporterContract


class TestNdjson(ExporterContract):
    exporter = pytest.fixture(lambda self: "ndjson")
    exportable = pytest.fixture(lambda self, greys: greys)

    def rows(self, path: Path) -> list[str]:
        lines = path.read_text(encoding="utf-8").split("\n")
        assert lines.pop() == ""
        return [json.loads(line)["image_id"] for line in lines]


class TestJson(ExporterContract):
    exporter = pytest.fixture(lambda self: "json")
    exportable = pytest.fixture(lambda self, greys: greys)

    def rows(self, path: Path) -> list[str]:
        return [row["image_id"] for row in json.loads(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("name", ["greys", "boxes"])
def test_both_have_the_rows_of_the_run(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run: Exportable = request.getfixturevalue(name)
    expected = run.results.frame().to_dicts()
    run.export("json", tmp_path / "rows.json")
    assert json.loads((tmp_path / "rows.json").read_text(encoding="utf-8")) == expected
    run.export("ndjson", tmp_path / "rows.ndjson")
    lines = (tmp_path / "rows.ndjson").read_text(encoding="utf-8").split("\n")[:-1]
    assert [json.loads(line) for line in lines] == expected
    assert len(pd.read_json(tmp_path / "rows.ndjson", lines=True)) == len(expected)


def test_no_image_is_an_empty_export(boxes: Exportable, tmp_path: Path) -> None:
    for name, text in (("ndjson", ""), ("json", "[\n]\n")):
        document = boxes.export(name, tmp_path / f"rows.{name}", status="failed")
        assert document["images"] == 0
        assert (tmp_path / f"rows.{name}").read_text() == text

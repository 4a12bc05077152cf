"""The page of the datasets agrees with the code: its examples are valid, its report is real."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from snellen.cli.dataset_tables import report_table
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.config.yaml_file import parse_yaml
from snellen.pipelines.data.report import PassedOver
from snellen.pipelines.data.sources.registry import SOURCES
from snellen.pipelines.data.sources.tables.columns import LABEL_NAMES, PATH_NAMES
from tests.pipelines.data.listed import Listed
from tests.pipelines.making import grey_folder, write_image

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
EXAMPLES: list[str] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=[f"example-{n}" for n in range(len(EXAMPLES))])
def test_every_example_is_a_valid_configuration(text: str) -> None:
    document: dict[str, Any] = parse_yaml(text, where="docs/datasets.md")
    config = build_config({"model": {"job": "pets"}, **document})
    assert config.dataset.path


def test_every_format_reason_and_column_is_explained() -> None:
    words = set(re.findall(r"`([^`\n]+)`", PAGE))
    assert {name for name, _ in SOURCES} <= words
    assert set(PassedOver) <= words
    assert {*PATH_NAMES, *LABEL_NAMES} <= words


def test_the_reasons_of_annotations_are_those_of_the_sources() -> None:
    folder = Path(__file__).parents[2] / "pipelines" / "data" / "sources"
    code = "".join(path.read_text() for path in folder.rglob("*.py"))
    written = r'(?:ignored|repaired|repairs)\["(\w+)"\]|(?:ignore|repair)\("(\w+)"'
    reasons = {first or second for first, second in re.findall(written, code)}
    assert "duplicate_line" in reasons
    assert {reason for reason in reasons if f"`{reason}`" not in PAGE} == set()


def test_the_report_of_the_page_is_that_of_its_folder(tmp_path: Path) -> None:
    root = grey_folder(tmp_path / "pets", ("cat", "dog"), 4)
    (root / "cat" / "IMG_1.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    (root / "cat" / "notes.txt").write_text("no image")
    for name in (".DS_Store", "._00.png"):
        (root / "dog" / name).write_bytes(b"hidden")
    (tmp_path / "elsewhere").mkdir()
    (root / "dog" / "more").symlink_to("../../elsewhere")
    write_image(root / "stray.png")
    text = io.StringIO()
    Console(file=text, width=110).print(report_table(Listed(root).report))
    printed = "\n".join(line.rstrip() for line in text.getvalue().splitlines())
    assert "14 found, 8 used" in printed
    assert printed in PAGE

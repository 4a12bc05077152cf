"""``--format``: the tables of a command as CSV, TSV, Markdown or JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
import typer
from rich.table import Table
from rich.text import Text

from snellen.cli.app import app
from snellen.cli.table_formats import tables_as
from tests.snellen.command_line import Cli

WITHOUT_TABLES = {
    *("cancel", "dataset remove", "delete", "draw", "duplicates", "manifest", "plots", "rename"),
    *("schema", "serve", "tag", "verify", "worker"),
}
OF_FILES = {"export", "export-model", "import", "parity", "report"}
"""Commands that write or read files, whose format ``--format`` names."""


def numbers() -> Table:
    table = Table("name", "count", "value", title="numbers", caption="[bold]3[/bold] rows")
    table.add_row("a|b", "1,234", "-0.5")
    table.add_row(Text("[x], y"), "12,345,678.5", "-")
    return table


def test_csv_has_numbers_without_separators_and_empty_cells_for_dashes() -> None:
    text, notes = tables_as("csv", [numbers()])
    assert list(csv.reader(io.StringIO(text))) == [
        ["name", "count", "value"],
        ["a|b", "1234", "-0.5"],
        ["[x], y", "12345678.5", ""],
    ]
    assert notes == ["3 rows"]


def test_every_cell_of_a_confusion_matrix_is_a_number(evaluated: Cli) -> None:
    _, out, _ = evaluated("show", "latest", "--confusion", "--format", "csv")
    header, *rows = csv.reader(io.StringIO(out.rpartition("\n\n")[2]))
    counts = [[int(cell) for cell in row[1:]] for row in rows]
    assert counts == evaluated.json("show", "latest")["confusion_matrix"]
    assert (header, len(counts)) == (["", "0", "1", "2"], 3)
    assert any(0 in row for row in counts)


def test_tables_are_separated_by_an_empty_line() -> None:
    pairs = Table(show_header=False)
    pairs.add_row("key", "1")
    text, notes = tables_as("tsv", [pairs, "A line.", numbers()])
    assert text.startswith("key\t1\n\nname\tcount\tvalue\n")
    assert notes == ["A line.", "3 rows"]


def test_markdown_holds_titles_captions_and_lines() -> None:
    pairs = Table(show_header=False)
    pairs.add_row("key", "1\n2")
    text, notes = tables_as("markdown", [numbers(), "A line.", pairs])
    assert text == (
        "numbers\n\n"
        "| name | count | value |\n| --- | --- | --- |\n"
        "| a\\|b | 1,234 | -0.5 |\n| [x], y | 12,345,678.5 | - |\n\n"
        "3 rows\n\nA line.\n\n"
        "|  |  |\n| --- | --- |\n| key | 1<br>2 |\n"
    )
    assert notes == []


@pytest.fixture
def evaluated(cli: Cli) -> Cli:
    cli.json("eval", cli.config())
    return cli


def test_a_command_prints_its_table_in_every_format(evaluated: Cli) -> None:
    code, out, _ = evaluated("images", "latest", "--limit", "2", "--format", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["index"] for row in rows] == ["0", "1"]
    tsv = evaluated("images", "latest", "--limit", "2", "--format", "tsv")[1]
    assert tsv == out.replace(",", "\t")
    assert "| index | image |" in evaluated("images", "latest", "--format", "markdown")[1]
    assert json.loads(evaluated("runs", "--format", "json")[1]) == evaluated.json("runs")


def test_eval_prints_metrics_as_csv(cli: Cli) -> None:
    _, out, err = cli("eval", cli.config(), "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert "accuracy" in {row["metric"] for row in rows}
    assert "12 images, 12 scored, 0 failed" in err


def test_errors_are_json_with_json(evaluated: Cli) -> None:
    code, out, _ = evaluated("show", "99", "--format", "json")
    assert (code, json.loads(out)["error"]["code"]) == (2, "RUN_NOT_FOUND")


def test_an_unknown_format_is_rejected(evaluated: Cli) -> None:
    error = evaluated.json("runs", "--format", "cvs", code=2)["error"]
    assert "'cvs' is unknown. Expected one of csv, tsv, json, markdown" in error["message"]


def test_a_format_ends_with_its_command(evaluated: Cli) -> None:
    evaluated("runs", "--format", "csv")
    assert "┏" in evaluated("runs")[1]


def test_captions_of_piped_tables_do_not_wrap(evaluated: Cli) -> None:
    lines = evaluated("images", "latest", "--limit", "1")[1].splitlines()
    assert any(line.startswith("1-1 of 12 images: ") and line.endswith("rect") for line in lines)


def test_every_command_with_a_table_takes_a_format() -> None:
    root: Any = typer.main.get_command(app)
    commands = {
        f"{group} {name}".strip(): command
        for group, parent in (("", root), ("dataset", root.commands["dataset"]))
        for name, command in parent.commands.items()
    }
    options = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in commands.items()
    }
    with_tables = set(options) - WITHOUT_TABLES - OF_FILES - {"dataset"}
    assert [name for name in sorted(with_tables) if "--format" not in options[name]] == []

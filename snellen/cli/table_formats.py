"""Tables in the formats of ``--format``: CSV, TSV or Markdown in the place of drawn lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

FORMATS = ("csv", "tsv", "json", "markdown")
"""The formats; ``json`` is the document of ``--json``."""
_THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")
_SIGNS = {"-": "", "·": "0"}
"""Cells that stand for something else: no value, and a count of 0 in a matrix."""
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_chosen: ContextVar[str | None] = ContextVar("table_format", default=None)


def choose_format(name: str | None) -> None:
    """Choose the format of the tables of this command; None draws them."""
    _chosen.set(name)


def chosen_format() -> str | None:
    """Return the format of the tables of this command."""
    return _chosen.get()


def tables_as(name: str, parts: Iterable[RenderableType]) -> tuple[str, list[str]]:
    """Return tables as text, and the lines that belong to no cell.

    Cells are those that a terminal shows. In CSV and TSV, numbers have no thousands separators, a
    dash, which stands for no value, is an empty cell, and the dot of a matrix is a 0. Several
    tables are separated by an empty line.

    Args:
        name: ``csv``, ``tsv`` or ``markdown``.
        parts: tables and lines.

    Returns:
        The text, and the captions and lines that CSV and TSV have no place for. Markdown holds
        them and the titles itself.
    """
    blocks: list[str] = []
    notes: list[str] = []
    for part in parts:
        title, rows, caption = _taken_apart(part)
        if name == "markdown":
            blocks += filter(None, (title, _markdown(rows), caption))
        else:
            blocks += filter(None, (_delimited(rows, _DELIMITERS[name]),))
            notes += filter(None, (caption,))
    return "\n\n".join(block.rstrip("\n") for block in blocks) + "\n" * bool(blocks), notes


@dataclass(frozen=True, slots=True)
class _Rows:
    """The cells of a table: the header, which may be missing, and the rows."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def _taken_apart(part: RenderableType) -> tuple[str, _Rows, str]:
    """Return the title, the rows and the caption of a table; a line is a caption."""
    from rich.table import Table

    if not isinstance(part, Table):
        return "", _Rows([], []), _plain(part)
    columns = [[_plain(cell) for cell in column.cells] for column in part.columns]
    header = [_plain(column.header) for column in part.columns] if part.show_header else []
    rows = _Rows(header, list(zip(*columns, strict=True)))
    return _plain(part.title), rows, _plain(part.caption)


def _plain(text: RenderableType | None) -> str:
    """Return text without its markup and style; an empty string for None."""
    from rich.text import Text

    if text is None:
        return ""
    return text.plain if isinstance(text, Text) else Text.from_markup(str(text)).plain


def _delimited(table: _Rows, delimiter: str) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    if table.header:
        writer.writerow(table.header)
    writer.writerows([_value(cell) for cell in row] for row in table.rows)
    return stream.getvalue()


def _value(cell: str) -> str:
    if cell in _SIGNS:
        return _SIGNS[cell]
    return cell.replace(",", "") if _THOUSANDS.fullmatch(cell) else cell


def _markdown(table: _Rows) -> str:
    """Return a Markdown table, which needs a header: an empty one where the table has none."""
    width = max((len(row) for row in (table.header, *table.rows)), default=0)
    if not width:
        return ""
    rows = (table.header or [""] * width, ["---"] * width, *table.rows)
    return "\n".join("| " + " | ".join(map(_escaped, row)) + " |" for row in rows)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", "<br>")

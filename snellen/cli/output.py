"""Output streams: results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from snellen.adapters.finite import finite_or_none
from snellen.adapters.passwords import hide_passwords
from snellen.cli.table_formats import chosen_format, tables_as

_PIPED_WIDTH = 10_000
"""Characters per line where nobody reads on a screen: tables take what they need of it."""

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def stderr_console() -> Console:
    """Create the console for progress and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def stdout_console() -> Console:
    """Create the console for tables; piped tables have their full width."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def print_json(document: Any) -> None:
    """Print the JSON document of ``--json``; non-finite numbers become null."""
    sys.stdout.write(json.dumps(_finite(document), indent=2, default=str) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def show(document: Any, tables: Callable[[], Iterable[RenderableType]], *, as_json: bool) -> None:
    """Print a document as JSON, or the tables that are made of it, in the format of ``--format``.

    Piped tables have their title and caption on lines of their own, which do not wrap.
    """
    if as_json:
        print_json(document)
        return
    name = chosen_format()
    if name is not None:
        text, notes = tables_as(name, tables())
        sys.stdout.write(text)
        for note in notes:
            stderr_console().print(note, soft_wrap=True, markup=False)
        return
    console = stdout_console()
    for part in tables():
        _print_part(console, part)


def _print_part(console: Console, part: RenderableType) -> None:
    from rich.table import Table

    if console.is_terminal or not isinstance(part, Table):
        console.print(part)
        return
    title, caption = part.title, part.caption
    part.title = part.caption = None
    for line in (title, part, caption):
        if line is not None:
            console.print(line)


def print_error(code: str, message: str, *, as_json: bool) -> None:
    """Print an error: a JSON document on stdout with ``--json``, else a paragraph on stderr."""
    message = hide_passwords(message)
    if as_json:
        print_json({"error": {"code": code, "message": message}})
        return
    from rich.text import Text

    text = Text.assemble(("Error: ", "bold red"), message, (f"  [{code}]", "dim"))
    stderr_console().print(text, soft_wrap=True)

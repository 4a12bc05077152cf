"""Output streams: results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from snellen.adapters.finite import finite_or_none
from snellen.adapters.passwords import hide_passwords

_PIPED_WIDTH = 400
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
    """Print a document as JSON, or the tables that are made of it."""
    if as_json:
        print_json(document)
        return
    console = stdout_console()
    for table in tables():
        console.print(table)


def print_error(code: str, message: str, *, as_json: bool) -> None:
    """Print an error: a JSON document on stdout with ``--json``, else a paragraph on stderr."""
    message = hide_passwords(message)
    if as_json:
        print_json({"error": {"code": code, "message": message}})
        return
    from rich.text import Text

    text = Text.assemble(("Error: ", "bold red"), message, (f"  [{code}]", "dim"))
    stderr_console().print(text, soft_wrap=True)

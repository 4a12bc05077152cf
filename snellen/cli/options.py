"""Options and arguments shared by several commands."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from snellen.cli.table_formats import FORMATS, choose_format, chosen_format

if TYPE_CHECKING:
    from snellen.store.sql.database import Database
    from snellen.store.views import RunView


def one_of(choices: Callable[[], Collection[str]]) -> Callable[[str | None], str | None]:
    """Return an option callback that rejects values other than the choices.

    The error lists the choices and suggests the nearest one.

    Args:
        choices: called only when the option is given, so that ``--help`` imports nothing.
    """

    def check(value: str | None) -> str | None:
        if value is None or value in choices():
            return value
        from snellen.adapters.plugins import nearest

        known = list(choices())
        raise typer.BadParameter(
            f"{value!r} is unknown. Expected one of {', '.join(known)}"
            f"{nearest(value, known) or '.'}"
        )

    return check


def _take_format(name: str | None) -> str | None:
    found = one_of(lambda: FORMATS)(name)
    choose_format(found)
    return found


def _or_format(as_json: bool) -> bool:
    """Return True for ``--json`` and for ``--format json``, which click has read by then."""
    return as_json or chosen_format() == "json"


JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", callback=_or_format, help="Print one JSON document on stdout instead of tables."
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        callback=_take_format,
        help="Print tables as csv, tsv or markdown; json is --json.",
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="URL of the run tables.",
        show_default="SNELLEN_DATABASE, else sqlite:///runs/snellen.db",
    ),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and the log of Ray.")]
TrustOption = Annotated[
    bool,
    typer.Option("--trust", help="Load TorchScript files, which can execute arbitrary code."),
]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Id, tag or name of a test run, or 'latest'.")
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY.SUB=VALUE]...", help="Configuration keys to override, as key.sub=value."
    ),
]
ThresholdsOption = Annotated[
    str | None,
    typer.Option(
        "--thresholds",
        metavar="FILE",
        help="Operating confidences that `snellen threshold --freeze` wrote.",
    ),
]
RetryOption = Annotated[
    str | None,
    typer.Option(
        "--retry-failed",
        metavar="[CODES]",
        help="Score failed images again: all, or those with some error codes, such as "
        "NOT_FOUND,IO.",
    ),
]
LimitOption = Annotated[
    int, typer.Option("--limit", min=1, max=100_000, help="Maximum number of rows.")
]
OffsetOption = Annotated[int, typer.Option("--offset", min=0, help="Number of rows to skip.")]


class RetryCommand(TyperCommand):
    """Command whose option ``--retry-failed`` may stand without a value, for all error codes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments after adding the value that was left out."""
        if "--retry-failed" in args:
            at = args.index("--retry-failed") + 1
            if at == len(args) or not _names_codes(args[at]):
                args = [*args[:at], "all", *args[at:]]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


def _names_codes(word: str) -> bool:
    """Return True for a list of error codes, as opposed to a run, an option or an override."""
    from snellen.adapters.errors import ErrorCode

    parts = word.split(",")
    known = all(part.upper() in ErrorCode.__members__ for part in parts)
    return known or word == "all" or bool(re.fullmatch(r"[A-Z_]+(,[A-Z_]+)*", word))


def open_run(url: str | None, reference: str) -> tuple[Database, RunView]:
    """Open the existing database and look up a test run.

    Raises:
        InputError: DATABASE_NOT_FOUND, RUN_NOT_FOUND.
    """
    from snellen.store.runs import get_test_run

    db = open_database(url)
    return db, get_test_run(db, reference)


def open_database(url: str | None) -> Database:
    """Open the existing database, and mark runs whose process has died as ``interrupted``.

    Raises:
        InputError: DATABASE_NOT_FOUND.
    """
    from contextlib import suppress

    from snellen.adapters.errors import SnellenError
    from snellen.store.leases import interrupt_abandoned
    from snellen.store.sql.database import Database

    db = Database.open(url, create=False)
    with suppress(SnellenError):  # a read-only database is still readable
        interrupt_abandoned(db)
    return db

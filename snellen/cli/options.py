"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from snellen.store.sql.database import Database
    from snellen.store.views import RunView

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="Run tables; else SNELLEN_DATABASE, else sqlite:///runs/snellen.db.",
    ),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and Ray's own log.")]
TrustOption = Annotated[
    bool,
    typer.Option("--trust", help="Load TorchScript files, which are code that can do anything."),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id, name or 'latest'.")]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY.SUB=VALUE]...", help="Settings that override the file's."),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")]
OffsetOption = Annotated[int, typer.Option("--offset", min=0, help="Leave out so many first.")]


def one_of(choices: Callable[[], Collection[str]]) -> Callable[[str | None], str | None]:
    """A check for an option: a value that is none of the choices is refused, with the nearest.

    Args:
        choices: called when the option is given, so that ``--help`` imports nothing.
    """

    def check(value: str | None) -> str | None:
        if value is None or value in choices():
            return value
        from snellen.adapters.plugins import nearest

        known = list(choices())
        raise typer.BadParameter(
            f"expected one of {', '.join(known)}, got {value!r}{nearest(value, known)}"
        )

    return check


def open_run(url: str | None, reference: str) -> tuple[Database, RunView]:
    """The database of a reading command and the run that it is about.

    Raises:
        InputError: DATABASE_NOT_FOUND, RUN_NOT_FOUND.
    """
    from snellen.store.runs import get_test_run

    db = open_database(url)
    return db, get_test_run(db, reference)


def open_database(url: str | None) -> Database:
    """The existing database that a reading command needs.

    Runs whose owner is dead are shown as ``interrupted`` from now on.

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

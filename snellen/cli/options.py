"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from store.database import Database

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
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id, name or 'latest'.")]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY.SUB=VALUE]...", help="Settings that override the file's."),
]


def open_database(url: str | None) -> Database:
    """The existing database that a reading command needs.

    Runs whose owner is dead are shown as ``interrupted`` from now on.

    Raises:
        InputError: DATABASE_NOT_FOUND.
    """
    from contextlib import suppress

    from adapters.types import SnellenError
    from store.database import Database
    from store.leases import interrupt_abandoned

    db = Database.open(url, create=False)
    with suppress(SnellenError):  # a read-only database is still readable
        interrupt_abandoned(db)
    return db

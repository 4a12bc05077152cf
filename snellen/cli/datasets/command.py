"""The commands ``dataset add``, ``list``, ``show`` and ``remove``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    FormatOption,
    JsonOption,
    OverridesArgument,
    open_database,
)
from snellen.cli.output import show, stderr_console

if TYPE_CHECKING:
    from snellen.store.views import DatasetView

datasets = typer.Typer(
    help="Register datasets under names.\n\nExample: snellen dataset add street-val /data/street",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the dataset.")]


@datasets.command("add")
def add_command(
    name: NameArgument,
    path: Annotated[str, typer.Argument(metavar="PATH", help="Folder, file or address.")],
    keys: OverridesArgument = None,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Register a dataset: its name then works wherever a path does.

    Example: snellen dataset add street-val /data/street format=coco annotations=val.json
    """
    from snellen.pipelines.data.registration import register_dataset
    from snellen.store.sql.database import Database

    stderr_console().print(f"Reading {path}", soft_wrap=True)
    db = Database.open(database)
    try:
        found = register_dataset(db, name, path, keys or [])
    finally:
        db.close()
    _show(found, as_json=as_json)


@datasets.command("list")
def list_command(
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """List registered datasets.

    Example: snellen dataset list
    """
    from snellen.cli.datasets.tables import datasets_table
    from snellen.store.datasets import list_datasets

    db = open_database(database)
    try:
        found = [_document(one) for one in list_datasets(db)]
    finally:
        db.close()
    show(found, lambda: [datasets_table(found)], as_json=as_json)


@datasets.command("show")
def show_command(
    name: NameArgument,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Show a dataset with its keys; `snellen runs --dataset NAME` lists its runs.

    Example: snellen dataset show street-val
    """
    from snellen.store.datasets import get_dataset

    db = open_database(database)
    try:
        found = get_dataset(db, name)
    finally:
        db.close()
    _show(found, as_json=as_json)


@datasets.command("remove")
def remove_command(
    name: NameArgument,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Remove the name of a dataset; its files and its runs stay.

    Example: snellen dataset remove street-val
    """
    from snellen.store.datasets import remove_dataset

    db = open_database(database)
    try:
        found = remove_dataset(db, name)
    finally:
        db.close()
    document = _document(found)
    show(document, lambda: [f"Removed {found.name}; its files and runs stay."], as_json=as_json)


def _show(found: DatasetView, *, as_json: bool) -> None:
    from snellen.cli.datasets.tables import dataset_table

    document = _document(found)
    show(document, lambda: [dataset_table(document)], as_json=as_json)


def _document(found: DatasetView) -> dict[str, Any]:
    return {
        "name": found.name,
        "config": found.config,
        "fingerprint": found.fingerprint,
        "created_at": found.created_at.isoformat(),
    }

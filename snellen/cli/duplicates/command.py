"""The command ``duplicates``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snellen.cli.options import DatabaseOption, DebugOption, JsonOption
from snellen.cli.output import print_json, stdout_console
from snellen.cli.progress import make_reporter

if TYPE_CHECKING:
    from snellen.analysis.hygiene.image_set import SetImage

_MEMBERS_SHOWN = 4


def duplicates_command(
    images: Annotated[
        str, typer.Argument(metavar="RUN_OR_DATASET", help="A test run, or the path of a dataset.")
    ],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Images that the model was trained on: a folder or a dataset."
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Search for equal files only; decodes no image.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, help="Maximum number of printed groups.")
    ] = 20,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Find images of a test set that occur twice or in the training set.

    Exact copies have equal bytes; near duplicates look the same after encoding or resizing.

    Example: snellen duplicates latest --against data/train
    """
    from snellen.analysis.hygiene.duplicates import find_duplicates
    from snellen.analysis.hygiene.image_set import training_images

    with make_reporter(debug=debug) as reporter:
        reporter.status("Listing images")
        dataset = _images(images, database)
        others = None if against is None else training_images(against)
        found = find_duplicates(dataset, others, reporter, exact=exact)
    document = found.to_json()
    if as_json:
        print_json(document)
    else:
        _print(document, limit)


def _images(name: str, database: str | None) -> list[SetImage]:
    from snellen.analysis.hygiene.image_set import dataset_images
    from snellen.analysis.hygiene.run_images import images_of_run
    from snellen.cli.options import open_run

    if "://" in name or Path(name).expanduser().exists():
        return dataset_images(name)
    db, run = open_run(database, name)
    return images_of_run(db, run)


def _print(found: dict[str, Any], limit: int) -> None:
    console = stdout_console()

    def line(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    counts = f"{found['exact_groups']:,} exact, {found['near_groups']:,} near"
    line(f"{found['images']:,} images: {found['duplicate_images']:,} in groups ({counts})")
    if found["leaked_images"] is not None:
        others = f"{found['against_images']:,} other images"
        line(f"{found['leaked_images']:,} images of the dataset are among {others}")
    if found["conflicting_groups"]:
        line(f"{found['conflicting_groups']:,} groups with different labels")
    if found["unreadable"]:
        line(f"{len(found['unreadable']):,} images could not be read")
    for group in found["groups"][:limit]:
        members = group["images"]
        names = [_spoken(member) for member in members[:_MEMBERS_SHOWN]]
        more = [f"and {len(members) - len(names):,} more"] if len(members) > len(names) else []
        marks = [mark for mark in ("leaked", "conflicting") if group[mark]]
        line(f"{', '.join([group['kind'], *marks])}: {' = '.join(names + more)}")
    more_groups = len(found["groups"]) - limit
    if more_groups > 0:
        groups = "1 more group" if more_groups == 1 else f"{more_groups:,} more groups"
        line(f"{groups}; raise --limit, or use --json")


def _spoken(member: dict[str, Any]) -> str:
    label = "" if member["label"] is None else f" [{member['label']}]"
    where = "against: " if member["set"] == "against" else ""
    return f"{where}{member['image_id']}{label}"

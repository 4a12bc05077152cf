"""The command ``suspects``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snellen.cli.options import (
    DatabaseOption,
    DebugOption,
    FormatOption,
    JsonOption,
    LimitOption,
    one_of,
    open_database,
)
from snellen.cli.output import show
from snellen.cli.progress import make_reporter

if TYPE_CHECKING:
    from rich.table import Table


def _kinds() -> tuple[str, ...]:
    from snellen.analysis.suspects.suspect import KINDS

    return tuple(KINDS)


def suspects_command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Ids, tags or names of runs on the same images; labels of the first.",
        ),
    ],
    min_confidence: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Minimum confidence of a prediction that denies a label.",
            show_default="0.5, with one run 0.8",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            callback=one_of(_kinds), help="Kind: wrong_class, missing_label or unseen_label."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write all suspects: .parquet (a list for images --listed), .csv, or .json (tasks "
            "of Label Studio).",
        ),
    ] = None,
    limit: LimitOption = 20,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
    as_json: JsonOption = False,
    table_format: FormatOption = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """List labels that every run denies, the most suspect first.

    Objects that every run predicts and that are not labelled or have another class, labelled
    objects that no run sees, and images that every run classifies differently from their label.

    Example: snellen suspects baseline latest -o suspects.csv
    """
    from snellen.analysis.reader import open_results
    from snellen.analysis.suspects.label_search import find_suspects
    from snellen.analysis.suspects.saved import save_suspects
    from snellen.store.runs import get_test_run

    db = open_database(database)
    with make_reporter(debug=debug) as reporter:
        views = [get_test_run(db, reference) for reference in runs]
        found = find_suspects(db, views, reporter, min_confidence=min_confidence)
        document = found.to_json(limit, kind)
        if output is not None:
            chosen = [one for one in found.found if kind is None or one.kind == kind]
            written = save_suspects(chosen, open_results(db, views[0]), output, overwrite=overwrite)
            document["file"] = str(written)
    show(document, lambda: [_table(document)], as_json=as_json)


def _table(found: dict[str, Any]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    counts = ", ".join(f"{count:,} {name}" for name, count in found["counts"].items())
    caption = f"{found['images']:,} images: {counts}, at confidence {found['min_confidence']:g}"
    for reason, count in found["left_out"].items():
        caption += f"\n{count:,} images left out: {reason.replace('_', ' ')}"
    if found.get("file"):
        caption += f"\n{escape(found['file'])}"
    table = Table(caption=caption)
    for name in ("image", "kind", "score", "label", "prediction", "box"):
        table.add_column(name, justify="right" if name == "score" else "left", overflow="fold")
    for one in found["suspects"]:
        box = "" if one["box"] is None else " ".join(f"{value:.0f}" for value in one["box"])
        table.add_row(
            escape(one["image_id"]),
            one["kind"],
            f"{one['score']:.3f}",
            escape(one["true_label"] or "-"),
            escape(one["predicted_label"] or "-"),
            box,
        )
    return table

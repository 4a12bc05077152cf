"""Options that narrow the images of a run: conditions, and lists of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import polars as pl

    from snellen.store.parquet.results import Results

WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Condition such as 'brightness<0.3' or meta_camera=front; several: all of them.",
    ),
]
ListedOption = Annotated[
    Path | None,
    typer.Option("--listed", metavar="FILE", help="Only images of a list of 'compare -o'."),
]
KindOption = Annotated[
    str | None, typer.Option("--kind", help="Only rows of this kind in the list, such as fixed.")
]


def narrowed(
    rows: pl.LazyFrame,
    results: Results,
    where: list[str] | None,
    listed: Path | None,
    kind: str | None,
) -> pl.LazyFrame:
    """Select the rows that meet the conditions and are on the list; None is no condition.

    Raises:
        ConfigError: CONDITION; USAGE, a kind without a list.
        InputError: LIST_FILE.
    """
    import polars as pl

    from snellen.adapters.errors import ConfigError

    if kind is not None and listed is None:
        raise ConfigError("USAGE", "--kind needs a list. Expected: --listed FILE --kind fixed")
    if where:
        from snellen.analysis.weak_slices.conditions import Condition, images_where

        found = images_where(results, [Condition.parse(text) for text in where])
        rows = rows.filter(pl.col("image_index").is_in(found))
    if listed is not None:
        from snellen.analysis.comparison.changed_files import listed_images

        rows = rows.filter(pl.col("image_id").is_in(listed_images(listed, kind)))
    return rows

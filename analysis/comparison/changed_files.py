"""Files that list the images and objects behind the numbers of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from snellen.adapters.errors import InputError
from snellen.store.atomic_file import atomic_file, output_errors
from snellen.store.views import RunView


def write_lists(
    frames: Mapping[str, pl.DataFrame], folder: Path, runs: tuple[RunView, RunView]
) -> dict[str, str]:
    """Write each list as ``compare-A-B-NAME.parquet``.

    Args:
        frames: lists by name, each with ``image_id``, ``index_a`` and ``index_b``.
        folder: made if it does not exist.
        runs: A and B.

    Returns:
        The paths by name.

    Raises:
        InputError: OUTPUT_TAKEN, a file exists; nothing is written then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"compare-{runs[0].id}-{runs[1].id}-{name}.parquet" for name in frames}
    for file in files.values():
        if file.exists():
            raise InputError(
                "OUTPUT_TAKEN", f"'{file}' exists. Expected a new file. Remove it or change -o."
            )
    for name, file in files.items():
        with output_errors(file), atomic_file(file) as partial:
            frames[name].write_parquet(partial)
    return {name: str(file) for name, file in files.items()}


def listed_images(file: Path, kind: str | None = None) -> list[str]:
    """Return the ids of the images that a list names, each once, in its order.

    Args:
        file: a list that `write_lists` wrote, or another Parquet file with ``image_id``.
        kind: only rows of a ``kind`` (fixed, broken, ...) or ``found`` (both, only_a, ...).

    Raises:
        InputError: LIST_FILE, the file cannot be read, or has no such column or kind.
    """
    try:
        frame = pl.read_parquet(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            "LIST_FILE",
            f"'{file}' cannot be read: {reason}. Expected a Parquet file with image_id, such as "
            "those of: snellen compare A B -o DIR",
        ) from None
    if "image_id" not in frame.columns:
        raise InputError(
            "LIST_FILE",
            f"'{file}' has the columns {', '.join(frame.columns)}. Expected image_id among them. "
            "Write a list with: snellen compare A B -o DIR",
        )
    if kind is not None:
        column = next((name for name in ("kind", "found") if name in frame.columns), None)
        kinds = [] if column is None else sorted(frame[column].unique().to_list())
        if kind not in kinds:
            raise InputError(
                "LIST_FILE",
                f"'{file}' has no rows of kind {kind!r}. Expected one of "
                f"{', '.join(kinds) or 'none: it has no kinds. Leave --kind out'}.",
            )
        frame = frame.filter(pl.col(column or "") == kind)
    found: list[str] = frame["image_id"].unique(maintain_order=True).to_list()
    return found

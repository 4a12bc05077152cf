"""The content of a scored dataset: a hash of its images, and images that are exact copies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import polars as pl
import pyarrow as pa

CONTENT_COLUMNS = ("image_id", "content_hash", "true_label_id")
"""The columns of a result row that `dataset_content` reads."""
_EXAMPLES = 5
_NAMES = 4


def dataset_content(parts: Iterable[pa.Table]) -> tuple[str | None, dict[str, Any]]:
    """Hash the contents of the images of a run, and count the exact copies among them.

    Args:
        parts: rows of result files with `CONTENT_COLUMNS`, in unit order.

    Returns:
        The sha256 of the sorted content hashes, one per line, which neither names nor their order
        change; None if no image was read. And the counts: ``groups`` of images with equal bytes,
        ``copies`` beyond the first image of each, ``conflicting`` groups with several labels, and
        up to 5 ``examples``, each a list of at most 4 image ids.
    """
    frames = [pl.DataFrame(table.select(list(CONTENT_COLUMNS))) for table in parts]
    rows = pl.concat(frames).filter(pl.col("content_hash").is_not_null())
    if rows.is_empty():
        return None, {"groups": 0, "copies": 0, "conflicting": 0, "examples": []}
    digest = hashlib.sha256()
    for content in rows["content_hash"].sort():
        digest.update(f"{content}\n".encode())
    groups = (
        rows.group_by("content_hash", maintain_order=True)
        .agg(
            pl.len().alias("count"),
            pl.col("true_label_id").drop_nulls().n_unique().alias("labels"),
            pl.col("image_id").head(_NAMES).alias("names"),
        )
        .filter(pl.col("count") > 1)
    )
    counts = {
        "groups": groups.height,
        "copies": int(groups["count"].sum()) - groups.height,
        "conflicting": int((groups["labels"] > 1).sum()),
        "examples": groups["names"].head(_EXAMPLES).to_list(),
    }
    return digest.hexdigest(), counts

"""Images that one of two runs gets right, each drawn with both predictions."""

from __future__ import annotations

import polars as pl

from snellen.analysis.comparison.flips import find_flips
from snellen.analysis.comparison.pairing import pair_runs
from snellen.analysis.drawing import RunImages
from snellen.analysis.reader import open_results
from snellen.analysis.report.mistakes import Tile, rows_of, tiles
from snellen.store.sql.database import Database
from snellen.store.views import RunView


class FlipTiles:
    """The images that changed from A to B.

    Attributes:
        kinds: ``broken`` and ``fixed``, with their numbers of images.
    """

    def __init__(self, db: Database, base: RunView, run: RunView) -> None:
        """Find the images that changed."""
        images = find_flips(pair_runs(db, (base, run))).images
        self._places = {
            kind: images.filter(pl.col("kind") == kind).sort("index_b")
            for kind in ("broken", "fixed")
        }
        self.kinds: dict[str, int] = {kind: len(found) for kind, found in self._places.items()}
        self._sides = [(RunImages(db, one), open_results(db, one)) for one in (base, run)]

    def tiles(self, kind: str, offset: int, limit: int) -> list[dict[str, Tile]]:
        """Draw some of the images of a kind: ``a`` and ``b`` of each."""
        places = self._places[kind].slice(offset, limit)
        drawn = []
        for (images, results), column in zip(self._sides, ("index_a", "index_b"), strict=True):
            indices = places[column].to_list()
            rows = rows_of(results, indices)
            drawn.append(tiles(images, (rows[index] for index in indices)))
        return [{"a": a, "b": b} for a, b in zip(*drawn, strict=True)]

"""Find the slices of a run, or of a comparison, on which a model is worse.

The images are divided into two halves by a hash of their id or group. Slices are chosen on one
half and tested on the other one, so that the p-values do not know what was chosen; q-values correct
them for the number of slices (Benjamini-Hochberg).
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from snellen.analysis.reader import completed_owner, open_results
from snellen.analysis.weak_slices.measures import (
    MEASURES,
    column_names,
    measured_numbers,
    read_columns,
    value_names,
)
from snellen.analysis.weak_slices.tree import Features, Slice, candidate_slices
from snellen.metrics.comparison.corrections import benjamini_hochberg
from snellen.metrics.comparison.slice_difference import slice_difference
from snellen.metrics.comparison.verdict import Difference
from snellen.metrics.statistics.draws import Blocks, blocks_of_images
from snellen.metrics.statistics.groups import group_name
from snellen.store.parquet.results import Results
from snellen.store.sql.database import Database
from snellen.store.views import RunView

Floats = npt.NDArray[np.float64]
MIN_SHARE = 0.02
_FEWEST = 10
"""Minimum number of images of a slice in each half, whatever its share."""
_COUNTS = ("tp", "fp", "fn")
_SHOWN = 20
_SETTLED = 0.05


@dataclass(frozen=True, eq=False)
class ImageValues:
    """Inputs of the search for weak slices: arrays of the n images, in any order.

    Attributes:
        values: float64, the larger the worse.
        groups: names of the groups; of independent images their ids.
        features: values that conditions can be about.
    """

    values: Floats
    groups: Sequence[str]
    features: Features


def weak_slices(db: Database, run: RunView, *, min_share: float = MIN_SHARE) -> dict[str, Any]:
    """Find the slices of a run with the most errors.

    The error of a classified image is 0 or 1, of an image with objects 1 - F1 at the operating
    point: (fp + fn) / (2 tp + fp + fn).

    Args:
        db: the open database.
        run: a completed test run.
        min_share: minimum share of the images in a slice.

    Returns:
        ``images`` (scored), ``error`` (their mean), ``group``, ``measures`` (what was tried), and
        ``slices``, those with q < 0.05 first, then by difference: ``where`` (conditions of
        ``snellen images``), ``command``, ``images`` (number of scored images that the conditions
        select), and on the half that did not choose them: ``error``, ``rest`` (of the other
        images), ``difference``, ``interval``, ``p``, ``q``, ``settled`` (q < 0.05).

    Raises:
        InputError: RUN_NOT_COMPLETED.
    """
    completed_owner(db, run)
    results = open_results(db, run)
    group = (run.config or {}).get("metrics", {}).get("group")
    frame = read_errors(results, group)
    features = read_features(results, frame["image_index"].to_list())
    values = frame["error"].to_numpy()
    found = found_slices(ImageValues(values, frame["group"].to_list(), features), min_share)
    return {
        "id": run.id,
        "name": run.name,
        "images": len(frame),
        "error": float(values.mean()) if len(frame) else None,
        "group": group,
        "measures": [*features.numbers, *features.names],
        "slices": [one.to_json(run.id) for one in found],
    }


def read_errors(results: Results, group: str | None = None) -> pl.DataFrame:
    """Read the error of each scored image with ground truth.

    Returns:
        ``image_index``, ``error`` (float64) and ``group``, in the order of the images.
    """
    columns = ["image_index", "image_id", "status", "is_correct", *_COUNTS]
    frame = results.frame([*columns, *([group] if group else [])])
    tp, fp, fn = (pl.col(name).cast(pl.Float64) for name in _COUNTS)
    of_objects = pl.when(fp + fn == 0).then(0.0).otherwise((fp + fn) / (2 * tp + fp + fn))
    wrong = (~pl.col("is_correct")).cast(pl.Float64)
    frame = frame.filter((pl.col("status") == "ok") & pl.col("is_correct").is_not_null())
    ids = frame["image_id"].to_list()
    values = frame[group].to_list() if group else [None] * len(ids)
    names = [group_name(value, image) for value, image in zip(values, ids, strict=True)]
    return frame.select(
        "image_index",
        pl.when(pl.col("tp").is_null()).then(wrong).otherwise(of_objects).alias("error"),
        pl.Series("group", names, dtype=pl.String),
    )


def read_features(results: Results, indices: Sequence[int]) -> Features:
    """Read the values of images that differ: metadata, image size, brightness, objects.

    Args:
        results: of the run.
        indices: ``image_index`` of the images.
    """
    schema = results.lazy().collect_schema()
    known = schema.names()
    tried = [name for name in MEASURES if all(column in known for column in read_columns(name))]
    tried += [name for name in column_names(known) if not schema[name].is_nested()]
    numeric = {name for name in tried if name in MEASURES or schema[name].is_numeric()}
    parts: dict[str, list[Any]] = {name: [] for name in tried}
    places: list[npt.NDArray[np.int64]] = []
    columns = dict.fromkeys(column for name in tried for column in read_columns(name))
    for table in results.iter_units(list(dict.fromkeys(("image_index", *columns)))):
        places.append(table["image_index"].to_numpy())
        for name in tried:
            read = measured_numbers if name in numeric else value_names
            parts[name].append(read(table, name))
    every = np.concatenate(places) if places else np.zeros(0, np.int64)
    order = np.argsort(every)
    rows = order[np.searchsorted(every, np.asarray(indices, np.int64), sorter=order)]
    read_values = {name: np.concatenate(values)[rows] for name, values in parts.items() if values}
    varied = {name: values for name, values in read_values.items() if _varies(values)}
    return Features(
        {name: values for name, values in varied.items() if name in numeric},
        {name: values for name, values in varied.items() if name not in numeric},
    )


def _varies(values: npt.NDArray[Any]) -> bool:
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return len(np.unique(known)) > 1


@dataclass(frozen=True, eq=False)
class FoundSlice:
    """A slice with its test on the half that did not choose it.

    Attributes:
        chosen: the slice.
        error, rest: mean of the slice and of the other images of the half.
        difference: with interval and test.
        q: p corrected for the number of slices.
    """

    chosen: Slice
    error: float | None
    rest: float | None
    difference: Difference
    q: float

    @property
    def settled(self) -> bool:
        """True if the other half confirms the slice."""
        return self.q < _SETTLED

    def to_json(self, run_id: int, file: str | None = None) -> dict[str, Any]:
        """Return the entry of the document.

        Args:
            run_id: of the run whose images the command lists.
            file: list of the images that were compared, to which the command is limited.
        """
        where = [str(condition) for condition in self.chosen.conditions]
        words = ["--status ok", *(f"--where {shlex.quote(text)}" for text in where)]
        if file is not None:
            words.append(f"--listed {shlex.quote(file)}")
        return {
            "where": where,
            "command": f"snellen images {run_id} {' '.join(words)}",
            "images": int(self.chosen.images.sum()),
            "error": self.error,
            "rest": self.rest,
            "difference": self.difference.value,
            "interval": [self.difference.low, self.difference.high],
            "p": self.difference.p,
            "q": self.q,
            "settled": self.settled,
        }


def found_slices(
    images: ImageValues, min_share: float = MIN_SHARE, *, of_difference: bool = False
) -> list[FoundSlice]:
    """Choose slices on one half of the images and test them on the other half.

    Args:
        images: the images.
        min_share: minimum share of the images in a slice.
        of_difference: the values are differences of two runs: slices with small values are
            wanted, too, and the mean of a slice is compared with 0 instead of the other images.

    Returns:
        Settled slices (q < 0.05) first, then by their difference; none for too few images.
    """
    values = images.values
    choosing = np.array([_chooses(name) for name in images.groups], np.bool_)
    smallest = max(_FEWEST, int(np.ceil(min_share * choosing.sum())))
    candidates = candidate_slices(images.features, values, choosing, smallest)
    if of_difference:
        candidates += candidate_slices(images.features, -values, choosing, smallest)
    held_out = ~choosing
    blocks = _blocks([name for name, out in zip(images.groups, held_out, strict=True) if out])
    tested: list[tuple[Slice, Difference]] = []
    for one in candidates:
        inside = one.images[held_out]
        if inside.sum() < _FEWEST:
            continue
        found = slice_difference(values[held_out], inside, blocks, against_rest=not of_difference)
        if found is not None:
            tested.append((one, found))
    q_values = benjamini_hochberg([difference.p for _, difference in tested])
    slices = [
        FoundSlice(
            one,
            _mean(values, held_out & one.images),
            _mean(values, held_out & ~one.images),
            difference,
            q,
        )
        for (one, difference), q in zip(tested, q_values, strict=True)
    ]
    by_size = (lambda one: -abs(one.difference.value)) if of_difference else _worst_first
    slices.sort(key=lambda one: (not one.settled, by_size(one)))
    return slices[:_SHOWN]


def _worst_first(one: FoundSlice) -> float:
    return -one.difference.value


def _chooses(name: str) -> bool:
    """Return True for the groups by which slices are chosen, False for those that test them."""
    return zlib.crc32(f"half {name}".encode()) % 2 == 0


def _mean(values: Floats, chosen: npt.NDArray[np.bool_]) -> float | None:
    return float(values[chosen].mean()) if chosen.any() else None


def _blocks(groups: Sequence[str]) -> Blocks:
    """Return each group as a block, whatever their number."""
    if not groups:
        return blocks_of_images(0)
    known, place = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    return Blocks(place.astype(np.int64), len(known), len(known))

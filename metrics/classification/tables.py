"""Read result rows (Arrow) into the state of classification metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from snellen.metrics.classification.state import ECE_BINS, ClassificationState, ImageArrays
from snellen.metrics.statistics.groups import group_keys

CLASSIFICATION_COLUMNS = (
    "status",
    "true_label_id",
    "predicted_label_id",
    "top5_predictions",
    "confidence",
    "true_confidence",
    "loss",
)
"""The columns of a result row that `classification_state` reads."""


def classification_state(
    table: pa.Table,
    num_classes: int,
    *,
    ece_bins: int = ECE_BINS,
    class_ids: Sequence[int] | None = None,
    group: str | None = None,
) -> ClassificationState:
    """Count result rows; rows with status ``ok``, a label and a prediction are scored.

    Args:
        table: at least `CLASSIFICATION_COLUMNS`, with the types of a result file.
        num_classes: K.
        ece_bins: number of equal bins of the confidence.
        class_ids: the classes whose images are scored; None for all.
        group: column of dependent images; None for none. The table also has ``image_id`` then.

    Raises:
        ValueError: a scored row with a class id or probability out of range.

    Example:
        >>> from snellen.metrics.examples import classification_rows
        >>> state = classification_state(classification_rows(), 2)
        >>> state.scored, state.cells.tolist(), state.cell_counts.tolist()
        (4, [0, 1, 3], [1, 1, 2])
    """
    true, predicted = _ints(table["true_label_id"]), _ints(table["predicted_label_id"])
    ok = np.asarray([status == "ok" for status in table["status"].to_pylist()], dtype=np.bool_)
    chosen = np.ones_like(ok) if class_ids is None else np.isin(true, class_ids)
    images = ImageArrays(
        true_ids=true,
        predicted_ids=predicted,
        top5_ids=_top5(table["top5_predictions"]),
        confidence=_floats(table["confidence"]),
        true_confidence=_floats(table["true_confidence"]),
        loss=_floats(table["loss"]),
        scored=ok & (true >= 0) & (predicted >= 0) & chosen,
        groups=None if group is None else group_keys(table, group),
    )
    state = ClassificationState.from_arrays(num_classes, images, ece_bins=ece_bins)
    return replace(state, excluded=int(((true >= 0) & ~chosen).sum()))


def _ints(column: Any) -> npt.NDArray[np.int64]:
    filled = pc.fill_null(column.cast(pa.int64()), -1)
    return np.asarray(filled.to_numpy(), dtype=np.int64)


def _floats(column: Any) -> npt.NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _top5(column: Any) -> npt.NDArray[np.int64]:
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        combined = pa.concat_arrays(combined.chunks)
    lengths = _ints(pc.fill_null(pc.list_value_length(combined), 0))
    ids = np.full((len(lengths), max(1, int(lengths.max(initial=0)))), -1, dtype=np.int64)
    present = np.arange(ids.shape[1]) < lengths[:, None]
    ids[present] = _ints(pc.struct_field(pc.list_flatten(combined), "label_id"))
    return ids

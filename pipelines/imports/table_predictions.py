"""Reader of predictions in a CSV or Parquet table.

A classifier's table has one row per image: the image, and the predicted label and its confidence,
or a probability per class, or both. A detector's table has one row per object: the image, label,
confidence, and the corners x1, y1, x2, y2 in pixels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from snellen.adapters.errors import InputError
from snellen.adapters.plugins import nearest
from snellen.adapters.types import TaskType
from snellen.pipelines.data.sources.casts import as_integer
from snellen.pipelines.data.sources.tables.columns import PATH_NAMES
from snellen.pipelines.data.sources.tables.table_files import open_table
from snellen.pipelines.imports.import_request import ReadRequest
from snellen.pipelines.imports.predicted import (
    FoundObject,
    ImageClass,
    Predictions,
    check_confidence,
    names_text,
)

_IMAGE = ("image_id", *PATH_NAMES, "image_name", "id")
_LABEL = (
    *("predicted_label", "prediction", "predicted_class", "predicted", "pred"),
    *("label", "class", "class_name", "category"),
)
_CONFIDENCE = ("confidence", "score", "conf", "probability", "prob")
_PROBABILITIES = "probabilities"
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"))
_SUM_TOLERANCE = 0.05
"""How far the probabilities of an image may be from 1 in all: files round them."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of a table; None where it has no such column."""

    image: str
    label: str | None
    confidence: str | None
    corners: tuple[str, ...] | None
    classes: tuple[str, ...] | None
    list: str | None


def read_table(read: ReadRequest) -> Predictions:
    """Read a table of predictions.

    Raises:
        InputError: IMPORT_COLUMNS, columns that are missing; IMPORT_PROBABILITIES, numbers that are
            no probabilities; IMPORT_DUPLICATE, an image with two predicted classes; IMPORT_SCORES,
            IMPORT_BOX_UNITS; DATASET_UNREADABLE.
    """
    table = open_table(read.request.path)
    layout = _layout(table.names, read)
    if layout.label is not None:
        table.keep_text([layout.image, layout.label])
    else:
        table.keep_text([layout.image])
    rows = pa.Table.from_batches(list(table.batches()), schema=table.schema).to_pylist()
    task = TaskType.IMAGE_CLASSIFICATION if layout.corners is None else TaskType.OBJECT_DETECTION
    found = Predictions(task, read.names)
    ids = _class_ids(found, rows, layout, read)
    for row in rows:
        image = row[layout.image]
        if image is None or image == "":
            found.ignore("without_image", str(row.get(layout.label or "")))
        elif layout.corners is not None:
            _add_object(found, row, layout, ids)
        else:
            _add_class(found, row, layout, ids)
    found.check_units()
    return found


def _layout(names: Sequence[str], read: ReadRequest) -> _Layout:
    chosen, known = read.request.columns, {name.strip().lower(): name for name in names}
    path = read.request.path
    for kind, name in chosen.items():
        if name not in names or kind not in ("image", "label", "confidence"):
            raise _no_column(f"--columns {kind}={name}", path, names, nearest(name, names))

    def find(kind: str, usual: Sequence[str]) -> str | None:
        return chosen.get(kind) or next((known[name] for name in usual if name in known), None)

    image = find("image", _IMAGE)
    if image is None:
        raise _no_column("the image", path, names)
    corners = next((c for c in _CORNERS if all(name in known for name in c)), None)
    probabilities = known.get(_PROBABILITIES)
    classes = _class_columns(names, read.names)
    layout = _Layout(
        image,
        find("label", _LABEL),
        find("confidence", _CONFIDENCE),
        None if corners is None else tuple(known[name] for name in corners),
        classes,
        probabilities,
    )
    if corners is not None and (layout.label is None or layout.confidence is None):
        raise _no_column("the label and the confidence of each box", path, names)
    if layout.label is None and classes is None and probabilities is None:
        raise _no_column("the predicted label, or a probability per class", path, names)
    return layout


def _class_columns(names: Sequence[str], classes: Sequence[str]) -> tuple[str, ...] | None:
    """Return the columns with the probability of each class, in the order of the classes."""
    if not classes:
        return None
    for prefix in ("", "prob_", "p_", "probability_"):
        columns = tuple(f"{prefix}{name}" for name in classes)
        if all(column in names for column in columns):
            return columns
    return None


def _no_column(what: str, path: Any, names: Sequence[str], hint: str = "") -> InputError:
    return InputError(
        "IMPORT_COLUMNS",
        f"'{path}' has no column for {what}: its columns are {names_text(names, 12)}"
        f"{hint or '.'} Expected image_id, label and confidence, a column per class (or "
        "probabilities), or x1, y1, x2, y2 for boxes. Name others with --columns "
        "image=NAME,label=NAME,confidence=NAME.",
    )


def _class_ids(
    found: Predictions, rows: Sequence[Row], layout: _Layout, read: ReadRequest
) -> dict[str, int]:
    """Return the class id of each label: by name, or by its position where labels are numbers."""
    by_name = {name: number for number, name in enumerate(found.names)}
    if layout.label is None:
        return by_name
    labels = {str(row[layout.label]) for row in rows if row[layout.label] is not None}
    numbers = {label: as_integer(label) for label in labels}
    if not labels or labels & set(by_name) or None in numbers.values():
        return by_name
    first = read.request.first_class
    used = [number for number in numbers.values() if number is not None]
    if first is None and min(used) > 0 and max(used) == len(found.names):
        raise InputError(
            "CLASS_IDS_SHIFTED",
            f"the labels are {min(used)} to {max(used)}, and none is 0. Expected 0 to "
            f"{len(found.names) - 1}, positions in the class names. If label 1 is the first class, "
            "set --first-class 1.",
        )
    found.notes.append(f"labels are positions in the class names, from {first or 0}")
    return {
        label: read.position(number)
        for label, number in numbers.items()
        if number is not None and 0 <= read.position(number) < len(found.names)
    }


def _add_object(found: Predictions, row: Row, layout: _Layout, ids: Mapping[str, int]) -> None:
    assert layout.corners is not None and layout.label is not None, "the layout is checked"
    image, label = row[layout.image], row[layout.label]
    found.objects.setdefault(image, [])
    values = [row[name] for name in layout.corners]
    score = row[layout.confidence or ""]
    if label is None and score is None and all(value is None for value in values):
        return  # a row that says that the image has no objects
    class_id = ids.get(str(label))
    if class_id is None:
        found.ignore("unknown_class", str(label))
        return
    x1, y1, x2, y2 = (_number(value) for value in values)
    found.add(image, FoundObject(class_id, (x1, y1, x2, y2), _number(score)))


def _add_class(found: Predictions, row: Row, layout: _Layout, ids: Mapping[str, int]) -> None:
    image = row[layout.image]
    if image in found.classes:
        raise InputError(
            "IMPORT_DUPLICATE",
            f"image '{image}' has more than one predicted class. Expected one row per image. "
            "Remove the other rows.",
        )
    probabilities = _probabilities(found, row, layout)
    confidence = None if layout.confidence is None else _number(row[layout.confidence])
    if layout.label is None:
        if probabilities is None:
            found.ignore("not_finite", str(image))
            return
        class_id: int | None = int(probabilities.argmax())
    else:
        class_id = ids.get(str(row[layout.label]))
    if class_id is None:
        found.ignore("unknown_class", str(row[layout.label or ""]))
        return
    if probabilities is not None:
        if probabilities[class_id] < probabilities.max():
            found.ignore("label_is_not_the_most_probable", str(image))
            return
        confidence = float(probabilities[class_id])
    elif confidence is not None and not math.isfinite(confidence):
        found.ignore("not_finite", str(image))
        return
    if confidence is not None:
        check_confidence(confidence, str(image))
        confidence = min(confidence, 1.0)
    found.classes[image] = ImageClass(class_id, confidence, probabilities)


def _probabilities(found: Predictions, row: Row, layout: _Layout) -> Any:
    """Return the probabilities of an image, float64, (K,); None where it has none."""
    if layout.classes is not None:
        values = [_number(row[name]) for name in layout.classes]
    elif layout.list is not None:
        written = row[layout.list]
        listed = json.loads(written) if isinstance(written, str) else written
        values = [_number(value) for value in listed or ()]
    else:
        return None
    image = row[layout.image]
    if len(values) != len(found.names):
        raise InputError(
            "IMPORT_PROBABILITIES",
            f"image '{image}' has {len(values)} probabilities. Expected {len(found.names)}, one "
            "per class in the order of the class names. Name all of them with --classes.",
        )
    array = np.array(values, np.float64)
    if not np.isfinite(array).all():
        return None
    if array.min() < 0 or array.max() > 1 or abs(array.sum() - 1) > _SUM_TOLERANCE:
        raise InputError(
            "IMPORT_PROBABILITIES",
            f"the numbers of image '{image}' are from {array.min():g} to {array.max():g} and sum "
            f"to {array.sum():g}. Expected probabilities from 0 to 1 that sum to 1. Apply the "
            "softmax to logits first.",
        )
    return array


def _number(value: Any) -> float:
    """Return a number of a cell; NaN where it is none."""
    try:
        return math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan

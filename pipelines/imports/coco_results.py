"""Reader of COCO results: boxes, masks and keypoints, as pycocotools' ``loadRes`` takes them.

The ids of a results file mean nothing by themselves. They refer to a COCO file with the images and
the categories: the one that is named, one beside the results (as `snellen export` writes it), or
the dataset's. Where there is none, ``image_id`` is the name of the file without its suffix and
``category_id`` a position in the class names, as Ultralytics writes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snellen.adapters.errors import ErrorCode, InputError
from snellen.adapters.types import TaskType
from snellen.pipelines.data.sources.annotations import LabelProblem, mask_box, mask_of_rle
from snellen.pipelines.data.sources.casts import as_integer, as_numbers
from snellen.pipelines.data.sources.coco.coco_source import CocoSource
from snellen.pipelines.imports.category_ids import CategoryIds, category_ids
from snellen.pipelines.imports.import_request import ReadRequest
from snellen.pipelines.imports.predicted import FoundObject, Predictions, Reference

RESULTS_NAME = "results.json"
_BOXES_NAME = "bbox_results.json"
_COMPANIONS = ("ground_truth.json", "images.json")
_SAME = ("image_id", "category_id", "score")

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Ids:
    """Images and categories that the ids of the results refer to.

    Attributes:
        names: class names.
        categories: category id -> position in the names; None if ids are positions.
        files: image id -> name of the file, from a COCO file beside the results.
        notes: for the user.
    """

    names: tuple[str, ...]
    categories: Mapping[int, int] | None = None
    files: Mapping[Reference, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_coco_results(read: ReadRequest) -> Predictions:
    """Read a results file, or the folder of an export with one.

    Raises:
        InputError: IMPORT_UNREADABLE, IMPORT_FORMAT; IMPORT_CATEGORIES, category ids that refer to
            nothing; IMPORT_SCORES, IMPORT_BOX_UNITS.
    """
    path = read.request.path
    file = path / RESULTS_NAME if path.is_dir() else path
    records = _records(file)
    ids = _ids(read, file, records)
    kind = _kind(records, read)
    found = Predictions(kind, ids.names, notes=list(ids.notes))
    boxes = _boxes_beside(file, records) if found.needs else None
    if boxes is not None:
        found.notes.append(f"took the boxes from {_BOXES_NAME}")
    categories = category_ids(read, ids.names, ids.categories, _category_ids(records))
    found.notes += categories.notes
    reader = _RecordReader(found, ids, categories)
    for number, record in enumerate(records):
        reader.add(number, record, None if boxes is None else boxes[number].get("bbox"))
    reader.finish()
    return found


def _records(file: Path) -> list[Record]:
    try:
        records: Any = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            "IMPORT_UNREADABLE",
            f"'{file}' cannot be read: {error}. Expected a COCO results file (JSON).",
        ) from None
    wrong = not isinstance(records, list) or not all(
        isinstance(one, dict) and one.get("image_id") is not None and "category_id" in one
        for one in records
    )
    if wrong:
        is_dataset = isinstance(records, dict) and "images" in records
        what = "a dataset" if is_dataset else "something else"
        raise InputError(
            "IMPORT_FORMAT",
            f"'{file}' holds {what}. Expected COCO results: a list of objects with image_id, "
            "category_id, score, and bbox, segmentation or keypoints.",
        )
    found: list[Record] = records
    return found


def _kind(records: Sequence[Record], read: ReadRequest) -> TaskType:
    wanted = read.request.task
    if wanted != "auto":
        return wanted
    if any(record.get("keypoints") for record in records):
        return TaskType.POSE_ESTIMATION
    if any(record.get("segmentation") for record in records):
        return TaskType.INSTANCE_SEGMENTATION
    return TaskType.OBJECT_DETECTION


def _category_ids(records: Sequence[Record]) -> list[int]:
    found = {as_integer(record["category_id"]) for record in records}
    return sorted(number for number in found if number is not None)


def _ids(read: ReadRequest, file: Path, records: Sequence[Record]) -> _Ids:
    """Find the COCO file that the ids refer to."""
    named = read.request.annotations
    beside = next((file.parent / n for n in _COMPANIONS if (file.parent / n).is_file()), None)
    companion = named or beside
    if companion is not None:
        return _of_companion(companion, _Companion.of(companion))
    source = read.source
    files = {} if read.request.image_key == "id" else _file_names(records)
    if read.request.classes is None and isinstance(source, CocoSource):
        return _Ids(source.content.classes, source.content.class_ids, files)
    return _Ids(read.names, files=files)


def _file_names(records: Sequence[Record]) -> dict[Reference, str]:
    """Return the names of files that Ultralytics writes beside its image ids."""
    named = all(isinstance(record.get("file_name"), str) for record in records)
    return {_reference(one): one["file_name"] for one in records} if named else {}


@dataclass(frozen=True, slots=True)
class _Companion:
    """Images and categories of a COCO file, which may have no annotations."""

    files: dict[Reference, str]
    categories: dict[int, str]

    @classmethod
    def of(cls, file: Path) -> _Companion:
        """Read the lists ``images`` and ``categories``."""
        try:
            document = json.loads(file.read_bytes())
            images = {_as_reference(one["id"]): str(one["file_name"]) for one in document["images"]}
            names = {int(one["id"]): str(one["name"]) for one in document["categories"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                "IMPORT_UNREADABLE",
                f"'{file}' cannot be read: {type(error).__name__}: {error}. Expected COCO JSON "
                "with the lists images and categories.",
            ) from None
        return cls(images, names)


def _of_companion(file: Path, companion: _Companion) -> _Ids:
    numbers = sorted(companion.categories)
    names = tuple(companion.categories[number] for number in numbers)
    positions = {number: position for position, number in enumerate(numbers)}
    return _Ids(names, positions, companion.files, notes=(f"ids refer to {file.name}",))


def _boxes_beside(file: Path, records: Sequence[Record]) -> list[Record] | None:
    """Return the boxes of masks or keypoints in a file beside them, if they are the same ones."""
    beside = file.parent / _BOXES_NAME
    if file.name == _BOXES_NAME or not beside.is_file():
        return None
    boxes = _records(beside)
    same = len(boxes) == len(records) and all(
        all(box.get(key) == record.get(key) for key in _SAME)
        for box, record in zip(boxes, records, strict=True)
    )
    return boxes if same else None


class _RecordReader:
    """Reader of the records of one file."""

    def __init__(self, found: Predictions, ids: _Ids, categories: CategoryIds) -> None:
        self._found = found
        self._ids = ids
        self._categories = categories
        self._made = 0

    def add(self, number: int, record: Record, box: Any) -> None:
        """Add the object of a record, or count why it is not used."""
        written = _reference(record)
        reference: Reference = self._ids.files.get(written, written)
        if self._ids.files and written not in self._ids.files:
            self._found.ignore("unknown_image", str(written))
            return
        class_id = self._categories.position(as_integer(record["category_id"]))
        self._found.objects.setdefault(reference, [])
        if class_id is None:
            self._found.ignore("unknown_class", str(record["category_id"]))
            return
        try:
            one = self._object(record, box, class_id)
        except LabelProblem as problem:
            raise InputError(
                "IMPORT_FORMAT",
                f"record {number} of the results, of image {written}, cannot be used: {problem}. "
                "Expected a COCO result.",
            ) from None
        if one is not None:
            self._found.add(reference, one)

    def finish(self) -> None:
        """Check the units, and say which boxes were made."""
        if self._made:
            self._found.notes.append(
                f"{self._made:,} boxes were made from masks or keypoints: the metrics of boxes are "
                "those of these boxes"
            )
        self._found.check_units()

    def _object(self, record: Record, box: Any, class_id: int) -> FoundObject | None:
        mask = keypoints = None
        if "masks" in self._found.needs:
            mask = _mask(record.get("segmentation"))
            if mask is None:
                self._found.ignore("without_mask", str(record["image_id"]))
                return None
        if "keypoints" in self._found.needs:
            keypoints = as_numbers(record.get("keypoints"), "keypoints")
            self._check_keypoints(len(keypoints))
        (score,) = as_numbers([record.get("score")], "score")
        corners = _corners(record.get("bbox") if box is None else box)
        if corners is None:
            self._made += 1
            corners = _made_corners(mask, keypoints)
        return FoundObject(class_id, corners, score, mask, keypoints)

    def _check_keypoints(self, values: int) -> None:
        count, rest = divmod(values, 3)
        known = self._found.keypoints
        if rest or not count or (known is not None and known != count):
            raise _problem(
                f"keypoints has {values} values. Expected x, y and confidence of "
                f"{known or 'each keypoint'}",
            )
        self._found.keypoints = count


def _mask(outline: Any) -> tuple[int, int, bytes] | None:
    if not isinstance(outline, dict) or not isinstance(outline.get("size"), list):
        return None
    height, width = (as_integer(value) or 0 for value in outline["size"])
    return height, width, mask_of_rle(outline, height, width)


def _corners(written: Any) -> tuple[float, float, float, float] | None:
    if written in (None, []):
        return None
    values = as_numbers(written, "bbox")
    if len(values) != 4:
        raise _problem(
            f"bbox has {len(values)} values. Expected x, y, width, height",
        )
    x, y, width, height = values
    return x, y, x + width, y + height


def _made_corners(
    mask: tuple[int, int, bytes] | None, keypoints: list[float] | None
) -> tuple[float, float, float, float]:
    if mask is not None:
        height, width, counts = mask
        return mask_box(counts, height, width)
    if keypoints is None:
        raise _problem("it has no bbox")
    xs, ys = keypoints[::3], keypoints[1::3]
    return min(xs), min(ys), max(xs), max(ys)


def _problem(message: str) -> LabelProblem:
    return LabelProblem(ErrorCode.LABEL_INVALID, message)


def _reference(record: Record) -> Reference:
    return _as_reference(record["image_id"])


def _as_reference(written: Any) -> Reference:
    """Return an id as an integer where it is one; "007" is the name of an image."""
    whole = as_integer(written)
    return whole if whole is not None and str(whole) == str(written).strip() else str(written)

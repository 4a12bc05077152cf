"""Reader of YOLO text files with confidences: one file per image, one object per line.

A line is ``class xc yc w h confidence``, normalised to the upright image, as ``save_txt=True
save_conf=True`` of Ultralytics and `snellen export --format yolo` write it. An image without
objects has no file, or an empty one. Class ids are positions in the names of a data.yaml beside
the files, in the given names, or in the dataset's.
"""

from __future__ import annotations

from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.adapters.text_files import TextEncodingError, decode_text, lines_of
from snellen.adapters.types import TaskType
from snellen.pipelines.data.sources.yolo.data_yaml import read_data_yaml
from snellen.pipelines.imports.import_request import ReadRequest
from snellen.pipelines.imports.predicted import FoundObject, Predictions, names_text

_COLUMNS = 6
_LABELS = "labels"
_DATA = "data.yaml"


def read_yolo_txt(read: ReadRequest) -> Predictions:
    """Read the text files of a folder, or of its folder ``labels``.

    Raises:
        InputError: IMPORT_FORMAT, no text files, or lines of another form; IMPORT_SCORES.
    """
    folder = read.request.path
    root = folder / _LABELS if (folder / _LABELS).is_dir() else folder
    files = sorted(file for file in root.rglob("*.txt") if file.is_file())
    if not files:
        raise InputError(
            "IMPORT_FORMAT", f"'{folder}' has no .txt files. Expected one per image with objects."
        )
    names, notes = _names(read, root)
    found = Predictions(TaskType.OBJECT_DETECTION, names, are_fractions=True, notes=notes)
    for file in files:
        reference = file.relative_to(root).with_suffix("").as_posix()
        found.objects[reference] = []
        for number, line in enumerate(_lines(file), 1):
            _add(found, reference, f"'{file}', line {number}", line.split(), read)
    return found


def _names(read: ReadRequest, root: Path) -> tuple[tuple[str, ...], list[str]]:
    if read.request.classes is None:
        for folder in (root, root.parent):
            if (folder / _DATA).is_file():
                return read_data_yaml(folder / _DATA).names, [f"took the class names of {_DATA}"]
    return read.names, []


def _lines(file: Path) -> list[str]:
    try:
        text = decode_text(file.read_bytes())
    except (OSError, TextEncodingError) as error:
        raise InputError(
            "IMPORT_UNREADABLE", f"'{file}' cannot be read: {error}. Expected text."
        ) from None
    return [line for line in lines_of(text) if line.strip()]


def _add(
    found: Predictions, reference: str, where: str, words: list[str], read: ReadRequest
) -> None:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != _COLUMNS:
        raise _wrong_line(where, words)
    number, xc, yc, width, height, score = values
    position = read.position(int(number)) if number == int(number) else -1
    if not 0 <= position < len(found.names):
        found.ignore("unknown_class", f"{number:g}")
        return
    corners = (xc - width / 2, yc - height / 2, xc + width / 2, yc + height / 2)
    if max(map(abs, corners)) > 2:
        raise InputError(
            "IMPORT_BOX_UNITS",
            f"{where}: the box {names_text(words[1:5])} is not normalised. Expected fractions of "
            "the image's width and height.",
        )
    found.add(reference, FoundObject(position, corners, score))


def _wrong_line(where: str, words: list[str]) -> InputError:
    advice = "Boxes of poses and outlines are not imported from text files: use COCO results."
    if len(words) == _COLUMNS - 1:
        advice = "Predict again with save_conf=True."
    return InputError(
        "IMPORT_FORMAT",
        f"{where} has {len(words)} values. Expected {_COLUMNS} numbers: class xc yc w h "
        f"confidence. {advice}",
    )

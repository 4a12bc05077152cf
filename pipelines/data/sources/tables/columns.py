"""Columns of a table of images: which one holds the path, the label and the id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snellen.adapters.errors import InputError
from snellen.adapters.plugins import nearest
from snellen.pipelines.config.dataset import ColumnsConfig

PATH_NAMES = (
    *("path", "image_path", "img_path", "file_path", "filepath"),
    *("file", "filename", "file_name", "image"),
)
"""Names of the column with the path of the image, in lower case."""
_OTHER_PATH_NAMES = ("location", "imageid")
"""Further names, for a table without one of `PATH_NAMES`: they may mean other things."""
LABEL_NAMES = ("label", "class", "class_name", "category", "target", "y")
"""Names of the column with the label, in lower case."""
ID_NAME = "image_id"


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns as the table spells them; None where there is no such column."""

    path: str
    label: str | None
    id: str | None


def find_columns(
    names: Sequence[str], chosen: ColumnsConfig, where: str, *, labels: bool = True
) -> Columns:
    """Find the columns by name, ignoring case.

    Args:
        names: of all columns, in their order.
        chosen: ``dataset.columns``.
        where: the file, for messages.
        labels: False if no label is needed; then the first of several is taken.

    Raises:
        InputError: DATASET_COLUMNS for a duplicate name, no column with a path, several columns
            that could be the path or the label, or a chosen column that does not exist.
    """
    _check_unique(names, where)
    path = _find("path", names, chosen.path, where)
    if path is None:
        raise _no_path(names, where)
    if labels or chosen.label is not None:
        label = _find("label", names, chosen.label, where)
    else:
        label = next(iter(_matching(names, LABEL_NAMES)), None)
    image_id = _existing("id", names, chosen.id, where) or (ID_NAME if ID_NAME in names else None)
    return Columns(path, label, image_id)


def looks_like_path(text: str) -> bool:
    """Return True for a cell that is a path of an image and no name of a column."""
    from snellen.pipelines.data.walk import IMAGE_SUFFIXES

    return "/" in text or text.lower().endswith(tuple(IMAGE_SUFFIXES))


def _check_unique(names: Sequence[str], where: str) -> None:
    repeated = [name for name in names if name and names.count(name) > 1]
    if repeated:
        raise InputError(
            "DATASET_COLUMNS",
            f"dataset.path: '{where}' has the column '{repeated[0]}' {names.count(repeated[0])} "
            "times. Expected unique names. Rename or remove one of them.",
        )


def _find(kind: str, names: Sequence[str], chosen: str | None, where: str) -> str | None:
    if chosen is not None:
        return _existing(kind, names, chosen, where)
    if kind == "path":
        found = _matching(names, PATH_NAMES) or _matching(names, _OTHER_PATH_NAMES)
    else:
        found = _matching(names, LABEL_NAMES)
    if len(found) > 1:
        raise InputError(
            "DATASET_COLUMNS",
            f"dataset.path: '{where}' has the columns {' and '.join(found)}, each of which may be "
            f"the {kind}. Expected one. Set dataset.columns={{{kind}: {found[0]}}}.",
        )
    return found[0] if found else None


def _matching(names: Sequence[str], known: Sequence[str]) -> list[str]:
    plain = {name: name.strip().lower().replace(" ", "_").replace("-", "_") for name in names}
    return [name for name in names if plain[name] in known]


def _existing(kind: str, names: Sequence[str], chosen: str | None, where: str) -> str | None:
    if chosen is None or chosen in names:
        return chosen
    raise InputError(
        "DATASET_COLUMNS",
        f"dataset.columns.{kind}: '{where}' has no column '{chosen}'. Expected one of "
        f"{', '.join(names)}{nearest(chosen, names) or '.'}",
    )


def _no_path(names: Sequence[str], where: str) -> InputError:
    if any(looks_like_path(name) for name in names):
        return InputError(
            "DATASET_COLUMNS",
            f"dataset.path: '{where}' has no header: its first line is {', '.join(names)}. "
            "Expected the names of the columns. Add the first line path,label.",
        )
    known = ", ".join((*PATH_NAMES, *_OTHER_PATH_NAMES))
    return InputError(
        "DATASET_COLUMNS",
        f"dataset.path: '{where}' has the columns {', '.join(names)}, none of which is a path. "
        f"Expected one of {known}. Rename the column, or set "
        "dataset.columns={path: COLUMN}.",
    )

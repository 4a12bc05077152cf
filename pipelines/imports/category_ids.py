"""The class that a category id stands for: by a COCO file, or by its position in the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snellen.adapters.errors import InputError
from snellen.pipelines.imports.import_request import ReadRequest


@dataclass(frozen=True, slots=True)
class CategoryIds:
    """From category ids to positions in the class names.

    Attributes:
        positions: by category id.
        notes: for the user.
    """

    positions: Mapping[int, int]
    notes: tuple[str, ...] = ()

    def position(self, category: int | None) -> int | None:
        """Return the position of a class; None for an unknown one."""
        return None if category is None else self.positions.get(category)


def category_ids(
    read: ReadRequest,
    names: Sequence[str],
    known: Mapping[int, int] | None,
    used: Sequence[int],
) -> CategoryIds:
    """Find what the category ids of a file stand for.

    Args:
        read: the file.
        names: K class names.
        known: positions by the ids of a COCO file; None if there is none.
        used: the ids that occur, rising.

    Raises:
        InputError: IMPORT_CATEGORIES, ids that are shifted by one, or that may count from 0 or
            from 1.
    """
    first = read.request.first_class
    if known is not None and first is None:
        _reject_shifted(known, used)
        return CategoryIds(known)
    count = len(names)
    if first is None:
        first = _first(used, count)
    noted = f"category ids are positions in the class names, from {first}" if used else ""
    positions = {first + position: position for position in range(count)}
    return CategoryIds(positions, (noted,) if noted else ())


def _reject_shifted(known: Mapping[int, int], used: Sequence[int]) -> None:
    unknown = [number for number in used if number not in known]
    if not unknown:
        return
    for shift, words in ((-1, "1"), (1, "0")):
        if all(number + shift in known for number in used):
            raise InputError(
                "IMPORT_CATEGORIES",
                f"category id {unknown[0]} is none of the dataset's, and all ids would be if they "
                f"were shifted by one: they look like positions. Expected ids of the dataset's "
                f"COCO file, or --first-class {words} for positions that count from {words}.",
            )


def _first(used: Sequence[int], count: int) -> int:
    """Return 0 or 1, the number that positions count from."""
    if not used or used[0] == 0:
        first = 0
    elif used[-1] == count:
        first = 1
    else:
        first = None
    if first is None or (used and used[-1] - first >= count):
        span = f"{used[0]} to {used[-1]}"
        raise InputError(
            "IMPORT_CATEGORIES",
            f"category ids are {span}, and there are {count} class names: it is not known what "
            "they stand for. Expected --first-class 0 or --first-class 1 for positions in the "
            "class names, --annotations FILE with the categories (COCO JSON), or --classes with "
            "all names.",
        )
    return first

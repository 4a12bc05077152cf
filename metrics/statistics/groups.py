"""Keys of groups of dependent images, such as the images of one patient, clip or place."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Keys = npt.NDArray[np.uint64]


def group_keys(table: pa.Table, column: str) -> Keys:
    """Hash the group of each row; a row without a group is a group of its own.

    The hash does not depend on the process or on the other rows, so that parts of a set can be
    merged.

    Args:
        table: with ``column`` and ``image_id``.
        column: the metadata column of the group.

    Returns:
        uint64, (n,).

    Example:
        >>> rows = pa.table({"image_id": ["a", "b", "c"], "meta_patient": [7, 7, None]})
        >>> keys = group_keys(rows, "meta_patient")
        >>> bool(keys[0] == keys[1]), len(set(keys.tolist()))
        (True, 2)
    """
    values, ids = table[column].to_pylist(), table["image_id"].to_pylist()
    known: dict[str, int] = {}
    keys = np.empty(len(values), np.uint64)
    for place, (value, image_id) in enumerate(zip(values, ids, strict=True)):
        name = group_name(value, image_id)
        if name not in known:
            digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            known[name] = int.from_bytes(digest, "little")
        keys[place] = known[name]
    return keys


def group_name(value: Any, image_id: str) -> str:
    """Return the name of a group; of an image without one (null, NaN) a name of its own.

    Example:
        >>> group_name("p1", "a.png"), group_name(None, "a.png")
        ('group p1', 'image a.png')
    """
    missing = value is None or value != value
    return f"image {image_id}" if missing else f"group {value}"

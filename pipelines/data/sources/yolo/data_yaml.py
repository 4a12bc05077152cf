"""data.yaml of a YOLO dataset: where it is, its class names and its keypoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from snellen.adapters.errors import InputError
from snellen.adapters.text_files import TextEncodingError, decode_text
from snellen.pipelines.data.sources.casts import as_integer
from snellen.pipelines.storage.remote_path import Place

SPLITS = ("test", "val", "train")
"""Keys of splits, in the order in which ``auto`` tries them."""
_NAMES = ("data.yaml", "dataset.yaml")


@dataclass(frozen=True, slots=True)
class DataYaml:
    """The content of data.yaml.

    Attributes:
        file: its place.
        document: its keys.
        names: class names in the order of their ids, 0 to n - 1.
        kpt_shape: number of keypoints, and of values per keypoint (2 or 3); None without.
    """

    file: Place
    document: dict[str, Any]
    names: tuple[str, ...]
    kpt_shape: tuple[int, int] | None


def read_data_yaml(path: Place) -> DataYaml:
    """Read data.yaml, or the one of a folder.

    Raises:
        InputError: DATASET_UNREADABLE or DATASET_FORMAT.
    """
    file = path if path.is_file() else _file_in(path)
    try:
        document = yaml.safe_load(decode_text(file.read_bytes()))
    except (OSError, yaml.YAMLError, TextEncodingError) as error:
        raise InputError(
            "DATASET_UNREADABLE", f"'{file}' cannot be read: {error}. Expected YAML."
        ) from None
    if not isinstance(document, dict):
        raise InputError("DATASET_FORMAT", f"'{file}' has no keys. Expected a mapping.")
    if document.get("validation") and not document.get("val"):
        document["val"] = document["validation"]
    shape = document.get("kpt_shape")
    if shape is not None and not _is_kpt_shape(shape):
        raise InputError(
            "DATASET_FORMAT",
            f"'{file}': kpt_shape is {shape}. Expected a number of keypoints and 2 or 3.",
        )
    return DataYaml(file, document, _names(file, document), tuple(shape) if shape else None)


def is_yolo(path: Place) -> bool:
    """Return True for a YAML file or a folder with one that has class names and a split."""
    if path.suffix.lower() in {".yaml", ".yml"}:
        return True
    if not isinstance(path, Path):
        return (path / _NAMES[0]).is_file()
    return path.is_dir() and bool(_candidates(path))


def _file_in(folder: Place) -> Place:
    found: Sequence[Place] = [folder / name for name in _NAMES if (folder / name).is_file()][:1]
    if not found and isinstance(folder, Path):
        found = _candidates(folder)
    if len(found) > 1:
        found = [file for file in found if Path(file.name).stem == folder.name] or found
    if len(found) == 1:
        return found[0]
    several = f" but {', '.join(file.name for file in found)}" if found else ""
    raise InputError(
        "DATASET_FORMAT",
        f"dataset.path: '{folder}' has no data.yaml{several}. Expected a YOLO dataset. Set "
        "dataset.path to the YAML file.",
    )


def _candidates(folder: Path) -> list[Path]:
    """Return data.yaml, or the YAML files with class names and a split."""
    for name in _NAMES:
        if (folder / name).is_file():
            return [folder / name]
    return [
        file
        for file in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml")))
        if _describes_dataset(file)
    ]


def _describes_dataset(file: Path) -> bool:
    try:
        document = yaml.safe_load(decode_text(file.read_bytes()))
    except (OSError, yaml.YAMLError, TextEncodingError):
        return False
    if not isinstance(document, dict):
        return False
    return bool(document.get("names")) and any(document.get(name) for name in SPLITS)


def _names(file: Place, document: dict[str, Any]) -> tuple[str, ...]:
    """Return the class names by id.

    Raises:
        InputError: DATASET_FORMAT; ids are not 0 to n - 1, as Ultralytics requires.
    """
    names, count = document.get("names"), as_integer(document.get("nc"))
    if names is None and count is not None and count > 0:
        return tuple(f"class_{number}" for number in range(count))
    if isinstance(names, list):
        names = dict(enumerate(names))
    by_id = (
        {as_integer(key): str(name) for key, name in names.items()}
        if isinstance(names, dict)
        else {}
    )
    if not by_id or None in by_id:
        raise InputError(
            "DATASET_FORMAT",
            f"'{file}' has no names. Expected a list, or a mapping of ids to names.",
        )
    ids = sorted(number for number in by_id if number is not None)
    if ids != list(range(len(ids))):
        raise InputError(
            "DATASET_FORMAT",
            f"'{file}': names has the ids {', '.join(str(number) for number in ids[:10])}. "
            f"Expected 0 to {len(ids) - 1}, the numbers in the label files. Give every id from 0 "
            "on a name.",
        )
    if document.get("nc") is not None and count != len(ids):
        raise InputError(
            "DATASET_FORMAT",
            f"'{file}': nc is {document['nc']}, but there are {len(ids)} names. Expected equal "
            "numbers. Correct or remove nc.",
        )
    found = tuple(by_id[number] for number in ids)
    repeated = [name for name, number in Counter(found).items() if number > 1]
    if repeated:
        raise InputError(
            "DATASET_FORMAT",
            f"'{file}': duplicate names: {', '.join(repeated[:5])}. Expected unique names, as "
            "classes are matched by them.",
        )
    return found


def _is_kpt_shape(shape: Any) -> bool:
    return (
        isinstance(shape, list)
        and len(shape) == 2
        and all(isinstance(value, int) for value in shape)
        and shape[0] > 0
        and shape[1] in (2, 3)
    )

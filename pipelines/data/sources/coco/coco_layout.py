"""The usual layouts of COCO datasets, where the annotation file is not named.

Of the COCO project: ``annotations/instances_val2017.json`` beside ``val2017/``. Of Roboflow:
``_annotations.coco.json`` among the images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

from snellen.adapters.errors import InputError
from snellen.pipelines.storage.remote_path import Place

_ROBOFLOW = "_annotations.coco.json"
_SPLITS = ("test", "val", "train")


@overload
def annotation_file(path: Place, split: str | None, *, required: Literal[True]) -> Place: ...
@overload
def annotation_file(path: Place, split: str | None) -> Place | None: ...
def annotation_file(path: Place, split: str | None, *, required: bool = False) -> Place | None:
    """Return the annotation file of a dataset that names none; None if there is not exactly one.

    Args:
        path: a .json file or the folder of the dataset.
        split: split of ``annotations/instances_SPLIT*.json``; None or ``auto`` for the first of
            test, val and train.
        required: raise rather than return None.

    Raises:
        InputError: DATASET_ANNOTATIONS, if one is required.
    """
    if path.suffix.lower() == ".json":
        return path
    found: list[Path] = []
    if isinstance(path, Path):
        found = [file for file in (path / _ROBOFLOW,) if file.is_file()]
        for name in _SPLITS if split in (None, "auto") else (split,):
            found = found or sorted((path / "annotations").glob(f"instances_{name}*.json"))
    if len(found) == 1:
        return found[0]
    if not required:
        return None
    several = f": {', '.join(file.name for file in found)} may be meant" if found else ""
    raise InputError(
        "DATASET_ANNOTATIONS",
        f"dataset.annotations is missing{several}. Expected the COCO JSON file. Set "
        "dataset.annotations=FILE.",
    )


def image_folders(path: Place, file: Place) -> list[Place]:
    """Return the folders that the images of an annotation file may be in, the likeliest first."""
    folder = file.parent if path == file else path
    split = Path(file.name).stem.rpartition("_")[2]
    if folder.name == "annotations":
        folder = folder.parent
    return [folder / split, folder / "images" / split, folder / "images", folder]

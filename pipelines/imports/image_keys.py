"""Pairing of the images that a file of predictions names with those of a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import pyarrow.parquet as pq

from snellen.adapters.errors import InputError
from snellen.pipelines.data.sources.file_listing import unescape_id
from snellen.pipelines.imports.import_request import KEYS
from snellen.pipelines.imports.predicted import Predictions, Reference, names_text

_COCO_ID = "meta_coco_id"
_AMBIGUOUS = -1

Keys = dict[Reference, int]
"""From a reference to the index of an image, or to -1 for one that several images have."""


def pair_images(
    predictions: Predictions, manifest: Path, key: str | None = None
) -> dict[int, Reference]:
    """Find the image that each reference names.

    All references of a file name images in the same way: by the id of the dataset's COCO file, by
    the image id or the location, by the name of the file, or by its name without the suffix. The
    way that finds most images is taken.

    Args:
        predictions: of the file; those of unknown images are counted in them.
        manifest: of the run.
        key: one of `KEYS`; None to find out.

    Returns:
        From the index of an image to its reference.

    Raises:
        InputError: IMPORT_IMAGES, no image is found; IMPORT_IMAGE_KEY, two ways find different
            images; IMPORT_DUPLICATE, two references name the same image, or one reference names
            several images.
    """
    references = predictions.references
    known = _keys(manifest)
    ways = {name: _found(references, known[name]) for name in KEYS if key in (None, name)}
    most = max(len(found) for found in ways.values())
    if not most:
        raise _none_found(references, known)
    best = {name: found for name, found in ways.items() if len(found) == most}
    clear = {name: one for name, one in best.items() if _AMBIGUOUS not in one.values()}
    best = clear or best
    chosen, places = next(iter(best.items()))
    for name, other in best.items():
        if other != places:
            raise InputError(
                "IMPORT_IMAGE_KEY",
                f"the predictions name images as {names_text(references, 2)}, which may be their "
                f"{_WORDS[chosen]} or their {_WORDS[name]}, of different images. Set --image-key "
                f"{chosen} or --image-key {name}.",
            )
    predictions.notes.append(f"images are named by their {_WORDS[chosen]}")
    paired: dict[int, Reference] = {}
    for reference in references:
        place = places.get(reference)
        if place is None:
            predictions.ignore("unknown_image", str(reference), predictions.count(reference))
        elif place == _AMBIGUOUS:
            raise _several(reference, chosen)
        elif place in paired:
            raise InputError(
                "IMPORT_DUPLICATE",
                f"'{paired[place]}' and '{reference}' name the same image. Expected one name per "
                "image. Correct the file.",
            )
        else:
            paired[place] = reference
    return paired


_WORDS = {
    "id": "COCO id",
    "path": "path",
    "name": "file name",
    "stem": "file name without suffix",
}


def _found(references: Sequence[Reference], keys: Keys) -> Keys:
    return {one: keys[one] for one in references if one in keys}


def _keys(manifest: Path) -> dict[str, Keys]:
    found: dict[str, Keys] = {name: {} for name in KEYS}
    with pq.ParquetFile(manifest) as file:
        has_id = _COCO_ID in file.schema_arrow.names
        columns = ["image_index", "image_id", "location", *([_COCO_ID] if has_id else [])]
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                index = row["image_index"]
                for name, key in _names_of(row):
                    known = found[name].setdefault(key, index)
                    if known != index:
                        found[name][key] = _AMBIGUOUS
    return found


def _names_of(row: Mapping[str, object]) -> Iterator[tuple[str, Reference]]:
    """Yield the names of an image, with their kinds."""
    coco_id = row.get(_COCO_ID)
    if isinstance(coco_id, int | str):
        yield "id", coco_id
    image_id, location = unescape_id(str(row["image_id"])), unescape_id(str(row["location"]))
    for path in dict.fromkeys((image_id, location, str(row["image_id"]))):
        yield "path", path
    name = PurePosixPath(image_id)
    yield "name", name.name
    for stem in dict.fromkeys((name.stem, name.with_suffix("").as_posix())):
        yield "stem", stem
    # Ultralytics writes numeric names as integers
    if name.stem.isdecimal():
        yield "stem", int(name.stem)


def _none_found(references: Sequence[Reference], known: Mapping[str, Keys]) -> InputError:
    images = list(known["path"])[:2]
    return InputError(
        "IMPORT_IMAGES",
        f"none of the {len(references):,} images of the predictions is in the dataset: they are "
        f"named {names_text(references, 2)}, and the dataset has {names_text(images)}. Expected "
        "the dataset that was predicted. Check --dataset, --split and --annotations.",
    )


def _several(reference: Reference, chosen: str) -> InputError:
    return InputError(
        "IMPORT_DUPLICATE",
        f"'{reference}' is the {_WORDS[chosen]} of several images of the dataset. Expected a name "
        "of one image. Name images by their path relative to the root of the dataset.",
    )

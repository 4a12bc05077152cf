"""Reader of a COCO JSON file: its images, categories and annotations, joined by their ids."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.adapters.errors import InputError
from snellen.pipelines.data.sources.casts import as_integer
from snellen.pipelines.storage.remote_path import Place

Record = dict[str, Any]
_LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True, slots=True)
class CocoFile:
    """The content of a COCO JSON file.

    Attributes:
        images: as written, with a text as ``file_name``.
        image_ids: their ids, parallel; all integers or all texts.
        classes: names of the categories by rising id.
        class_ids: from the id of a category to the position of its name.
        objects: annotations of each image, parallel to ``images``.
        keypoints: number of keypoints per object; None without keypoints.
        ignored: numbers of annotations that are not used, by reason.
        notes: what was read in another way than written.
        warnings: doubts about the file.
    """

    images: list[Record]
    image_ids: list[int] | list[str]
    classes: tuple[str, ...]
    class_ids: dict[int, int]
    objects: list[list[Record]]
    keypoints: int | None
    ignored: Counter[str]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def has_outlines(self) -> bool:
        """True if any object has an outline."""
        return any(one.get("segmentation") for found in self.objects for one in found)


def read_coco(place: Place) -> CocoFile:
    """Read a COCO JSON file.

    Raises:
        InputError: DATASET_NOT_FOUND, DATASET_UNREADABLE or DATASET_FORMAT.
    """
    return _Reader(place, _document(place)).read()


def _document(place: Place) -> dict[str, list[Record]]:
    try:
        document = json.loads(place.read_bytes())
    except FileNotFoundError:
        raise InputError(
            "DATASET_NOT_FOUND",
            f"dataset.annotations: '{place}' does not exist. Expected the COCO JSON file.",
        ) from None
    except (ValueError, OSError) as error:
        raise InputError(
            "DATASET_UNREADABLE",
            f"dataset.annotations: '{place}' cannot be read: {error}. Expected COCO JSON.",
        ) from None
    if not isinstance(document, dict) or any(
        not isinstance(document.get(key), list) for key in _LISTS
    ):
        raise InputError(
            "DATASET_FORMAT",
            f"dataset.annotations: '{place}' is not COCO JSON. Expected the lists images, "
            "annotations and categories.",
        )
    return document


class _Reader:
    """Joins the records of one file."""

    def __init__(self, place: Place, document: dict[str, list[Record]]) -> None:
        self._place = place
        self._images, self._annotations, self._categories = (document[key] for key in _LISTS)
        self._ignored: Counter[str] = Counter()
        self._notes: list[str] = []
        self._warnings: list[str] = []

    def read(self) -> CocoFile:
        for number, image in enumerate(self._images):
            if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
                raise self._malformed("images", number, "id and file_name (str)")
        for number, annotation in enumerate(self._annotations):
            if not isinstance(annotation, dict) or annotation.get("image_id") is None:
                raise self._malformed("annotations", number, "image_id and category_id")
        image_ids, of_image = self._joined_ids()
        categories = self._sorted_categories()
        class_ids = {number: position for position, (number, _) in enumerate(categories)}
        by_id = self._grouped(set(image_ids), of_image, class_ids)
        self._check_annotation_ids()
        return CocoFile(
            images=self._images,
            image_ids=image_ids,
            classes=tuple(str(one["name"]) for _, one in categories),
            class_ids=class_ids,
            objects=[by_id.get(image_id, []) for image_id in image_ids],
            keypoints=_keypoints([one for _, one in categories], self._annotations),
            ignored=self._ignored,
            notes=tuple(self._notes),
            warnings=tuple(self._warnings),
        )

    def _joined_ids(self) -> tuple[Any, list[Any]]:
        """Return the ids of the images, and the image of each annotation, in one form."""
        written = [image.get("id") for image in self._images]
        used = [annotation["image_id"] for annotation in self._annotations]
        whole = [as_integer(value) for value in written]
        # "007" and "7" are two ids in a file that writes all of them as text.
        as_text = len(set(whole)) < len(whole) and all(isinstance(id_, str) for id_ in written)
        if None not in whole and not as_text:
            if {type(value) for value in (*written, *used)} - {int}:
                self._notes.append(
                    f"{self._place}: image ids that are not written as integers are read as ones"
                )
            self._reject_repeated("images", whole)
            return whole, [as_integer(value) for value in used]
        wrong = next(
            (n for n, value in enumerate(written) if not isinstance(value, str) or not value), None
        )
        if wrong is not None:
            raise self._malformed("images", wrong, "id (int) and file_name (str)")
        self._reject_repeated("images", written)
        return written, [str(value) for value in used]

    def _sorted_categories(self) -> list[tuple[int, Record]]:
        found: list[tuple[int, Record]] = []
        for number, category in enumerate(self._categories):
            name = category.get("name") if isinstance(category, dict) else None
            category_id = as_integer(category.get("id")) if isinstance(category, dict) else None
            if category_id is None or not isinstance(name, str):
                raise self._malformed("categories", number, "id (int) and name (str)")
            found.append((category_id, category))
        self._reject_repeated("categories", [category_id for category_id, _ in found])
        return self._without_roots(sorted(found, key=lambda one: one[0]))

    def _without_roots(self, found: list[tuple[int, Record]]) -> list[tuple[int, Record]]:
        """Drop the root that Roboflow puts above a class of the same name."""
        counts = Counter(one["name"] for _, one in found)
        above = {one.get("supercategory") for _, one in found}
        used = {as_integer(annotation.get("category_id")) for annotation in self._annotations}
        kept = []
        for category_id, one in found:
            name = one["name"]
            is_root = name in above and one.get("supercategory") != name
            if counts[name] > 1 and is_root and category_id not in used:
                counts[name] -= 1
                self._notes.append(
                    f"{self._place}: category {category_id} '{name}' has no objects and is the "
                    "supercategory of another one: dropped"
                )
            else:
                kept.append((category_id, one))
        repeated = [name for name, count in counts.items() if count > 1]
        if repeated:
            raise InputError(
                "DATASET_FORMAT",
                f"dataset.annotations: '{self._place}' has duplicate category names: "
                f"{', '.join(repr(name) for name in repeated[:5])}. Expected unique names. Rename "
                "one of each in the file.",
            )
        return kept

    def _grouped(
        self, image_ids: set[Any], of_image: Sequence[Any], class_ids: dict[int, int]
    ) -> dict[Any, list[Record]]:
        grouped: dict[Any, list[Record]] = defaultdict(list)
        for image_id, annotation in zip(of_image, self._annotations, strict=True):
            category = annotation.get("category_id")
            if image_id not in image_ids:
                self._ignored["image_does_not_exist"] += 1
            elif category is not None and as_integer(category) not in class_ids:
                self._ignored["category_does_not_exist"] += 1
            else:
                grouped[image_id].append(annotation)
        if self._annotations and not grouped:
            raise InputError(
                "DATASET_FORMAT",
                f"dataset.annotations: none of the {len(self._annotations):,} annotations in "
                f"'{self._place}' belongs to an image and a category of the file (the first has "
                f"image_id {self._annotations[0]['image_id']!r} and category_id "
                f"{self._annotations[0].get('category_id')!r}). Expected ids of the lists images "
                "and categories.",
            )
        return grouped

    def _check_annotation_ids(self) -> None:
        counts = Counter(str(one["id"]) for one in self._annotations if one.get("id") is not None)
        repeated = [number for number, count in counts.items() if count > 1]
        if repeated:
            self._warnings.append(
                f"{len(repeated):,} duplicate annotation ids, such as {repeated[0]}: was the file "
                "merged from others?"
            )

    def _reject_repeated(self, name: str, ids: Iterable[Any]) -> None:
        repeated = [number for number, count in Counter(ids).items() if count > 1]
        if repeated:
            raise InputError(
                "DATASET_FORMAT",
                f"dataset.annotations: '{self._place}' has {len(repeated):,} duplicate ids in "
                f"{name}, such as {repeated[0]}. Expected unique ids, as annotations refer to "
                "them. Was the file merged from others? Renumber their ids.",
            )

    def _malformed(self, name: str, number: int, expected: str) -> InputError:
        return InputError(
            "DATASET_FORMAT",
            f"dataset.annotations: '{self._place}': {name}[{number}] is malformed. Expected "
            f"{expected}.",
        )


def _keypoints(categories: Sequence[Record], annotations: Sequence[Record]) -> int | None:
    """Return the number of keypoints that categories name, or that most objects have."""
    points = [one["keypoints"] for one in categories if isinstance(one.get("keypoints"), list)]
    named = {len(names) for names in points if names}
    if len(named) == 1:
        return named.pop()
    found = (one.get("keypoints") for one in annotations)
    lengths = Counter(len(values) for values in found if isinstance(values, list) and values)
    whole = [length // 3 for length, _ in lengths.most_common() if length % 3 == 0]
    return next(iter(whole), 1) if lengths else None

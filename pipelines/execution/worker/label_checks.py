"""Checks of an image's labels against the decoded image and the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.pipelines.tasks.record import GroundTruth


def check_keypoints(truth: GroundTruth, expected: int | None) -> None:
    """Check that every labelled object has the model's number of keypoints.

    Args:
        truth: the labels.
        expected: number of keypoints of the model; None if it is not known.

    Raises:
        ImageError: LABEL_INVALID.
    """
    if expected is None:
        return
    for number, points in enumerate(truth.keypoints or ()):
        if len(points or ()) != expected:
            raise ImageError(
                ErrorStage.LABEL,
                ErrorCode.LABEL_INVALID,
                f"object {number} has {len(points or ())} keypoints. Expected {expected}, as the "
                "model predicts; correct the labels.",
            )


def check_label_size(row: Mapping[str, Any], truth: GroundTruth, size: tuple[int, int]) -> None:
    """Check that boxes and masks were made for an image of this size.

    Args:
        row: of the manifest; ``label_width`` and ``label_height`` are null where the format does
            not say. Then the number of pixels of the masks tells.
        truth: the labels; those without boxes pass.
        size: width and height of the upright image.

    Raises:
        ImageError: LABEL_SIZE_MISMATCH.
    """
    if not truth.boxes:
        return
    width, height = row.get("label_width"), row.get("label_height")
    if width is not None and height is not None:
        if (width, height) != size:
            raise _mismatch(f"{width} x {height}", size)
        return
    for mask in truth.masks or ():
        if (pixels := mask_pixels(mask)) != size[0] * size[1]:
            raise _mismatch(f"{pixels} pixels", size)


def mask_pixels(counts: bytes) -> int:
    """Return the number of pixels, inside and outside, that a COCO compressed RLE describes.

    Source: `rleFrString` of pycocotools (maskApi.c).
    """
    lengths: list[int] = []
    value = shift = 0
    for byte in counts:
        part = byte - 48
        value |= (part & 0x1F) << shift
        shift += 5
        if part & 0x20:
            continue
        if part & 0x10:
            value -= 1 << shift
        if len(lengths) > 2:
            value += lengths[-2]
        lengths.append(value)
        value = shift = 0
    return sum(lengths)


def _mismatch(found: str, size: tuple[int, int]) -> ImageError:
    return ImageError(
        ErrorStage.LABEL,
        ErrorCode.LABEL_SIZE_MISMATCH,
        f"the labels are for an image of {found}; the image has {size[0]} x {size[1]}. Expected "
        "labels of this image; replace the image or correct its labels.",
    )

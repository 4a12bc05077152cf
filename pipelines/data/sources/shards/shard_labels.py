"""Labels in tar shards: the text of ``.cls`` and ``.txt`` members, and ``.json`` documents."""

from __future__ import annotations

import json
from collections.abc import Mapping

from snellen.adapters.errors import ErrorCode
from snellen.pipelines.data.sources.annotations import LabelProblem
from snellen.pipelines.data.sources.shards.shard_objects import ObjectDocument

LABEL_SUFFIXES = (".cls", ".json", ".txt")
"""Suffixes of labels; of two labels of an image, the first of these wins."""
Label = str | ObjectDocument | LabelProblem
"""A class id or name, objects, or the reason why neither can be used."""


def parse_label(data: bytes, suffix: str) -> Label | None:
    """Return the label in a member; one that cannot be used is a problem of its image.

    Args:
        data: content of the member.
        suffix: one of `LABEL_SUFFIXES`.

    Returns:
        None for a document with neither a label nor boxes.
    """
    try:
        text = data.decode("utf-8-sig").strip()
        if suffix != ".json":
            return text
        document = json.loads(text)
        if isinstance(document, dict):
            if "boxes" in document:
                return ObjectDocument(document)
            if "label" not in document:
                return None
            document = document["label"]
        if not isinstance(document, str | int) or isinstance(document, bool):
            raise ValueError(f"{document!r} is neither a name nor a class id")
        return str(document)
    except LabelProblem as problem:
        return problem
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return LabelProblem(ErrorCode.LABEL_INVALID, f"the label is malformed: {error}")


def choose_label(found: Mapping[str, Label | None]) -> Label:
    """Return the label of an image from those of each suffix.

    A document with boxes wins, because a class says nothing of them; then ``.cls``, another
    document, and ``.txt``, which often is a caption.
    """
    document = found.get(".json")
    if isinstance(document, ObjectDocument):
        return document
    for suffix in LABEL_SUFFIXES:
        label = found.get(suffix)
        if label is not None:
            return label
    return LabelProblem(ErrorCode.LABEL_INVALID, "the document has neither a label nor boxes")

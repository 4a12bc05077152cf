"""Reader of the headers and labels of a tar shard; images are located and not read."""

from __future__ import annotations

import tarfile

from snellen.adapters.errors import InputError
from snellen.pipelines.data.sources.annotations import LabelProblem, Targets
from snellen.pipelines.data.sources.shards.shard_labels import parse_label
from snellen.pipelines.data.walk import IMAGE_SUFFIXES
from snellen.pipelines.storage.remote_path import Place, open_binary

_LABEL_SUFFIXES = (".cls", ".txt", ".json")


class Member:
    """An image of a shard: its name, the position of its bytes, and its label."""

    def __init__(self, name: str, offset: int, length: int) -> None:
        self.name = name
        self.offset = offset
        self.length = length
        self.label: str | Targets | LabelProblem | None = None


def read_members(shard: Place) -> list[Member]:
    """Return the images of a shard with the labels that share their key.

    Raises:
        InputError: DATASET_UNREADABLE, a missing file or no tar file.
    """
    images: dict[str, Member] = {}
    labels: dict[str, str | Targets | LabelProblem] = {}
    try:
        with open_binary(shard) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for entry in tar:
                key, suffix = _split(entry.name)
                if not entry.isfile():
                    continue
                if suffix in IMAGE_SUFFIXES:
                    images[key] = Member(entry.name, entry.offset_data, entry.size)
                elif suffix in _LABEL_SUFFIXES:
                    label = tar.extractfile(entry)
                    labels[key] = parse_label(label.read() if label else b"", suffix)
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            "DATASET_UNREADABLE",
            f"dataset.path: shard '{shard}' cannot be read: {error}. Expected a tar file.",
        ) from None
    for key, member in images.items():
        member.label = labels.get(key)
    return list(images.values())


def _split(name: str) -> tuple[str, str]:
    """Return key and suffix; the suffix starts at the first dot of the base name."""
    folder, _, base = name.rpartition("/")
    stem, point, suffix = base.partition(".")
    return f"{folder}/{stem}", f"{point}{suffix}".lower()

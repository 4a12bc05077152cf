"""Reader of the headers and labels of a tar shard; images are located and not read.

A member's key is its name up to the first dot of the base name, as in the package webdataset; its
stem is its name up to the last dot. A label belongs to the image with the same stem
(``img.001.cls`` to ``img.001.jpg``), otherwise to the images with the same key (``x.cls`` to
``x.left.jpg`` and ``x.right.jpg``).
"""

from __future__ import annotations

import posixpath
import tarfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

from snellen.adapters.errors import InputError
from snellen.pipelines.data.report import PassedOver
from snellen.pipelines.data.sources.shards.shard_labels import (
    LABEL_SUFFIXES,
    Label,
    choose_label,
    parse_label,
)
from snellen.pipelines.data.walk import SNIFFED, is_hidden, reason_of_file
from snellen.pipelines.storage.remote_path import Place, open_binary

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20


@dataclass(slots=True)
class Member:
    """An image of a shard: its name, the position of its bytes, and its label."""

    name: str
    offset: int
    length: int
    label: Label | None = None


@dataclass(slots=True)
class Shard:
    """Members of a shard.

    Attributes:
        images: in their order; links to other members come last.
        passed_over: names of files that are no images, by reason.
        ignored, repaired: number of labels, by reason.
        complete: False without the blocks of zeros that end a tar file.
    """

    images: list[Member] = field(default_factory=list)
    passed_over: defaultdict[PassedOver, list[str]] = field(
        default_factory=lambda: defaultdict(list)
    )
    ignored: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    complete: bool = True


def read_shard(shard: Place) -> Shard:
    """Return the images of a shard with their labels.

    Raises:
        InputError: DATASET_UNREADABLE, a missing file, no tar file, a compressed or a damaged one.
    """
    try:
        with open_binary(shard) as file:
            _check_uncompressed(file, shard)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                listing = _Listing(tar)
                for entry in tar:
                    listing.add(entry)
                listing.found.complete = _check_end(file, tar.offset, shard)
        return listing.finish()
    except (tarfile.TarError, OSError) as error:
        raise _unreadable(shard, f"{error}. Expected a tar file.") from None


def _unreadable(shard: Place, why: str) -> InputError:
    return InputError("DATASET_UNREADABLE", f"dataset.path: shard '{shard}' cannot be read: {why}")


def _check_uncompressed(file: BinaryIO, shard: Place) -> None:
    header = file.read(8)
    file.seek(0)
    for magic, name in _COMPRESSED.items():
        if header.startswith(magic):
            raise _unreadable(
                shard,
                f"it is compressed with {name}. Expected a plain tar file, in which every image "
                "is read at its offset. Decompress it, for example with gunzip or unzstd.",
            )


def _check_end(file: BinaryIO, offset: int, shard: Place) -> bool:
    """Check that nothing follows the last member; return False without an end-of-archive block.

    The reader takes a damaged header for the end of the archive, and so it does the end of the
    first of two archives that were joined: their images would be missing without a word.
    """
    file.seek(offset)
    block = file.read(_BLOCK)
    if not block:
        return False
    if any(block):
        raise _unreadable(
            shard,
            f"the header at byte {offset:,} is damaged. Expected a whole tar file. Write or copy "
            "it again.",
        )
    while chunk := file.read(_CHUNK):
        if any(chunk):
            raise _unreadable(
                shard,
                f"more data follows the end of the archive at byte {offset:,}, as in joined tar "
                "files. Expected one archive per file. Join them with tar --concatenate.",
            )
    return True


class _Listing:
    """Collects the members of a tar file in order."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self.found = Shard()
        self._tar = tar
        self._images: dict[str, Member] = {}
        self._labels: dict[str, Label | None] = {}
        self._links: dict[str, str] = {}

    def add(self, entry: tarfile.TarInfo) -> None:
        """Add a member: an image, a label, or a file that is passed over."""
        name = entry.name
        if entry.isdir():
            return
        if any(is_hidden(part) for part in name.split("/") if part not in (".", "..")):
            self.found.passed_over[PassedOver.HIDDEN].append(name)
        elif entry.islnk():
            self._links[name] = entry.linkname
        elif entry.issym():
            target = posixpath.join(posixpath.dirname(name), entry.linkname)
            self._links[name] = posixpath.normpath(target)
        elif _suffix(name) in LABEL_SUFFIXES:
            if name in self._labels:
                self.found.ignored["duplicate_label"] += 1
            self._labels[name] = parse_label(self._head(entry, entry.size), _suffix(name))
        else:
            self._add_image(entry)

    def _add_image(self, entry: tarfile.TarInfo) -> None:
        if not entry.isfile():
            reason: PassedOver | None = PassedOver.NOT_AN_IMAGE
        elif entry.issparse():
            reason = PassedOver.UNREADABLE  # its bytes are not in one piece
        else:
            reason = reason_of_file(entry.name, partial(self._head, entry, SNIFFED))
        if reason is not None:
            self.found.passed_over[reason].append(entry.name)
            return
        if entry.name in self._images:
            # As in unpacking, the last member of a name is the file.
            self.found.passed_over[PassedOver.DUPLICATE].append(entry.name)
        self._images[entry.name] = Member(entry.name, entry.offset_data, entry.size)

    def _head(self, entry: tarfile.TarInfo, length: int) -> bytes:
        stream = self._tar.extractfile(entry)
        return stream.read(length) if stream is not None else b""

    def finish(self) -> Shard:
        """Resolve the links and return the images with their labels."""
        for name, target in self._links.items():
            image = self._images.get(target)
            if image is not None:
                self._images[name] = Member(name, image.offset, image.length)
            elif target in self._labels:
                self._labels[name] = self._labels[target]
            else:
                self.found.passed_over[PassedOver.UNREADABLE].append(name)
        self.found.images = _with_labels(self._images, self._labels, self.found)
        return self.found


def _with_labels(
    images: Mapping[str, Member], labels: Mapping[str, Label | None], found: Shard
) -> list[Member]:
    """Give each image its label; see the rule of this module."""
    by_stem: dict[str, dict[str, Label | None]] = {}
    for name, label in labels.items():
        by_stem.setdefault(_stem(name), {})[_suffix(name)] = label
    own = {_stem(name) for name in images}
    # Pictures that only share a key: samples of several views, or further fields of a sample.
    others: dict[str, list[Member]] = {}
    used = set()
    for name, image in images.items():
        stem, key = _stem(name), _key(name)
        if stem in by_stem:
            image.label = choose_label(by_stem[stem])
            used.add(stem)
        elif key in by_stem:
            others.setdefault(key, []).append(image)
            used.add(key)
    extra: set[str] = set()
    for key, members in others.items():
        if key in own:
            # x.seg.png beside x.jpg and x.cls: a field of the sample, no image with that label.
            extra.update(member.name for member in members)
            continue
        for member in members:
            member.label = choose_label(by_stem[key])
        if len(members) > 1:
            found.repaired["label_shared_by_images_of_one_key"] += len(members)
    if extra:
        found.passed_over[PassedOver.FURTHER_FIELD] += sorted(extra)
    keys = {_key(name) for name in images}
    orphans = sum(
        stem not in used and (_key(f"{stem}.") not in keys or ".cls" in suffixes)
        for stem, suffixes in by_stem.items()
    )
    if orphans:
        found.ignored["label_without_image"] += orphans
    return [image for name, image in images.items() if name not in extra]


def _key(name: str) -> str:
    folder, _, base = name.rpartition("/")
    return f"{folder}/{base.partition('.')[0]}"


def _stem(name: str) -> str:
    folder, _, base = name.rpartition("/")
    return f"{folder}/{base.rpartition('.')[0] or base}"


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()

"""Check the addresses that the rows of a list name, before any of them is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from snellen.pipelines.storage.address import ADDRESS_PATTERN, SCHEMES, USER_PATTERN, split_address


def check_references(paths: pa.Array | Sequence[str], where: str) -> None:
    """Refuse addresses of web sites, with a user name, or of unknown storage.

    Args:
        paths: what the rows name, paths among them.
        where: the file that they stand in, for messages.

    Raises:
        InputError: DATASET_REMOTE, naming the first one.
        ConfigError: STORAGE_SECRET, without naming what has to be secret.
    """
    texts = paths if isinstance(paths, pa.Array) else pa.array([_plain(text) for text in paths])
    remote = texts.filter(pc.match_substring_regex(texts, ADDRESS_PATTERN))
    if not len(remote):
        return
    known = pc.match_substring_regex(remote, f"^(?i:{'|'.join(SCHEMES)})://[^/]")
    for wrong in (
        remote.filter(pc.match_substring_regex(remote, USER_PATTERN)),
        remote.filter(pc.invert(known)),
    ):
        if len(wrong):
            split_address(wrong[0].as_py(), f"'{where}'")


def _plain(text: str) -> str:
    """Bytes that are not UTF-8 cannot stand in an Arrow array; what they are does not matter."""
    return text.encode("utf-8", "replace").decode()

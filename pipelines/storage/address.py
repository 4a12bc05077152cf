"""Addresses of remote files: the allowed kinds, and the credentials that they must not contain.

Only storage that lists files with size and time can hold a dataset. Web addresses are rejected, and
so are wrappers (``zip::``, ``simplecache::``) and model hubs. Keys are used as written, without
percent-decoding: an object may be called ``50%.png``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from snellen.adapters.errors import ConfigError, InputError

if TYPE_CHECKING:
    import pyarrow as pa

Options = tuple[tuple[str, str | bool | int | float], ...]
"""``dataset.storage_options`` in a hashable form: sorted (name, value) pairs."""

ARROW_SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
FSSPEC_SCHEMES = ("oss", "oci", "lakefs", "webhdfs", "memory")
SCHEMES = (*ARROW_SCHEMES, *FSSPEC_SCHEMES)
_WEB = {"http", "https", "ftp", "ftps"}
ADDRESS_PATTERN = "^[A-Za-z][A-Za-z0-9+.-]*://"
USER_PATTERN = "^[A-Za-z][A-Za-z0-9+.-]*://[^/]*@"
"""An ``@`` before the first slash ends a user name, and usually a password."""
_ADDRESS, _USER = re.compile(ADDRESS_PATTERN), re.compile(USER_PATTERN)
_SECRET = re.compile(r"secret|token|passw|credential|(^|_)key(_|$)|apikey|signature|(^|_)sas(_|$)")
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
_ADVICE = (
    "Credentials come only from the environment or the storage's own configuration files (such as "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws), so that no run stores them."
)


def is_remote(text: str) -> bool:
    """Return True if a location is an address rather than a path."""
    return "://" in text and _ADDRESS.match(text) is not None


def hidden(text: str) -> str:
    """Return ``text`` without the user names in addresses and this process's credentials."""
    text = re.sub(r"://[^/\s@]*@", "://...@", text)
    for variable in _SECRET_VARIABLES:
        value = os.environ.get(variable, "")
        if len(value) >= 8:
            text = text.replace(value, "...")
    return text


def check_no_user(text: str, where: str) -> None:
    """Reject an address with a user name or a password; the message repeats neither.

    Raises:
        ConfigError: STORAGE_SECRET.
    """
    if _USER.match(text):
        raise ConfigError(
            "STORAGE_SECRET",
            f"{where}: '{hidden(text)}' contains a user name or password. Expected an address "
            f"without one. {_ADVICE}",
        )


def check_options(options: Mapping[str, object]) -> None:
    """Reject options that look like credentials; the message does not repeat their values.

    Raises:
        ConfigError: STORAGE_SECRET.
    """
    for name, value in options.items():
        if _SECRET.search(name.lower()) or (isinstance(value, str) and "@" in value):
            raise ConfigError(
                "STORAGE_SECRET",
                f"dataset.storage_options.{name} looks like a credential. Expected only settings "
                f"such as region, endpoint_override or anonymous. {_ADVICE}",
            )


def frozen_options(options: Mapping[str, str | bool | int | float]) -> Options:
    """Return the options in the form that is sent to workers and identifies clients."""
    return tuple(sorted(options.items()))


def split_address(address: str, where: str = "dataset.path") -> tuple[str, str, str]:
    """Return scheme, bucket (or host) and key of an allowed address; the key has no outer slashes.

    Raises:
        InputError: DATASET_REMOTE, an address that cannot hold a dataset.
        ConfigError: STORAGE_SECRET.
    """
    check_no_user(address, where)
    scheme, _, rest = address.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        raise InputError("DATASET_REMOTE", f"{where}: {_rejection(scheme, address)}")
    bucket, _, key = rest.partition("/")
    # Words key=value behind a question mark are the options of other tools.
    if not bucket or re.search(r"\?\w+=", rest):
        raise InputError(
            "DATASET_REMOTE",
            f"{where}: '{address}' is no plain address. Expected {scheme}://BUCKET/FOLDER. Set "
            "region, endpoint_override and the like in dataset.storage_options.",
        )
    return scheme, bucket, key.strip("/")


def _rejection(scheme: str, address: str) -> str:
    if scheme == "file":
        return f"'{address}' is the address of a local file. Expected a path: remove 'file://'."
    allowed = ", ".join(f"{name}://" for name in SCHEMES if name != "memory")
    kind = "a web address" if scheme in _WEB else f"an address of the unknown kind '{scheme}://'"
    return (
        f"'{address}' is {kind}. Expected a local path or an address of storage ({allowed}). "
        "Nothing is downloaded from web sites: copy the files to such a place first."
    )


def escapes(address: str) -> bool:
    """Return True if a key has a part ``..``.

    Storage has no parent folders, but HTTP clients resolve them: they would request another object.
    """
    return ".." in address.split("/")


def check_addresses(paths: pa.Array | Sequence[str], where: str) -> None:
    """Reject addresses of web sites, with a user name, or of unknown storage.

    Args:
        paths: paths and addresses in the rows of a file.
        where: the file, for messages.

    Raises:
        InputError: DATASET_REMOTE, naming the first one.
        ConfigError: STORAGE_SECRET, without the user name.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

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
    """Replace bytes that are not UTF-8, which no Arrow array can hold."""
    return text.encode("utf-8", "replace").decode()

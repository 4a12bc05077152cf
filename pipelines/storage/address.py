"""Addresses of remote files: which are allowed, and what must never stand in one.

Only storage that lists, and that answers with a size and a time, can be a data set: web
addresses are refused, and so are wrappers (``zip::``, ``simplecache::``) and model hubs. Keys are
taken as they are written, without percent-decoding: an object may be called ``50%.png``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from snellen.adapters.errors import ConfigError, InputError

Options = tuple[tuple[str, str | bool | int | float], ...]
"""``dataset.storage_options`` in a form that can be hashed and sent: sorted (name, value)."""

ARROW_SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
FSSPEC_SCHEMES = ("oss", "oci", "lakefs", "webhdfs", "memory")
SCHEMES = (*ARROW_SCHEMES, *FSSPEC_SCHEMES)
_WEB = {"http", "https", "ftp", "ftps"}
ADDRESS_PATTERN = "^[A-Za-z][A-Za-z0-9+.-]*://"
USER_PATTERN = "^[A-Za-z][A-Za-z0-9+.-]*://[^/]*@"
"""What stands before the first slash ends in ``@``: a user name, and mostly a password."""
_ADDRESS, _USER = re.compile(ADDRESS_PATTERN), re.compile(USER_PATTERN)
_SECRET = re.compile(r"secret|token|passw|credential|(^|_)key(_|$)|apikey|signature|(^|_)sas(_|$)")
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
_ADVICE = (
    "Credentials are taken from the environment or the storage's own configuration files alone "
    "(such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws), so that no run keeps them."
)


def is_remote(text: str) -> bool:
    """Whether a location is an address rather than a path."""
    return "://" in text and _ADDRESS.match(text) is not None


def hidden(text: str) -> str:
    """``text`` without user names in addresses and without this process's credentials."""
    text = re.sub(r"://[^/\s@]*@", "://...@", text)
    for variable in _SECRET_VARIABLES:
        value = os.environ.get(variable, "")
        if len(value) >= 8:
            text = text.replace(value, "...")
    return text


def check_no_user(text: str, where: str) -> None:
    """Refuse an address that holds a user name or a password; the message repeats neither.

    Raises:
        ConfigError: STORAGE_SECRET.
    """
    if _USER.match(text):
        raise ConfigError(
            "STORAGE_SECRET",
            f"{where}: '{hidden(text)}' has a user name or password in it; an address without one "
            f"was expected. {_ADVICE}",
        )


def check_options(options: Mapping[str, object]) -> None:
    """Refuse options that look like secrets; the message does not repeat their values.

    Raises:
        ConfigError: STORAGE_SECRET.
    """
    for name, value in options.items():
        if _SECRET.search(name.lower()) or (isinstance(value, str) and "@" in value):
            raise ConfigError(
                "STORAGE_SECRET",
                f"dataset.storage_options.{name}: looks like a credential; only settings without "
                f"secrets (region, endpoint_override, anonymous ...) were expected. {_ADVICE}",
            )


def frozen_options(options: Mapping[str, str | bool | int | float]) -> Options:
    """The options as they travel to workers and tell clients apart."""
    return tuple(sorted(options.items()))


def split_address(address: str, where: str = "dataset.path") -> tuple[str, str, str]:
    """Scheme, bucket (or host) and key of an allowed address; the key has no outer slashes.

    Raises:
        InputError: DATASET_REMOTE, an address that no data set can be at.
        ConfigError: STORAGE_SECRET.
    """
    check_no_user(address, where)
    scheme, _, rest = address.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        raise InputError("DATASET_REMOTE", f"{where}: {_refusal(scheme, address)}")
    bucket, _, key = rest.partition("/")
    # Several key=value words behind a question mark are options as other tools take them.
    if not bucket or re.search(r"\?\w+=", rest):
        raise InputError(
            "DATASET_REMOTE",
            f"{where}: '{address}' was expected to be {scheme}://BUCKET/FOLDER; settings such as "
            "region or endpoint_override belong into dataset.storage_options.",
        )
    return scheme, bucket, key.strip("/")


def _refusal(scheme: str, address: str) -> str:
    if scheme == "file":
        return f"'{address}' is an address of a local file; write its path without 'file://'."
    allowed = ", ".join(f"{name}://" for name in SCHEMES if name != "memory")
    kind = "a web address" if scheme in _WEB else f"an address of the unknown kind '{scheme}://'"
    return (
        f"'{address}' is {kind}; a local path or an address of storage was expected ({allowed}). "
        "Nothing is downloaded from web sites: copy the files to such a place first."
    )


def escapes(address: str) -> bool:
    """Whether a key has a part ``..``.

    Storage knows no parent folders, but HTTP clients do: they would ask for another object.
    """
    return ".." in address.split("/")

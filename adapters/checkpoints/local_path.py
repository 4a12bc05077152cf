"""Checks that a checkpoint is a local file: nothing is loaded from a model hub or a URL."""

from __future__ import annotations

import re
from pathlib import Path

from snellen.adapters.errors import InputError

# A scheme such as https:, hf-hub:, local-dir:, ul://, s3:; one letter is a Windows drive.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+._\-]+:")


def check_not_remote(text: str, what: str) -> None:
    """Reject a name that some library would take as an address and download.

    Raises:
        InputError: REMOTE_REFUSED.
    """
    if _SCHEME.match(text.strip()):
        raise InputError(
            "REMOTE_REFUSED",
            f"{what} {text!r} is an address. Expected a local path or a name, since nothing is "
            "downloaded; download the file and use its path.",
        )


def check_local_path(text: str | Path, what: str = "checkpoint") -> Path:
    """Return the path of an existing local file, absolute.

    Links are followed, and the path stays that of the link: in the caches of model hubs, names and
    suffixes are those of links, and the files themselves are named by their hashes.

    Raises:
        InputError: REMOTE_REFUSED for an address, CHECKPOINT_NOT_FOUND for anything but an
            existing regular file.
    """
    check_not_remote(str(text), what)
    try:
        path = Path(text).expanduser().absolute()
        usable = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError("CHECKPOINT_NOT_FOUND", f"{what} {text!r}: {error}") from error
    if not usable:
        reason = "is a directory, not a file" if path.is_dir() else "there is no such file"
        raise InputError("CHECKPOINT_NOT_FOUND", f"{what} {str(path)!r}: {reason}")
    return path

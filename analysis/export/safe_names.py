"""Names of files in an export, which stay below its folder wherever it is unpacked."""

from __future__ import annotations

import re

from snellen.adapters.errors import InputError

_DRIVE = re.compile(r"^[A-Za-z]:")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')


def safe_name(path: str) -> str:
    r"""Return a relative path with ``/`` for an image id or path of any form.

    Schemes, drives, and the parts ``.`` and ``..`` are removed; a character that a file system
    forbids becomes ``_``.

    >>> safe_name("../a/./b.png"), safe_name("/etc/passwd"), safe_name("C:\\x\\y.png")
    ('a/b.png', 'etc/passwd', 'x/y.png')
    """
    plain = _DRIVE.sub("", _SCHEME.sub("", path).replace("\\", "/"))
    parts = [part for part in plain.split("/") if part.strip(" .")]
    return "/".join(_FORBIDDEN.sub("_", part) for part in parts) or "image"


class UniqueNames:
    """The names of an export, each for one image."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def add(self, name: str, image_id: str) -> str:
        """Return the name.

        Raises:
            InputError: EXPORT_NAMES, another image has the name, or one that differs in upper
                and lower case only, which many file systems take for the same.
        """
        other = self._owners.setdefault(name.casefold(), image_id)
        if other != image_id:
            raise InputError(
                "EXPORT_NAMES",
                f"the images '{other}' and '{image_id}' have the same file '{name}' in the "
                "export. Expected one file per image. Choose a format of one file, such as "
                "--format ndjson, or rename an image.",
            )
        return name

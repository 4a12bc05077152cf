"""The local paths of a configuration, made absolute, so that a run can be resumed from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snellen.pipelines.config.loader import Kind, build_as

_PATHS = {
    "model": ("checkpoint", "job", "class_names"),
    "dataset": ("path", "annotations", "root"),
    "output": ("dir",),
}
_ALWAYS = {("dataset", "path"), ("output", "dir")}
"""These are paths whatever lies there; the others may be names, so something has to."""
_WORDS = {"auto", "best", "last", "imagenet", "dataset"}


def with_absolute_paths(config: Kind) -> Kind:
    """The same configuration, with paths from the root of the file system.

    Addresses (``s3://``), words such as ``auto``, and names of jobs stay as they are.
    """
    data = config.model_dump(mode="json")
    for section, keys in _PATHS.items():
        for key in keys:
            if key in data[section]:
                value = data[section][key]
                data[section][key] = _absolute(value, always=(section, key) in _ALWAYS)
    return build_as(type(config), data)


def _absolute(value: Any, *, always: bool) -> Any:
    if isinstance(value, list) and always:
        return [_absolute(one, always=True) for one in value]
    if not isinstance(value, str) or value in _WORDS or value.isdecimal() or "://" in value:
        return value
    path = Path(value).expanduser()
    return str(path.absolute()) if always or path.exists() else value

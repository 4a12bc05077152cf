"""Remove paths of the server from messages, which clients must not learn."""

from __future__ import annotations

import re

_QUOTED = re.compile(r"(['\"`])((?:file://)?~?/[^'\"`\n]*)\1")
_BARE = re.compile(r"(?<![\w./:-])(?:file://|~)?/(?:[^\s'\"`,;:()\[\]{}<>|]+)")


def without_paths(text: str) -> str:
    """Return a message in which each absolute path is reduced to its last part.

    Example:
        >>> without_paths("dataset.path: '/srv/data/val set' has no labels")
        "dataset.path: 'val set' has no labels"
        >>> without_paths("/srv/runs/3/units is missing; see sqlite:////srv/runs.db")
        'units is missing; see sqlite:runs.db'
    """
    text = re.sub(r"\b(sqlite|postgresql(?:\+\w+)?)://\S+", _database, text)
    text = _QUOTED.sub(lambda match: f"{match[1]}{_last(match[2])}{match[1]}", text)
    return _BARE.sub(lambda match: _last(match[0]), text)


def _database(match: re.Match[str]) -> str:
    return f"{match[1]}:{_last(match[0])}"


def _last(path: str) -> str:
    trimmed = path.rstrip("/.")
    return trimmed.rsplit("/", 1)[-1] + ("." if path.endswith(".") else "")

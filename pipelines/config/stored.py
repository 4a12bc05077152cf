"""The form in which a configuration is stored and shown: without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snellen.adapters.passwords import without_password
from snellen.pipelines.config.base import Section


def stored_config(config: Section) -> dict[str, Any]:
    """Return a configuration as JSON types, without the password of its database."""
    return shown_config(config.model_dump(mode="json"))


def shown_config(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a configuration without the password of its database.

    Example:
        >>> shown_config({"name": "mine", "database": "postgresql://me:secret@host/db"})
        {'name': 'mine', 'database': 'postgresql://me@host/db'}
    """
    url = data.get("database")
    return {**data, "database": without_password(url)} if isinstance(url, str) else dict(data)

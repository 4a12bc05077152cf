"""The form in which a configuration is stored and shown: without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snellen.adapters.passwords import without_password
from snellen.pipelines.config.base import Section
from snellen.pipelines.config.runtime_env import without_values


def stored_config(config: Section) -> dict[str, Any]:
    """Return a configuration as JSON types, without its secrets; see `shown_config`."""
    return shown_config(config.model_dump(mode="json"))


def shown_config(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a configuration without its secrets.

    These are the password of the database, and the values of ``ray.runtime_env.env_vars``.

    Example:
        >>> shown_config({"name": "mine", "database": "postgresql://me:secret@host/db"})
        {'name': 'mine', 'database': 'postgresql://me@host/db'}
    """
    shown = dict(data)
    if isinstance(url := data.get("database"), str):
        shown["database"] = without_password(url)
    if isinstance(ray := data.get("ray"), Mapping) and "runtime_env" in ray:
        shown["ray"] = {**ray, "runtime_env": without_values(ray["runtime_env"])}
    return shown

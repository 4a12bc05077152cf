"""Who has to show an API key; refused before anything is started."""

from __future__ import annotations

from snellen.adapters.errors import ConfigError
from snellen.serve.api.middleware import KEYS_VARIABLE, api_keys, is_loopback
from snellen.serve.config import ServeConfig


def needs_keys(config: ServeConfig) -> bool:
    """Whether callers must show a key: always, unless only this machine can reach the service."""
    wanted = config.security.require_keys
    return not is_loopback(config.host) if wanted == "auto" else wanted


def check_keys(config: ServeConfig) -> None:
    """Refuse to serve strangers without keys.

    Raises:
        ConfigError: API_KEYS_MISSING.
    """
    if needs_keys(config) and not api_keys():
        raise ConfigError(
            "API_KEYS_MISSING",
            f"host: others can reach '{config.host}', so callers need API keys. Set "
            f"{KEYS_VARIABLE} to one or several keys, separated by commas; or listen on 127.0.0.1.",
        )

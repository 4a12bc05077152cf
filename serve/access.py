"""API key policy, checked before anything is started."""

from __future__ import annotations

from snellen.adapters.errors import ConfigError
from snellen.serve.api.middleware.api_keys import KEYS_VARIABLE, api_keys, parse_key
from snellen.serve.api.middleware.hosts import is_loopback
from snellen.serve.config import ServeConfig


def needs_keys(config: ServeConfig) -> bool:
    """Return True if requests need a key; by default, unless only this machine can connect."""
    required = config.security.require_keys
    return not is_loopback(config.host) if required == "auto" else required


def check_keys(config: ServeConfig) -> None:
    """Check that keys are set if requests need one, and that their scopes exist.

    Raises:
        ConfigError: API_KEYS_MISSING; API_KEY_SCOPE, a key has an unknown scope.
    """
    for key in api_keys():
        parse_key(key)
    if needs_keys(config) and not api_keys():
        raise ConfigError(
            "API_KEYS_MISSING",
            f"host: other machines can reach '{config.host}', and no API keys are set. Expected "
            f"one or more keys, separated by commas. Set {KEYS_VARIABLE}=KEY, or listen on "
            "127.0.0.1.",
        )

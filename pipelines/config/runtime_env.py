"""The mapping ``ray.runtime_env``: packages, files and variables of the workers of a cluster.

Values of ``env_vars`` may be secrets. They are neither stored nor printed: the stored form keeps
the names with null, and null means the value that the environment of this process has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import closest

HIDDEN_INPUT = "hidden_input"
"""Type of the errors whose message must not repeat the value, which may hold secrets."""
_FORMS: dict[str, tuple[type, ...]] = {
    "env_vars": (Mapping,),
    "py_modules": (list, tuple),
    "working_dir": (str,),
    "excludes": (list, tuple),
    "pip": (str, list, tuple, Mapping),
    "uv": (str, list, tuple, Mapping),
    "conda": (str, Mapping),
    "py_executable": (str,),
    "worker_process_setup_hook": (str,),
    "image_uri": (str,),
    "container": (Mapping,),
    "config": (Mapping,),
}
KEYS = tuple(_FORMS)
"""The keys of Ray's runtime environments that a configuration can hold."""
_NAMES = {str: "text", list: "a list", Mapping: "a mapping"}
_PATHS = ("working_dir", "py_modules", "pip", "uv", "conda")
_USER = re.compile(r"(?<!ssh)://[^/\s@]*@")
"""A user name in an address is usually a token; git+ssh://git@ is none."""


def parse_runtime_env(value: Any) -> dict[str, Any]:
    """Validate the mapping, and wrap the values of its ``env_vars``.

    Raises:
        PydanticCustomError: HIDDEN_INPUT.
    """
    if not isinstance(value, Mapping):
        raise _error("expected a mapping with keys of Ray's runtime environments, such as env_vars")
    for key, part in value.items():
        _check(str(key), part)
    env = dict(value)
    if "env_vars" in env:
        env["env_vars"] = {name: _secret(name, one) for name, one in env["env_vars"].items()}
    return env


def _check(key: str, part: Any) -> None:
    if key not in _FORMS:
        near = closest(key, KEYS)
        hint = f"did you mean '{near[0]}'?" if near else f"valid keys: {', '.join(KEYS)}."
        raise _error(f"unknown key '{key}', {hint}")
    if not isinstance(part, _FORMS[key]):
        forms = " or ".join(_NAMES[form] for form in _FORMS[key] if form in _NAMES)
        raise _error(f"{key} is of the type {type(part).__name__}, expected {forms}")
    if key != "env_vars" and any(_USER.search(text) for text in _texts(part)):
        raise _error(
            f"{key} has an address with a user name or a password, which would be stored with the "
            "run. Expected an address without one. Fix: set the credentials on the nodes"
        )


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        for one in part.values():
            yield from _texts(one)
    elif isinstance(part, list | tuple):
        for one in part:
            yield from _texts(one)


def _secret(name: Any, value: Any) -> SecretStr | None:
    if value is None or isinstance(value, SecretStr):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _error(
            f"env_vars.{name} is of the type {type(value).__name__}, expected text, a number, or "
            "null for the value in the environment of this process"
        )
    return SecretStr(str(value))


def _error(text: str) -> PydanticCustomError:
    return PydanticCustomError(HIDDEN_INPUT, "{text}", {"text": text})


def without_values(env: Any) -> Any:
    """Return the mapping with null for each of its ``env_vars``.

    Example:
        >>> without_values({"pip": ["a"], "env_vars": {"TOKEN": "secret"}})
        {'pip': ['a'], 'env_vars': {'TOKEN': None}}
    """
    if not isinstance(env, Mapping) or not isinstance(env.get("env_vars"), Mapping):
        return env
    return {**env, "env_vars": dict.fromkeys(env["env_vars"])}


def with_absolute_files(env: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping with absolute paths of local files and folders."""
    return {key: _absolute(part) if key in _PATHS else part for key, part in env.items()}


def _absolute(part: Any) -> Any:
    if isinstance(part, list | tuple):
        return [_absolute(one) for one in part]
    if not isinstance(part, str) or "://" in part:
        return part
    path = Path(part).expanduser()
    return str(path.absolute()) if path.exists() else part


def resolved_env(env: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what Ray gets: plain values, and those of the environment for null.

    Args:
        env: as it was validated.
        environment: of this process.

    Raises:
        ConfigError: CONFIG_INVALID, a variable is not set in the environment.
    """
    if "env_vars" not in env:
        return dict(env)
    values = {}
    for name, secret in env["env_vars"].items():
        value = environment.get(name) if secret is None else secret.get_secret_value()
        if value is None:
            raise ConfigError(
                "CONFIG_INVALID",
                f"ray.runtime_env.env_vars.{name} is null, and the environment of this process has "
                f"no {name}. Expected its value there, because a run does not store it. Fix: "
                f"export {name}=..., or add ray.runtime_env.env_vars.{name}=... to the command.",
            )
        values[name] = value
    return {**env, "env_vars": values}

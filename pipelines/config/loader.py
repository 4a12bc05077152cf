"""Loader of configurations: YAML and ``key=value`` overrides, validated."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from snellen.adapters.checkpoints.layouts import names_run_directory
from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import closest
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.other_tools import called_here
from snellen.pipelines.config.ray_section import RayConfig
from snellen.pipelines.config.runtime_env import HIDDEN_INPUT
from snellen.pipelines.config.yaml_file import parse_yaml, read_yaml

Kind = TypeVar("Kind", bound=BaseModel)


def all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return every dotted key of the configuration, for suggestions."""
    keys: list[str] = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        section = _section_type(info.annotation)
        if section is not None:
            keys += all_keys(section, f"{prefix}{name}.")
    return keys


def _section_type(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _nearest(key: str, kind: type[BaseModel]) -> str:
    # The sections that contain the key are correct; they are no suggestion.
    keys = [known for known in all_keys(kind) if not key.startswith(f"{known}.")]
    leaf = key.rsplit(".", 1)[-1]
    other = called_here(leaf, keys) if leaf == key else None
    if other is not None:
        return other
    close = closest(key, keys)
    if not close:
        by_leaf = {k.rsplit(".", 1)[-1]: k for k in reversed(keys)}
        close = [by_leaf[match] for match in closest(leaf, by_leaf)]
    if close:
        return f"Did you mean '{close[0]}'?"
    section = key.rsplit(".", 1)[0] + "." if "." in key else ""
    siblings = [k for k in keys if k.startswith(section) and "." not in k[len(section) :]]
    return f"Valid keys here: {', '.join(siblings)}."


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply ``key.sub=value`` overrides; values are parsed as YAML (``run.batch_size=8``).

    Raises:
        ConfigError: CONFIG_OVERRIDE, a word without ``=`` or a key in something that is no section.
    """
    result: dict[str, Any] = copy.deepcopy(data)
    for word in overrides:
        key, sign, value = word.partition("=")
        if not sign or not key.strip():
            raise ConfigError(
                "CONFIG_OVERRIDE", f"'{word}' is no override. Expected the form key.sub=value."
            )
        target = result
        *parents, leaf = key.strip().split(".")
        for parent in parents:
            below = target.setdefault(parent, {})
            if not isinstance(below, dict):
                raise ConfigError(
                    "CONFIG_OVERRIDE", f"'{word}': '{parent}' is a value. Expected a section."
                )
            target = below
        target[leaf] = _override(value, where=f"override {key.strip()}")
    return result


_HASH, _STAND_IN = re.compile(r"(?:(?<=\s)|^)#"), "\ue000"


def _override(value: str, *, where: str) -> Any:
    """Parse the value of an override. A word of the command line has no comments: # is text."""
    parsed = parse_yaml(_HASH.sub(_STAND_IN, value), where=where)

    def restored(found: Any) -> Any:
        if isinstance(found, str):
            return found.replace(_STAND_IN, "#")
        if isinstance(found, list):
            return [restored(one) for one in found]
        if isinstance(found, dict):
            return {restored(key): restored(one) for key, one in found.items()}
        return found

    return restored(parsed)


def merged(
    config: str | Path | Mapping[str, Any] | None,
    settings: Mapping[str, Any],
    overrides: Sequence[str] = (),
) -> tuple[dict[str, Any], str]:
    """Merge a file, settings and overrides into the data of a configuration; later ones win.

    Args:
        config: a YAML file, a mapping of the same keys, or None.
        settings: dotted key -> value; None is ignored.
        overrides: ``key.sub=value`` words.

    Returns:
        The data, to be validated by `build_as`, and the name of its source for messages.

    Raises:
        ConfigError: the file cannot be read, or a key is in something that is no section.
    """
    where = str(config) if isinstance(config, str | Path) else "configuration"
    data: Any = read_yaml(config) if isinstance(config, str | Path) else dict(config or {})
    if not isinstance(data, dict | None):
        raise _no_mapping(data, where)
    result = apply_overrides(data or {}, ())
    for key, value in settings.items():
        if value is not None:
            _put(result, key, value, where)
    return apply_overrides(result, overrides), where


def _put(data: dict[str, Any], key: str, value: Any, where: str) -> None:
    section, _, leaf = key.rpartition(".")
    below = data.setdefault(section, {}) if section else data
    if below is None:  # an empty section of the YAML file
        below = data[section] = {}
    if not isinstance(below, dict):
        raise ConfigError("CONFIG_INVALID", f"{where}: {section} is a value. Expected a section.")
    below[leaf] = value


def build_config(data: Any, *, where: str = "configuration") -> EvaluateConfig:
    """Validate the configuration of a test run; see `build_as`."""
    return build_as(EvaluateConfig, data, where=where)


def build_as(kind: type[Kind], data: Any, *, where: str = "configuration") -> Kind:
    """Validate a nested mapping.

    Args:
        kind: ``EvaluateConfig``, ``PredictConfig`` or another configuration.
        data: the mapping.
        where: file name for messages.

    Raises:
        ConfigError: naming ``where``, the key, the expected value and the nearest valid key.
    """
    if not isinstance(data, Mapping):
        raise _no_mapping(data, where)
    try:
        return kind.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError("CONFIG_INVALID", _describe(error, kind, where)) from None


def _no_mapping(data: Any, where: str) -> ConfigError:
    return ConfigError(
        "CONFIG_INVALID",
        f"{where} is {_type_of(data)}. Expected a mapping with the keys model and dataset.",
    )


def _type_of(data: Any) -> str:
    return "empty" if data is None else f"of the type {type(data).__name__}"


def _describe(error: ValidationError, kind: type[BaseModel], where: str) -> str:
    """Return one message per key; the branches of a union are joined."""
    problems: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_context=False):
        key = ".".join(_known_path(item["loc"], kind, extra=item["type"] == "extra_forbidden"))
        if item["type"] == HIDDEN_INPUT:
            text = item["msg"]
        elif item["type"] == "extra_forbidden":
            text = f"unknown key. {_nearest(key, kind)}"
        elif item["type"] == "missing":
            text = "this key is missing. Expected a value."
        else:
            text = f"{item['msg'].lower()}, not {item['input']!r}"
        problems.setdefault(key, []).append(text)
    lines = [f"{key}: {' or '.join(dict.fromkeys(texts))}" for key, texts in problems.items()]
    return f"{where}: " + "; ".join(lines)


def _known_path(
    location: tuple[int | str, ...], kind: type[BaseModel], *, extra: bool
) -> list[str]:
    """Return the keys of an error location, without the names of union branches."""
    path: list[str] = []
    model: type[BaseModel] | None = kind
    for part in location:
        if model is None or not isinstance(part, str):
            break
        if part not in model.model_fields:
            if extra:
                path.append(part)
            break
        path.append(part)
        model = _section_type(model.model_fields[part].annotation)
    return path or [str(part) for part in location]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> EvaluateConfig:
    """Read the configuration of a test run; see `load_as`."""
    return load_as(EvaluateConfig, path, overrides)


def load_as(kind: type[Kind], path: str | Path, overrides: Sequence[str] = ()) -> Kind:
    """Read a YAML file, apply overrides and validate as ``kind``.

    Relative paths in the file are not changed: they are relative to the current directory, as in
    every other command.

    Raises:
        ConfigError: CONFIG_NOT_FOUND, or an error in the file.
    """
    data = read_yaml(path)
    if overrides and isinstance(data, dict | None):
        data = apply_overrides(data or {}, overrides)
    return build_as(kind, data, where=str(path))


_PATHS = {
    "model": ("checkpoint", "job", "class_names"),
    "dataset": ("path", "annotations", "root"),
    "output": ("dir",),
}
_ALWAYS = {("dataset", "path"), ("output", "dir")}
"""Keys that are always paths. The others may be names, so they are paths only if they exist."""
_JOB = ("model", "job")
_WORDS = {"auto", "best", "last", "imagenet", "dataset"}


def with_absolute_paths(config: Kind) -> Kind:
    """Return the configuration with absolute local paths, so that any directory can resume it.

    Addresses (``s3://``), words such as ``auto``, and names of jobs do not change.
    """
    sections: dict[str, Any] = {}
    for name, keys in _PATHS.items():
        section = getattr(config, name)
        changed = {
            key: _absolute(getattr(section, key), always=(name, key) in _ALWAYS)
            for key in keys
            if key in type(section).model_fields and not _is_job_name(name, key, section)
        }
        sections[name] = section.model_copy(update=changed)
    ray: RayConfig = config.ray  # type: ignore[attr-defined]  # of both kinds of run
    sections["ray"] = ray.with_absolute_paths()
    return config.model_copy(update=sections)


def _is_job_name(name: str, key: str, section: BaseModel) -> bool:
    value = getattr(section, key)
    return (name, key) == _JOB and isinstance(value, str) and not names_run_directory(value)


def with_absolute_dataset(section: Kind) -> Kind:
    """Return a ``dataset`` section with absolute local paths; see `with_absolute_paths`."""
    changed = {
        key: _absolute(getattr(section, key), always=("dataset", key) in _ALWAYS)
        for key in _PATHS["dataset"]
        if key in section.model_fields_set
    }
    return section.model_copy(update=changed)


def _absolute(value: Any, *, always: bool) -> Any:
    if isinstance(value, tuple) and always:
        return tuple(_absolute(one, always=True) for one in value)
    if not isinstance(value, str) or value in _WORDS or value.isdecimal() or "://" in value:
        return value
    path = Path(value).expanduser()
    return absolute_path(path) if always or path.exists() else value


def absolute_path(path: Path) -> str:
    """Return an absolute path, without ``..`` unless that follows a symbolic link."""
    plain = os.path.normpath(path.absolute())
    return plain if Path(plain).resolve() == path.resolve() else str(path.absolute())

"""From YAML text and ``key=value`` overrides to a configuration, with errors that help.

Three things that YAML lets pass silently are refused here: a duplicate key, ``1e-3`` (YAML 1.1
reads it as text), and ``no`` / ``on`` where a name was meant (YAML 1.1 reads them as booleans).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.evaluate import RunConfig

Kind = TypeVar("Kind", bound=BaseModel)
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+$")
_BOOLEAN_WORDS = {"y", "n", "yes", "no", "on", "off"}


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys and words that YAML 1.1 turns into booleans."""


def _construct_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            raise ConfigError(
                "CONFIG_YAML", f"line {key_node.start_mark.line + 1}: merge keys are not supported."
            )
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str | int):
            raise ConfigError("CONFIG_YAML", f"line {line}: the key {key!r} is not a word.")
        if key in seen:
            raise ConfigError(
                "CONFIG_DUPLICATE_KEY",
                f"line {line}: the key '{key}' stands twice (first in line {seen[key]}). "
                "Remove one of them.",
            )
        seen[key] = line
        result[key] = loader.construct_object(value_node, deep=True)
    return result


def _construct_bool(loader: _StrictLoader, node: yaml.ScalarNode) -> bool:
    if node.value.lower() in _BOOLEAN_WORDS:
        raise ConfigError(
            "CONFIG_BOOLEAN_WORD",
            f"line {node.start_mark.line + 1}: YAML reads the bare word '{node.value}' as a "
            f"boolean. Write true or false, or quote it: '{node.value}' in quotes.",
        )
    return bool(loader.construct_yaml_bool(node))


def _construct_str(loader: _StrictLoader, node: yaml.ScalarNode) -> str:
    text = str(loader.construct_scalar(node))
    if node.style is None and _NUMBER.match(text):
        raise ConfigError(
            "CONFIG_NUMBER_AS_TEXT",
            f"line {node.start_mark.line + 1}: YAML reads {text} as text, not as a number. "
            f"Write {float(text)!r}, or quote it if text is meant.",
        )
    return text


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
_StrictLoader.add_constructor("tag:yaml.org,2002:bool", _construct_bool)
_StrictLoader.add_constructor("tag:yaml.org,2002:str", _construct_str)


def parse_yaml(text: str, *, where: str) -> Any:
    """Parse YAML strictly.

    Args:
        text: the document.
        where: file name for messages.

    Raises:
        ConfigError: not YAML, a duplicate key, or a value that YAML would misread.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except ConfigError as error:
        raise ConfigError(error.code, f"{where}: {error.message}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError("CONFIG_YAML", f"{where}:{line} not valid YAML: {problem}.") from None


def _all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key of the configuration, for suggestions."""
    keys: list[str] = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        section = _section_type(info.annotation)
        if section is not None:
            keys += _all_keys(section, f"{prefix}{name}.")
    return keys


def _section_type(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _nearest(key: str, kind: type[BaseModel]) -> str:
    # The sections around the key are right; they are no suggestion.
    keys = [known for known in _all_keys(kind) if not key.startswith(f"{known}.")]
    leaf = key.rsplit(".", 1)[-1]
    close = difflib.get_close_matches(key, keys, n=1, cutoff=0.6)
    if not close:
        by_leaf = {k.rsplit(".", 1)[-1]: k for k in reversed(keys)}
        match = difflib.get_close_matches(leaf, list(by_leaf), n=1, cutoff=0.6)
        close = [by_leaf[m] for m in match]
    if close:
        return f"Did you mean '{close[0]}'?"
    section = key.rsplit(".", 1)[0] + "." if "." in key else ""
    siblings = [k for k in keys if k.startswith(section) and "." not in k[len(section) :]]
    return f"Valid keys here: {', '.join(siblings)}."


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply ``key.sub=value`` words; values are parsed as YAML (``run.batch_size=8``).

    Raises:
        ConfigError: a word without ``=``, or a key below something that is not a section.
    """
    result: dict[str, Any] = _deep_copy(data)
    for word in overrides:
        key, sign, value = word.partition("=")
        if not sign or not key.strip():
            raise ConfigError(
                "CONFIG_OVERRIDE", f"'{word}': an override has the form key.sub=value."
            )
        target = result
        *parents, leaf = key.strip().split(".")
        for parent in parents:
            below = target.setdefault(parent, {})
            if not isinstance(below, dict):
                raise ConfigError("CONFIG_OVERRIDE", f"'{word}': '{parent}' is not a section.")
            target = below
        target[leaf] = parse_yaml(value, where=f"override {key.strip()}")
    return result


def _deep_copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _deep_copy(item) for key, item in value.items()}
    return list(value) if isinstance(value, list) else value


def build_config(data: Any, *, where: str = "configuration") -> RunConfig:
    """Validate the configuration of a test run; see ``build_as``."""
    return build_as(RunConfig, data, where=where)


def build_as(kind: type[Kind], data: Any, *, where: str = "configuration") -> Kind:
    """Validate a nested mapping.

    Args:
        kind: ``RunConfig``, ``PredictConfig`` or another configuration.
        data: the mapping.
        where: file name for messages.

    Raises:
        ConfigError: naming ``where``, the key, what was expected, and the nearest valid key.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(
            "CONFIG_INVALID",
            f"{where}: a mapping with the keys model and dataset was expected, "
            f"not {type(data).__name__ if data is not None else 'an empty file'}.",
        )
    try:
        return kind.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError("CONFIG_INVALID", _describe(error, kind, where)) from None


def _describe(error: ValidationError, kind: type[BaseModel], where: str) -> str:
    """One line a problem; a union's many branches are one problem of one key."""
    problems: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_context=False):
        key = ".".join(_known_path(item["loc"], kind, extra=item["type"] == "extra_forbidden"))
        if item["type"] == "extra_forbidden":
            text = f"unknown key. {_nearest(key, kind)}"
        elif item["type"] == "missing":
            text = "this key is needed."
        else:
            text = f"{item['msg'].lower()}, not {item['input']!r}"
        problems.setdefault(key, []).append(text)
    lines = [f"{key}: {' or '.join(dict.fromkeys(texts))}" for key, texts in problems.items()]
    return f"{where}: " + "; ".join(lines)


def _known_path(
    location: tuple[int | str, ...], kind: type[BaseModel], *, extra: bool
) -> list[str]:
    """The part of an error location that is made of keys, without union branch names."""
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


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read the configuration of a test run; see ``load_as``."""
    return load_as(RunConfig, path, overrides)


def load_as(kind: type[Kind], path: str | Path, overrides: Sequence[str] = ()) -> Kind:
    """Read a YAML file, apply overrides and validate as ``kind``.

    Relative paths in the file are kept as written: they start from the current directory, as
    they do for every other command.

    Raises:
        ConfigError: CONFIG_NOT_FOUND, or whatever is wrong in the file.
    """
    data = read_yaml(path)
    if overrides and isinstance(data, dict | None):
        data = apply_overrides(data or {}, overrides)
    return build_as(kind, data, where=str(path))


def read_yaml(path: str | Path) -> Any:
    """What a YAML file says, read strictly.

    Raises:
        ConfigError: CONFIG_NOT_FOUND, CONFIG_UNREADABLE, or as ``parse_yaml``.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("CONFIG_NOT_FOUND", f"{file}: there is no such file.") from None
    except IsADirectoryError:
        raise ConfigError("CONFIG_NOT_FOUND", f"{file} is a folder, not a YAML file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("CONFIG_UNREADABLE", f"{file}: cannot be read: {error}.") from None
    return parse_yaml(text, where=str(file))

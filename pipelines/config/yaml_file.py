"""Strict reader of YAML.

It rejects what YAML 1.1 accepts silently: duplicate keys, ``1e-3`` (text), and ``no`` or ``on``
(booleans).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from snellen.adapters.errors import ConfigError

_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+$")
_BOOLEAN_WORDS = {"y", "n", "yes", "no", "on", "off"}


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that rejects duplicate keys and words that YAML 1.1 reads as booleans."""


def _construct_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            raise ConfigError(
                "CONFIG_YAML",
                f"line {key_node.start_mark.line + 1}: merge keys (<<) are not supported.",
            )
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str | int):
            raise ConfigError(
                "CONFIG_YAML",
                f"line {line}: the key {key!r} is no name. Expected text or a number.",
            )
        if key in seen:
            raise ConfigError(
                "CONFIG_DUPLICATE_KEY",
                f"line {line}: duplicate key '{key}', first in line {seen[key]}. Expected unique "
                "keys. Remove one of them.",
            )
        seen[key] = line
        result[key] = loader.construct_object(value_node, deep=True)
    return result


def _construct_bool(loader: _StrictLoader, node: yaml.ScalarNode) -> bool:
    if node.value.lower() in _BOOLEAN_WORDS:
        raise ConfigError(
            "CONFIG_BOOLEAN_WORD",
            f"line {node.start_mark.line + 1}: YAML reads the bare word '{node.value}' as a "
            f'boolean. Expected true or false, or text in quotes. Write "{node.value}" for text.',
        )
    return bool(loader.construct_yaml_bool(node))


def _construct_str(loader: _StrictLoader, node: yaml.ScalarNode) -> str:
    text = str(loader.construct_scalar(node))
    if node.style is None and _NUMBER.match(text):
        raise ConfigError(
            "CONFIG_NUMBER_AS_TEXT",
            f"line {node.start_mark.line + 1}: YAML reads {text} as text, not as a number. "
            f"Expected a number or text in quotes. Write {float(text)!r} for the number.",
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
        raise ConfigError("CONFIG_YAML", f"{where}:{line} invalid YAML: {problem}.") from None


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file strictly.

    Raises:
        ConfigError: CONFIG_NOT_FOUND, CONFIG_UNREADABLE, or as `parse_yaml`.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            "CONFIG_NOT_FOUND", f"{file} does not exist. Expected a YAML file."
        ) from None
    except IsADirectoryError:
        raise ConfigError(
            "CONFIG_NOT_FOUND", f"{file} is a folder. Expected a YAML file."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "CONFIG_UNREADABLE", f"{file} cannot be read: {error}. Expected a YAML file in UTF-8."
        ) from None
    return parse_yaml(text, where=str(file))

"""The options of an adapter: a pydantic model that each adapter declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import nearest


class AdapterOptions(BaseModel):
    """Base of the options of an adapter; on its own, an adapter without options.

    Attributes:
        hints: for keys that belong elsewhere, a sentence that says where.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())

    hints: ClassVar[Mapping[str, str]] = {}


class AnyOptions(AdapterOptions):
    """Options of an adapter that declares none: every key is passed on as it is."""

    model_config = ConfigDict(extra="allow")


Options = TypeVar("Options", bound=AdapterOptions)


def parse_options(kind: type[Options], given: Mapping[str, Any], adapter: str) -> Options:
    """Validate the options of an adapter.

    Args:
        kind: the model that the adapter declares.
        given: keys and values, as they stand in ``AdapterSpec.options``.
        adapter: name of the adapter, for messages.

    Raises:
        ConfigError: OPTION_INVALID; an unknown key lists the choices and the nearest.
    """
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            message = _unknown(kind, key, adapter)
        else:
            message = f"model option {key!r} of the adapter {adapter} is {problem['input']!r}. " + (
                f"Expected: {problem['msg'].removeprefix('Input should be ')}."
            )
        raise ConfigError("OPTION_INVALID", message) from error


def _unknown(kind: type[AdapterOptions], key: str, adapter: str) -> str:
    choices = list(kind.model_fields)
    message = f"model option {key!r} is unknown to the adapter {adapter}."
    if key in kind.hints:
        return f"{message} {kind.hints[key]}"
    if not choices:
        return f"{message} It has no options."
    return f"{message} Expected one of {', '.join(choices)}{nearest(key, choices) or '.'}"

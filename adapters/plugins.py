"""Plugins: implementations that are looked up by name and imported when they are used.

One mechanism serves adapters, sources, metrics and exporters. A name stands for a
``module:attribute``: one of Snellen's own, an entry point of an installed package in the group
``snellen.<kind>``, or the ``module:attribute`` itself.

[project.entry-points."snellen.adapters"]
mine = "my_package.my_module:MyAdapter"
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from snellen.adapters.checkpoints.local_path import check_not_remote
from snellen.adapters.errors import ConfigError

T = TypeVar("T")

_INSTALLED_BY: dict[str, str] = {
    "torch": "pip install snellen",
    "torchvision": "pip install snellen",
    "timm": "pip install snellen",
    "ultralytics": "pip install 'snellen[ultralytics]' (AGPL-3.0)",
    "onnxruntime": "pip install 'snellen[onnx]'",
    "onnx": "pip install 'snellen[onnx]'",
    "mlflow": "pip install 'snellen[mlflow]'",
    "imagehash": "pip install 'snellen[hygiene]'",
    "wandb": "pip install 'snellen[wandb]'",
}


def closest(name: str, choices: Iterable[str], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the choices that are spelled most like a name.

    Args:
        name: as it was typed.
        choices: the names that exist.
        count: maximum number of choices to return.
        cutoff: similarity that a choice needs, from 0 to 1 (`difflib.SequenceMatcher.ratio`).

    Returns:
        The most similar choice first; empty if none is similar enough.

    >>> closest("batchsize", ["batch_size", "engine"])
    ['batch_size']
    """
    return difflib.get_close_matches(name, list(choices), n=count, cutoff=cutoff)


def nearest(name: str, choices: Iterable[str], count: int = 3) -> str:
    """Return the end of an error message that suggests the closest choices, or an empty string.

    >>> nearest("tim", ["timm", "onnx"])
    '; did you mean timm?'
    """
    close = closest(name, choices, count, cutoff=0.5)
    return f"; did you mean {', '.join(close)}?" if close else ""


def missing_library(what: str, library: str, code: str = "ADAPTER_MISSING_LIBRARY") -> ConfigError:
    """Return the error of a library that is not installed, with the command that installs it.

    Args:
        what: what needs the library ("the adapter onnx").
        library: name of the top-level module.
        code: of the error.
    """
    how = _INSTALLED_BY.get(library, f"pip install {library}")
    return ConfigError(code, f"{what} needs the library {library!r}: {how}")


@dataclass(frozen=True, slots=True)
class PluginCodes:
    """Error codes of one kind of plugin.

    Attributes:
        unknown: no plugin has this name.
        invalid: the attribute does not exist or is not a plugin of this kind.
        missing_library: the plugin's module imports a library that is not installed.
    """

    unknown: str
    invalid: str
    missing_library: str


@dataclass(frozen=True)
class Registry(Generic[T]):
    """The plugins of one kind.

    Attributes:
        kind: plural noun; the entry points are in the group ``snellen.<kind>``.
        what: what a name is, for messages ("adapter").
        builtin: Snellen's own plugins, name -> ``module:attribute``. They win: an installed
            package cannot replace one by taking its name.
        codes: of the errors.
        check: return the imported object as a plugin; raise TypeError saying what is wrong
            with one that is not.
    """

    kind: str
    what: str
    builtin: Mapping[str, str]
    codes: PluginCodes
    check: Callable[[object], T]

    def targets(self) -> dict[str, str]:
        """Return name -> ``module:attribute`` of all plugins, Snellen's own first."""
        return {**self.builtin, **dict(_installed(f"snellen.{self.kind}")), **self.builtin}

    def load(self, name: str) -> T:
        """Import a plugin by its name or as ``module:attribute``.

        Raises:
            ConfigError: one of `codes`; unknown names list the choices and the nearest.
            InputError: REMOTE_REFUSED for an address.
        """
        target = self.builtin.get(name) or self.targets().get(name)
        if target is None:
            if ":" not in name:
                raise self._unknown(name)
            target = name
        module_name, _, attribute = target.partition(":")
        if not all(
            part.isidentifier() for part in (*module_name.split("."), *attribute.split("."))
        ):
            check_not_remote(target, self.what)
            raise self._invalid(name, target, "expected the form module:attribute")
        try:
            return self.check(getattr(import_module(module_name), attribute))
        except ModuleNotFoundError as error:
            raise self._not_found(name, module_name, error) from error
        except (AttributeError, ValueError, TypeError) as error:
            raise self._invalid(name, target, str(error)) from error

    def __iter__(self) -> Iterator[tuple[str, T]]:
        """Yield name and plugin, Snellen's own first.

        Entry points of packages that cannot be imported are skipped: they must not break a
        search that is not about them.
        """
        for name in self.targets():
            try:
                yield name, self.load(name)
            except ConfigError:
                if name in self.builtin:
                    raise

    def _unknown(self, name: str) -> ConfigError:
        names = self.targets()
        known = f"one of {', '.join(sorted(names))}, or " if names else ""
        return ConfigError(
            self.codes.unknown,
            f"{self.what} {name!r} is unknown. Expected {known}module:attribute of an installed "
            f"package{nearest(name, names) or '.'}",
        )

    def _invalid(self, name: str, target: str, why: str) -> ConfigError:
        shown = f"{name!r}" if name == target else f"{name!r} ({target})"
        return ConfigError(self.codes.invalid, f"{self.what} {shown}: {why}")

    def _not_found(self, name: str, module: str, error: ModuleNotFoundError) -> ConfigError:
        library = (error.name or "").split(".")[0]
        if library == module.split(".")[0]:
            return ConfigError(
                self.codes.unknown, f"{self.what} {name!r}: there is no module {module!r}"
            )
        return missing_library(f"{self.what} {name!r}", library, self.codes.missing_library)


@lru_cache(maxsize=8)
def _installed(group: str) -> tuple[tuple[str, str], ...]:
    return tuple((point.name, point.value) for point in entry_points(group=group))

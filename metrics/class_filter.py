"""Find classes by name or by id, or the background."""

from __future__ import annotations

from collections.abc import Sequence

from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import nearest
from snellen.metrics.classification.confusion import unique_names

BACKGROUND = "background"
BACKGROUND_ONLY = "(background)"
"""The background, even where a class is named background."""

_SHOWN = 12


def class_ids(
    classes: Sequence[str] | None, class_names: Sequence[str], *, where: str = "metrics.classes"
) -> tuple[int, ...] | None:
    """Return the ids of the classes that are scored, rising; None for all.

    Args:
        classes: names, see `choose_class`; None for all.
        class_names: K names in the order of the ids.
        where: the setting, for the message.

    Raises:
        ConfigError: CLASS_UNKNOWN, CLASS_SHARED.

    Example:
        >>> class_ids(["dog", "cat"], ["cat", "cow", "dog"])
        (0, 2)
    """
    if classes is None:
        return None
    return tuple(sorted({choose_class(name, class_names, where=where) for name in classes}))


def choose_class(
    wanted: int | str, class_names: Sequence[str], *, where: str, background: bool = False
) -> int:
    """Return the id of a class.

    Args:
        wanted: name of a class; where several classes share it, with its id as in
            ``crane [134]``; an int is an id.
        class_names: K names in the order of the ids.
        where: the option or argument, for the message: ``--true``.
        background: accept `BACKGROUND`.

    Returns:
        0 to K - 1, or -1 for the background.

    Raises:
        ConfigError: CLASS_UNKNOWN, with the nearest names; CLASS_SHARED, with the names that
            tell the classes apart.
    """
    names = unique_names(class_names)
    if isinstance(wanted, int):
        if 0 <= wanted < len(names):
            return wanted
        raise ConfigError(
            "CLASS_UNKNOWN",
            f"{where} {wanted} is no class id. Expected 0 to {len(names) - 1}, or a class name.",
        )
    if wanted in names:
        return names.index(wanted)
    if background and wanted in (BACKGROUND, BACKGROUND_ONLY):
        return -1
    shared = [unique for unique, name in zip(names, class_names, strict=True) if name == wanted]
    if shared:
        raise ConfigError(
            "CLASS_SHARED",
            f"{where} {wanted}: {len(shared)} classes have this name. Expected one of "
            f"{', '.join(repr(name) for name in shared)}.",
        )
    known = [*names, BACKGROUND] if background else names
    listed = ", ".join(known[:_SHOWN]) + (
        f" and {len(known) - _SHOWN} more" * (len(known) > _SHOWN)
    )
    raise ConfigError(
        "CLASS_UNKNOWN",
        f"{where} {wanted}: the run has no such class{nearest(wanted, known) or '.'} Expected one "
        f"of {listed}.",
    )

"""The colours of charts: names in the specifications, values per theme.

The names are those of the style sheet of reports and of the web UI, so a specification can be drawn
with CSS variables (in a page that follows the theme) or with the values of one theme (in a file).
"""

from __future__ import annotations

import re
from typing import Any, Literal

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
COLOURS: dict[str, tuple[str, str]] = {
    "canvas": ("#ffffff", "#111317"),
    "line": ("#e3e6ea", "#282d34"),
    "line-control": ("#8a929c", "#646d78"),
    "ink": ("#14171b", "#e8ebee"),
    "ink-2": ("#525a64", "#a9b1bb"),
    "ink-3": ("#5f6771", "#8f98a3"),
    "accent": ("#2257d6", "#8ab0ff"),
    "many": ("#c5ccd5", "#3a424c"),
    "bar": ("#a9bbe6", "#3d527f"),
    "tp-fill": ("#2a9d83", "#2f8f7c"),
    "fp-fill": ("#e08a4a", "#b9622f"),
    "fn-fill": ("#a873cf", "#7f55b0"),
}
"""Name -> colour in the light and in the dark theme."""
_VARIABLE = re.compile(r"^var\(--([a-z0-9-]+)\)$")


def colour(name: str) -> str:
    """Return the reference to a colour in a specification, a CSS variable.

    >>> colour("ink")
    'var(--ink)'
    """
    if name not in COLOURS:
        raise KeyError(f"colour {name!r} is unknown. Expected one of {', '.join(COLOURS)}.")
    return f"var(--{name})"


def coloured(spec: Any, theme: Theme) -> Any:
    """Return a copy of a specification with the colours of a theme in place of CSS variables."""
    if isinstance(spec, dict):
        # The data are not touched: a class may have any name.
        return {k: v if k == "values" else coloured(v, theme) for k, v in spec.items()}
    if isinstance(spec, list):
        return [coloured(item, theme) for item in spec]
    found = _VARIABLE.match(spec) if isinstance(spec, str) else None
    return COLOURS[found[1]][THEMES.index(theme)] if found else spec

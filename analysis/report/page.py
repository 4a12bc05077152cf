"""The HTML of a report: templates, styles, and a policy that forbids to load anything."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from snellen.analysis.plots.colours import COLOURS
from snellen.analysis.report import numbers

_TEMPLATES = "templates"
_FILTERS = (
    numbers.decimal,
    numbers.signed,
    numbers.span,
    numbers.signed_span,
    numbers.count,
    numbers.p_value,
    numbers.metric_name,
    numbers.duration,
)


def render(template: str, context: dict[str, Any]) -> str:
    """Fill a template; every text of the context is escaped.

    Args:
        template: name of a file in ``templates/``.
        context: variables.
    """
    style, script = asset("report.css") + _colour_rules(), asset("theme.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    page = {"policy": policy, "style": Markup(style), "script": Markup(script)}
    return _environment().get_template(template).render(**context, page=page)


def asset(name: str) -> str:
    """Return the text of a file in ``templates/``."""
    return (files(__package__) / _TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    return environment


def _colour_rules() -> str:
    """Return the colours of the charts as CSS variables."""
    pairs = (f"--{name}: light-dark({a}, {b});" for name, (a, b) in COLOURS.items())
    return f"\n:root {{ {' '.join(pairs)} }}\n"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"

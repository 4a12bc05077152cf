"""Rendering of templates to responses, with the content security policy of the pages."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from snellen.serve.api.middleware.api_keys import SCOPES_IN_SCOPE, session_token
from snellen.serve.ui import assets
from snellen.serve.ui.formats import FILTERS

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
NAVIGATION = (
    ("Runs", "/", "g r"),
    ("Compare", "/compare", "g c"),
    ("Single image", "/single", "g s"),
    ("Training jobs", "/training-jobs", "g j"),
    ("Review", "/review", "g v"),
)
"""Pages in the bar: name, path and keys."""


@cache
def environment() -> Environment:
    """Return the templates; every value is escaped, and an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    return made


def page(request: Request, template: str, section: str, **values: Any) -> HTMLResponse:
    """Return a whole page.

    Args:
        request: the request, for the path prefix.
        template: file below ``templates``.
        section: name of the page in the bar.
        values: variables of the template.
    """
    context = _context(request, section) | values
    return _response(environment().get_template(template).render(context))


def part(request: Request, template: str, **values: Any) -> HTMLResponse:
    """Return a part of a page, which replaces the one that is shown."""
    context = _context(request, "") | values
    return _response(environment().get_template(template).render(context))


def _response(html: str) -> HTMLResponse:
    headers = {"Content-Security-Policy": POLICY, "Vary": "HX-Request"}
    # With no-referrer, browsers send forms with the origin "null", which is refused as another one.
    headers["Referrer-Policy"] = "same-origin"
    return HTMLResponse(html, headers=headers)


def _context(request: Request, section: str) -> dict[str, Any]:
    prefix = prefix_of(request)
    scopes = request.scope.get(SCOPES_IN_SCOPE)
    return {
        # What the key of the session may not do is not shown; without keys everything is allowed.
        "can": lambda scope: scopes is None or scope in scopes,
        "signed_in": bool(scopes) and session_token(request.headers) is not None,
        "navigation": NAVIGATION,
        "section": section,
        "asset": lambda name: prefix + assets.address(name),
        "url": lambda path: prefix + path,
    }


def prefix_of(request: Request) -> str:
    """Return the path below which a proxy serves the application; empty without one."""
    return str(request.scope.get("root_path", "")).rstrip("/")

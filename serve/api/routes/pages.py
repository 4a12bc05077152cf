"""``/docs``: Swagger UI for the OpenAPI document, served from a package instead of a CDN."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, Response

from snellen.serve.api.problems import Problem

router = APIRouter(include_in_schema=False)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Snellen</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/assets/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""


@router.get("/docs")
async def docs() -> Response:
    """Return the page of Swagger UI."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/assets/start.js")
async def start() -> Response:
    """Return the script that starts Swagger UI; separate, so that no inline script is needed."""
    return Response(_START, media_type="text/javascript")


@router.get("/docs/assets/{name}")
async def asset(name: str) -> Response:
    """Return a file of Swagger UI."""
    package = find_spec("fastapi_offline")
    if name not in _FILES or package is None or package.origin is None:
        raise Problem(404, "NOT_FOUND", "There is no such page.")
    file = Path(package.origin).parent / "static" / name
    headers = {"Cache-Control": "max-age=86400"}
    return FileResponse(file, media_type=_FILES[name], headers=headers)

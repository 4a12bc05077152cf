"""``/ui/static``: style sheet, scripts and icons."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from snellen.serve.api.problems import Problem
from snellen.serve.ui import assets

router = APIRouter(include_in_schema=False)


@router.get(assets.PREFIX + "/{version}/{name:path}")
async def static(version: str, name: str) -> Response:
    """Return a static file; its content belongs to its address for ever."""
    file = assets.files().get(name)
    if file is None or version != assets.version():
        raise Problem(404, "NOT_FOUND", "There is no such file.")
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return FileResponse(file, media_type=assets.media_type(file), headers=headers)

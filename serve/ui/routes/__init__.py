"""Routes of the web pages, one module per page."""

from __future__ import annotations

from fastapi import FastAPI

from snellen.serve.ui.routes import image, new_run, runs, sign_in, single, static, viewer

_ROUTERS = (
    *(new_run.router, runs.router, single.router, sign_in.router, static.router),
    *(image.router, viewer.router),
)


def add_pages(app: FastAPI) -> None:
    """Add the web pages to the application of the API."""
    for router in _ROUTERS:
        app.include_router(router)
    viewer.attach(app)

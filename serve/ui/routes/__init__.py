"""Routes of the web pages, one module per page."""

from __future__ import annotations

from fastapi import FastAPI

from snellen.serve.ui.error_pages import ErrorPages
from snellen.serve.ui.routes import (
    compare,
    exports,
    image,
    job_page,
    requested_run,
    review_pages,
    run_sections,
    runs,
    sign_in,
    single_image,
    static,
    submit_run,
    training,
    viewer,
)

_ROUTERS = (
    compare.router,
    *(submit_run.router, runs.router, single_image.router, sign_in.router, static.router),
    *(review_pages.router, training.router, exports.router, job_page.router, image.router),
    *(run_sections.router, viewer.router),
)


def add_pages(app: FastAPI) -> None:
    """Add the web pages to the application of the API; problems are shown as pages there."""
    for router in _ROUTERS:
        app.include_router(router)
    requested_run.attach(app)
    compare.attach(app)
    review_pages.attach(app)
    app.add_middleware(ErrorPages)

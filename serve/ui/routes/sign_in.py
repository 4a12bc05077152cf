"""``/sign-in`` and ``/sign-out``: a session in place of an API key, for browsers."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from snellen.serve.api.middleware.api_keys import SESSION_COOKIE, SIGN_IN, SIGN_OUT, session_token
from snellen.serve.api.middleware.web_sessions import LIFETIME, WebSessions
from snellen.serve.ui import rendering

router = APIRouter(include_in_schema=False)
_TEMPLATE, _SECTION = "sign_in.html", "Sign in"
_WRONG_KEY_DELAY_S = 0.5
Next = Annotated[str, Query(alias="next", max_length=4096)]


@router.get(SIGN_IN)
async def show(request: Request, after: Next = "/") -> Response:
    """Show the form."""
    return rendering.page(request, _TEMPLATE, _SECTION, after=_local(after), wrong=False)


@router.post(SIGN_IN)
async def sign_in(
    request: Request,
    key: Annotated[str, Form(max_length=1000)] = "",
    after: Annotated[str, Form(alias="next", max_length=4096)] = "/",
) -> Response:
    """Check the key, start a session and go on to the page that was asked for."""
    sessions: WebSessions = request.app.state.web_sessions
    token = await run_in_threadpool(sessions.sign_in, key.strip())
    if token is None:
        await asyncio.sleep(_WRONG_KEY_DELAY_S)
        found = rendering.page(request, _TEMPLATE, _SECTION, after=_local(after), wrong=True)
        found.status_code = 401
        return found
    response = RedirectResponse(rendering.prefix_of(request) + _local(after), 303)
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(LIFETIME.total_seconds()),
        path=rendering.prefix_of(request) or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


@router.post(SIGN_OUT)
async def sign_out(request: Request) -> Response:
    """End the session."""
    sessions: WebSessions = request.app.state.web_sessions
    token = session_token(request.headers)
    if token:
        await run_in_threadpool(sessions.sign_out, token)
    response = RedirectResponse(rendering.prefix_of(request) + SIGN_IN, 303)
    response.delete_cookie(SESSION_COOKIE, path=rendering.prefix_of(request) or "/")
    return response


def _local(path: str) -> str:
    """Return a path of this server; anything else becomes the first page."""
    one = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if one and path.isprintable() else "/"

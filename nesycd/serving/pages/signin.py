"""Signing in and out: by the link that the server prints, or by a token."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from nesycd.serving.pages.sessions import Sessions
from nesycd.serving.pages.web import Posted, Refused, bare_page, cookie_name, go, posted, read_form
from nesycd.serving.safety import Role

router = APIRouter()
_ID = re.compile(r"[0-9a-f]{4,64}")
"""An item's id, or the first characters of one."""


@router.get("/enter")
def enter(request: Request, key: str = "", item: str = "") -> Response:
    """The link that was printed at the start: it works once. It leads to the queue, or to an item."""
    sessions: Sessions = request.app.state.sessions
    _slow_down(request)
    cookie = sessions.by_key(key[:200])
    if cookie is None:
        return bare_page(
            "signin.html",
            403,
            problem="this link was used already, or is not the newest one",
            tokens=bool(sessions.tokens),
        )
    request.app.state.on_key_used()
    # A page that leads on, not a redirect: after a click in a mail the browser would not send the new cookie along.
    to = f"/items/{item}" if _ID.fullmatch(item) else "/"
    return _with_cookie(request, bare_page("entered.html", to=to), cookie)


@router.get("/sign-in")
def sign_in(request: Request) -> Response:
    """Asks for a token."""
    sessions: Sessions = request.app.state.sessions
    return bare_page("signin.html", problem="", tokens=bool(sessions.tokens))


@router.post("/sign-in")
async def signed_in(request: Request) -> Response:
    """Takes a token."""
    sessions: Sessions = request.app.state.sessions
    form = await read_form(request)
    _slow_down(request)
    token = form.get("token", "")
    cookie = sessions.by_token(token.strip()) if isinstance(token, str) else None
    if cookie is None:
        return bare_page("signin.html", 403, problem="this token is nobody's", tokens=bool(sessions.tokens))
    return _with_cookie(request, RedirectResponse("/", 303), cookie)


@router.post("/sign-out")
def sign_out(form: Annotated[Posted, Depends(posted(Role.READER))]) -> Response:
    """Ends the session."""
    request = form.request
    request.app.state.sessions.end(request.cookies.get(cookie_name(request), ""))
    answer = go("/sign-in")
    answer.delete_cookie(cookie_name(request))
    return answer


def _slow_down(request: Request) -> None:
    client = request.client.host if request.client else ""
    if wait := request.app.state.sessions.may_try(client):
        raise Refused(429, f"too many tries to sign in; try again in {wait:.0f} s")


def _with_cookie(request: Request, answer: Response, value: str) -> Response:
    secure = request.url.scheme == "https"
    answer.set_cookie(cookie_name(request), value, httponly=True, samesite="strict", secure=secure, path="/")
    return answer

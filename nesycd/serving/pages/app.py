"""The review pages as one ASGI application: routes, errors, and what keeps them safe."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from nesycd.core.errors import NesycdError
from nesycd.serving.pages import ask, check, deciding, graph, items, rules, signin, versions
from nesycd.serving.pages.jobs import Busy
from nesycd.serving.pages.review import Review
from nesycd.serving.pages.sessions import Sessions
from nesycd.serving.pages.web import Refused, SignIn, Visit, bare_page, go, page, visit
from nesycd.serving.safety import BodyLimit, HostCheck, RateLimit, SecurityHeaders

MOST_BODY = 4_000_000
"""Bytes of a form: an item has at most a million, which forms may write as three each."""
RATE, BURST = 50.0, 300
"""Requests a second of one client, and at once: a fast reviewer needs five."""
_TOLD = {
    400: "this request cannot be read",
    404: "there is no such page",
    405: "this page is not asked for in this way",
    413: "this request is too large",
}
log = logging.getLogger(__name__)


def review_app(
    review: Review,
    sessions: Sessions,
    hosts: Collection[str] | None,
    on_key_used: Callable[[], object] = lambda: None,
    rate: float = RATE,
    burst: int = BURST,
) -> ASGIApp:
    """The pages about a base.

    Args:
        review: what they are about.
        sessions: who may sign in.
        hosts: names under which they are reached; None: any.
        on_key_used: called when somebody signed in by the one-time link.
        rate, burst: requests a second of one client, and at once.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.review, app.state.sessions, app.state.on_key_used = review, sessions, on_key_used
    for part in (signin, deciding, check, ask, items, graph, rules, versions):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    app.add_exception_handler(SignIn, _sign_in)
    app.add_exception_handler(NesycdError, _mistake)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _http)
    app.add_exception_handler(Exception, _unexpected)

    @app.get("/keys")
    def keys(request: Request) -> Response:
        return page(visit(request), "keys.html")

    return SecurityHeaders(HostCheck(RateLimit(BodyLimit(app, MOST_BODY), rate, burst), hosts))


def _sign_in(request: Request, error: Exception) -> Response:
    if request.method == "GET" and "application/json" not in request.headers.get("accept", ""):
        return go("/sign-in")
    return _answer(request, 401, "you are not signed in any more; sign in again, and send it again")


def _mistake(request: Request, error: Exception) -> Response:
    """A user's mistake, or the base's refusal, that no form shows beside itself."""
    assert isinstance(error, NesycdError)
    status = error.status if isinstance(error, Refused) else 429 if isinstance(error, Busy) else 422
    review: Review = request.app.state.review
    return _answer(request, status, review.told(error))


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    return _answer(request, status, _TOLD.get(status, "this request cannot be answered"))


def _unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours: its details are in the server's log alone."""
    log.error("the review pages failed", exc_info=error)
    return _answer(request, 500, "something went wrong here; nothing was saved, and the server's log has the details")


def _answer(request: Request, status: int, told: str) -> Response:
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"error": told}, status)
    who: Visit | None
    try:
        who = visit(request)
        return page(who, "error.html", status, told=told)
    except (SignIn, NesycdError):
        return bare_page("error.html", status, told=told)

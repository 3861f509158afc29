"""What every page needs: who asks, forms that are checked, templates, and answers."""

from __future__ import annotations

import difflib
import hmac
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import FormData

from nesycd import __version__
from nesycd.core.errors import NesycdError
from nesycd.knowledge.priority import what
from nesycd.serving.pages.listing import Filter
from nesycd.serving.pages.review import Review
from nesycd.serving.pages.sessions import Session, Sessions
from nesycd.serving.safety import Role

MOST_FIELDS = 3000
_ID = re.compile(r"\b([0-9a-f]{16})\b")
_ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control and direction-changing characters, with which a text could look like another."""
_MANY = 200
"""Words between the first and the last that differ, from which on a change is shown as a whole."""
_WORDS = re.compile(r"\s+|[^\w\s]|\w+")


class Refused(NesycdError):
    """A request that is answered with `status` and a sentence."""

    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status


class SignIn(Exception):
    """Nobody is signed in."""


class Verbatim(str):
    """A text that a form gives back as it is."""


@dataclass(frozen=True)
class Visit:
    """A request by somebody who is signed in."""

    request: Request
    review: Review
    session: Session

    @property
    def name(self) -> str:
        """Who acts."""
        return self.session.grant.name

    def may(self, role: Role) -> bool:
        """Whether they have the role."""
        return self.session.grant.role >= role

    @property
    def wants_json(self) -> bool:
        """Whether the script asks, not the browser."""
        return "application/json" in self.request.headers.get("accept", "")


@dataclass(frozen=True)
class Posted(Visit):
    """A form of theirs, checked."""

    form: FormData

    def text(self, name: str) -> str:
        """A field without line ends of Windows; "" where it is not there."""
        value = self.form.get(name, "")
        return value.replace("\r\n", "\n").strip() if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for value in self.form.getlist(name) if isinstance(value, str)]


def cookie_name(request: Request) -> str:
    """Cookies do not know ports: servers side by side must not sign each other's people out."""
    return f"nesycd_review_{request.url.port or 0}"


def visit(request: Request) -> Visit:
    """Dependency: who asks.

    Raises:
        SignIn: nobody who is signed in.
    """
    sessions: Sessions = request.app.state.sessions
    session = sessions.get(request.cookies.get(cookie_name(request), ""))
    if session is None:
        raise SignIn
    return Visit(request, request.app.state.review, session)


async def read_form(request: Request) -> FormData:
    """A form's fields; no files.

    Raises:
        Refused: from another site, or not a form.
    """
    refuse_other_sites(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        raise Refused(415, "a form is expected here")
    return await request.form(max_files=0, max_fields=MOST_FIELDS)


def refuse_other_sites(request: Request) -> None:
    """What browsers say of where a request comes from, beside the form's token.

    Raises:
        Refused: from another site.
    """
    origin = request.headers.get("origin")
    is_other = origin is not None and origin.lower().partition("://")[2] != request.headers.get("host", "").lower()
    if is_other or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "this came from another site, and was not done")


def posted(role: Role) -> Callable[[Request], Any]:
    """Dependency: a form of somebody who has the role, with their session's token."""

    async def checked(request: Request) -> Posted:
        who = visit(request)
        form = await read_form(request)
        given = form.get("form_token") or request.headers.get("x-form-token", "")
        if not isinstance(given, str) or not _same(given, who.session.form_token):
            raise Refused(
                403, "this form is out of date, and nothing was done; go back, load the page again and send it again"
            )
        if not who.may(role):
            role_of = who.session.grant.role.name.lower()
            raise Refused(403, f"you are signed in as {role_of}; this needs the role {role.name.lower()}")
        return Posted(who.request, who.review, who.session, form)

    return checked


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), known.encode())


# --- answers ----------------------------------------------------------------------------------------------------------


def page(who: Visit, template: str, status: int = 200, **context: Any) -> Response:
    """A page for somebody who is signed in."""
    now = who.review.listing.now()
    common = {
        "who": who,
        "review": who.review,
        "now": now,
        "form_token": who.session.form_token,
        "can_review": who.may(Role.REVIEWER),
        "can_admin": who.may(Role.ADMIN),
        "path": who.request.url.path,
        "revision": who.review.kb.revision,
        "message": who.session.take_message(),
        "version": __version__,
    }
    return HTMLResponse(templates().get_template(template).render(**{**common, **context}), status)


def bare_page(template: str, status: int = 200, **context: Any) -> Response:
    """A page for somebody who is not."""
    return HTMLResponse(templates().get_template(template).render(who=None, version=__version__, **context), status)


def go(path: str) -> Response:
    """See another page of ours; of anybody else's, the queue."""
    return RedirectResponse(local(path), 303)


def local(path: str) -> str:
    r"""A path of this server, else the queue's: `//x`, `/\x` and `/<tab>/x` are other hosts to browsers."""
    is_ours = path.startswith("/") and not path.startswith("//") and not re.search(r"[\s\\\x00-\x1f]", path)
    return path if is_ours and not _ODD.search(path) else "/"


def filter_of(request: Request) -> Filter:
    """The filter in a page's address."""
    given = request.query_params
    return Filter(**{key: given.get(key, "")[:200].strip() for key in Filter.__dataclass_fields__})


def number_of(request: Request, name: str, default: int, low: int, high: int) -> int:
    """A number in a page's address, within bounds."""
    given = request.query_params.get(name, "")
    return min(high, max(low, int(given))) if given.isdecimal() and len(given) < 9 else default


# --- templates --------------------------------------------------------------------------------------------------------


@cache
def templates() -> Environment:
    """The templates; every text is escaped."""
    made = Environment(
        loader=PackageLoader("nesycd.serving.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
    )
    made.filters |= {
        "asis": lambda text: Verbatim(text or ""),
        "linked": linked,
        "sort": what,
        "when": lambda at: at.replace("T", " ")[:16],
        "short": lambda item_id: item_id[:8],
        "cut": lambda text, most=160: text if len(text) <= most else f"{text[:most].rstrip()}…",
        "words": worded,
    }
    return made


def shown(text: str) -> str:
    r"""A text as a page shows it: what could make it look like another one is an escape (`\u202e`)."""
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def linked(text: str) -> list[tuple[str, bool]]:
    """The parts of a text, and whether each is an item's id."""
    return [(part, bool(_ID.fullmatch(part))) for part in _ID.split(text) if part]


def worded(before: str, after: str) -> list[tuple[str, str]]:
    """What changed between two texts, word by word, as pairs of `same`, `gone` or `new` and text.

    >>> worded("A fathom is 6 feet.", "A fathom is 7 feet.")
    [('same', 'A fathom is '), ('gone', '6'), ('new', '7'), ('same', ' feet.')]
    """
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    start = _same_start(old, new)
    end = _same_start(old[start:][::-1], new[start:][::-1])
    middle = [part[start : len(part) - end] for part in (old, new)]
    found = [("same", "".join(old[:start])), *_worded(*middle), ("same", "".join(old[len(old) - end :]))]
    return [(kind, text) for kind, text in found if text]


def _same_start(old: list[str], new: list[str]) -> int:
    return next((place for place, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _worded(old: list[str], new: list[str]) -> Iterator[tuple[str, str]]:
    if max(len(old), len(new)) > _MANY:  # would take minutes where words repeat
        yield from (("gone", "".join(old)), ("new", "".join(new)))
        return
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield "same", "".join(old[a:b])
        else:
            yield from (("gone", "".join(old[a:b])), ("new", "".join(new[c:d])))

"""The revisions of a base: list, what one changed, difference of two, reverting one, going back, naming a version."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import select

from nesycd.core.errors import KnowledgeError
from nesycd.knowledge import Difference, reviewing, versions
from nesycd.knowledge.changes import differences
from nesycd.knowledge.schema import history
from nesycd.serving.pages.deciding import Reviewer, Who
from nesycd.serving.pages.forms import draft_of
from nesycd.serving.pages.graph import Admin
from nesycd.serving.pages.review import Review
from nesycd.serving.pages.web import go, number_of, page

router = APIRouter(prefix="/versions")
_SIZE = 50
_MOST = 200


@router.get("")
def listed(request: Request, who: Who) -> Response:
    """Revisions, newest first."""
    review = who.review
    newest = review.kb.revision
    pages = max(1, -(-newest // _SIZE))
    number = number_of(request, "page", 1, 1, pages)
    found, named = review.revisions(newest - (number - 1) * _SIZE, _SIZE)
    return page(who, "versions.html", found=found, number=number, pages=pages, newest=newest, named=named)


@router.get("/diff")
def diff(request: Request, who: Who) -> Response:
    """What differs between two states."""
    given = request.query_params
    before, after = given.get("before", "")[:80].strip(), given.get("after", "now")[:80].strip() or "now"
    if not before:
        raise KnowledgeError("name two versions, such as 12 and 15, or v1 and now")
    found = difference(who.review, before, after)
    return page(
        who, "diff.html", before=before, after=after, found=found[:_MOST], count=len(found), fields=changed_fields
    )


@router.post("/revert")
def revert(form: Reviewer) -> Response:
    """Take one revision back, and keep what came later."""
    number = form.text("revision")
    if not number.isdecimal() or len(number) > 15:
        raise KnowledgeError("no such revision")
    done = reviewing.undo(form.review.kb, int(number), form.name)
    if done.revision is not None:
        form.session.did("revision", done.revision, len(done.entries))
    form.session.message = f"Revision {number} is taken back" if done.revision else "There was nothing to take back"
    return go("/versions")


@router.post("/revert-to")
def revert_to(form: Admin) -> Response:
    """Make the base what it was at a version, by a new revision."""
    version = form.text("version")[:80]
    changed = form.review.kb.revert_to(version, form.name, form.text("why")[:2000])
    if changed:
        form.session.did("revision", form.review.kb.revision, changed)
    form.session.message = f"Back at version {version}: {changed} items changed"
    return go("/versions")


@router.post("/tag")
def tag(form: Admin) -> Response:
    """Name the state as it is now."""
    number = form.review.kb.tag(form.text("name"), form.name, form.text("why")[:2000])
    form.session.message = f"Revision {number} is named {form.text('name')}"
    return go("/versions")


def difference(review: Review, before: str, after: str) -> list[Difference]:
    """What differs between two versions; reads only the entries that were touched between them."""
    with review.kb.reading() as connection:
        low, high = (versions.number_of(connection, version) for version in (before, after))
        first, last = sorted((low, high))
        touched = select(history.c.entry).where(history.c.revision > first, history.c.revision <= last).distinct()
        uids = list(connection.execute(touched).scalars())
        old, new = (versions.state_at(connection, number, uids) for number in (low, high))
    return differences(old, new)


def changed_fields(one: Difference) -> list[tuple[str, str, str]]:
    """The fields that differ, as text; those of an item as forms name them."""
    if one.before is None or one.after is None:
        return []
    old, new = ({**draft_of(entry.item), "status": str(entry.status), "reviewer": entry.reviewer}
                for entry in (one.before, one.after))  # fmt: skip
    pairs: list[tuple[str, Any, Any]] = [(key, old[key], new.get(key, "")) for key in old]
    return [(key, _text(a), _text(b)) for key, a, b in pairs if a != b]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(" ".join(f"{key}: {part}" for key, part in test.items() if part) for test in value)
    return str(value)

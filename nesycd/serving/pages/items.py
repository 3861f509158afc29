"""An item's page: its history, what rests on it, and changing it by edit, merge and split; new items."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact, Item, Status
from nesycd.knowledge import reviewing
from nesycd.knowledge.reviewing import Done, Stale, state_of
from nesycd.serving.pages.deciding import Reviewer, Who, card, stale_page
from nesycd.serving.pages.derived import derived_with
from nesycd.serving.pages.forms import EMPTY, changes_of, draft_from, draft_of, item_from, refuse_left_behind
from nesycd.serving.pages.listing import KINDS, Row
from nesycd.serving.pages.web import Posted, Refused, Visit, go, local, page

router = APIRouter(prefix="/items")
_PARTS = 6
_USES = 30


@router.get("/new")
def new(request: Request, who: Who) -> Response:
    """A form for a new item."""
    given = request.query_params
    kind = given.get("kind", "fact")
    draft = {**EMPTY, "kind": kind if kind in KINDS else "fact", "text": given.get("text", "")[:5000]}
    draft |= {key: given.get(key, "")[:500] for key in ("subject", "relation", "object")}
    return page(who, "new.html", draft=draft, problem="", why=given.get("why", "")[:500])


@router.post("/new")
def made(form: Reviewer) -> Response:
    """Add an item, approved or to the queue."""
    draft, why = draft_from(form, form.text("kind")), form.text("why")[:2000]
    if form.text("action") == "kind":
        return page(form, "new.html", draft=draft, problem="", why=why)
    status = Status.APPROVED if form.text("action") == "approve" else Status.PROPOSED
    try:
        done = reviewing.add(form.review.kb, item_from(draft), status, form.name, why)
    except KnowledgeError as error:
        return page(form, "new.html", 422, draft=draft, problem=form.review.told(error), why=why)
    return _done(form, done, "Added" if done.revision else "It was there already")


@router.get("/{item_id}")
def show(item_id: str, who: Who) -> Response:
    """One item, with its whole history."""
    entry, row = found(who, item_id)
    now = who.review.listing.now()
    return page(who, "item.html", history=_history(who, entry), **card(who, entry, row, now, cases=50))


@router.get("/{item_id}/uses")
def uses(item_id: str, who: Who) -> Response:
    """What rests on an item: facts that rules derive with it, and stored answers that used it. A part of its page."""
    from nesycd.api.whatif import questions_using

    entry, _ = found(who, item_id)
    opened, problem = who.review.opened, ""
    answers: list[Any] = []
    if opened is not None:
        try:
            answers = questions_using(opened, entry.item_id)
        except KnowledgeError as error:
            problem = who.review.told(error)
    derived, without = derived_with(who.review, entry)
    return page(
        who,
        "uses.html",
        entry=entry,
        state=state_of(entry),
        derived=derived,
        without=without,
        answers=answers[:_USES],
        count=len(answers),
        problem=problem,
        whole=not who.request.headers.get("x-part"),
    )


@router.get("/{item_id}/edit")
def edit_form(item_id: str, request: Request, who: Who) -> Response:
    """A form for changing an item."""
    entry, _ = found(who, item_id)
    draft, back = draft_of(entry.item), local(request.query_params.get("back", f"/items/{entry.item_id}"))
    return _edit_page(who, entry, draft, {"back": back, "why": ""})


@router.post("/{item_id}/edit")
def edit(item_id: str, form: Reviewer) -> Response:
    """Save an edit, and with `action=approve` approve the item too."""
    entry, _ = found(form, item_id)
    draft, back = draft_from(form, entry.item.kind), local(form.text("back") or f"/items/{item_id}")
    why = form.text("why")[:2000]
    kept = {"back": back, "why": why}
    status = Status.APPROVED if form.text("action") == "approve" else None
    try:
        after = item_from(draft)
        if not form.text("text_only"):
            refuse_left_behind(entry.item, after)
        done = reviewing.edit(form.review.kb, item_id, form.text("state"), changes_of(draft), form.name, why, status)
    except Stale as error:
        if error.entry is None:
            return stale_page(form, error)
        return _edit_page(form, error.entry, draft, kept, 409, form.review.told(error), seen_id=item_id)
    except KnowledgeError as error:
        return _edit_page(form, entry, draft, kept, 422, form.review.told(error), state=form.text("state"))
    if done.revision is None:
        form.session.message = "Nothing was changed"
        return go(back)
    return _done(
        form, done, "Saved and approved" if status else "Saved", back.replace(item_id, done.entries[0].item_id)
    )


@router.get("/{item_id}/merge")
def merge_form(item_id: str, request: Request, who: Who) -> Response:
    """A form for making two items one; without `with`, a choice of the other one."""
    entry, row = found(who, item_id)
    other_id = request.query_params.get("with", "")
    if other_id:
        other, _ = found(who, other_id)
        return _merge_page(who, entry, other, draft_of(entry.item))
    return page(
        who, "choose.html", **_candidates(who, entry, row, request.query_params.get("search", "")[:200].strip())
    )


@router.post("/{item_id}/merge")
def merge(item_id: str, form: Reviewer) -> Response:
    """Make two items one."""
    entry, _ = found(form, item_id)
    other_id, _, other_state = form.text("other").partition(":")
    other, _ = found(form, other_id)
    draft, why = draft_from(form, entry.item.kind), form.text("why")[:2000]
    try:
        item_from(draft)
        kept = (item_id, form.text("state"))
        done = reviewing.merge(form.review.kb, kept, (other_id, other_state), changes_of(draft), form.name, why)
    except Stale as error:
        return stale_page(form, error)
    except KnowledgeError as error:
        seen = (form.text("state"), other_state)
        return _merge_page(form, entry, other, draft, 422, form.review.told(error), why, seen)
    return _done(form, done, "Merged")


@router.get("/{item_id}/split")
def split_form(item_id: str, who: Who) -> Response:
    """A form for making one item several."""
    entry, _ = found(who, item_id)
    drafts = [draft_of(entry.item), {**EMPTY, "kind": entry.item.kind}]
    return page(who, "split.html", entry=entry, state=state_of(entry), drafts=drafts, problem="", why="")


@router.post("/{item_id}/split")
def split(item_id: str, form: Reviewer) -> Response:
    """Make one item several; `action=part` asks for one more part."""
    entry, _ = found(form, item_id)
    count = min(_PARTS, max(2, int(given) if (given := form.text("parts")).isdecimal() and len(given) < 3 else 2))
    drafts = [draft_from(form, entry.item.kind, f"p{number}_") for number in range(count)]
    context: dict[str, Any] = {"entry": entry, "state": form.text("state"), "why": form.text("why")[:2000]}
    if form.text("action") == "part":
        drafts += [{**EMPTY, "kind": entry.item.kind}] if count < _PARTS else []
        return page(form, "split.html", drafts=drafts, problem="", **context)
    filled = [draft for draft in drafts if any(value for key, value in draft.items() if key != "kind")]
    try:
        parts = [_part(number, draft) for number, draft in enumerate(filled, start=1)]
        done = reviewing.split(form.review.kb, item_id, form.text("state"), parts, form.name, context["why"])
    except Stale as error:
        return stale_page(form, error)
    except KnowledgeError as error:
        return page(form, "split.html", 422, drafts=drafts, problem=form.review.told(error), **context)
    return _done(form, done, f"Split into {len(parts)}")


def found(who: Visit, item_id: str) -> tuple[Entry, Row | None]:
    """An entry by its id, a former one or the beginning of one, and its row.

    Raises:
        Refused: there is none.
    """
    try:
        entry = who.review.kb.get(item_id[:64])
    except KnowledgeError as error:
        raise Refused(404, who.review.told(error)) from None
    return entry, who.review.listing.now().by_id.get(entry.item_id)


def _done(form: Posted, done: Done, told: str, back: str = "") -> Response:
    if done.revision is not None:
        form.session.did("revision", done.revision, 1)
    form.session.message = told
    return go(back or f"/items/{done.entries[0].item_id}")


def _part(number: int, draft: dict[str, Any]) -> Item:
    try:
        return item_from(draft)
    except KnowledgeError as error:
        raise KnowledgeError(f"part {number}: {error}") from None


def _edit_page(
    who: Visit,
    entry: Entry,
    draft: dict[str, Any],
    kept: dict[str, str],
    status: int = 200,
    problem: str = "",
    seen_id: str = "",
    state: str = "",
) -> Response:
    """The form of an item.

    Args:
        who, entry, draft, kept: who sees it, of what, with which input: the item's, and `back` and `why`.
        status, problem: what is wrong with that.
        seen_id: the id under which the item was seen, where somebody changed it since: both are shown.
        state: that was seen, where the input is shown again; else it is seen now.
    """
    return page(
        who,
        "edit.html",
        status,
        entry=entry,
        state=state or state_of(entry),
        draft=draft,
        problem=problem,
        seen_id=seen_id,
        can_ask=who.review.opened is not None,
        why_not=who.review.why_not,
        **kept,
    )


def _merge_page(
    who: Visit,
    entry: Entry,
    other: Entry,
    draft: dict[str, Any],
    status: int = 200,
    problem: str = "",
    why: str = "",
    seen: tuple[str, str] = ("", ""),
) -> Response:
    if entry.item.kind != other.item.kind:
        problem = f"a {entry.item.kind} and a {other.item.kind} cannot be merged"
    given: dict[str, Any] = {"entry": entry, "other": other, "state": seen[0] or state_of(entry)}
    given["other_state"] = seen[1] or state_of(other)
    return page(who, "merge.html", status, draft=draft, problem=problem, why=why, **given)


def _candidates(who: Visit, entry: Entry, row: Row | None, search: str) -> dict[str, Any]:
    review, now = who.review, who.review.listing.now()
    others: dict[str, Entry] = {}
    for one in () if search else review.findings(entry, now):
        others |= {other.item_id: other for other in one.entries}
    text = search or (entry.item.subject if isinstance(entry.item, Fact) else "")
    uids = review.listing.search(text) or set()
    rows = [row for row in now.of_kind(entry.item.kind) if row.uid in uids][:30]
    others |= {other.item_id: other for other in review.entries(rows)}
    others.pop(entry.item_id, None)
    return {"entry": entry, "row": row, "others": list(others.values())[:30], "search": search}


def _history(who: Visit, entry: Entry) -> list[dict[str, Any]]:
    """The lines of an item's history, newest first, each with the item before it."""
    lines = who.review.kb.history(entry.item_id)
    told = []
    for number, line in enumerate(lines):
        before = lines[number - 1] if number else None
        told.append({"line": line, "before": before, "fields": _changed(before.item if before else None, line.item)})
    return told[::-1]


def _changed(before: Item | None, after: Item) -> list[tuple[str, str, str]]:
    """The fields that differ, as text before and after."""
    if before is None or before == after:
        return []
    old, new = (draft_of(item) for item in (before, after))
    old["tests"], new["tests"] = (_tests(fields["tests"]) for fields in (old, new))
    return [(key, old[key], new[key]) for key in old if key in new and old[key] != new[key]]


def _tests(tests: list[dict[str, str]]) -> str:
    return "\n".join(" ".join(f"{key}: {value}" for key, value in test.items() if value) for test in tests)

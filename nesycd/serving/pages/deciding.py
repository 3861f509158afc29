"""The queue, one item at a time or as a list; all items; decisions on one or many; undo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Status
from nesycd.knowledge import entities as graph
from nesycd.knowledge import reviewing
from nesycd.knowledge.reviewing import Stale, state_of
from nesycd.serving.pages.listing import KINDS, Filter, Row, Snapshot
from nesycd.serving.pages.web import Posted, Refused, Visit, filter_of, go, local, number_of, page, posted, visit
from nesycd.serving.safety import Role

router = APIRouter()
Who = Annotated[Visit, Depends(visit)]
Reader = Annotated[Posted, Depends(posted(Role.READER))]
Reviewer = Annotated[Posted, Depends(posted(Role.REVIEWER))]
SIZES = (50, 200)
_CASES = 5
_DECISIONS = {"approve": Status.APPROVED, "reject": Status.REJECTED, "retire": Status.RETIRED}
_DONE = {"approve": "Approved", "reject": "Rejected", "retire": "Retired", "unsure": "Left to others"}


@router.get("/")
def queue(request: Request, who: Who) -> Response:
    """The queue: the item `at`, or the first one; `view=list` for all."""
    wanted = filter_of(request)
    now = who.review.listing.now()
    chosen = now.chosen(wanted, now.queue, who.review.listing.search(wanted.search))
    if request.query_params.get("view") == "list":
        return _listed(request, who, now, wanted, chosen, "queue")
    if not chosen:
        return page(who, "empty.html", wanted=wanted, **_choices(now))
    at = request.query_params.get("at", "")
    place = next((number for number, row in enumerate(chosen) if row.item_id == at), 0) if at else 0
    row = chosen[place]
    found = who.review.entries([row])
    if not found:
        raise KnowledgeError("this item is gone; load the queue again")
    ahead: dict[str, Any] = {
        "before": chosen[place - 1].item_id if place else "",
        "after": chosen[(place + 1) % len(chosen)].item_id if len(chosen) > 1 else "",
        "place": place + 1,
        "total": len(chosen),
    }
    return page(who, "card.html", wanted=wanted, **ahead, **_choices(now), **card(who, found[0], row, now))


@router.get("/items")
def items(request: Request, who: Who) -> Response:
    """All items, whether somebody should look at them or not."""
    wanted = filter_of(request)
    now = who.review.listing.now()
    chosen = now.chosen(wanted, now.by_name, who.review.listing.search(wanted.search))
    return _listed(request, who, now, wanted, chosen, "items")


@router.post("/decide")
def decide(form: Reviewer) -> Response:
    """Approve, reject, retire or leave items to others: all or none."""
    action, why, back = form.text("action"), form.text("why")[:2000], local(form.text("back") or "/")
    seen = seen_of(form)
    if action == "merge":
        if len(seen) != 2:
            raise Refused(400, "choose two items to merge")
        kept, other = seen
        return go(f"/items/{kept}/merge?with={other}")
    try:
        if action == "unsure":
            done = reviewing.defer(form.review.kb, seen, form.name, why)
            form.session.did("unsure", next(iter(seen)))
        elif action in _DECISIONS:
            done = reviewing.decide(form.review.kb, seen, _DECISIONS[action], form.name, why)
            if done.revision is not None:
                form.session.did("revision", done.revision, len(seen))
        else:
            raise Refused(400, "no such decision")
    except Stale as error:
        return stale_page(form, error)
    told = f"“{_short(done.entries[0])}”" if len(done.entries) == 1 else f"{len(done.entries)} items"
    form.session.message = f"{_DONE[action]}: {told}"
    return go(back)


@router.post("/undo")
def undo(form: Reviewer) -> Response:
    """Take back what this person did last in this session."""
    acts = form.session.acts
    if not acts:
        form.session.message = "There is nothing of yours to undo since you signed in"
        return go(form.text("back") or "/")
    what, which = acts.pop()  # also where it cannot be undone any more, so that what was done before can be
    if what == "unsure":
        form.session.message = "Back at the item that you left to others; the remark stays in its history"
        return go(f"/?at={which}")
    if what == "wrong":
        form.session.message = "Back at what you called wrong; it stays in the queue until somebody decides on it"
        return go(f"/?at={which}")
    if what == "merge":
        graph.unmerge_entities(form.review.kb, int(which), form.name, "undone")
        form.session.message = "Undone: the entities are two again"
        return go(form.text("back") or "/graph")
    done = reviewing.undo(form.review.kb, int(which), form.name)
    count = len(done.entries)
    form.session.message = f"Undone: {f'“{_short(done.entries[0])}”' if count == 1 else f'{count} items'} as before"
    return go(f"/?at={done.entries[0].item_id}" if count == 1 else form.text("back") or "/")


def seen_of(form: Posted) -> dict[str, str]:
    """The items that a form is about, with the states that were seen.

    Raises:
        Refused: none, or not `id:state`.
    """
    pairs = [value.partition(":") for value in form.texts("item")]
    if not pairs:
        raise Refused(400, "no item was chosen; tick some, or open one")
    if not all(item_id and state for item_id, _, state in pairs):
        raise Refused(400, "the form names its items in another way than these pages do")
    return {item_id: state for item_id, _, state in pairs}


def card(who: Visit, entry: Entry, row: Row | None, now: Snapshot, cases: int = _CASES) -> dict[str, Any]:
    """What is shown of an item: itself, why it is doubtful, and what stands behind it."""
    review = who.review
    found = review.evidence.cases(entry.evidence, entry.item.text)
    return {
        "entry": entry,
        "row": row,
        "state": state_of(entry),
        "findings": review.findings(entry, now),
        "effect": review.listing.effect(row.uid) if row else None,
        "cases": found[:cases],
        "more_cases": max(0, len(found) - cases),
    }


def stale_page(form: Posted, error: Stale) -> Response:
    """Somebody changed an item meanwhile: what was seen, and what it is now."""
    lines = form.review.kb.history(error.item_id)
    seen = next((line for line in reversed(lines) if line.item.id == error.item_id), lines[0])
    now = error.entry
    return page(form, "changed.html", 409, told=form.review.told(error), seen=seen.item, entry=now, error=error)


def _listed(request: Request, who: Visit, now: Snapshot, wanted: Filter, chosen: Sequence[Row], kind: str) -> Response:
    if wanted.order == "name":
        chosen = sorted(chosen, key=lambda row: row.place)
    elif wanted.order == "priority":
        chosen = sorted(chosen, key=lambda row: row.priority.key)
    size = number_of(request, "size", SIZES[0], SIZES[0], SIZES[-1])
    pages = max(1, -(-len(chosen) // size))
    number = number_of(request, "page", 1, 1, pages)
    shown = chosen[(number - 1) * size : number * size]
    entries = who.review.entries(shown)
    by_id = {entry.item_id: entry for entry in entries}
    listed = [(row, by_id[row.item_id], state_of(by_id[row.item_id])) for row in shown if row.item_id in by_id]
    return page(
        who,
        "list.html",
        wanted=wanted,
        kind=kind,
        listed=listed,
        total=len(chosen),
        number=number,
        pages=pages,
        size=size,
        **_choices(now),
    )


def _choices(now: Snapshot) -> dict[str, Any]:
    parts = {f"all_{part}": now.values(part) for part in ("status", "source", "relation", "reason")}
    return {"all_kind": [(kind, now.counts["kind"][kind]) for kind in KINDS], "waiting": len(now.queue), **parts}


def _short(entry: Entry) -> str:
    text = entry.item.text
    return text if len(text) <= 60 else f"{text[:57]}…"

"""The neighbourhood of an entity as a drawing and as a table, and merging of entities."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Fact, Status
from nesycd.core.text import normal
from nesycd.knowledge import KnowledgeGraph, merge_entities, unmerge_entities
from nesycd.knowledge.merge import entry_order
from nesycd.serving.pages.deciding import Reviewer, Who
from nesycd.serving.pages.derived import around
from nesycd.serving.pages.web import Posted, Visit, go, local, number_of, page, posted
from nesycd.serving.safety import Role

router = APIRouter(prefix="/graph")
Admin = Annotated[Posted, Depends(posted(Role.ADMIN))]
_MOST = 150
"""Facts in one drawing: more are no picture any more."""


@router.get("")
def graph(request: Request, who: Who) -> Response:
    """An entity with the facts around it; without one, those with most facts."""
    now = who.review.listing.now()
    name, hops = request.query_params.get("entity", "")[:300].strip(), number_of(request, "hops", 1, 1, 3)
    if not name:
        return page(who, "graph.html", entity="", hubs=now.hubs, around=None, hops=hops, merges=_merges(who), near=[])
    found = neighbourhood(who, name, hops)
    wanted = normal(name)
    near = [] if found["rows"] else [other for other, uids in list(now.named.items()) if uids and wanted in other][:30]
    return page(
        who, "graph.html", entity=name, hubs=[], around=found, hops=hops, merges=_merges(who), near=sorted(near)
    )


@router.post("/merge")
def merge(form: Reviewer) -> Response:
    """Take one entity as another."""
    entity, into = form.text("entity"), form.text("into")
    done = merge_entities(form.review.kb, entity, into, form.name, form.text("why")[:2000])
    form.session.did("merge", done.number)
    form.session.message = f"“{done.entity}” is “{done.into}” now"
    return go(local(form.text("back") or "/graph"))


@router.post("/unmerge")
def unmerge(form: Reviewer) -> Response:
    """Take a merge of entities back."""
    number = form.text("number")
    if not number.isdecimal() or len(number) > 15:
        raise KnowledgeError("no such merge of entities")
    undone = unmerge_entities(form.review.kb, int(number), form.name, form.text("why")[:2000])
    form.session.message = f"“{undone.entity}” and “{undone.into}” are two again"
    return go(local(form.text("back") or "/graph"))


def neighbourhood(who: Visit, name: str, hops: int) -> dict[str, Any]:
    """The facts around an entity, approved and proposed: `rows` for the table, `elements` for the drawing."""
    review, now = who.review, who.review.listing.now()
    entities = review.entities()
    start = entities.node(name)
    names = {start, normal(name), *(old for old in entities.merged if entities.node(old) == start)}
    living = [row for row in around(now, names, hops, 3 * _MOST) if row.status in ("approved", "proposed")]
    entries = sorted(review.entries(living), key=entry_order)
    by_id = {entry.item_id: entry for entry in entries}
    drawn = KnowledgeGraph([one.model_copy(update={"status": Status.APPROVED}) for one in entries], entities)
    nodes = drawn.find(name)
    if nodes:
        facts = [(step.depth, step.fact) for step in drawn.neighbourhood(nodes[0], hops)]
    else:
        # What is only ever an object is no entity of the graph: the facts that have it are shown all the same.
        facts = [(1, one.item) for one in entries if isinstance(one.item, Fact) and normal(one.item.object) in names]
    shown = facts[:_MOST]
    elements: dict[str, dict[str, Any]] = {}
    for depth, fact in shown:
        value = drawn.value(fact)
        is_known = any(row.names[0] == value for row in now.facts_of([value]))
        ends = [(fact.subject, True), (fact.object, is_known or drawn.find(fact.object) != [])]
        ids = []
        for text, is_entity in ends:
            node = value if text == fact.object else entities.node(text)
            key = f"n:{node}" if is_entity else f"v:{fact.id}"
            data = {"id": key, "label": text, "entity": node if is_entity else "", "depth": depth}
            elements.setdefault(key, {"data": data, "classes": _classes(node in (start, *nodes), is_entity)})
            ids.append(key)
        entry = by_id[fact.id]
        edge = {"id": f"e:{fact.id}", "source": ids[0], "target": ids[1], "label": fact.relation, "item": fact.id}
        elements[edge["id"]] = {"data": edge, "classes": str(entry.status)}
    rows = [(depth, by_id[fact.id]) for depth, fact in shown]
    return {
        "rows": rows,
        "elements": list(elements.values()),
        "left": len(facts) - len(shown),
        "node": (nodes or [start])[0],
    }


def _classes(is_start: bool, is_entity: bool) -> str:
    return " ".join(
        name for name, holds in (("start", is_start), ("entity", is_entity), ("value", not is_entity)) if holds
    )


def _merges(who: Visit) -> list[Any]:
    return [merge for merge in who.review.entities().merges if not merge.reverted][::-1]

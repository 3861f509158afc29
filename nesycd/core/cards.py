"""Items and calls as notebooks show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nesycd.core.markup import Child, Markup, tag
from nesycd.core.notebook import cut, grid, shown

if TYPE_CHECKING:
    from nesycd.core.answers import Call
    from nesycd.core.records import Entry, Evidence, Item

_MOST_PROOF = 5


def item_card(item: Item, *more: tuple[str, Child]) -> Markup:
    """An item: its text, and its other fields that are not empty; `more` of the same."""
    fields = item.model_dump(mode="json", exclude={"kind", "text"}).items()
    rows = [("id", tag("code", item.id)), *((key, cut(_told(value))) for key, value in fields if value), *more]
    return shown(tag("p", tag("b", item.kind), " ", cut(item.text)), grid((), rows))


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ("\n" if value and isinstance(value[0], dict) else ", ").join(map(_told, value))
    if isinstance(value, dict):
        return "; ".join(f"{name}: {said}" for name, said in value.items() if said)
    return str(value)


def entry_card(entry: Entry) -> Markup:
    """An item with who decided on it, and the errors it came from."""
    decided = f"{entry.status} by {entry.reviewer}" if entry.reviewer else str(entry.status)
    proof = [("evidence", _proof(one)) for one in entry.evidence[:_MOST_PROOF]]
    if (more := len(entry.evidence) - len(proof)) > 0:
        proof.append(("", f"{more} more"))
    return item_card(entry.item, ("status", decided), *proof)


def _proof(one: Evidence) -> str:
    return f"{cut(one.source, 100)}, of {cut(one.example, 100)}" if one.example else cut(one.source, 200)


def trace_table(calls: Iterable[Call]) -> Markup:
    """Calls in order: what was asked and found, from which items and how."""
    rows = [
        (
            tag("code", cut(call.asked, 200)),
            cut(call.found, 200) or "nothing",
            "; ".join(filter(None, (", ".join(cut(item, 8) for item in call.items[:8]), cut(call.how, 200)))) or "–",
        )
        for call in calls
    ]
    return grid(("call", "found", "from"), rows)

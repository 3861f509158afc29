"""One HTML file in which an expert without access to the base decides on what waits, and which gives a file of decisions back.

It loads nothing and sends nothing; what was decided stays in the browser until it is downloaded (`knowledge/decisions.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from nesycd.core.markup import Child, Markup, tag
from nesycd.core.records import Evidence
from nesycd.core.text import printable
from nesycd.knowledge.decisions import EDITABLE, SCHEMA
from nesycd.knowledge.queue import Waiting
from nesycd.knowledge.reviewing import state_of
from nesycd.reports.page import policy

Told = Sequence[tuple[str, str]]
"""What a run has of a piece of evidence: pairs of what it is (`question`, `right`, `answered`, `cause`) and what it says."""
_KEYS = (
    ("a", "approve"),
    ("e", "edit"),
    ("r", "reject"),
    ("u", "not sure"),
    ("c", "comment"),
    ("j", "next item"),
    ("k", "previous item"),
    ("z", "undo"),
    ("/", "search"),
)


def item_of(waiting: Waiting, told_of: Callable[[Evidence], Told] | None, cases: int) -> dict[str, Any]:
    """What the page holds of an item that waits.

    Args:
        waiting: the item with the reasons why it is asked.
        told_of: what stands behind a piece of evidence; None where no run tells.
        cases: how many pieces are told, at most.
    """
    entry = waiting.entry
    content = {key: value for key, value in entry.item.model_dump(mode="json").items() if value}
    asked = [piece for piece in entry.evidence if piece.example]
    told = [dict(found) for piece in asked[:cases] if told_of is not None and (found := told_of(piece))]
    return {
        "id": entry.item_id,
        "state": state_of(entry),
        "status": str(entry.status),
        "by": entry.reviewer,
        "item": content,
        "reasons": list(waiting.reasons),
        "evidence": len(entry.evidence),
        "sources": sorted({piece.source for piece in entry.evidence}),
        "cases": told,
    }


def render_review_file(title: str, base: str, revision: int, items: Iterable[Mapping[str, Any]]) -> str:
    """The whole page as text.

    Args:
        title: what the items are of, such as a run's name.
        base: see `decisions.identity_of`.
        revision: of the base.
        items: see `item_of`.
    """
    content = {
        "schema": SCHEMA,
        "base": base,
        "revision": revision,
        "title": printable(title),
        "editable": EDITABLE,
        "items": list(items),
    }
    style, script = _asset("report.css") + _asset("review_file.css"), _asset("review_file.js")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(style, script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"Review: {title}"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        _header(title),
        tag("p", "This page needs JavaScript; it loads and sends nothing.", id="without"),
        tag("main", _list(), _item(), id="review", hidden=True),
        tag("script", _embedded(content), type="application/json", id="data"),
        tag("script", Markup(script)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _header(title: str) -> Markup:
    buttons = (
        _button("download", "Download decisions", css="main"),
        _button("copy", "Copy them"),
        tag(
            "label",
            "Go on from a file ",
            tag("input", type="file", id="load", accept=".json,application/json"),
            class_="file",
        ),
    )
    return tag(
        "header",
        tag("h1", f"Review: {title}"),
        tag(
            "p",
            "Decide on each item: is it true, and worth knowing? Nothing leaves this page by itself. Download the decisions at "
            "the end (or in between), and send the file back to whoever gave you this page.",
            class_="intro",
        ),
        tag("p", id="keeps", class_="warning", hidden=True),
        tag(
            "div",
            tag("label", "Your name ", tag("input", id="by", autocomplete="name", maxlength="200")),
            buttons,
            tag("span", tag("progress", id="progress", value="0", aria_label="decided"), " ", tag("span", id="count")),
            class_="bar",
        ),
    )


def _list() -> Markup:
    states = ("to decide", "all", "approved", "edited", "rejected", "not sure", "with a comment")
    return tag(
        "nav",
        tag("label", "Search ", tag("input", type="search", id="search")),
        tag("label", "Show ", tag("select", [tag("option", one, value=one) for one in states], id="show")),
        tag("ul", id="list"),
        tag(
            "div",
            _button("earlier", "‹ earlier"),
            tag("span", id="place"),
            _button("later", "later ›"),
            class_="pager",
        ),
        aria_label="items",
    )


def _item() -> Markup:
    acts = (
        _button("approve", "Approve", "a", "good"),
        _button("edit", "Edit", "e"),
        _button("reject", "Reject", "r", "bad"),
        _button("unsure", "Not sure", "u"),
        _button("undo", "Undo", "z"),
        _button("previous", "‹ Previous", "k"),
        _button("next", "Next ›", "j"),
    )
    keys = tag("dl", [tag("div", tag("dt", tag("kbd", key)), tag("dd", what)) for key, what in _KEYS])
    return tag(
        "article",
        tag("div", id="item"),
        tag("form", tag("h3", "Edit"), tag("div", id="fields"), id="form", hidden=True),
        tag("div", id="behind"),
        tag(
            "label",
            "Comment (kept with the decision) ",
            tag("textarea", id="comment", rows="2", maxlength="20000"),
            class_="stacked",
            id="remark",
        ),
        tag("div", tag("p", id="said", role="status"), tag("div", acts, id="acts"), class_="acts"),
        tag(
            "details",
            tag("summary", "Keys"),
            tag(
                "label",
                tag("input", type="checkbox", id="keys", checked=True),
                " single keys act, outside of text fields",
            ),
            keys,
            class_="keys",
        ),
        aria_labelledby="heading",
    )


def _button(name: str, text: str, key: str = "", css: str = "") -> Markup:
    hint: Child = tag("kbd", key) if key else None
    return tag("button", text, hint, type="button", id=name, class_=css or None, aria_keyshortcuts=key or None)


def _embedded(content: Mapping[str, Any]) -> Markup:
    """JSON that no text in it can end: as ASCII, with `<`, `>` and `&` as escapes."""
    made = json.dumps(content, separators=(",", ":"))
    return Markup(made.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _asset(name: str) -> str:
    return resources.files("nesycd.reports").joinpath(name).read_text(encoding="utf-8")

"""Items as forms: what a form shows of an item, and what it says of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Fact, Item, Rule, RuleTest
from nesycd.core.text import is_blank
from nesycd.knowledge.formats.mapping import first_problem
from nesycd.knowledge.rows import ITEM
from nesycd.knowledge.wording import left_behind
from nesycd.serving.pages.listing import KINDS
from nesycd.serving.pages.web import Posted

_TESTS = 20
EMPTY: dict[str, Any] = {
    **dict.fromkeys(("text", "subject", "relation", "object", "aliases", "clause", "says", "scope", "exceptions"), ""),
    "tests": [],
}
"""The fields of a form: lists have a line for each entry."""


def draft_of(item: Item) -> dict[str, Any]:
    """An item as the fields of a form."""
    fields: dict[str, Any] = {**EMPTY, "kind": item.kind, "text": item.text}
    if isinstance(item, Fact):
        fields |= {"subject": item.subject, "relation": item.relation, "object": item.object}
        fields["aliases"] = "\n".join(item.aliases)
    elif isinstance(item, Rule):
        fields |= {"clause": item.clause or "", "says": item.says, "scope": "\n".join(item.scope)}
        fields["exceptions"] = "\n".join(item.exceptions)
        fields["tests"] = [test.model_dump() for test in item.tests]
    return fields


def draft_from(form: Posted, kind: str, prefix: str = "") -> dict[str, Any]:
    """What somebody typed, to be shown again where it cannot be used."""
    fields: dict[str, Any] = {"kind": kind, **{key: form.text(f"{prefix}{key}") for key in EMPTY if key != "tests"}}
    parts = [form.texts(f"{prefix}test_{part}")[:_TESTS] for part in RuleTest.model_fields]
    rows = [dict(zip(RuleTest.model_fields, row, strict=True)) for row in zip(*parts, strict=False)]
    fields["tests"] = [row for row in rows if any(value.strip() for value in row.values())]
    return fields


def changes_of(draft: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an item that a form says."""
    kind, changes = draft["kind"], {"text": draft["text"]}
    if kind == "fact":
        changes |= {key: " ".join(draft[key].split()) for key in ("subject", "relation", "object")}
        changes["aliases"] = _lines(draft["aliases"])
    elif kind == "rule":
        changes |= {"clause": draft["clause"] or None, "says": draft["says"], "scope": _lines(draft["scope"])}
        changes |= {"exceptions": _lines(draft["exceptions"])}
        changes["tests"] = tuple(RuleTest(**test) for test in draft["tests"])
    return changes


def item_from(draft: Mapping[str, Any]) -> Item:
    """The item that a form says.

    Raises:
        KnowledgeError: a field that cannot be used, named.
    """
    if draft["kind"] not in KINDS:
        raise KnowledgeError(f"kind: choose one of {', '.join(KINDS)}")
    try:
        changes = changes_of(draft)
        made = ITEM.validate_python({"kind": draft["kind"], **changes})
    except ValidationError as error:
        raise KnowledgeError(first_problem(error)) from None
    needed = ("text", "subject", "relation", "object") if draft["kind"] == "fact" else ("text",)
    if empty := [key for key in needed if is_blank(changes[key])]:
        raise KnowledgeError(f"{empty[0]}: has no character that can be seen")
    return made


def refuse_left_behind(before: Item, after: Item) -> None:
    """Text and triple are changed together, since the student reads the one and look-ups the other.

    Raises:
        KnowledgeError: the text does not say a part of the triple.
    """
    if not (isinstance(after, Fact) and (parts := left_behind(before, after))):
        return
    told = " and ".join(f"the {part} “{getattr(after, part)}”" for part in parts)
    raise KnowledgeError(
        f"the text does not say {told}: change both together, or tick that the text is meant to say something else"
    )


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())

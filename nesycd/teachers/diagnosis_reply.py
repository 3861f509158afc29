"""Parses a language model's diagnosis into items: by schema, else leniently, without adding anything.

Incomplete items are dropped and counted; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from nesycd.core.files import squeeze
from nesycd.core.records import Fact, Item, Lesson, Rule
from nesycd.teachers.lenient_json import find_values

TEXT = {"type": "string"}
"""Schema of a text."""
_FACT = {"text": TEXT, "subject": TEXT, "relation": TEXT, "object": TEXT}
_RULE = {"if": TEXT, "then": TEXT, "clause": {"type": ["string", "null"]}}


def object_of(**properties: Any) -> dict[str, Any]:
    """Schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def list_of(items: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of a list."""
    return {"type": "array", "items": dict(items)}


_PARTS = {
    "cause": TEXT,
    "facts": list_of(object_of(**_FACT)),
    "rules": list_of(object_of(**_RULE)),
    "lessons": list_of(TEXT),
}
SCHEMA = object_of(**_PARTS)
"""JSON schema of a diagnosis."""
CLUSTERED_SCHEMA = object_of(diagnoses=list_of(object_of(error={"type": "integer"}, **_PARTS)))
"""JSON schema of the diagnoses of several errors, each named by its number."""

_NAMES = {
    "cause": ("cause", "reason", "error_cause"),
    "fact": ("facts", "fact", "supplementary_knowledge", "knowledge"),
    "rule": ("rules", "rule"),
    "lesson": ("lessons", "lesson", "precautions", "learning_summary"),
}
_SUBJECT, _RELATION, _OBJECT = ("subject",), ("relation", "predicate"), ("object", "value")
_STATED = ("text", "statement", "sentence", "description", "content")
LONGEST = 400
"""Characters of an item's text: longer ones say more than one thing."""


@dataclass
class Reading:
    """What was read of one diagnosis.

    Attributes:
        problem: why it cannot be used; "" where it can (it may propose nothing).
        dropped: how many things in it were no item.
    """

    cause: str = ""
    items: list[Item] = field(default_factory=list)
    problem: str = "it holds no JSON object with the wanted keys"
    dropped: int = 0


def read_diagnosis(text: str, shown: str = "") -> Reading:
    """Read one diagnosis. An item whose words or amount stand in `shown` (the prompt's own example) was copied and is dropped."""
    reading = Reading()
    for value in find_values(text):
        _read_into(reading, value, squeeze(shown).casefold())
    _judge(reading)
    return reading


def read_clustered(text: str, errors: int, shown: str = "") -> dict[int, Reading]:
    """Read the diagnoses of several errors, by number from 1; those not given, or given no known number, are missing."""
    found: dict[int, Reading] = {}
    for value in find_values(text):
        for one in _numbered(value):
            number = re.search(r"\d+", str(one.get("error", "")))
            if number and 1 <= int(number.group()[:6]) <= errors:
                _read_into(found.setdefault(int(number.group()[:6]), Reading()), one, squeeze(shown).casefold())
    for reading in found.values():
        _judge(reading)
    return {number: reading for number, reading in found.items() if not reading.problem}


def _numbered(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and "error" in value:
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _numbered(inner)


def _judge(reading: Reading) -> None:
    reading.items = list({item.id: item for item in reading.items}.values())
    if not reading.items and reading.dropped:
        reading.problem = f"none of its {reading.dropped} entries has the needed parts"


def _read_into(reading: Reading, value: Any, shown: str) -> None:
    """Gather the items of a value: a diagnosis, an item on its own, or a wrapper around them."""
    if isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict | list):
                _read_into(reading, inner, shown)
        return
    keys = {str(key).strip().casefold().replace(" ", "_"): inner for key, inner in value.items()}
    if any(name in keys for names in _NAMES.values() for name in names):
        lists = any(name in keys for kind in ("fact", "rule", "lesson") for name in _NAMES[kind])
        # A cause alone is half an answer; empty lists are one.
        reading.problem = "" if lists else reading.problem
        reading.cause = reading.cause or text_of(_first(keys, _NAMES["cause"]))
        for kind in ("fact", "rule", "lesson"):
            for one in _listed(_first(keys, _NAMES[kind]), kind):
                _take(reading, _item(kind, one, shown))
    elif (kind := _kind(keys)) and (item := _item(kind, keys, shown)):
        reading.problem = ""
        reading.items.append(item)
    else:
        for inner in keys.values():
            if isinstance(inner, dict | list):
                _read_into(reading, inner, shown)


def _take(reading: Reading, item: Item | None) -> None:
    if item is None:
        reading.dropped += 1
    else:
        reading.items.append(item)


def _listed(value: Any, kind: str) -> list[Any]:
    """The entries of a list; a single one may stand for itself, and an object may number its entries by keys."""
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, list):
        triple = kind == "fact" and len(value) == 3 and all(isinstance(part, str) for part in value)
        return [value] if triple and not any(" " in part and part.endswith(".") for part in value) else value
    if isinstance(value, dict):
        keys = {str(key).casefold() for key in value}
        single = keys & {"text", "if", "subject", *_STATED}
        return [value] if single else list(value.values())
    return [value]


def _kind(keys: Mapping[str, Any]) -> str:
    """What an object on its own is: as it says itself, or by its parts."""
    said = text_of(keys.get("kind") or keys.get("type")).casefold()
    if said in {"fact", "rule", "lesson"}:
        return said
    return "fact" if "subject" in keys else "rule" if {"if", "then"} <= set(keys) else ""


def _item(kind: str, value: Any, shown: str) -> Item | None:
    try:
        item = {"fact": _fact, "rule": _rule, "lesson": _lesson}[kind](value)
    except ValidationError:
        return None
    if item is None or not 8 <= len(item.text) <= LONGEST or " " not in item.text:
        return None
    return None if _copied(item, shown) else item


def _copied(item: Item, shown: str) -> bool:
    # Weak models give every subject the example's amount.
    if isinstance(item, Fact) and re.search(r"\d.* \w", item.object) and item.object.casefold() in shown:
        return True
    parts = re.split(r"^If |, then ", item.text.rstrip(".")) if isinstance(item, Rule) else [item.text]
    return all(part.casefold() in shown for part in parts if part) if shown else False


def _fact(value: Any) -> Item | None:
    if isinstance(value, list) and len(value) == 3:
        value = dict(zip(("subject", "relation", "object"), value, strict=True))
    if not isinstance(value, dict):
        return None
    keys = {str(key).strip().casefold(): inner for key, inner in value.items()}
    subject, relation, thing = (text_of(_first(keys, names)) for names in (_SUBJECT, _RELATION, _OBJECT))
    if not (subject and relation and thing):
        return None
    text = text_of(_first(keys, _STATED)) or f"{subject[0].upper()}{subject[1:]} {relation} {thing}."
    return Fact(text=text, subject=subject, relation=relation, object=thing)


def _rule(value: Any) -> Item | None:
    if not isinstance(value, dict):
        return Rule(text=text_of(value))
    keys = {str(key).strip().casefold(): inner for key, inner in value.items()}
    condition, action = text_of(keys.get("if")), text_of(keys.get("then"))
    text = text_of(_first(keys, ("rule", *_STATED)))
    if condition and action:
        condition = re.sub(r"^if\s+", "", condition, flags=re.IGNORECASE).rstrip(" .,")
        action = re.sub(r"^then\s+", "", action, flags=re.IGNORECASE).rstrip(" .")
        text = f"If {condition}, then {action}."
    elif condition or action:
        return None
    return Rule(text=text, clause=text_of(keys.get("clause")) or None)


def _lesson(value: Any) -> Item | None:
    if isinstance(value, dict):
        keys = {str(key).strip().casefold(): inner for key, inner in value.items()}
        value = _first(keys, ("lesson", *_STATED))
    return Lesson(text=text_of(value))


def _first(keys: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((keys[name] for name in names if keys.get(name) not in (None, "")), None)


def text_of(value: Any) -> str:
    """A text or number as one line; "" for anything else, and for a placeholder."""
    if not isinstance(value, str):
        return ""
    # Half of a surrogate pair cannot be written to a file.
    text = squeeze(value.encode("utf-8", "ignore").decode())
    return "" if text.strip(" .…-").casefold() in {"", "n/a", "na", "none", "null"} else text

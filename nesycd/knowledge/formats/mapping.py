"""An entry as plain text, lists and mappings, the form that all formats share, and what a file's row says of an entry.

The keys are the fields of the item records, so that a new field of an item is exchanged without a change here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Fact, Item, Lesson, Rule, Status
from nesycd.core.text import printable
from nesycd.knowledge.journal import MAX_ITEM
from nesycd.knowledge.rows import ITEM

ITEM_KEYS = tuple(dict.fromkeys(name for kind in (Lesson, Fact, Rule) for name in kind.model_fields))
"""Fields of items, `kind` and `text` first."""
ENTRY_KEYS = ("id", "status", "reviewer", "evidence")
EVIDENCE_KEYS = ("source", "example", "attempt")
SHORT_KEYS = (*ITEM_KEYS, "id", "status", "reviewer")
"""What the formats that are not lossless hold (`docs/knowledge-base.md`)."""
GRAPH_PARTS = ("merges", "relations")
"""What the lossless formats hold besides entries, each a list of mappings (`graph_exchange`)."""
_AS_JSON = ("scope", "exceptions", "tests")
"""Lists that these formats hold as one text: their order counts, or they are more than texts."""

_MOST_TOLD = 50
"""Bad rows whose faults are told; of more only the places are."""
_MOST_SAID = 300
"""Characters of a fault, which may quote the file."""


@dataclass(frozen=True)
class Row:
    """Something in a file that should be an entry: where it stands, and what it says or why it cannot be read."""

    where: str
    value: Any = None
    problem: str = ""
    part: str = "entries"
    """Or one of `GRAPH_PARTS`."""


@dataclass(frozen=True)
class FileEntry:
    """An entry as read from a file: where it stood, and what the file says besides its content."""

    where: str
    entry: Entry
    states_status: bool
    """Whether the file gives a status; it then holds even against what the KB says."""
    id: str = ""
    """The id the file gives. Where it is not the content's, the entry was edited by hand."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """The item's fields that the file gives."""


def as_mapping(entry: Entry) -> dict[str, Any]:
    """All that an entry is; fields that are as they are by default are left out."""
    item = entry.item.model_dump(mode="json", exclude_defaults=True)
    body: dict[str, Any] = {"kind": entry.item.kind, "id": entry.item_id}
    body.update((key, item[key]) for key in ITEM_KEYS[1:] if key in item)
    body["status"] = str(entry.status)
    if entry.reviewer:
        body["reviewer"] = entry.reviewer
    body["evidence"] = [
        {key: value for key in EVIDENCE_KEYS if (value := getattr(e, key)) or key == "source"} for e in entry.evidence
    ]
    return body


def short(entry: Entry) -> dict[str, Any]:
    """An entry's `SHORT_KEYS`, those that it has: texts, and of `aliases` a list."""
    body = {key: value for key, value in as_mapping(entry).items() if key in SHORT_KEYS}
    return body | {key: json.dumps(body[key], ensure_ascii=False) for key in _AS_JSON if key in body}


def from_short(body: Mapping[str, Any]) -> dict[str, Any]:
    """What `short` made of an entry, as `as_mapping` would have it; what is no JSON stays, to be refused by its key."""
    made = dict(body)
    for key in _AS_JSON:
        if key in body:
            with suppress(ValueError, RecursionError):
                made[key] = json.loads(body[key])
    return made


def read_entry(value: Any, where: str, source: str, default: tuple[Status, str]) -> FileEntry:
    """An entry of what a file says of it.

    Args:
        value: a mapping as `as_mapping` makes it, in which all but the item's own fields may be missing.
        where: file, and place in it.
        source: of the evidence, where none is given.
        default: status and reviewer where the file gives none.

    Raises:
        KnowledgeError: `key: what is wrong`.
    """
    if not isinstance(value, Mapping):
        raise KnowledgeError("is not a mapping of keys to values")
    unknown = sorted(set(value) - {*ITEM_KEYS, *ENTRY_KEYS})
    if unknown:
        raise KnowledgeError(f"{unknown[0]}: is not a key of an entry ({', '.join((*ITEM_KEYS, *ENTRY_KEYS))})")
    _refuse_unstorable(value)
    fields = {key: value[key] for key in ITEM_KEYS if key in value}
    item = valid_item(fields)
    given = value.get("id", "")
    if not isinstance(given, str):
        raise KnowledgeError("id: must be text")
    status, reviewer = default
    if status is Status.PROPOSED:
        reviewer = ""  # nobody has decided
    if "status" in value:
        known = [str(one) for one in Status]
        if value["status"] not in known:
            raise KnowledgeError(f"status: {value['status']!r} is none of {', '.join(known)}")
        status, reviewer = Status(value["status"]), ""
    reviewer = value.get("reviewer", reviewer)
    if not isinstance(reviewer, str):
        raise KnowledgeError("reviewer: must be text")
    evidence = _read_evidence(value["evidence"]) if "evidence" in value else (Evidence(example="", source=source),)
    entry = Entry(item=item, status=status, reviewer=reviewer, evidence=evidence)
    return FileEntry(where, entry, "status" in value, given, fields)


def valid_item(fields: Mapping[str, Any]) -> Item:
    """The item with these fields.

    Raises:
        KnowledgeError: `key: what is wrong`.
    """
    try:
        item = ITEM.validate_python(dict(fields))
    except ValidationError as error:
        raise KnowledgeError(first_problem(error)) from None
    if not item.text.strip():
        raise KnowledgeError("text: is blank")
    return item


def first_problem(error: ValidationError) -> str:
    """`key: message` of the first thing pydantic found wrong with an item."""
    first = error.errors()[0]
    kinds = {"lesson", "fact", "rule"}
    key = ".".join(str(part) for part in first["loc"] if part not in kinds) or "kind"
    return printable(f"{key}: {first['msg']}")


def read_rows(rows: Iterable[Row], place: str, source: str, default: tuple[Status, str]) -> Iterator[FileEntry]:
    """The entries of a file's rows, one after the other.

    Raises:
        KnowledgeError: after the last one, where rows cannot be used: each named by its place and key.
    """
    good = 0
    bad: list[tuple[str, str]] = []
    for row in rows:
        try:
            if row.problem:
                raise KnowledgeError(row.problem)
            entry = read_entry(row.value, f"{place}: {row.where}", source, default)
        except KnowledgeError as error:
            bad.append((row.where, printable(str(error))[:_MOST_SAID]))
        else:
            good += 1
            yield entry
    if bad:
        told = [f"{where}: {why}" for where, why in bad[:_MOST_TOLD]]
        more = [f"and so with {', '.join(where for where, _ in bad[_MOST_TOLD:])}"] if len(bad) > _MOST_TOLD else []
        raise KnowledgeError(
            f"{place}: {len(bad)} of {len(bad) + good} entries cannot be used, nothing was imported: "
            + "; ".join(told + more)
        )


def _refuse_unstorable(value: Mapping[str, Any]) -> None:
    for key, inner in value.items():
        try:
            if isinstance(inner, str) and len(inner) < MAX_ITEM // 8:
                inner.encode()  # no escapes make it too large
                continue
            size = len(json.dumps(inner, ensure_ascii=False).encode())
        except UnicodeEncodeError:
            raise KnowledgeError(f"{key}: holds half a character (a lone surrogate)") from None
        if size > MAX_ITEM:
            raise KnowledgeError(f"{key}: has {size:,} bytes, and at most {MAX_ITEM:,} are kept")


def _read_evidence(value: Any) -> tuple[Evidence, ...]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise KnowledgeError("evidence: must be a list of mappings with source, example and attempt")
    pieces = []
    for one in value:
        if unknown := sorted(set(one) - {*EVIDENCE_KEYS}):
            raise KnowledgeError(f"evidence.{unknown[0]}: is not a key ({', '.join(EVIDENCE_KEYS)})")
        try:
            pieces.append(Evidence.model_validate({"example": "", **one}))
        except ValidationError as error:
            raise KnowledgeError(f"evidence.{first_problem(error)}") from None
    return tuple(pieces)

"""Knowledge as readable YAML: export (sorted, the same text for the same KB) and all-or-nothing import.

What is written is read back without loss: items, status, reviewer, evidence. A person may write entries by hand with
nothing but `kind`, `text` and, for facts, `subject`, `relation`, `object`. Editing the content of an exported entry
under its `id` and importing the file edits that entry.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nesycd.errors import KnowledgeError
from nesycd.knowledge import rows
from nesycd.knowledge.merge import item_key
from nesycd.knowledge.rows import AddCounts
from nesycd.knowledge.store import KnowledgeBase, first_problem
from nesycd.knowledge.yaml_text import Node, emit_mapping, parse
from nesycd.records import Entry, Evidence, Item, Status

FORMAT = "nesycd-kb/1"
_ITEM_KEYS = (
    "kind",
    "text",
    "subject",
    "relation",
    "object",
    "aliases",
    "clause",
    "says",
    "scope",
    "exceptions",
    "tests",
)
_ENTRY_KEYS = ("id", "status", "reviewer", "evidence")
_EVIDENCE_KEYS = {"source", "example", "attempt"}
_MOST_NAMED = 20


@dataclass(frozen=True)
class FileEntry:
    """An entry as read from a file: where it stood, and what the file says besides its content."""

    where: str
    entry: Entry
    states_status: bool
    """Whether the file gives a status; it then holds even against what the KB says."""
    edits: str = ""
    """The id the file gives where it is not the content's: the entry was edited by hand."""


def export_text(kb: KnowledgeBase) -> str:
    """The whole KB as YAML. Two KBs with the same entries give the same text, byte for byte."""
    lines = [f"format: {FORMAT}", "entries:"]
    for entry in kb.entries():
        lines += ["", *emit_mapping(_as_mapping(entry))]
    if len(lines) == 2:
        lines[1] = "entries: []"
    return "\n".join(lines) + "\n"


def export_yaml(kb: KnowledgeBase, path: Path) -> int:
    """Write the KB to a file, whole or not at all (a full disk leaves the old file); gives the number of entries."""
    text = export_text(kb)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644  # mkstemp's 0600 would lock colleagues out
        os.chmod(name, mode)
        os.replace(name, path)
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be written: {error.strerror}; the old file is unchanged") from error
    finally:
        Path(name).unlink(missing_ok=True)
    return text.count("\n- kind: ")


def import_yaml(kb: KnowledgeBase, path: Path, *, status: Status = Status.PROPOSED, reviewer: str = "") -> AddCounts:
    """Read a file into the KB as one change.

    `status`, and `reviewer` with it, are for entries that do not state theirs. An entry whose content was edited in the
    file, under the id it was exported with, is edited in the KB, by `reviewer` (or the file's name where that is "").

    Raises:
        KnowledgeError: the file cannot be read, or entries in it cannot be used; all of them are named, none imported.
    """
    found = read_yaml(path, status=status, reviewer=reviewer)
    editor = reviewer or path.name
    with kb.writing() as connection:
        before = rows.load(connection)
        for one in found:
            if not one.edits:
                continue
            try:
                uid = rows.find(connection, one.edits)
            except KnowledgeError:
                continue  # another KB's entry: it is new here
            try:
                rows.rewrite(connection, uid, partial(_as_in_file, one), editor)
            except KnowledgeError as error:
                raise KnowledgeError(f"{one.where}: {error}; nothing was imported") from None
        rows.merge_in(connection, [one.entry for one in found])
        uids = rows.uids_by_key(connection, [item_key(one.entry.item) for one in found])
        for one in found:
            if one.states_status:
                uid = uids[item_key(one.entry.item)]
                rows.set_status(connection, [uid], one.entry.status, one.entry.reviewer)
        after = rows.load(connection, sorted(set(uids.values())))
    added = sum(uid not in before for uid in after)
    same = sum(before.get(uid) == entry for uid, entry in after.items())
    return AddCounts(added, len(after) - added - same, same)


def read_yaml(path: Path, *, status: Status = Status.PROPOSED, reviewer: str = "") -> list[FileEntry]:
    """The entries of a file, checked.

    Raises:
        KnowledgeError: no readable YAML of the expected form, or bad entries: each named by number, line and key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise KnowledgeError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    good: list[FileEntry] = []
    bad: list[str] = []
    for number, node in enumerate(_entry_nodes(parse(text, str(path)), path), start=1):
        where = f"entry {number} (line {node.line})"
        try:
            good.append(_read_entry(node.value, f"{path}: {where}", path.name, (status, reviewer)))
        except KnowledgeError as error:
            bad.append(f"{where}: {error}")
    if bad:
        more = f"; and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
        raise KnowledgeError(
            f"{path}: {len(bad)} of {len(bad) + len(good)} entries cannot be used, nothing was imported: "
            + "; ".join(bad[:_MOST_NAMED])
            + more
        )
    return good


def _as_mapping(entry: Entry) -> dict[str, Any]:
    item = entry.item.model_dump(mode="json")
    body: dict[str, Any] = {"kind": item["kind"], "id": entry.item_id}
    body.update((key, item[key]) for key in _ITEM_KEYS[1:] if item.get(key) not in (None, []))
    if "tests" in body:
        body["tests"] = [{key: text for key, text in test.items() if text} for test in body["tests"]]
    body["status"] = str(entry.status)
    if entry.reviewer:
        body["reviewer"] = entry.reviewer
    body["evidence"] = [
        {key: value for key in ("source", "example", "attempt") if (value := getattr(e, key)) or key == "source"}
        for e in entry.evidence
    ]
    return body


def _entry_nodes(root: Node, path: Path) -> list[Node]:
    top = root.value
    if isinstance(top, Mapping):
        unknown = sorted(set(top) - {"format", "entries"})
        if unknown:
            raise KnowledgeError(f"{path}: {unknown[0]!r} is not a key of this format (format, entries)")
        if "format" in top and top["format"].value != FORMAT:
            raise KnowledgeError(f"{path}: format is {top['format'].value!r}, but {FORMAT!r} is read here")
        top = (top["entries"].value or []) if "entries" in top else None
    if not isinstance(top, list):
        raise KnowledgeError(f"{path}: needs a list of entries, or a mapping with `entries:`")
    return top


def _read_entry(value: Any, where: str, source: str, default: tuple[Status, str]) -> FileEntry:
    if not isinstance(value, Mapping):
        raise KnowledgeError("is not a mapping of keys to values")
    plain = {key: _plain(node) for key, node in value.items() if node.value is not None}
    unknown = sorted(set(plain) - {*_ITEM_KEYS, *_ENTRY_KEYS})
    if unknown:
        raise KnowledgeError(f"{unknown[0]}: is not a key of an entry ({', '.join((*_ITEM_KEYS, *_ENTRY_KEYS))})")
    try:
        item = rows.ITEM.validate_python({key: plain[key] for key in _ITEM_KEYS if key in plain})
    except ValidationError as error:
        raise KnowledgeError(first_problem(error)) from None
    if not item.text.strip():
        raise KnowledgeError("text: is blank")
    given = plain.get("id", "")
    if not isinstance(given, str):
        raise KnowledgeError("id: must be text")
    status, reviewer = default
    if status is Status.PROPOSED:
        reviewer = ""  # nobody has decided
    if "status" in plain:
        known = [str(one) for one in Status]
        if plain["status"] not in known:
            raise KnowledgeError(f"status: {plain['status']!r} is none of {', '.join(known)}")
        status, reviewer = Status(plain["status"]), ""
    reviewer = plain.get("reviewer", reviewer)
    if not isinstance(reviewer, str):
        raise KnowledgeError("reviewer: must be text")
    evidence = _read_evidence(plain["evidence"]) if "evidence" in plain else (Evidence(example="", source=source),)
    entry = Entry(item=item, status=status, reviewer=reviewer, evidence=evidence)
    return FileEntry(where, entry, "status" in plain, given if given and given != item.id else "")


def _read_evidence(value: Any) -> tuple[Evidence, ...]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise KnowledgeError("evidence: must be a list of mappings with source, example and attempt")
    pieces = []
    for one in value:
        if unknown := sorted(set(one) - _EVIDENCE_KEYS):
            raise KnowledgeError(f"evidence.{unknown[0]}: is not a key (source, example, attempt)")
        try:
            pieces.append(Evidence.model_validate({"example": "", **one}))
        except ValidationError as error:
            raise KnowledgeError(f"evidence.{first_problem(error)}") from None
    return tuple(pieces)


def _as_in_file(one: FileEntry, _before: Entry) -> Item:
    return one.entry.item


def _plain(node: Node) -> Any:
    if isinstance(node.value, list):
        return [_plain(one) for one in node.value]
    if isinstance(node.value, dict):
        return {key: _plain(one) for key, one in node.value.items() if one.value is not None}
    return node.value

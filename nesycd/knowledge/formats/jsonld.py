"""Knowledge as JSON-LD, lossless: JSON for programs, and RDF for those who read it as such.

Read is JSON with the very context written here: nothing is fetched from anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry
from nesycd.core.text import is_visible
from nesycd.knowledge.formats.mapping import Row, as_mapping

VOCABULARY = "urn:nesycd:kb:1:"
ITEM = "urn:nesycd:item:"
CONTEXT = {"@version": 1.1, "@vocab": VOCABULARY, "aliases": {"@container": "@set"}, "evidence": {"@container": "@set"}}
_KINDS = {"fact", "lesson", "rule"}
_TYPES = {"merges": "merge", "relations": "relation"}
_PARTS = {kind: part for part, kind in _TYPES.items()}
_BLANKS = " \t\n\r"


def write(entries: Iterable[Entry], graph: Mapping[str, Iterable[Mapping[str, Any]]] | None = None) -> str:
    """The entries in the order given, each on its line, and then what `graph` says (`GRAPH_PARTS`)."""
    lines = []
    for entry in entries:
        body = as_mapping(entry)
        node = {"@id": ITEM + body.pop("id"), "@type": body.pop("kind"), **body}
        lines.append(json.dumps(node, ensure_ascii=False))
    for part, bodies in (graph or {}).items():
        lines += [json.dumps({"@type": _TYPES[part], **body}, ensure_ascii=False) for body in bodies]
    nodes = "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"
    # What a terminal would obey, or other readers take for the end of a line, is spelled out.
    spelled = "".join(char if char == "\n" or is_visible(char) else json.dumps(char)[1:-1] for char in nodes)
    return f'{{"@context": {json.dumps(CONTEXT)},\n"@graph": {spelled}}}\n'


def read(text: str, place: str) -> Iterator[Row]:
    """The entries of a file.

    Raises:
        KnowledgeError: no JSON, or not of this form.
    """
    try:
        found = dict(_members(text, place))
    except _NotJson as error:
        line = text.count("\n", 0, error.at) + 1
        raise KnowledgeError(f"{place}: line {line}: {error}") from None
    if found.get("@context") != CONTEXT:
        raise KnowledgeError(f"{place}: its @context is not the one that nesycd writes; other JSON-LD is not read here")
    graph = found.get("@graph")
    if not isinstance(graph, list):
        raise KnowledgeError(f"{place}: needs the entries in @graph")
    line, at = 1, 0
    for number, (start, value) in enumerate(graph, start=1):
        line, at = line + text.count("\n", at, start), start
        where = f"entry {number} (line {line})"
        part = _PARTS.get(value.get("@type", "")) if isinstance(value, dict) else None
        if part is not None:
            yield Row(where, {key: inner for key, inner in value.items() if key != "@type"}, part=part)
            continue
        try:
            yield Row(where, _entry(value))
        except KnowledgeError as error:
            yield Row(where, problem=str(error))


class _NotJson(Exception):
    def __init__(self, why: str, at: int) -> None:
        super().__init__(why)
        self.at = at


def _members(text: str, place: str) -> Iterator[tuple[str, Any]]:
    """The members of the outermost object; of `@graph` the elements with their offsets, so that lines can be named."""
    seen = set()
    at = _expect(text, _skip(text, 0), "{")
    while True:
        key, at = _value(text, _skip(text, at))
        if not isinstance(key, str) or key not in {"@context", "@graph"} or key in seen:
            raise _NotJson(f"needs @context and @graph once, and nothing else, not {str(key)[:40]!r}", at)
        seen.add(key)
        at = _skip(text, _expect(text, _skip(text, at), ":"))
        if key == "@graph" and text.startswith("[", at):
            value, at = _elements(text, at)
        else:
            value, at = _value(text, at)
        yield key, value
        at = _skip(text, at)
        if text.startswith(",", at):
            at += 1
            continue
        at = _skip(text, _expect(text, at, "}"))
        if at < len(text):
            raise _NotJson("something follows the end", at)
        return


def _elements(text: str, at: int) -> tuple[list[tuple[int, Any]], int]:
    found: list[tuple[int, Any]] = []
    at = _skip(text, at + 1)
    if text.startswith("]", at):
        return found, at + 1
    while True:
        start = _skip(text, at)
        value, at = _value(text, start)
        found.append((start, value))
        at = _skip(text, at)
        if not text.startswith(",", at):
            return found, _expect(text, at, "]")
        at += 1


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _expect(text: str, at: int, what: str) -> int:
    if not text.startswith(what, at):
        raise _NotJson(f"is not JSON: {what} is missing", at)
    return at + 1


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _NotJson(f"is not JSON: {error.msg}", error.pos) from None
    except RecursionError:
        raise _NotJson("nested too deeply", at) from None
    except ValueError as error:  # a key twice, or an endless number
        raise _NotJson(str(error).partition(";")[0], at) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)[:40]!r} stands twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _entry(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise KnowledgeError("is not an object")
    body = {key: inner for key, inner in value.items() if inner is not None}
    item = body.pop("@id", ITEM)
    if not isinstance(item, str) or not item.startswith(ITEM):
        raise KnowledgeError(f"@id: must start with {ITEM}")
    kind = body.pop("@type", None)
    if kind not in _KINDS:
        raise KnowledgeError(f"@type: must be one of {', '.join(sorted(_KINDS))}")
    if clash := {"id", "kind"} & set(body):
        raise KnowledgeError(f"{min(clash)}: stands in @id and @type here")
    return {"kind": kind, **({"id": item.removeprefix(ITEM)} if item != ITEM else {}), **body}

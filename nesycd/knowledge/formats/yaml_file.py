"""Knowledge as readable YAML, lossless: sorted, the same text for the same KB, and easy to write by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nesycd.errors import KnowledgeError
from nesycd.knowledge.formats.mapping import Row, as_mapping
from nesycd.knowledge.yaml_text import Node, emit_mapping, parse
from nesycd.records import Entry

FORMAT = "nesycd-kb/1"


def write(entries: Iterable[Entry]) -> str:
    """The entries, in the order given."""
    lines = [f"format: {FORMAT}", "entries:"]
    for entry in entries:
        lines += ["", *emit_mapping(as_mapping(entry))]
    if len(lines) == 2:
        lines[1] = "entries: []"
    return "\n".join(lines) + "\n"


def read(text: str, place: str) -> Iterator[Row]:
    """The entries of a file.

    Raises:
        KnowledgeError: no YAML, or not of this form.
    """
    top = parse(text, place).value
    if isinstance(top, Mapping):
        unknown = sorted(set(top) - {"format", "entries"})
        if unknown:
            raise KnowledgeError(f"{place}: {unknown[0]!r} is not a key of this format (format, entries)")
        if "format" in top and top["format"].value != FORMAT:
            raise KnowledgeError(f"{place}: format is {top['format'].value!r}, but {FORMAT!r} is read here")
        top = (top["entries"].value or []) if "entries" in top else None
    if not isinstance(top, list):
        raise KnowledgeError(f"{place}: needs a list of entries, or a mapping with `entries:`")
    for number, node in enumerate(top, start=1):
        yield Row(f"entry {number} (line {node.line})", _plain(node))


def _plain(node: Node) -> Any:
    if isinstance(node.value, list):
        return [_plain(one) for one in node.value]
    if isinstance(node.value, dict):
        return {key: _plain(one) for key, one in node.value.items() if one.value is not None}
    return node.value

"""Knowledge as readable YAML, lossless: sorted, the same text for the same KB, and easy to write by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry
from nesycd.knowledge.formats.mapping import GRAPH_PARTS, Row, as_mapping
from nesycd.knowledge.yaml_text import Node, emit_mapping, parse

FORMAT = "nesycd-kb/1"


Graph = Mapping[str, Iterable[Mapping[str, Any]]]


def write(entries: Iterable[Entry], graph: Graph | None = None) -> str:
    """The entries, in the order given, and then what `graph` says (`GRAPH_PARTS`)."""
    return "".join(pieces(entries, graph))


def pieces(entries: Iterable[Entry], graph: Graph | None = None) -> Iterator[str]:
    """The same, entry by entry."""
    yield f"format: {FORMAT}\n"
    number = 0
    for number, entry in enumerate(entries, 1):
        opening = "entries:\n" if number == 1 else ""
        yield f"{opening}\n{_text(emit_mapping(as_mapping(entry)))}"
    if not number:
        yield "entries: []\n"
    for part, bodies in (graph or {}).items():
        if told := [line for body in bodies for line in emit_mapping(body)]:
            yield f"\n{part}:\n{_text(told)}"


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def read(text: str, place: str) -> Iterator[Row]:
    """The entries of a file, and what it says of the graph.

    Raises:
        KnowledgeError: no YAML, or not of this form.
    """
    top = parse(text, place).value
    graph: dict[str, list[Node]] = {}
    if isinstance(top, Mapping):
        unknown = sorted(set(top) - {"format", "entries", *GRAPH_PARTS})
        if unknown:
            known = ", ".join(("format", "entries", *GRAPH_PARTS))
            raise KnowledgeError(f"{place}: {unknown[0]!r} is not a key of this format ({known})")
        graph = {part: top[part].value or [] for part in GRAPH_PARTS if part in top}
        if wrong := next((part for part, nodes in graph.items() if not isinstance(nodes, list)), ""):
            raise KnowledgeError(f"{place}: line {top[wrong].line}: {wrong}: must be a list")
        if "format" in top and top["format"].value != FORMAT:
            raise KnowledgeError(f"{place}: format is {top['format'].value!r}, but {FORMAT!r} is read here")
        top = (top["entries"].value or []) if "entries" in top else None
    if not isinstance(top, list):
        raise KnowledgeError(f"{place}: needs a list of entries, or a mapping with `entries:`")
    for number, node in enumerate(top, start=1):
        yield Row(f"entry {number} (line {node.line})", node.plain)
    for part, nodes in graph.items():
        for node in nodes:
            yield Row(f"line {node.line}", node.plain, part=part)

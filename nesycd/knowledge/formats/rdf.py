"""Knowledge as RDF, lossless: entries and what is said of entities and relations as one rdflib graph, in Turtle or JSON-LD.

Beside the items stand the triples of approved facts, for those who read graphs. A file that says nothing of items is read as
a graph that people made: every triple a fact, with labels as names. Nothing is fetched from anywhere.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from nesycd.core.errors import KnowledgeError
from nesycd.core.files import unique_keys
from nesycd.core.records import Entry, Fact, Status
from nesycd.core.text import is_visible, normal, printable
from nesycd.knowledge.formats.mapping import SHORT_KEYS, Row, as_mapping, from_short, short
from nesycd.knowledge.formats.rdf_graph import ENGLISH, LABEL, OTHER_LABEL, RDFS, SKOS, TYPE, Graph, in_order, rows_of

VOCABULARY, ITEM = "urn:nesycd:kb:1:", "urn:nesycd:item:"
ENTITY, RELATION = "urn:nesycd:entity:", "urn:nesycd:relation:"
_PREFIXES = {"kb": VOCABULARY, "item": ITEM, "entity": ENTITY, "relation": RELATION, "rdfs": RDFS, "skos": SKOS}
_SETS = ("aliases", "evidence", "is")
CONTEXT = {
    "@version": 1.1,
    "@vocab": VOCABULARY,
    **{name: iri for name, iri in _PREFIXES.items() if name in ("rdfs", "skos")},
    **{key: {"@container": "@set"} for key in _SETS},
}
_KINDS = ("fact", "lesson", "rule")
_ITEM_KEYS = (*SHORT_KEYS[1:], "evidence")
_PLACES = re.compile(r'^[ \t]*(?:<([^>\n]*)>|item:(\w+))|(?<!\\)"@id": *"([^"\n]*)"', re.MULTILINE)
"""Where a file speaks of a node: rdflib does not tell lines."""


# --- writing ----------------------------------------------------------------------------------------------------------


def write_turtle(entries: Iterable[Entry], parts: Mapping[str, Iterable[Mapping[str, Any]]] | None = None) -> str:
    """The entries, and what `parts` says (`GRAPH_PARTS`): the same text for the same content."""
    with _quiet():
        text: str = _graph(entries, parts or {}).serialize(format="turtle")
    return "".join(char if char == "\n" or is_visible(char) else _escape(char) for char in text.strip("\n") + "\n")


def write_jsonld(entries: Iterable[Entry], parts: Mapping[str, Iterable[Mapping[str, Any]]] | None = None) -> str:
    """The same as JSON-LD, each node on its line."""
    from rdflib.plugins.serializers.jsonld import from_rdf

    with _quiet():
        made = from_rdf(_graph(entries, parts or {}), CONTEXT)  # type: ignore[no-untyped-call]
    del made["@context"]
    nodes = {node["@id"]: node for node in made.get("@graph", [made] if made else [])}
    proofs = {name: node for name, node in nodes.items() if name.startswith("_:e")}
    lines = sorted(
        json.dumps(_in_order(node, proofs), ensure_ascii=False) for name, node in nodes.items() if name not in proofs
    )
    graph = "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"
    # What a terminal would obey, or other readers take for the end of a line, is spelled out.
    spelled = "".join(char if char == "\n" or is_visible(char) else json.dumps(char)[1:-1] for char in graph)
    return f'{{"@context": {json.dumps(CONTEXT)},\n"@graph": {spelled}}}\n'


def _graph(entries: Iterable[Entry], parts: Mapping[str, Iterable[Mapping[str, Any]]]) -> Graph:
    """Blank nodes are numbered, so that their order is that of the numbers."""
    from rdflib import BNode, Graph, URIRef

    given = list(entries)
    graph = Graph(bind_namespaces="none")
    for name, iri in _PREFIXES.items():
        graph.bind(name, iri)
    for entry in given:
        body = short(entry)
        node = URIRef(ITEM + body.pop("id"))
        _say(graph, node, body.pop("kind"), body)
        for number, piece in enumerate(as_mapping(entry)["evidence"]):
            proof = BNode(f"e{entry.item_id}x{number:06}")
            graph.add((node, URIRef(VOCABULARY + "evidence"), proof))
            _say(graph, proof, "", piece)
    for number, merge in enumerate(parts.get("merges", ())):
        _say(graph, BNode(f"m{number:06}"), "merge", {**merge, "number": str(number)})
    for relation in parts.get("relations", ()):
        _say(graph, URIRef(_iri(RELATION, relation["name"])), "relation", relation)
    _say_facts(graph, [e.item for e in given if isinstance(e.item, Fact) and e.status is Status.APPROVED])
    return graph


def _say(graph: Graph, node: Any, kind: str, body: Mapping[str, Any]) -> None:
    from rdflib import Literal, URIRef

    if kind:
        graph.add((node, URIRef(TYPE), URIRef(VOCABULARY + kind)))
    for key, value in body.items():
        for text in value if isinstance(value, list) else [value]:
            graph.add((node, URIRef(VOCABULARY + key), Literal(text)))


def _say_facts(graph: Graph, facts: list[Fact]) -> None:
    """The triples of facts between entities; an object that is no subject is a literal."""
    from rdflib import Literal, URIRef

    subjects = {normal(fact.subject) for fact in facts}
    for fact in facts:
        node = URIRef(_iri(ENTITY, fact.subject))
        graph.add((node, URIRef(LABEL), Literal(" ".join(fact.subject.split()))))
        for alias in fact.aliases:
            graph.add((node, URIRef(OTHER_LABEL), Literal(alias)))
        linked = normal(fact.object) in subjects
        target = URIRef(_iri(ENTITY, fact.object)) if linked else Literal(fact.object)
        graph.add((node, URIRef(_iri(RELATION, fact.relation)), target))


def _iri(space: str, name: str) -> str:
    return space + quote(normal(name), safe="")


def _escape(char: str) -> str:
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"


def _in_order(value: Any, inner: Mapping[str, Any]) -> Any:
    """A node with keys and sets sorted, those of `inner` in the place of their names; other blank nodes without a name."""
    if isinstance(value, list):
        return sorted((_in_order(one, inner) for one in value), key=lambda one: json.dumps(one, ensure_ascii=False))
    if not isinstance(value, dict):
        return value
    body = inner.get(value.get("@id", ""), value)
    return {k: _in_order(v, inner) for k, v in sorted(body.items()) if not (k == "@id" and v.startswith("_:"))}


# --- reading ----------------------------------------------------------------------------------------------------------


def read_turtle(text: str, place: str, language: str = ENGLISH) -> Iterator[Row]:
    """Items as written here, or, in a file without any, a graph that people made; `language` is that of the names in it.

    Raises:
        KnowledgeError: no Turtle.
    """
    return _rows(_parsed(text, "turtle", place), text, language)


def read_jsonld(text: str, place: str, language: str = ENGLISH) -> Iterator[Row]:
    """The same from JSON-LD with the very context written here.

    Raises:
        KnowledgeError: no JSON, or not of this form.
    """
    found = _json(text, place)
    if not isinstance(found, dict) or set(found) != {"@context", "@graph"}:
        raise KnowledgeError(f"{place}: needs an object of @context and @graph, and nothing else")
    if found["@context"] != CONTEXT or _mentions_context(found["@graph"]):
        raise KnowledgeError(f"{place}: its @context is not the one that nesycd writes; other JSON-LD is not read here")
    return _rows(_parsed(found, "json-ld", place), text, language)


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise KnowledgeError(f"{place}: line {error.lineno}: is not JSON: {error.msg}") from None
    except (RecursionError, ValueError) as error:  # a key twice, or an endless number
        lines = text.splitlines(keepends=True)
        line = bisect_left(range(len(lines)), True, key=lambda last: not _is_cut("".join(lines[: last + 1]))) + 1
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error).partition(";")[0]
        raise KnowledgeError(f"{place}: line {line}: {printable(why)}") from None


def _is_cut(text: str) -> bool:
    """Whether nothing is wrong with JSON but that it ends too early."""
    try:
        json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError:
        return True
    except (RecursionError, ValueError):
        return False
    return True


def _mentions_context(value: Any) -> bool:
    """Whether a node brings a context of its own, which rdflib might fetch."""
    if isinstance(value, dict):
        return "@context" in value or any(map(_mentions_context, value.values()))
    return isinstance(value, list) and any(map(_mentions_context, value))


def _parsed(data: Any, form: str, place: str) -> Graph:
    from rdflib import Graph

    graph = Graph()
    try:
        with _quiet():
            graph.parse(data=data, format=form, publicID="urn:nesycd:file:")
    except RecursionError:
        raise KnowledgeError(f"{place}: nested too deeply") from None
    except Exception as error:  # rdflib's parsers raise whatever they stumble over
        told = " ".join(str(error).split())
        found = re.match(r"at line (\d+) of <>: (.*?)(?: at \^ in:|$)", told)
        why = f"line {found[1]}: {found[2]}" if found else f"is not RDF: {told[:200]}"
        raise KnowledgeError(f"{place}: {printable(why.replace('Bad syntax', 'is not Turtle'))}") from None
    return graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Without rdflib's warnings; of literals and IRIs that are none it logs whole tracebacks."""
    logger = logging.getLogger("rdflib.term")
    was, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = was


def _rows(graph: Graph, text: str, language: str) -> Iterator[Row]:
    nodes = _nodes(graph)
    if not nodes:
        with _quiet():
            human = list(rows_of(graph, language))
        yield from human
        return
    lines: dict[str, int] = {}
    line, at = 1, 0
    for found in _PLACES.finditer(text):
        line, at = line + text.count("\n", at, found.start()), found.start()
        lines.setdefault(ITEM + found[2] if found[2] else found[1] or found[3], line)
    merges: list[tuple[int, str, Row]] = []
    for node, said in sorted(nodes.items()):
        kind, body = said[0] if said else "item", _body(graph, node)
        shown = printable(str(node).removeprefix(ITEM) if str(node) in lines else str(body.get("text", ["-"])[0]))[:40]
        where = f"{kind if kind not in _KINDS else 'item'} {shown}"
        where += f" (line {lines[str(node)]})" if str(node) in lines else ""
        if len(said) != 1:
            yield Row(
                where, problem=f"@type: must be one of {', '.join(_KINDS)}, and is {' and '.join(said) or 'none'}"
            )
        elif kind in _KINDS:
            yield _item(node, kind, body, where)
        elif kind == "relation":
            yield Row(where, {key: _texts(values, key == "is") for key, values in body.items()}, part="relations")
        else:
            number = str(body.pop("number", ["0"])[0])
            told = {key: _texts(values) for key, values in body.items()}
            row = Row(f"merge of {printable(str(told.get('entity', '-')))[:40]}", told, part="merges")
            merges.append((int(number) if number.isdecimal() else 0, number, row))
    yield from (row for *_, row in sorted(merges, key=lambda merge: merge[:2]))


def _nodes(graph: Graph) -> dict[Any, list[str]]:
    """The nodes that speak in our words, with what each says it is: one of our kinds, unless something is wrong with it."""
    kinds = {VOCABULARY + kind: kind for kind in (*_KINDS, "merge", "relation")}
    words = {VOCABULARY + key for key in _ITEM_KEYS}
    found: dict[Any, list[str]] = {}
    evidence = set()
    for node, predicate, value in graph:
        if str(predicate) == TYPE and str(value) in kinds:
            found.setdefault(node, []).append(kinds[str(value)])
        elif str(predicate) in words:
            found.setdefault(node, [])
        if str(predicate) == VOCABULARY + "evidence":
            evidence.add(value)
    return {node: sorted(said) for node, said in found.items() if said or node not in evidence}


def _texts(values: list[Any], is_list: bool = False) -> str | list[str]:
    texts = [str(value) for value in values]
    return texts if is_list or len(texts) > 1 else texts[0]


def _body(graph: Graph, node: Any) -> dict[str, list[Any]]:
    """What a node says in our words; of evidence, which are nodes themselves, what these say."""
    from rdflib import BNode

    found: dict[str, list[Any]] = defaultdict(list)
    for _, predicate, value in in_order(graph.triples((node, None, None))):
        key = str(predicate).removeprefix(VOCABULARY)
        if str(predicate) != TYPE:
            is_node = key == "evidence" and isinstance(value, BNode)
            found[key].append({k: str(v[0]) for k, v in _body(graph, value).items()} if is_node else value)
    return found


def _item(node: Any, kind: str, found: Mapping[str, list[Any]], where: str) -> Row:
    from rdflib import BNode, Literal

    body: dict[str, Any] = {"kind": kind}
    if not isinstance(node, BNode):
        if not str(node).startswith(ITEM):
            return Row(where, problem=f"@id: must start with {ITEM}")
        # With an id it was exported: there is no other evidence than is told.
        body |= {"id": str(node).removeprefix(ITEM), "evidence": found.get("evidence", [])}
    for key, values in found.items():
        if key == "evidence":
            body[key] = values
        elif key not in _ITEM_KEYS or key in body:
            return Row(where, problem=f"{printable(key)}: is not a key of an item ({', '.join(_ITEM_KEYS)})")
        elif not all(isinstance(value, Literal) for value in values):
            return Row(where, problem=f"{key}: must be text")
        elif key == "aliases":
            body[key] = sorted(map(str, values), key=lambda name: (normal(name), name))
        elif len(values) > 1:
            return Row(where, problem=f"{key}: has {len(values)} values")
        else:
            body[key] = str(values[0])
    return Row(where, from_short(body))

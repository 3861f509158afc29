"""Knowledge as RDF in Turtle: `SHORT_KEYS` of every item, and the triples of approved facts for those who read graphs.

Writing needs no library; reading is rdflib's (extra `rdf`). A graph that is not ours is read as one that people made:
every triple a fact, with labels as names.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, unquote

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact, Status
from nesycd.core.text import is_visible, normal, printable
from nesycd.knowledge.formats.csv_file import human_fact
from nesycd.knowledge.formats.jsonld import ITEM, VOCABULARY
from nesycd.knowledge.formats.mapping import SHORT_KEYS, Row, from_short, short

ENTITY, RELATION = "urn:nesycd:entity:", "urn:nesycd:relation:"
_RDFS, _SKOS = "http://www.w3.org/2000/01/rdf-schema#", "http://www.w3.org/2004/02/skos/core#"
_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_NAMES = (_RDFS + "label", _SKOS + "prefLabel")
_OTHER_NAMES = _SKOS + "altLabel"
_SCHEMA = (_RDFS, "http://www.w3.org/2002/07/owl#", _SKOS, "http://www.w3.org/1999/02/22-rdf-syntax-ns#")
"""Vocabularies that speak of terms, not of the world; `a CLASS` is kept."""
_SUBJECT = re.compile(rf"\s*<?(?:{ITEM}|item:)(\w+)")
"""A line that speaks of an item: rdflib does not tell lines."""
_PREFIXES = {"kb": VOCABULARY, "item": ITEM, "entity": ENTITY, "relation": RELATION, "rdfs": _RDFS, "skos": _SKOS}


def write(entries: Iterable[Entry]) -> str:
    """Items in the order given, then the graph."""
    given = list(entries)
    lines = [f"@prefix {name}: <{iri}> ." for name, iri in _PREFIXES.items()]
    for entry in given:
        body = short(entry)
        lines += ["", f"<{ITEM}{body.pop('id')}> a kb:{body.pop('kind')}"]
        for key, value in body.items():
            values = value if isinstance(value, list) else [value]
            lines[-1] += " ;"
            lines.append(f"    kb:{key} {', '.join(map(_literal, values))}")
        lines[-1] += " ."
    facts = [e.item for e in given if isinstance(e.item, Fact) and e.status is Status.APPROVED]
    return "\n".join([*lines, "", *_graph(facts)]) + "\n"


def read(text: str, place: str) -> Iterator[Row]:
    """Items as written here, or, in a file without any, a graph that people made.

    Raises:
        KnowledgeError: no Turtle.
    """
    graph = _parsed(text, place)
    kinds = {VOCABULARY + kind: kind for kind in ("fact", "lesson", "rule")}
    typed = [(node, kinds[str(kind)]) for node, _, kind in graph if str(_) == _TYPE and str(kind) in kinds]
    if not typed:
        yield from _human(graph)
        return
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _SUBJECT.match(line):
            lines.setdefault(found[1], number)
    for node, kind in sorted(typed):
        name = str(node).removeprefix(ITEM)
        where = f"item {printable(name)[:40]}" + (f" (line {lines[name]})" if name in lines else "")
        yield _item(graph, node, kind, name, where)


def _literal(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(char) or (char if is_visible(char) else _code(char)) for char in text) + '"'


def _code(char: str) -> str:
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"


def _graph(facts: list[Fact]) -> Iterator[str]:
    def iri(space: str, name: str) -> str:
        return f"<{space}{quote(normal(name), safe='')}>"

    subjects = {normal(fact.subject) for fact in facts}
    names: dict[str, set[str]] = defaultdict(set)
    triples = set()
    for fact in facts:
        node = iri(ENTITY, fact.subject)
        names[node] |= {f"rdfs:label {_literal(' '.join(fact.subject.split()))}"}
        names[node] |= {f"skos:altLabel {_literal(alias)}" for alias in fact.aliases}
        linked = normal(fact.object) in subjects
        target = iri(ENTITY, fact.object) if linked else _literal(fact.object)
        triples.add(f"{node} {iri(RELATION, fact.relation)} {target} .")
    for node in sorted(names):
        yield f"{node} {' ; '.join(sorted(names[node]))} ."
    yield from sorted(triples)


def _parsed(text: str, place: str) -> Any:
    from rdflib import Graph

    graph = Graph()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph.parse(data=text, format="turtle", publicID="urn:nesycd:file:")
    except RecursionError:
        raise KnowledgeError(f"{place}: nested too deeply") from None
    except Exception as error:  # rdflib's parser raises whatever it stumbles over
        told = " ".join(str(error).split())
        found = re.match(r"at line (\d+) of <>: (.*?)(?: at \^ in:|$)", told)
        why = f"line {found[1]}: {found[2]}" if found else told[:200]
        raise KnowledgeError(f"{place}: {printable(why.replace('Bad syntax', 'is not Turtle'))}") from None
    return graph


def _item(graph: Any, node: Any, kind: str, name: str, where: str) -> Row:
    found: dict[str, list[Any]] = defaultdict(list)
    for _, predicate, value in graph.triples((node, None, None)):
        if str(predicate) != _TYPE:
            found[str(predicate).removeprefix(VOCABULARY)].append(value)
    body: dict[str, Any] = {"kind": kind, "id": name}
    for key, values in found.items():
        if key not in SHORT_KEYS or key in body:
            return Row(where, problem=f"{printable(key)}: is not a key of an item ({', '.join(SHORT_KEYS)})")
        if key == "aliases":
            body[key] = sorted(map(str, values), key=lambda name: (normal(name), name))
        elif len(values) > 1:
            return Row(where, problem=f"{key}: has {len(values)} values")
        else:
            body[key] = str(values[0])
    return Row(where, from_short(body))


def _human(graph: Any) -> Iterator[Row]:
    """Facts from the triples of any graph."""
    from rdflib import Literal

    names: dict[Any, list[str]] = defaultdict(list)
    others: dict[Any, set[str]] = defaultdict(set)
    for predicate in _NAMES:
        for node, value in sorted((s, o) for s, p, o in graph if str(p) == predicate and isinstance(o, Literal)):
            names[node].append(str(value))
    for node, predicate, value in graph:
        if str(predicate) == _OTHER_NAMES:
            others[node].add(str(value))

    def name(node: Any) -> str:
        if node in names:
            return names[node][0]
        return str(node) if isinstance(node, Literal) else _local_name(str(node))

    for subject, predicate, value in sorted(graph):
        is_a = str(predicate) == _TYPE
        if str(value).startswith(_SCHEMA) or (str(predicate).startswith(_SCHEMA) and not is_a):
            continue
        where = printable(f"triple {subject.n3()} {predicate.n3()} {value.n3()}")[:300]
        told = [name(subject), "is a" if is_a else name(predicate), name(value)]
        if not all(part.strip() for part in told):
            yield Row(where, problem="a node without a name: give it an rdfs:label")
            continue
        aliases = sorted({*names[subject][1:], *others[subject]})
        yield Row(where, {**human_fact(*told), "aliases": aliases})


def _local_name(iri: str) -> str:
    """The readable end of an IRI; blank nodes have none."""
    end = re.split(r"[#/:]", iri)[-1] if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", iri) else ""
    return unquote(end).replace("_", " ").strip()

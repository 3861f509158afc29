"""Facts from the triples of an RDF graph of any vocabulary that people made, with labels as names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from nesycd.core.text import printable
from nesycd.knowledge.formats.mapping import Row
from nesycd.knowledge.formats.table import human_fact

RDF, RDFS = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://www.w3.org/2000/01/rdf-schema#"
OWL, SKOS = "http://www.w3.org/2002/07/owl#", "http://www.w3.org/2004/02/skos/core#"
TYPE, LABEL, OTHER_LABEL = RDF + "type", RDFS + "label", SKOS + "altLabel"
_SCHEMA = (RDF, RDFS, OWL, SKOS)
"""Vocabularies that speak of terms, not of the world; `a CLASS` is kept."""
_LABELS = (SKOS + "prefLabel", LABEL)
"""Those that may be names, the preferred one first."""
ENGLISH = "en"

Graph = Any
"""An `rdflib.Graph`; the library comes with the extra `rdf`."""


def rows_of(graph: Graph, language: str = ENGLISH) -> Iterator[Row]:
    """A fact for each triple.

    Args:
        graph: any.
        language: of the labels that are names; where there is none in it, those in no language, then in English, are. Other
            labels become aliases. Of the texts that one subject and predicate have in several languages, the nearest is taken.
    """
    from rdflib import BNode

    names, aliases = _names(graph, language)
    nearest: dict[tuple[Any, Any], int] = {}
    for subject, predicate, value in graph:
        if _language(value):
            here = _distance(value, language)
            nearest[subject, predicate] = min(here, nearest.get((subject, predicate), here))

    def name(node: Any) -> str:
        return names.get(node) or (str(node) if _is_literal(node) else _local_name(str(node)))

    for subject, predicate, value in in_order(graph):
        is_a = str(predicate) == TYPE
        if str(value).startswith(_SCHEMA) or (str(predicate).startswith(_SCHEMA) and not is_a):
            continue
        if _language(value) and _distance(value, language) > nearest[subject, predicate]:
            continue
        where = printable(f"triple {subject.n3()} {predicate.n3()} {value.n3()}")[:300]
        told = [name(subject), "is a" if is_a else name(predicate), name(value)]
        if isinstance(value, BNode) and any(str(p) == RDF + "first" for p in graph.predicates(value)):
            yield Row(where, problem="its object is a list: write a triple for each member")
        elif not all(part.strip() for part in told):
            yield Row(where, problem="a node without a name: give it an rdfs:label")
        else:
            yield Row(where, {**human_fact(*told), "aliases": sorted(aliases.get(subject, ()))})


def in_order(triples: Any) -> list[tuple[Any, Any, Any]]:
    """Triples sorted by their texts: comparing the values of literals, as rdflib does, fails for some (NaN)."""
    return sorted(triples, key=lambda triple: [*map(_sort_key, triple)])


def _sort_key(node: Any) -> tuple[str, str, str, str]:
    return type(node).__name__, str(node), _language(node), str(getattr(node, "datatype", None) or "")


def _names(graph: Graph, language: str) -> tuple[dict[Any, str], dict[Any, set[str]]]:
    """Each node's name, where it has a label, and its further labels."""
    found: dict[Any, list[tuple[int, int, str, str]]] = defaultdict(list)
    aliases: dict[Any, set[str]] = defaultdict(set)
    for node, predicate, value in graph:
        if str(predicate) == OTHER_LABEL:
            aliases[node].add(str(value))
        elif str(predicate) in _LABELS and _is_literal(value) and value.strip():
            rank = _distance(value, language), _LABELS.index(str(predicate))
            found[node].append((*rank, _language(value), str(value)))
    names = {}
    for node, labels in found.items():
        (*_, names[node]), *others = sorted(labels)
        aliases[node].update(label for *_, label in others)
    return names, aliases


def _distance(value: Any, language: str) -> int:
    """How far a literal is from the language wanted: in it, in a wider one (`en` for `en-GB`), in none, English, another."""
    tag, wanted = _language(value), language.casefold()
    if f"{tag}-".startswith(f"{wanted}-"):
        return 0
    return (
        1 if tag and wanted.startswith(f"{tag}-") else 2 if not tag else 3 if f"{tag}-".startswith(f"{ENGLISH}-") else 4
    )


def _language(node: Any) -> str:
    return (getattr(node, "language", None) or "").casefold()


def _is_literal(node: Any) -> bool:
    from rdflib import Literal

    return isinstance(node, Literal)


def _local_name(iri: str) -> str:
    """The readable end of an IRI; blank nodes have none."""
    scheme, colon, rest = iri.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return ""
    end = next((part for part in reversed(re.split(r"[#/:]", rest)) if part), "")
    return unquote(end).replace("_", " ").strip()

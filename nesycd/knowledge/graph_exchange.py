"""Merged entities and declared relations in files, beside the entries: what stands, without what was taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.text import normal
from nesycd.knowledge.entities import Entities, Relation, act, as_mapping, relation_of, stand
from nesycd.knowledge.formats.mapping import Row

_MERGE_KEYS = ("entity", "into", "by", "why")


@dataclass(frozen=True)
class Graph:
    """What a file says: merges as (entity, into, by, why) in their order, and declarations."""

    merges: tuple[tuple[str, str, str, str], ...] = ()
    relations: tuple[Relation, ...] = ()


def as_mappings(entities: Entities) -> dict[str, list[dict[str, Any]]]:
    """What stands, as `GRAPH_PARTS`; merges in the order in which they follow each other."""
    merges = [
        {"entity": one.entity, "into": one.into, "by": one.actor, **({"why": one.why} if one.why else {})}
        for one in entities.merges
        if not one.reverted
    ]
    known = [entities.relations[name] for name in sorted(entities.relations)]
    return {"merges": merges, "relations": [as_mapping(one) for one in known if one != Relation(name=one.name)]}


def read(rows: Iterable[Row], place: str) -> Graph:
    """The graph's part of a file.

    Raises:
        KnowledgeError: a row that cannot be used, or two that do not go together; the place is named.
    """
    merges: list[tuple[str, str, str, str]] = []
    relations: dict[str, Relation] = {}
    merged: set[str] = set()
    for row in rows:
        where = f"{place}: {row.where}"
        if row.part == "relations":
            relation = relation_of(row.value, where)
            if relations.setdefault(normal(relation.name), relation) != relation:
                raise KnowledgeError(f"{where}: the relation {relation.name!r} is declared twice")
            continue
        merge = _merge(row.value, where)
        if merge[0] in merged:
            raise KnowledgeError(f"{where}: {merge[0]!r} is merged twice")
        merged.add(merge[0])
        merges.append(merge)
    return Graph(tuple(merges), tuple(relations.values()))


def bring_in(connection: Connection, graph: Graph, actor: str, replace: bool) -> list[str]:
    """Merge and declare what a file says; with `replace` take back what it does not say. A line for each change."""
    before = stand(connection)
    said: list[str] = []
    if replace:
        # What a merge comes to depends on those before it: from the first that differs on, all are made anew.
        standing = [old for old in before.merges if not old.reverted]
        pairs = zip(standing, graph.merges, strict=False)
        same = takewhile(
            lambda pair: pair[1] == (pair[0].entity, pair[0].into, pair[1][2] and pair[0].actor, pair[0].why), pairs
        )
        for old in standing[len(list(same)) :]:
            act(connection, actor, "unmerge", {"merge": old.number}, "not in the file")
            said.append(f"- merge: {old.entity} into {old.into}")
    now = stand(connection)
    for entity, into, by, why in graph.merges:
        old_node, new_node = now.node(entity), now.node(into)
        if old_node != new_node:
            act(connection, by or actor, "merge", {"entity": old_node, "into": new_node}, why)
            said.append(f"+ merge: {old_node} into {new_node}")
            now = stand(connection)
    wanted = {normal(one.name): one for one in graph.relations}
    if replace:
        wanted = {name: Relation(name=one.name) for name, one in before.relations.items()} | wanted
    for name, relation in wanted.items():
        if before.relations.get(name, Relation(name=relation.name)) != relation:
            act(connection, actor, "declare", relation.model_dump(), "")
            said.append(f"~ relation: {', '.join(f'{key} {value}' for key, value in as_mapping(relation).items())}")
    return said


def _merge(given: Any, where: str) -> tuple[str, str, str, str]:
    if not isinstance(given, Mapping):
        raise KnowledgeError(f"{where}: is not a mapping of keys to values")
    if unknown := sorted(set(given) - {*_MERGE_KEYS}):
        raise KnowledgeError(f"{where}: {unknown[0]}: is not a key of a merge ({', '.join(_MERGE_KEYS)})")
    if wrong := next((key for key, value in given.items() if not isinstance(value, str)), ""):
        raise KnowledgeError(f"{where}: {wrong}: must be text")
    entity, into = normal(given.get("entity", "")), normal(given.get("into", ""))
    if not entity or not into or entity == into:
        raise KnowledgeError(f"{where}: a merge needs entity and into, two names")
    return entity, into, given.get("by", ""), given.get("why", "")

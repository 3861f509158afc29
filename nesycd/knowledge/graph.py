"""The knowledge graph: facts as edges between entities, with neighbourhoods, paths, degrees and components (networkx).

A fact's object is an entity where it is one's name, else a value. Values end a walk: two things that are both 6 feet long
have nothing to do with each other. Built from entries and kept in memory; it changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact, Status
from nesycd.core.text import normal, printable
from nesycd.knowledge.entities import IS_A, Entities
from nesycd.knowledge.merge import entry_order

_NUMBER = re.compile(r"[-+]?\d")


@dataclass(frozen=True)
class Step:
    """A fact on the way from an entity; `depth` 1 is next to it. `entity` is the node it leads to, a value's text else."""

    depth: int
    fact: Fact
    entity: str
    backwards: bool
    """Whether it is walked from object to subject."""


@dataclass(frozen=True)
class Misfit:
    """Facts that do not agree with what is declared of their relation, and why."""

    facts: tuple[Fact, ...]
    why: str


class KnowledgeGraph:
    """Approved facts as a graph.

    Example:
        >>> from nesycd.core.records import Entry, Fact, Status
        >>> def fact(a, b): return Fact(text=f"The father of {a} was {b}.", subject=a, relation="father", object=b)
        >>> facts = [fact("Louis XIV", "Louis XIII"), fact("Louis XIII", "Henry IV")]
        >>> graph = KnowledgeGraph([Entry(item=item, status=Status.APPROVED) for item in facts])
        >>> [(step.depth, step.fact.object) for step in graph.neighbourhood("louis xiv", hops=2)]
        [(1, 'Louis XIII'), (2, 'Henry IV')]
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        entities: Entities | None = None,
        objects_of: Callable[[Fact], Iterable[str]] | None = None,
    ) -> None:
        """Build it.

        Args:
            entries: of a KB; only approved facts count.
            entities: which entities were merged, and what is declared of relations.
            objects_of: the nodes that a fact's object names, where more than an entity's whole name shall count
                ("6 feet" names the foot).
        """
        self._entities, self._objects_of = entities or Entities(), objects_of
        approved = sorted((e for e in entries if e.status is Status.APPROVED), key=entry_order)
        self.facts = [entry.item for entry in approved if isinstance(entry.item, Fact)]
        self._nodes: dict[str, None] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        """Nodes by their aliases; a subject's name is its node."""
        for fact in self.facts:
            node = self._entities.node(fact.subject)
            self._nodes[node] = None
            for name in map(normal, (fact.subject, *fact.aliases)):
                if name != node and node not in (known := self._names.get(name, ())):
                    self._names[name] = (*known, node)

    @cached_property
    def _graph(self) -> Any:
        """Made when somebody walks: what disagrees is found without, and edges take more memory than facts."""
        import networkx as nx  # 0.2 s to import: not wanted by those who only look at `nesycd.knowledge`

        graph = nx.MultiDiGraph()
        graph.add_nodes_from(self._nodes)
        for fact in self.facts:
            for end in self._ends(fact):
                graph.add_edge(self._entities.node(fact.subject), end, key=fact.id, fact=fact)
        return graph

    @cached_property
    def _entity_view(self) -> Any:
        return self._graph.subgraph(self._nodes)

    def find(self, name: str) -> list[str]:
        """The entities (nodes) that a name or alias may mean; an entity's own name goes before others' aliases."""
        wanted = normal(name)
        node = self._entities.node(name)
        if node in self._nodes:
            return [node]
        return sorted(self._names.get(wanted, ()))

    def neighbourhood(self, node: str, hops: int = 1) -> list[Step]:
        """All facts within so many hops of an entity, nearest first, each once; edges are walked both ways.

        Raises:
            KnowledgeError: no such node.
        """
        self._need(node)
        seen, front, steps = {node}, [node], []
        told: set[str] = set()
        for depth in range(1, hops + 1):
            following: dict[str, None] = {}
            for here in front:
                for step, fact_id in self._around(here, depth):
                    if fact_id not in told:
                        steps.append(step)
                        told.add(fact_id)
                    if step.entity in self._entity_view and step.entity not in seen:
                        following[step.entity] = None
            seen.update(following)
            front = list(following)
        return steps

    def paths(self, start: str, end: str, most: int = 5, longest: int = 6) -> list[list[Step]]:
        """The shortest ways from one entity to another over facts, walked both ways; [] where there is none.

        Raises:
            KnowledgeError: no such node.
        """
        import networkx as nx

        self._need(start)
        self._need(end)
        plain = nx.Graph(self._entity_view.to_undirected(as_view=True))
        found: list[list[Step]] = []
        try:
            for nodes in nx.shortest_simple_paths(plain, start, end):
                if len(found) == most or len(nodes) > longest + 1:
                    break
                found.append([self._between(a, b, depth) for depth, (a, b) in enumerate(pairwise(nodes), 1)])
        except nx.NetworkXNoPath:
            return []
        return found

    def degree(self, node: str) -> int:
        """In how many facts an entity is subject or object.

        Raises:
            KnowledgeError: no such node.
        """
        self._need(node)
        return int(self._graph.degree(node))

    def components(self) -> list[frozenset[str]]:
        """Connected components of entities, the largest first."""
        import networkx as nx

        groups = (frozenset(group) for group in nx.weakly_connected_components(self._entity_view))
        return sorted(groups, key=lambda group: (-len(group), min(group)))

    def stats(self) -> dict[str, Any]:
        """`facts`, `entities`, `values`, `links` (between entities), `components`, `largest`, `alone`, `by_relation`, `hubs`."""
        parts = self.components()
        degrees = sorted((-int(self._graph.degree(n)), n) for n in self._entity_view)
        return {
            "facts": len(self.facts),
            "entities": len(self._entity_view),
            "values": len(self._graph) - len(self._entity_view),
            "links": self._entity_view.number_of_edges(),
            "components": len(parts),
            "largest": len(parts[0]) if parts else 0,
            "alone": sum(len(part) == 1 for part in parts),
            "by_relation": dict(sorted(Counter(normal(fact.relation) for fact in self.facts).items())),
            "hubs": {name: -degree for degree, name in degrees[:10]},
        }

    def value(self, fact: Fact) -> str:
        """What a fact's object is compared as: the entity that it names, under whatever name, else its text."""
        return self._object(fact) or self._entities.node(fact.object)

    def misfits(self) -> list[Misfit]:
        """Facts that break what is declared: a second object of a functional relation, a wrong class at either end."""
        return [*self._second_objects(), *self._wrong_classes()]

    def _ends(self, fact: Fact) -> list[Any]:
        """Where a fact's edges end. Tuples are values: no name can be taken for one."""
        ends = [node for node in (self._objects_of(fact) if self._objects_of else ()) if node in self._nodes]
        own = self._object(fact)
        return [*ends] or [own if own is not None else ("value", normal(fact.object))]

    def _object(self, fact: Fact) -> str | None:
        """The entity that the object is, where its whole text names one and only one."""
        node = self._entities.node(fact.object)
        if node in self._nodes:
            return node
        named = self._names.get(normal(fact.object), ())
        return named[0] if len(named) == 1 else None

    def _around(self, node: str, depth: int) -> Iterator[tuple[Step, str]]:
        for _, end, key, fact in self._graph.out_edges(node, keys=True, data="fact"):
            yield Step(depth, fact, end[1] if isinstance(end, tuple) else end, False), key
        for start, _, key, fact in self._graph.in_edges(node, keys=True, data="fact"):
            yield Step(depth, fact, start, True), key

    def _between(self, start: str, end: str, depth: int) -> Step:
        forwards = self._graph.get_edge_data(start, end)
        edges = forwards or self._graph.get_edge_data(end, start)
        return Step(depth, next(iter(edges.values()))["fact"], end, forwards is None)

    def _need(self, node: str) -> None:
        if node not in self._nodes:
            raise KnowledgeError(f"the graph has no entity {printable(node)!r}")

    def _second_objects(self) -> Iterator[Misfit]:
        objects: dict[tuple[str, str], dict[str, Fact]] = {}
        for fact in self.facts:
            declared = self._entities.relations.get(normal(fact.relation))
            if declared and declared.functional:
                same = objects.setdefault((self._entities.node(fact.subject), declared.name), {})
                same.setdefault(self.value(fact), fact)
        for (_, relation), facts in objects.items():
            if len(facts) > 1:
                yield Misfit(tuple(facts.values()), f"{relation} has one object, but {len(facts)} are given")

    def _wrong_classes(self) -> Iterator[Misfit]:
        classes: dict[str, set[str]] = {}
        for fact in self.facts:
            if normal(fact.relation) == IS_A:
                classes.setdefault(self._entities.node(fact.subject), set()).add(normal(fact.object))
        for fact in self.facts:
            declared = self._entities.relations.get(normal(fact.relation))
            if declared is None:
                continue
            known = classes.get(self._entities.node(fact.subject), set())
            if declared.domain and known and normal(declared.domain) not in known:
                yield Misfit((fact,), f"{declared.name} is said of a {declared.domain}, and this is none")
            known = classes.get(self._object(fact) or "", set())
            if normal(declared.range) == "number":
                if not _NUMBER.match(fact.object):
                    yield Misfit((fact,), f"{declared.name} has a number as its object")
            elif declared.range and known and normal(declared.range) not in known:
                yield Misfit((fact,), f"{declared.name} leads to a {declared.range}, and this is none")

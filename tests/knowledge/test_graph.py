"""The graph: neighbourhoods, paths, parts, what merging does to it, and facts that break what is declared."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact, Lesson, Status
from nesycd.knowledge import Entities, EntityMerge, KnowledgeGraph, Relation


def fact(subject: str, relation: str, value: str, *aliases: str) -> Fact:
    text = f"The {relation} of {subject} is {value}."
    return Fact(text=text, subject=subject, relation=relation, object=value, aliases=aliases)


def make(facts: Sequence[Fact], entities: Entities | None = None) -> KnowledgeGraph:
    entries = [Entry(item=one, status=Status.APPROVED) for one in facts]
    return KnowledgeGraph([*entries, Entry(item=Lesson(text="Think."), status=Status.APPROVED)], entities)


KIN = [
    fact("Ann", "father", "Bob", "Annie"),
    fact("Bob", "father", "Carl Senior"),
    fact("Carl", "birth", "1638", "Carl Senior", "Charles"),
    fact("Dora", "birth", "1638", "Charles"),
    fact("Dora", "mother", "Eve"),
]


def test_neighbourhoods() -> None:
    graph = make(KIN)
    assert [s.fact.id for s in graph.neighbourhood("ann", 1)] == [KIN[0].id]
    two = graph.neighbourhood("ann", 2)
    assert [(s.depth, s.fact.id, s.entity, s.backwards) for s in two] == [
        (1, KIN[0].id, "bob", False),
        (2, KIN[1].id, "carl", False),
    ]
    assert [s.fact.id for s in graph.neighbourhood("ann", 9)] == [KIN[0].id, KIN[1].id, KIN[2].id], "no way over 1638"
    assert [(s.fact.id, s.backwards) for s in graph.neighbourhood("bob", 1)] == [(KIN[1].id, False), (KIN[0].id, True)]
    assert graph.neighbourhood("ann", 0) == []
    with pytest.raises(KnowledgeError, match="no entity 'zoe'"):
        graph.neighbourhood("zoe", 1)


def test_names_paths_degrees_parts() -> None:
    graph = make(KIN)
    assert graph.find("ANNIE") == graph.find(" ann") == ["ann"]
    assert graph.find("Charles") == ["carl", "dora"]
    assert graph.find("Eve") == [], "a value: nothing is known of her"
    [path] = graph.paths("carl", "ann")
    assert [(s.fact.id, s.backwards) for s in path] == [(KIN[1].id, True), (KIN[0].id, True)]
    assert graph.paths("ann", "dora") == []
    assert graph.paths("ann", "carl", longest=1) == []
    assert [graph.degree(name) for name in ("ann", "bob", "carl", "dora")] == [1, 2, 2, 2]
    assert graph.components() == [{"ann", "bob", "carl"}, {"dora"}]
    stats = graph.stats()
    assert (stats["facts"], stats["entities"], stats["values"], stats["links"]) == (5, 4, 2, 2)
    assert (stats["components"], stats["largest"], stats["alone"]) == (2, 3, 1)
    assert stats["by_relation"] == {"birth": 2, "father": 2, "mother": 1} and stats["hubs"]["bob"] == 2
    assert make([]).stats()["largest"] == 0


def test_a_merge_joins_what_was_apart() -> None:
    merged = Entities(merges=(EntityMerge(1, "", "Ann", "dora", "carl", "same person"),))
    graph = make(KIN, merged)
    assert graph.find("Dora") == ["carl"]
    assert graph.find("Charles") == ["carl"]
    assert len(graph.components()) == 1 and graph.degree("carl") == 4


def test_only_approved_facts_count() -> None:
    graph = KnowledgeGraph([Entry(item=KIN[0], status=status) for status in set(Status) - {Status.APPROVED}])
    assert graph.facts == [] and graph.find("Ann") == []


def test_the_object_may_name_more_than_a_whole_name() -> None:
    facts = [fact("fathom", "size", "6 feet"), fact("foot", "size", "12 inches")]
    entries = [Entry(item=one, status=Status.APPROVED) for one in facts]
    graph = KnowledgeGraph(entries, objects_of=lambda one: ["foot"] if "feet" in one.object else [])
    assert [s.entity for s in graph.neighbourhood("fathom", 2)] == ["foot", "12 inches"]


def test_what_is_declared_and_broken_is_told() -> None:
    declared = [
        Relation(name="father", functional=True, domain="person", range="person"),
        Relation(name="height", range="number"),
    ]
    facts = [
        fact("Ann", "father", "Bob"),
        fact("Ann", "Father", "Carl", "Annie"),
        fact("Rex", "father", "Bob"),
        fact("Rex", "is a", "dog"),
        fact("Ann", "is a", "person"),
        fact("Carl", "is a", "statue"),
        fact("Carl", "height", "6 feet"),
        fact("Bob", "height", "tall"),
    ]
    found = make(facts, Entities(relations={one.name: one for one in declared})).misfits()
    told = {(tuple(f.object for f in one.facts), one.facts[0].subject, one.why.partition(",")[0]) for one in found}
    assert told == {
        (("Bob", "Carl"), "Ann", "father has one object"),
        (("Bob",), "Rex", "father is said of a person"),
        (("Carl",), "Ann", "father leads to a person"),
        (("tall",), "Bob", "height has a number as its object"),
    }


@given(st.lists(st.tuples(*[st.sampled_from("abcdef")] * 2), max_size=12), st.integers(0, 4))
def test_neighbourhoods_are_those_of_a_breadth_first_search(pairs: list[tuple[str, str]], hops: int) -> None:
    names = "abcdef"
    facts = [*(fact(n, "name", f"value {n}") for n in names), *(fact(a, "knows", b) for a, b in pairs)]
    graph = make(facts)
    plain = nx.Graph(pairs)
    plain.add_nodes_from(names)
    near = nx.single_source_shortest_path_length(plain, "a", cutoff=hops)
    expected = {f.triple: min(near.get(f.subject, 9), near.get(f.object, 9)) + 1 for f in facts}
    found = {step.fact.triple: step.depth for step in graph.neighbourhood("a", hops)}
    assert found == {triple: depth for triple, depth in expected.items() if depth <= hops}

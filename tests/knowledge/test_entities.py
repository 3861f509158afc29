"""Merging entities and declaring relations: acts with a history, revertible, independent of order, told as YAML."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Evidence, Fact
from nesycd.knowledge import (
    Entities,
    KnowledgeBase,
    Relation,
    declare_relations,
    merge_entities,
    read_entities,
    read_relations,
    relations_text,
    unmerge_entities,
)

EVIDENCE = Evidence(example="", source="Ann")


def fact(subject: str, *aliases: str) -> Fact:
    return Fact(text=f"{subject} is so.", subject=subject, relation="is", object="so", aliases=aliases)


@pytest.fixture
def kb(tmp_path: Path) -> KnowledgeBase:
    kb = KnowledgeBase.open(tmp_path / "kb.sqlite")
    facts = [*map(fact, "abcde"), fact("Louis XIV", "Sun King"), fact("pound (money)", "quid"), fact("pound 2", "quid")]
    kb.add([(one, EVIDENCE) for one in facts])
    return kb


def test_a_merge_is_an_act_with_a_history_and_changes_no_item(kb: KnowledgeBase) -> None:
    before = kb.entries()
    assert read_entities(kb) == Entities()
    merge = merge_entities(kb, "SUN KING", "a", "Ann", "the same man")
    assert (merge.number, merge.entity, merge.into, merge.actor, merge.why) == (
        1,
        "louis xiv",
        "a",
        "Ann",
        "the same man",
    )
    assert merge.at.startswith("20") and not merge.reverted
    entities = read_entities(kb)
    assert entities.node("Louis  XIV") == "a" and entities.node("b") == "b"
    assert entities.fingerprint != Entities().fingerprint
    assert kb.entries() == before
    taken_back = unmerge_entities(kb, 1, "Bob", "his brother")
    assert taken_back.reverted.startswith("Bob, 20") and taken_back.reverted.endswith("his brother")
    assert read_entities(kb).node("Louis XIV") == "louis xiv"
    assert read_entities(kb).fingerprint == Entities().fingerprint
    assert len(read_entities(kb).merges) == 1, "what was done stays on record"
    with kb.writing() as connection, pytest.raises(DatabaseError, match="append-only"):
        connection.execute(text("DELETE FROM graph_acts"))


def test_merges_follow_each_other_and_are_taken_back_one_by_one(kb: KnowledgeBase) -> None:
    for one, other in ("ab", "bc", "de"):
        merge_entities(kb, one, other, "Ann", "")
    assert [read_entities(kb).node(n) for n in "abcde"] == ["c", "c", "c", "e", "e"]
    merge_entities(kb, "a", "d", "Ann", "")  # that is c into e
    assert {read_entities(kb).node(n) for n in "abcde"} == {"e"}
    unmerge_entities(kb, 2, "Ann", "")
    assert [read_entities(kb).node(n) for n in "abcde"] == ["b", "b", "e", "e", "e"]


@given(st.permutations([("a", "b"), ("c", "b"), ("d", "e"), ("e", "d")]))
def test_which_entities_are_one_does_not_depend_on_the_order(pairs: list[tuple[str, str]]) -> None:
    with KnowledgeBase.open(":memory:") as kb:
        kb.add([(one, EVIDENCE) for one in map(fact, "abcde")])
        for pair in pairs:
            try:
                merge_entities(kb, *pair, "Ann", "")
            except KnowledgeError as error:
                assert "one entity already" in str(error)
        entities = read_entities(kb)
    groups = [frozenset(n for n in "abcde" if entities.node(n) == entities.node(m)) for m in "abcde"]
    assert set(groups) == {frozenset("abc"), frozenset("de")}


@pytest.mark.parametrize(
    ("entity", "into", "actor", "message"),
    [
        ("a", "A ", "Ann", "one entity already"),
        ("a", "zoe", "Ann", "'zoe' is not known: no fact has it"),
        ("quid", "a", "Ann", r"several entities bear it: pound \(money\), pound 2"),
        ("a", "b", " ", "name of who"),
        ("\x1b[2J", "a", "Ann", r"\\x1b"),
    ],
)
def test_a_merge_that_cannot_be(kb: KnowledgeBase, entity: str, into: str, actor: str, message: str) -> None:
    with pytest.raises(KnowledgeError, match=message):
        merge_entities(kb, entity, into, actor, "")
    assert read_entities(kb).merges == ()
    with pytest.raises(KnowledgeError, match="none that stands"):
        unmerge_entities(kb, 1, "Ann", "")


DECLARED = [
    Relation(name="Father", functional=True, domain="person", range="person", inverse="child"),
    Relation(name="spouse", symmetric=True),
    Relation(name="size: in feet", range="number"),
]


def test_relations_are_declared_and_told_as_yaml(kb: KnowledgeBase, tmp_path: Path) -> None:
    assert declare_relations(kb, DECLARED, "Ann") == 3
    assert declare_relations(kb, DECLARED, "Ann") == 0
    entities = read_entities(kb)
    assert [entities.inverse(name) for name in ("father", "CHILD", "spouse", "size: in feet", "x")] == [
        "child",
        "father",
        "spouse",
        "",
        "",
    ]
    path = tmp_path / "graph.yaml"
    path.write_text(relations_text(entities))
    assert sorted(read_relations(path), key=lambda r: r.name) == sorted(DECLARED, key=lambda r: r.name)
    assert "- name: Father\n  is: [functional]\n  inverse: child\n" in path.read_text()
    declare_relations(kb, [Relation(name="FATHER")], "Bob", "women too")
    assert read_entities(kb).relations["father"] == Relation(name="FATHER")
    path.write_text(relations_text(Entities()))
    assert read_relations(path) == []
    with pytest.raises(KnowledgeError, match="'spouse' is declared twice"):
        declare_relations(kb, [Relation(name="spouse"), Relation(name="SPOUSE")], "Ann")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- {name: x}", "needs a mapping with `relations:`"),
        ("relations: [x]", "line 1: is not a mapping"),
        ("relations:\n- {name: x, is: [odd]}", "line 2: is: 'odd' is none of functional, symmetric"),
        ("relations:\n- {name: x, colour: red}", "line 2: colour: is not a key"),
        ("relations:\n- {is: [symmetric]}", "line 2: name: Field required"),
        ("relations:\n- {name: ' '}", "line 2: name: is blank"),
        ("relations:\n- {name: [x]}", "line 2: name: "),
        ("format: other\nrelations: []", "format is 'other'"),
        ("relations: !!python/object:os.system []", "the tag"),
    ],
)
def test_declarations_that_cannot_be_used(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text(content)
    with pytest.raises(KnowledgeError, match=message) as error:
        read_relations(path)
    assert str(error.value).startswith(str(path))
    with pytest.raises(KnowledgeError, match="cannot be read"):
        read_relations(tmp_path / "none.yaml")

"""Contradictions through rules: found, and named by a set of items of which none can be left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nesycd.core.records import Entry, Fact, Item, Rule, Status
from nesycd.knowledge import Entities, Relation, conflicts
from nesycd.rules import Engine, EngineError, Limits
from nesycd.rules.engine import Step

GRAND = Rule(text="A mother's father is a grandfather.", clause="grandfather(X, Z) :- mother(X, Y), father(Y, Z).")
CYCLE = Rule(text="Nobody is a parent of a parent.", clause=":- parent(X, Y), parent(Y, X).")
ONE = Entities(relations={"grandfather": Relation(name="grandfather", functional=True)})


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


def fact(subject: str, relation: str, value: str) -> Fact:
    return Fact(text=f"{subject} {relation} {value}.", subject=subject, relation=relation, object=value)


def entries(*items: Item, status: Status = Status.APPROVED) -> list[Entry]:
    return [Entry(item=item, status=status) for item in items]


def named(engine: Engine, known: list[Entry], entities: Entities | None = None) -> list[tuple[set[str], str]]:
    found = conflicts.conflicts(known, engine, entities)
    assert not found.left
    return [({entry.item.text for entry in one.entries}, one.why) for one in found.found]


def test_a_derived_fact_conflicts_with_a_stated_one(engine: Engine) -> None:
    facts = [fact("Ann", "mother", "Eve"), fact("Eve", "father", "Ben"), fact("Ann", "grandfather", "Tom")]
    others = [fact("Eve", "mother", "Ada"), fact("Kim", "grandfather", "Tom")]
    known = [*entries(*facts, *others), *entries(GRAND, status=Status.PROPOSED)]
    [(texts, why)] = named(engine, known, ONE)
    assert texts == {one.text for one in (*facts, GRAND)}
    assert why == 'grandfather has one object, but: grandfather("Ann", "Tom"), grandfather("Ann", "Ben")'
    assert named(engine, known) == [], "nothing is declared"
    rejected = [*entries(*facts), *entries(GRAND, status=Status.REJECTED)]
    assert named(engine, rejected, ONE) == []


def test_two_derived_facts_conflict_and_what_is_stated_twice_is_told_elsewhere(engine: Engine) -> None:
    facts = [fact("Ann", "mother", "Eve"), fact("Eve", "father", "Ben"), fact("Eve", "father", "Bob")]
    [(texts, _)] = named(engine, entries(*facts, GRAND), ONE)
    assert texts == {one.text for one in (*facts, GRAND)}
    assert named(engine, entries(fact("Ann", "grandfather", "A"), fact("Ann", "grandfather", "B"), GRAND), ONE) == []


def test_what_a_rule_says_is_compared_as_it_reads(engine: Engine) -> None:
    rule = Rule(text="Feet.", clause="t(U, N) :- unit(U, N).", says="{U} | size | {N} feet")
    entities = Entities(relations={"size": Relation(name="size", functional=True)})
    [(texts, _)] = named(engine, entries(fact("fathom", "unit", "6"), fact("fathom", "size", "7 feet"), rule), entities)
    assert texts == {"fathom unit 6.", "fathom size 7 feet.", rule.text}
    assert named(engine, entries(fact("fathom", "unit", "6"), fact("fathom", "size", "6  Feet"), rule), entities) == []


def test_a_broken_constraint_names_its_rule_and_the_facts_once(engine: Engine) -> None:
    facts = [fact("a", "parent", "b"), fact("b", "parent", "a"), fact("b", "parent", "c"), fact("x", "parent", "x")]
    found = named(engine, entries(*facts, CYCLE))
    assert found == [
        ({"a parent b.", "b parent a.", CYCLE.text}, "must not be: parent(a, b), parent(b, a)"),
        ({"x parent x.", CYCLE.text}, "must not be: parent(x, x)"),
    ]


def test_exceptions_and_absent_facts_count(engine: Engine) -> None:
    rule = Rule(text="Kings have a realm.", clause=":- king(X, Y), not realm(X, _).", exceptions=("X = nemo",))
    known = entries(fact("Louis", "king", "1"), fact("nemo", "king", "1"), fact("Henry", "king", "1"), rule)
    found = named(engine, [*known, *entries(fact("Henry", "realm", "England"))])
    assert found == [({"Louis king 1.", rule.text}, 'must not be: king("Louis", 1), nothing says realm("Louis", _)')]


def test_declarations_take_part_but_are_no_items(engine: Engine) -> None:
    entities = Entities(relations={"spouse": Relation(name="spouse", functional=True, symmetric=True)})
    [(texts, why)] = named(engine, entries(fact("Ann", "spouse", "Ben"), fact("Ben", "spouse", "Kim")), entities)
    assert texts == {"Ann spouse Ben.", "Ben spouse Kim."} and "(spouse holds both ways)" in why


def test_a_rule_that_cannot_run_is_told_and_a_limit_is_an_error(engine: Engine) -> None:
    broken = Rule(text="Broken.", clause="p(X) :- not q(X).")
    assert list(conflicts.conflicts(entries(broken), engine).faults) == [broken.id]
    endless = Rule(text="Endless.", clause="n(X + 1, Y) :- n(X, Y).")
    with Engine(Limits(seconds=5, most=500)) as small, pytest.raises(EngineError, match="may never end"):
        conflicts.conflicts(
            entries(fact("1", "n", "2"), fact("a", "n", "b"), endless, Rule(text="S", clause="n(1, 2).")), small
        )


def test_more_conflicts_than_are_looked_into_are_counted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "MOST", 2)
    found = conflicts.conflicts(entries(*(fact(name, "parent", name) for name in "abcde"), CYCLE), engine)
    assert (len(found.found), found.left) == (2, 3)


steps = st.lists(
    st.builds(
        Step, st.integers(0, 6), st.lists(st.integers(0, 6), max_size=2).map(tuple), st.none() | st.integers(0, 4)
    ),
    max_size=12,
)


def _holds(given_steps: list[Step], items: set[int], goal: int) -> bool:
    """By hand: what follows from some items."""
    known: set[int] = set()
    while (
        new := {s.head for s in given_steps if known.issuperset(s.needs) and (s.item is None or s.item in items)}
        - known
    ):
        known |= new
    return goal in known


@settings(max_examples=40, deadline=None)
@given(steps)
def test_a_core_suffices_and_none_of_it_can_be_left_out(engine: Engine, made: list[Step]) -> None:
    if not _holds(made, set(range(5)), 0):
        return
    core = engine.core(made, 5, [0])
    assert _holds(made, set(core), 0)
    assert not any(_holds(made, set(core) - {one}, 0) for one in core)


def test_a_constraint_on_a_set_names_its_elements(engine: Engine) -> None:
    rule = Rule(text="At most one father.", clause=":- father(P, _), count(F : father(P, F)) > 1.")
    facts = [fact("Ann", "father", "Ben"), fact("Ann", "father", "Tom"), fact("Kim", "father", "Lou")]
    found = named(engine, entries(*facts, rule))
    assert [texts for texts, _ in found] == [{facts[0].text, facts[1].text, rule.text}]
    assert found[0][1].startswith('must not be: father("Ann", ') and '2 is count(F : father("Ann", F))' in found[0][1]

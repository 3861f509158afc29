"""The clauses of the benchmark's rules run together, and come to what the questions' workings come to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nesycd.core.records import Rule
from nesycd.rules.clauses import predicate_of
from nesycd.rules.engine import Engine
from nesycd.rules.parser import parse_facts
from nesycd.rules.validation import RuleSet
from nesycd.tasks.longtail import LongTail, LongTailSettings


@pytest.fixture(scope="module")
def rules() -> list[Rule]:
    families = LongTail(LongTailSettings()).families.values()
    return [form.rule for family in families for form in family.forms]


@pytest.fixture(scope="module")
def ready(rules: list[Rule]) -> RuleSet:
    facts = LongTail(LongTailSettings()).world().facts
    return RuleSet.of({rule.id: rule for rule in rules}.values(), {predicate_of(fact.relation) for fact in facts})


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


def test_all_clauses_run_together(ready: RuleSet) -> None:
    assert not ready.faults and len(ready.rules) >= 15


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('makes(fathom, 6, "feet"). given(4). given(3).', "mixed(fathom, 4, 3, 27)."),
        ("makes(fathom, 6, feet). makes(yard, 3, feet). given(2). given(4).", "total(fathom, 2, yard, 4, 24)."),
        ("worth(mark, 8, ore). given(2). given(5).", "purse(mark, 2, 5, 21)."),
        ("worth(mark, 8, ore). worth(ort, 2, ore). given(2). given(3).", "purses(mark, 2, ort, 3, 22)."),
        ('date("Candlemas", 2, "February"). given(4). given(9).', 'after("Candlemas", 4, 9, 15, "February").'),
        ("group(helium, 18). group(neon, 18). given(3).", "result(helium, neon, 3, 39)."),
        ("period(helium, 1). period(neon, 2). given(3).", "result(helium, neon, 3, 6)."),
        ("semitones(third, 4). given(3). given(2).", "result(third, 3, 2, 14)."),
        ("place(beta, 2). place(mu, 12). given(5).", "result(beta, mu, 5, 19)."),
        ("father(a, b). mother(b, c). father(c, d).", "kin(a, father, mother, father, d)."),
        ("spouse(a, b). father(b, c). mother(b, d).", "parents(a, spouse, c, d)."),
        ("wanted(f). listed(1, a, 4). listed(2, b, 2). listed(3, c, 5). class(a, f). class(b, g). class(c, f).",
         "counted(f, 3, 9)."),
        ("asked(north). move(1, north, 3). move(2, east, 4). move(3, north, 5).", "way(north, 3, 8)."),
        ("expression(l, and, true, false). expression(r, or, false, true). expression(e, or, l, r).",
         "value(e, true)."),
        ("given(2). given(5). given(7).", "rest(2, 5, 7, 17)."),
        ("term(1, 4). term(2, 6). term(3, 9).", "sum(3, 19)."),
        ("given(2). given(3). given(4). given(5).", "products(2, 3, 4, 5, 26)."),
    ],
)  # fmt: skip
def test_a_clause_works_as_the_question_does(given: str, expected: str, ready: RuleSet, engine: Engine) -> None:
    firings = engine.run([clause for rule in ready.rules for clause in rule.clauses], parse_facts(given))
    assert parse_facts(expected)[0].key in {firing.head.key for firing in firings}

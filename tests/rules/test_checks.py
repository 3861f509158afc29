"""What clauses must keep to before they run."""

from __future__ import annotations

import pytest

from nesycd.core.errors import KnowledgeError
from nesycd.rules.checks import check_arity, check_safe, check_stratified, recursive
from nesycd.rules.parser import parse_clauses


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("p(X).", "X"),
        ("p(X, Y) :- q(X).", "Y"),
        ("p(X) :- q(X), not r(X, Z).", "Z"),
        ("p(X) :- q(X), Y < 3.", "Y"),
        ("p(Y) :- q(X), X is Y + 1.", "Y"),
        ("p(X) :- not q(X).", "X"),
        ("p(X) :- X = Y, Y = X.", "X"),
    ],
)
def test_a_variable_that_nothing_binds_is_named(text: str, variable: str) -> None:
    with pytest.raises(KnowledgeError, match=f"the variable {variable} takes its value from no condition"):
        check_safe(*parse_clauses(text))


@pytest.mark.parametrize(
    "text", ["p(1).", "p(Y) :- q(X), Z is X + 1, Y = Z.", "p(X) :- X = 3.", "p(X) :- q(X), not r(X, _), X > 2, X != a."]
)
def test_a_safe_clause_passes(text: str) -> None:
    check_safe(*parse_clauses(text))


def test_a_blank_cannot_be_compared() -> None:
    with pytest.raises(KnowledgeError, match="'_' in _ < 3 has no value"):
        check_safe(*parse_clauses("p :- q(_), _ < 3."))


def test_a_predicate_has_one_arity_but_for_those_of_facts() -> None:
    clauses = parse_clauses("p(X) :- makes(X, _), makes(X, _, feet). q :- not p(1, 2).")
    with pytest.raises(KnowledgeError, match=r"p has 2 arguments in: q :- not p\(1, 2\)\. but 1 elsewhere"):
        check_arity(clauses, ["makes"])
    with pytest.raises(KnowledgeError, match="makes has 3 arguments"):
        check_arity(clauses)
    with pytest.raises(KnowledgeError, match="given has 2 arguments"):
        check_arity(parse_clauses("p :- given(1, 2)."))


def test_a_cycle_through_not_is_named() -> None:
    with pytest.raises(KnowledgeError, match="p/1 needs not r/1, r/1 needs s/1, s/1 needs p/1"):
        check_stratified(parse_clauses("p(X) :- q(X), not r(X). r(X) :- s(X). s(X) :- q(X), p(X)."))
    with pytest.raises(KnowledgeError, match="p/0 needs not p/0"):
        check_stratified(parse_clauses("p :- not p."))
    check_stratified(parse_clauses("p(X) :- p(X), q(X), not r(X). r(X) :- s(X)."))


def test_recursion_is_seen() -> None:
    assert recursive(parse_clauses("a(X) :- b(X). b(X) :- c(X), a(X). d(X) :- a(X).")) == {("a", 1), ("b", 1)}

"""The syntax of clauses: what is read comes back, and errors say where and what was expected."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.errors import KnowledgeError
from nesycd.rules.clauses import (
    COMPARISONS,
    FALSE,
    PRODUCTS,
    RESERVED,
    SUMS,
    Atom,
    Calculation,
    Clause,
    Comparison,
    Constant,
    Literal,
    Negated,
    Variable,
    number,
    predicate_of,
    tidy_number,
)
from nesycd.rules.parser import MAX_TEXT, ClauseError, parse_body, parse_clauses, parse_facts

names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True).filter(lambda name: name not in {*RESERVED, "false"})
texts = st.text(min_size=1, max_size=8).filter(lambda text: text.strip() != "")
numbers = st.integers(-(10**9), 10**9) | st.decimals(-1000, 1000, places=3).map(tidy_number)
constants = st.builds(Constant, texts | names | numbers)
variables = st.builds(Variable, st.from_regex(r"[A-Z][a-z0-9]{0,3}", fullmatch=True))
simple = constants | variables
expressions = st.recursive(
    simple, lambda inner: st.builds(Calculation, st.sampled_from(SUMS + PRODUCTS), inner, inner), max_leaves=5
)
atoms = st.builds(Atom, names, st.lists(simple | st.just(Variable("_")), max_size=3).map(tuple))
heads = st.builds(Atom, names, st.lists(expressions, max_size=3).map(tuple))
literals = atoms | st.builds(Negated, atoms) | st.builds(
    Comparison, st.sampled_from(COMPARISONS), expressions, expressions
)  # fmt: skip
clauses = st.builds(Clause, heads, st.lists(literals, max_size=4).map(tuple))


@given(st.lists(clauses, min_size=1, max_size=3))
def test_clauses_come_back_from_their_text(made: list[Clause]) -> None:
    assert parse_clauses("\n".join(map(str, made))) == tuple(made)


@given(st.lists(literals, min_size=1, max_size=4).map(tuple))
def test_constraints_come_back_from_their_text_in_either_form(body: tuple[Literal, ...]) -> None:
    constraint = Clause(FALSE, body)
    assert str(constraint).startswith(":- ") and constraint.is_constraint
    assert parse_clauses(f"{constraint} false {constraint}") == (constraint, constraint)


@given(st.text(alphabet="pX_ab12.,()\"'<>=:-+*/ \\n%é\x1b[", max_size=30) | st.text(max_size=30))
def test_any_text_is_read_or_refused_by_one_error(text: str) -> None:
    try:
        made = parse_clauses(text)
    except ClauseError as error:
        assert str(error).startswith(f"line {error.line}, column {error.column}: ") and "\x1b" not in str(error)
    else:
        assert parse_clauses("\n".join(map(str, made))) == made


@pytest.mark.parametrize(
    ("text", "line", "column", "expected"),
    [
        ("p(X Y).", 1, 5, "expected ',' or ')', but found Y"),
        ("p(X) :- q(X)", 1, 13, "expected ',' or '.', but the text ends"),
        ("p(X) :-\n  q(X),\n  [X].", 3, 3, "there are no lists"),
        ('p("abc).', 1, 3, "not closed"),
        ("p(f(x)).", 1, 4, "terms do not nest"),
        ("p(X) :- q(X + 1).", 1, 11, "a condition cannot calculate"),
        ("p(_) :- q(_).", 1, 3, "'_' has no value"),
        ("p :- not X.", 1, 10, "expected what is not to hold"),
        ("p :- q, X.", 1, 10, "expected a comparison"),
        ("X :- q.", 1, 1, "expected a name"),
        ("p :- X is .", 1, 11, "expected a value"),
        ("p :- q(X), X + 1 is 3.", 1, 12, "before 'is'"),
        ("p :- q(#).", 1, 8, "has no meaning here"),
        ("p(" + "(" * 40 + "1" + ")" * 40 + ").", 1, 23, "at most 20 deep"),
        ("p(" + "1," * 20 + "1).", 1, 27, "at most 12 arguments"),
        ("p(" + "1" * 50 + ").", 1, 3, "at most 30 digits"),
        ("", 1, 1, "expected a clause"),
        ("p('  ').", 1, 3, "expected a text within the quotes"),
        (":- .", 1, 4, "expected a condition"),
        (":- p(X), q(X)", 1, 14, "expected ',' or '.', but the text ends"),
        (":- p(X)) .", 1, 8, "expected ',' or '.'"),
        ("false(X) :- p(X).", 1, 1, "has no arguments"),
        ("p(X) :- q(X), false.", 1, 15, "expected a condition that can hold"),
        (":- p(X), not false.", 1, 14, "expected a condition that can hold"),
    ],
)
def test_an_error_points_at_its_place(text: str, line: int, column: int, expected: str) -> None:
    with pytest.raises(ClauseError) as caught:
        parse_clauses(text)
    assert (caught.value.line, caught.value.column) == (line, column) and expected in str(caught.value)
    _, shown, caret = str(caught.value).rsplit("\n", 2)
    row = text.split("\n")[line - 1]
    assert caret.index("^") == len(caret) - 1
    assert shown[len(caret) - 1 :][:1] == row[column - 1 : column]


def test_a_long_or_deep_text_is_refused_at_once() -> None:
    for text in ("p(1). " * MAX_TEXT, "p :- X = " + "-" * 5000 + "1.", "p :- " + "q, " * 500 + "q."):
        with pytest.raises(ClauseError):
            parse_clauses(text)
    with pytest.raises(ClauseError):
        parse_body("q, " * MAX_TEXT)


def test_other_spellings_read_the_same() -> None:
    assert parse_clauses("p(X) :- q(X, 'Ann'), \\+ r(X), X \\= 2, X =< 3, Y is X. % said so") == parse_clauses(
        'p(X) :- q(X, "Ann"), not r(X), X != 2, X <= 3, Y = X.'
    )


def test_texts_compare_by_meaning_and_numbers_by_value() -> None:
    [first, second, third, fourth] = parse_facts('p("Edward  III", 2.50). p("edward iii", 2.5). p(x, 3.0). p(x, 3).')
    assert first.key == second.key and third == fourth and first.key != third.key


def test_facts_are_facts() -> None:
    with pytest.raises(KnowledgeError, match="expected facts"):
        parse_facts("p(X).")
    with pytest.raises(KnowledgeError, match="expected facts"):
        parse_facts("p(1 + 2).")


def test_relations_as_predicates_and_objects_as_numbers() -> None:
    told = {"Place of birth": "place_of_birth", "father": "father", "2nd rank": "r_2nd_rank", "not": "r_not", "!?": "",
            "père": "père", "¼ part": "4_part"}  # fmt: skip
    assert {relation: predicate_of(relation) for relation in told} == told | {"¼ part": predicate_of("¼ part")}
    assert predicate_of("¼ part").isidentifier()
    assert [number(text) for text in ("12", "-3.50", "1,200", "6 feet", "1e5", "٣", "1" * 40)] == [
        12, Decimal("-3.5"), 1200, None, None, None, None,
    ]  # fmt: skip

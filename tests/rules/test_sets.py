"""Aggregates, defaults, dates, functions and ranges: what they mean, what is refused, and agreement with a naive evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Rule, RuleTest
from nesycd.rules.checks import check_safe, check_stratified
from nesycd.rules.clauses import Aggregate, Atom, Clause, Comparison, Constant, Literal, Negated, Term, Variable
from nesycd.rules.engine import Engine, EngineError, Limits
from nesycd.rules.parser import ClauseError, parse_clauses, parse_facts, parse_goal
from nesycd.rules.program import is_element
from nesycd.rules.proofs import shortest_proofs
from nesycd.rules.rule_tests import failures
from nesycd.rules.validation import RuleSet

BAGS = """
    person(ann). person(bob). person(cy). bag(ann, b1). bag(ann, b2). bag(bob, b3).
    weight(b1, 60). weight(b2, 60). weight(b3, 12.5). paid(ann, "much"). paid(bob, 3).
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


def concluded(engine: Engine, clauses: str, facts: str = "") -> list[str]:
    """What the clauses conclude, once they are checked and defaults are worked in."""
    ready = RuleSet.of([Rule(text=clauses, clause=clauses)])
    assert ready.faults == {}
    made = [clause for rule in ready.rules for clause in rule.clauses]
    firings = engine.run(made, parse_facts(facts) if facts else ())
    return sorted({str(one.head) for one in firings if " " not in one.head.predicate})


# --- aggregates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        # Two bags of one weight are two; nobody's empty set is none.
        ("t(P, T) :- person(P), T is sum(W : bag(P, B), weight(B, W)).", ["t(ann, 120)", "t(bob, 12.5)", "t(cy, 0)"]),
        ("t(P, T) :- person(P), T is sum(W, B : bag(P, B), weight(B, W)).", ["t(ann, 120)", "t(bob, 12.5)", "t(cy, 0)"]),
        ("t(P, T) :- person(P), T is sum(W, P : bag(P, B), weight(B, W)).", ["t(ann, 60)", "t(bob, 12.5)", "t(cy, 0)"]),
        ("t(P, T) :- person(P), T is sum(W : bag(P, _), weight(_, W)).", ["t(ann, 72.5)", "t(bob, 72.5)", "t(cy, 0)"]),
        ("t(P, T) :- person(P), T is count(B : bag(P, B)).", ["t(ann, 2)", "t(bob, 1)", "t(cy, 0)"]),
        ("t(P, T) :- person(P), T is count(W : bag(P, B), weight(B, W)).", ["t(ann, 1)", "t(bob, 1)", "t(cy, 0)"]),
        ("t(T) :- T is count(B, W : bag(_, B), weight(B, W)).", ["t(3)"]),
        ("t(P, T) :- person(P), T is max(W : bag(P, B), weight(B, W)).", ["t(ann, 60)", "t(bob, 12.5)"]),
        ("t(T) :- T is min(W : weight(_, W)).", ["t(12.5)"]),
        ("t(T) :- T is avg(W : weight(_, W)).", ["t(36.25)"]),
        ("t(T) :- T is avg(W : weight(B, W)).", ["t(44.1666666666667)"]),
        ("t(T) :- T is avg(W : nothing(B, W)).", []),
        ("t(P) :- person(P), count(B : bag(P, B)) >= 2.", ["t(ann)"]),
        ("t(P) :- person(P), count(B : bag(P, B)) = 0.", ["t(cy)"]),
        ("t(P, T) :- person(P), T is 10 * count(B : bag(P, B)) + max(W : weight(_, W)).",
         ["t(ann, 80)", "t(bob, 70)", "t(cy, 60)"]),
        ("t(T) :- T is sum(W * 2 - 1 : weight(B, W)).", ["t(262)"]),
        ("t(T) :- T is count(B : bag(P, B), not paid(P, 3)).", ["t(2)"]),
        ("t(L, T) :- L = 20, T is count(B : weight(B, W), W > L).", ["t(20, 2)"]),
        # One element without a value, and there is no sum.
        ("t(T) :- T is sum(A : paid(_, A)).", []),
        ("t(T) :- T is sum(A + 1 : paid(_, A)).", []),
        ("t(T) :- T is max(A : paid(_, A)).", []),
        ("t(T) :- T is count(A : paid(_, A)).", ["t(2)"]),
        # A condition that needs one sum's result, beside a sum over a condition on the same variable.
        ("t(P, A) :- person(P), bag(P, C), weight(C, V), N is count(B : bag(_, B)), "
         "G is count(B : weight(B, U), U > V), A is max(0, N - G).",
         ["t(ann, 3)", "t(bob, 1)"]),
        # A variable that stands outside is one value at a time.
        ("t(B, T) :- bag(P, B), T is sum(W : bag(P, B), weight(B, W)).", ["t(b1, 60)", "t(b2, 60)", "t(b3, 12.5)"]),
        # Over what another clause aggregates.
        (
            "t(T) :- T is max(N : n(_, N)). n(P, N) :- person(P), N is count(B : bag(P, B)).",
            ["n(ann, 2)", "n(bob, 1)", "n(cy, 0)", "t(2)"],
        ),
        ("t(P) :- person(P), not many(P). many(P) :- person(P), count(B : bag(P, B)) > 1.", ["many(ann)", "t(bob)", "t(cy)"]),
    ],
)  # fmt: skip
def test_what_aggregates_mean(engine: Engine, clause: str, expected: list[str]) -> None:
    assert concluded(engine, clause, BAGS) == expected


def test_a_proof_has_the_elements_and_the_result(engine: Engine) -> None:
    clauses = parse_clauses("total(P, T) :- person(P), T is sum(W : bag(P, B), weight(B, W)).")
    facts = parse_facts(BAGS)
    firings = engine.run(clauses, facts)
    proof = shortest_proofs(facts, firings)["total", "ann", 120]
    assert [str(need.atom) for need in proof.needs if not is_element(need.atom)] == ["person(ann)"]
    [one] = proof.gathered
    assert (one.told, str(one.value)) == ("sum(W : bag(ann, B), weight(B, W))", "120")
    leaves = [[str(need.atom) for need in element.needs] for element in proof.needs[one.first : one.end]]
    assert leaves == [["bag(ann, b1)", "weight(b1, 60)"], ["bag(ann, b2)", "weight(b2, 60)"]]
    assert proof.size == 1, "elements are no steps"
    nobody = shortest_proofs(facts, firings)["total", "cy", 0]
    assert nobody.gathered[0].first == nobody.gathered[0].end


@pytest.mark.parametrize(
    ("text", "cycle"),
    [
        ("p(N) :- N is count(X : q(X)). q(X) :- p(X).", "an aggregate: p/1 needs the count over q/1, q/1 needs p/1"),
        ("p(X, N) :- q(X), N is sum(M : p(X, M)).", "an aggregate: p/2 needs the sum over p/2"),
        (
            "p(N) :- N is max(X : r(X), not q(X)). q(X) :- p(X).",
            "an aggregate: p/1 needs the max over q/1, q/1 needs p/1",
        ),
    ],
)
def test_an_aggregate_over_its_own_conclusion_is_refused_with_the_cycle(text: str, cycle: str) -> None:
    with pytest.raises(KnowledgeError, match=f"in a circle through {cycle}"):
        check_stratified(parse_clauses(text))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("t(P, T) :- T is sum(W : bag(P, B), weight(B, W)).", r"the variable P takes .*outside of sum\(\.\.\.\)"),
        ("t(T) :- T is sum(W : bag(_, B)).", r"the variable W of sum\(W : bag\(_, B\)\) takes its value from no condition in it"),
        ("t(T) :- T is count(B : bag(_, B), W > 3).", "the variable W of count"),
        ("t(N) :- L is max(W : w(_, W)), N is count(B : w(B, W), W < L).", "the variable L of count.* from another aggregate"),
        ("t(T) :- T is count(B : bag(B, C), _ < 3).", "'_' in _ < 3 has no value"),
    ],
)  # fmt: skip
def test_what_an_aggregate_leaves_open_is_named(text: str, problem: str) -> None:
    with pytest.raises(KnowledgeError, match=problem):
        for clause in parse_clauses(text):
            check_safe(clause)


def test_elements_count_as_what_is_made() -> None:
    with Engine(Limits(most=100)) as engine, pytest.raises(EngineError, match="make more than 100 facts"):
        facts = parse_facts(" ".join(f"n({number})." for number in range(20)))
        engine.run(parse_clauses("t(T) :- T is count(A, B : n(A), n(B))."), facts)


# --- against an evaluator that knows nothing of the engine ------------------------------------------------------------

SMALL = [Constant("a"), Constant("b"), Constant(1), Constant(2), Constant(Decimal("0.5"))]
X, Y, Z, G = (Variable(name) for name in "XYZG")


@st.composite
def aggregations(draw: st.DrawFn) -> tuple[list[Clause], list[Atom]]:
    """`t(G, V) :- g(G), V is f(... : ...).` in which elements are facts or derived, and a clause over its results."""
    facts = [
        Atom("e", (draw(st.sampled_from(SMALL)), draw(st.sampled_from(SMALL)))) for _ in range(draw(st.integers(0, 5)))
    ]
    facts += [Atom("g", (draw(st.sampled_from(SMALL)),)) for _ in range(draw(st.integers(1, 3)))]
    facts += [
        Atom("w", (draw(st.sampled_from(SMALL)), draw(st.sampled_from(SMALL[2:]))))
        for _ in range(draw(st.integers(0, 5)))
    ]
    ends: st.SearchStrategy[Term] = st.sampled_from([G, X, Y, Variable("_"), Constant("a")])
    limits: list[Term] = [Constant(1), G]
    body: list[Literal] = [Atom("e", (draw(ends), X)), Atom("w", (draw(st.sampled_from([X, G, Variable("_")])), Y))]
    if draw(st.booleans()):
        body.append(Negated(Atom("e", (X, draw(st.sampled_from([Y, Variable("_")]))))))
    if draw(st.booleans()):
        body.append(Comparison(draw(st.sampled_from(["<", ">=", "!="])), Y, draw(st.sampled_from(limits))))
    terms = draw(st.sampled_from([(Y,), (Y, X), (X,), (Y, G)]))
    made = Aggregate(draw(st.sampled_from(["count", "sum", "min", "max", "avg"])), terms, tuple(body))
    clauses = [Clause(Atom("t", (G, Z)), (Atom("g", (G,)), Comparison("=", Z, made)))]
    if draw(st.booleans()):
        over = Aggregate(draw(st.sampled_from(["count", "sum", "max"])), (Z,), (Atom("t", (Variable("_"), Z)),))
        clauses.append(Clause(Atom("u", (Y,)), (Comparison("=", Y, over),)))
    return clauses, facts


def naive(clauses: list[Clause], facts: list[Atom]) -> set[tuple[Any, ...]]:
    """Clause after clause, each after those it aggregates, by trying all values for all variables."""
    holds = {fact.key for fact in facts}
    values = {value for row in holds for value in row[1:]}
    for clause in clauses:
        outer = [part for part in clause.body if isinstance(part, Atom)]
        equation = next(part for part in clause.body if isinstance(part, Comparison))
        one = equation.right
        assert isinstance(one, Aggregate) and isinstance(equation.left, Variable)
        values |= {value for row in holds for value in row[1:]}
        new = set()
        for group in assignments(outer, {}, holds, values):
            result = aggregated(one, group, holds, values)
            if result is not None:
                new.add((clause.head.predicate, *({**group, equation.left.name: result}[t.name]
                                                  for t in clause.head.terms if isinstance(t, Variable))))  # fmt: skip
        holds |= new
    return holds


def assignments(body: list[Any], known: dict[str, Any], holds: set[Any], values: set[Any]) -> Iterator[dict[str, Any]]:
    """All values for the named variables under which the conditions hold; `_` is any."""
    if not body:
        yield known
        return
    part, rest = body[0], body[1:]
    if isinstance(part, Atom):
        for row in holds:
            found = unified(part, row, known)
            if found is not None:
                yield from assignments(rest, found, holds, values)
    elif isinstance(part, Negated):
        if all(unified(part.atom, row, known) is None for row in holds):
            yield from assignments(rest, known, holds, values)
    else:
        left, right = (known[side.name] if isinstance(side, Variable) else side.key for side in (part.left, part.right))
        numbers = not isinstance(left, str) and not isinstance(right, str)
        if (
            left != right
            if part.operator == "!="
            else numbers and (left < right if part.operator == "<" else left >= right)
        ):
            yield from assignments(rest, known, holds, values)


def unified(atom: Atom, row: tuple[Any, ...], known: dict[str, Any]) -> dict[str, Any] | None:
    if row[0] != atom.predicate or len(row) != 1 + len(atom.terms):
        return None
    found = dict(known)
    for term, value in zip(atom.terms, row[1:], strict=True):
        if isinstance(term, Constant):
            if term.key != value:
                return None
        elif isinstance(term, Variable) and term.name != "_" and found.setdefault(term.name, value) != value:
            return None
    return found


def aggregated(one: Aggregate, group: dict[str, Any], holds: set[Any], values: set[Any]) -> Any:
    elements = set()
    for found in assignments(list(one.body), group, holds, values):
        terms = tuple(found[term.name] for term in one.terms if isinstance(term, Variable))
        if one.function in ("sum", "avg") and len(terms) == 1:
            terms += tuple(found[name] for name in sorted(set(found) - set(group)))
        elements.add(terms)
    if one.function == "count":
        return len(elements)
    firsts = [element[0] for element in elements]
    if any(isinstance(value, str) for value in firsts) or (one.function != "sum" and not firsts):
        return None
    if one.function in ("min", "max"):
        return min(firsts) if one.function == "min" else max(firsts)
    total = sum((Fraction(value) for value in firsts), Fraction(0))
    return total if one.function == "sum" else total / len(firsts)


def rounded(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value if isinstance(value, str) else round(float(value), 9) for value in key)


@settings(max_examples=100)
@given(aggregations())
def test_aggregates_agree_with_a_naive_evaluator(engine: Engine, program: tuple[list[Clause], list[Atom]]) -> None:
    clauses, facts = program
    for clause in clauses:
        check_safe(clause)
        assert parse_clauses(str(clause)) == (clause,)
    check_stratified(clauses)
    firings = engine.run(clauses, facts)
    proofs = shortest_proofs(facts, firings)
    assert {rounded(key) for key, proof in proofs.items() if not is_element(proof.atom)} == {
        rounded(k) for k in naive(clauses, facts)
    }


# --- functions and dates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("round(2.5)", "3"), ("round(-2.5)", "-3"), ("round(2.345, 2)", "2.35"), ("round(1250, -2)", "1300"),
        ("ceil(2.01)", "3"), ("ceil(-2.5)", "-2"), ("floor(2.99)", "2"), ("floor(-2.5)", "-3"), ("abs(-3.5)", "3.5"),
        ("min(3, 1, 2)", "1"), ("max(3, 1.5 + 2)", "3.5"), ("round(10 / 3, 2) * 3", "9.99"), ("-abs(2)", "-2"),
        ("2026-11-30 + 30 days", "2026-12-30"), ("2026-11-30 - 2 weeks", "2026-11-16"), ("2026-11-30 + 1 day", "2026-12-01"),
        ("2026-01-31 + 1 month", "2026-02-28"), ("2024-01-31 + 1 months", "2024-02-29"), ("2026-03-31 - 1 month", "2026-02-28"),
        ("2024-02-29 + 1 year", "2025-02-28"), ("2026-11-30 + 2 * 3 months", "2027-05-30"), ("2026-12-31 + 0 days", "2026-12-31"),
        ("2026-12-25 - 2026-11-30", "25"), ("weekday(2026-11-30)", '"Monday"'), ("year(2026-11-30)", "2026"),
        ("month(2026-11-30) * 100 + day(2026-11-30)", "1130"), ("max(2026-11-30, 2025-01-01)", "2026-11-30"),
        ('"30 November 2026" + 1 day', "2026-12-01"), ("2026-11-30 + 1 month + 1 day", "2026-12-31"),
        # No value: kinds that do not go together, ends of the calendar, parts of a day.
        ("2026-11-30 + 30", None), ("2026-11-30 + 2025-01-01", None), ("5 + 30 days", None), ("weekday(5)", None),
        ("2026-11-30 + 0.5 days", None), ("9999-12-31 + 1 day", None), ("0001-01-01 - 1 month", None),
        ("max(1, 2026-11-30)", None),
        ("ceil(ann)", None), ("round(1, 40)", None), ("-2026-11-30", None),
    ],
)  # fmt: skip
def test_functions_and_dates(engine: Engine, expression: str, value: str | None) -> None:
    assert concluded(engine, f"v(X) :- X is {expression}.") == ([] if value is None else [f"v({value})"])


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(-5000, 5000))
def test_days_are_added_and_taken_away_again(engine: Engine, day: date, count: int) -> None:
    told = concluded(engine, f"v(X, N) :- X is {day} + ({count}) days, N is X - {day}.")
    assert told == [f"v({day + timedelta(days=count)}, {count})"]


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("D < 2026-12-01", ["a"]), ("D >= 2026-11-30", ["a", "b"]), ("weekday(D) = monday", ["a"]), ("D = 2026-11-30", ["a"]),
        ('D = "Nov 30, 2026"', ["a"]), ("D > 5", []), ("D in season", []),
        ('D in "from 1 December 2026 to 31 March 2027"', ["b"]),
        ('D in "after November 30, 2026"', ["b"]), ("D in 2026-11-30", ["a"]), ('D in "50 to 70 lb"', []),
    ],
)  # fmt: skip
def test_dates_are_compared(engine: Engine, condition: str, names: list[str]) -> None:
    told = concluded(
        engine, f"v(X) :- d(X, D), {condition}.", 'd(a, "30 November 2026"). d(b, 2026-12-24). d(c, "05/06/2026").'
    )
    assert told == [f"v({name})" for name in names]


def test_the_first_row_that_holds_a_number_is_found_in_a_table_of_texts(engine: Engine) -> None:
    rows = 'fee("up to 50 lb", 0). fee("over 50 to 70 lb", 100). fee("over 70 lb", 200). fee("any", 1).'
    weights = "w(a, 50). w(b, 50.5). w(c, 70). w(d, 99)."
    told = concluded(engine, "v(X, F) :- w(X, W), fee(T, F), W in T.", rows + weights)
    assert told == ["v(a, 0)", "v(b, 100)", "v(c, 100)", "v(d, 200)"]


# --- defaults ---------------------------------------------------------------------------------------------------------


def test_a_default_gives_way_to_what_any_rule_or_fact_says(engine: Engine) -> None:
    rules = [
        Rule(text="Default.", clause="otherwise fee(B, 30) :- bag(_, B)."),
        Rule(text="Soldiers.", clause="fee(B, 0) :- bag(P, B), soldier(P)."),
    ]
    tests = (
        RuleTest(given="bag(ann, b1).", expect="fee(b1, 30)."),
        RuleTest(given="bag(ann, b1). soldier(ann).", expect="fee(b1, 0).", expect_not="fee(b1, 30)."),
        RuleTest(given="bag(ann, b1). fee(b1, 7). bag(ann, b2).", expect="fee(b2, 30).", expect_not="fee(b1, 30)."),
    )
    for tested in (rules, rules[::-1]):
        assert failures([tested[0].model_copy(update={"tests": tests}), tested[1]], engine) == []


@pytest.mark.parametrize(
    ("clauses", "expected"),
    [
        # The first that applies, in the order of the text.
        (
            "otherwise fee(B, 200) :- w(B, W), W > 70. otherwise fee(B, 100) :- w(B, W), W > 50. otherwise fee(B, 0) :- w(B, _).",
            ["fee(a, 0)", "fee(b, 100)", "fee(c, 200)"],
        ),
        # What is the same is said where a value has a unit.
        (
            "fee(B, 200, usd) :- w(B, W), W > 70. otherwise for B: fee(B, 0, usd) :- w(B, _).",
            ["fee(a, 0, usd)", "fee(b, 0, usd)", "fee(c, 200, usd)"],
        ),
        ("otherwise rate(5). rate(7) :- w(_, 60).", ["rate(7)"]),
        ("otherwise rate(5). rate(7) :- w(_, 61).", ["rate(5)"]),
        # The greatest, and the most specific, of the rows that apply.
        ("fee(B, F) :- w(B, _), F is max(G : row(B, G)). row(B, 1) :- w(B, _). row(B, 2) :- w(B, W), W > 50.",
         ["fee(a, 1)", "fee(b, 2)", "fee(c, 2)", "row(a, 1)", "row(b, 1)", "row(b, 2)", "row(c, 1)", "row(c, 2)"]),
        ("light(B) :- w(B, _), unless heavy(B). heavy(B) :- w(B, W), W > 50.", ["heavy(b)", "heavy(c)", "light(a)"]),
    ],
)  # fmt: skip
def test_what_defaults_mean(engine: Engine, clauses: str, expected: list[str]) -> None:
    assert concluded(engine, clauses, "w(a, 20). w(b, 60). w(c, 80).") == expected


def test_a_default_that_its_own_exception_needs_is_refused() -> None:
    circle = Rule(text="1", clause="otherwise fee(B, 30) :- bag(B). fee(B, F) :- fee(C, F), same(B, C).")
    assert (
        "fee/2 needs not another fee/2 for 1, another fee/2 for 1 needs fee/2" in RuleSet.of([circle]).faults[circle.id]
    )


def test_an_exception_of_a_rule_lets_the_default_hold(engine: Engine) -> None:
    strict = Rule(text="Heavy.", clause="fee(B, 100) :- heavy(B).", exceptions=("medical(B)",))
    default = Rule(text="Else.", clause="otherwise fee(B, 0) :- bag(B).")
    test = RuleTest(given="bag(a). heavy(a). medical(a). bag(b). heavy(b).", expect="fee(a, 0). fee(b, 100).")
    assert failures([strict.model_copy(update={"tests": (test,)}), default], engine) == []


# --- the syntax -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "t(P, T) :- person(P), T = sum(W, B : bag(P, B), weight(B, W), W > 3).",
        "otherwise fee(B, 30) :- bag(B).",
        "otherwise for A, C: fee(A, B, C, 3) :- bag(A, B, C).",
        "p(X) :- q(Y), X = (Y + 2 * 3 months) - 1 days.",
        "p(X) :- q(Y), X = Y - (Y + 1) weeks.",
        "p(X) :- q(X, T), X in T.",
        "p :- abs(X - 3) < round(X, 2), q(X), min(X, 2) != max(1, X).",
        "p(2026-11-30, in, unless, otherwise, count, days).",
        "in(X) :- sum(X), count(X, max), not round(X), unless(X), otherwise(X).",
        "otherwise(X) :- for(X).",
    ],
)
def test_new_forms_come_back_from_their_text(text: str) -> None:
    made = parse_clauses(text)
    assert parse_clauses("\n".join(map(str, made))) == made
    squeezed = text.replace(", ", ",").replace(" : ", ":")
    assert parse_clauses(squeezed) == made


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("p(X) :- X is sum(W).", 19, "expected ',' or ':', as in sum(X : p(X))"),
        ("p(X) :- X is sum(W : q(W).", 26, "expected ',' or ')', but found ."),
        ("p(X) :- X is sum(_ : q(_)).", 14, "'_' has no value"),
        ("p(X) :- X is sum(W : q(W), W > max(V : r(V))).", 14, "aggregates do not nest"),
        ("p(X) :- X is ceil(W : q(W)).", 14, "ceil runs over no conditions"),
        ("p(X) :- q(Y), X is ceil(Y, 2).", 20, "ceil takes 1 values, not 2"),
        ("p(X) :- q(Y), X is root(Y).", 24, "root is no function"),
        ("p(count(X : q(X))).", 3, "a conclusion cannot aggregate"),
        ("p(X) :- q(2026-02-30).", 11, "expected a day of the calendar"),
        ("p(X) :- q(X, 3 days).", 16, "expected ',' or ')', but found days"),
        ("otherwise p :- q.", 11, "a default concludes a value"),
        ("otherwise for X: p(Y) :- q(Y).", 15, "expected a variable of the conclusion p(Y)"),
        ("otherwise for X p(X, Y) :- q(X, Y).", 17, "expected ',' or ':'"),
        ("otherwise p(X + 1, 3) :- q(X).", 11, "only the last argument of a default may be calculated"),
        ("p(X) :- q(X), X in .", 20, "expected a value"),
    ],
)
def test_an_error_points_at_its_place(text: str, column: int, expected: str) -> None:
    with pytest.raises(ClauseError) as caught:
        parse_clauses(text)
    assert expected in str(caught.value) and (caught.value.line, caught.value.column) == (1, column)


def test_a_goal_is_an_atom_with_open_places() -> None:
    assert parse_goal('grandfather("Ann", X)') == Atom("grandfather", (Constant("Ann"), X))
    assert parse_goal("R(ann, bob).") == Atom("", (Constant("ann"), Constant("bob")))
    for text in ("", "X", "p(X) :- q(X)", "p(X + 1)", "p(X), q(X)"):
        with pytest.raises(ClauseError):
            parse_goal(text)

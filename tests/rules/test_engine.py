"""The engine: it agrees with a naive evaluator, its proofs hold and are shortest, and nothing keeps it from coming back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nesycd.core.errors import KnowledgeError
from nesycd.rules.checks import check_safe, check_stratified
from nesycd.rules.clauses import Atom, Calculation, Clause, Comparison, Constant, Literal, Negated, Term, Variable
from nesycd.rules.engine import WORKER, Engine, EngineError, Limits
from nesycd.rules.parser import parse_clauses, parse_facts
from nesycd.rules.program import Program
from nesycd.rules.proofs import Proof, shortest_proofs


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


def heads(engine: Engine, clauses: str, facts: str = "") -> list[str]:
    firings = engine.run(parse_clauses(clauses), parse_facts(facts) if facts else ())
    return list(dict.fromkeys(str(firing.head) for firing in firings))


# --- against an evaluator that knows nothing of the engine ------------------------------------------------------------

LEVELS = (("e", 2), ("f", 1), ("p", 1), ("q", 2), ("r", 1), ("s", 2))
"""Predicates with their arity; the first two are facts, and a clause looks at those of its level or below."""
VARIABLES = [Variable(name) for name in "XYZ"]
values = st.sampled_from([Constant("a"), Constant(1), Constant(2), Constant(5)])


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[Clause], list[Atom]]:
    """A stratified program in which what is calculated stays small, and facts."""
    facts = [Atom(name, tuple(draw(values) for _ in range(arity)))
             for name, arity in LEVELS[:2] for _ in range(draw(st.integers(1, 4)))]  # fmt: skip
    return [draw(safe_clauses(draw(st.integers(2, 5)))) for _ in range(draw(st.integers(1, 6)))], facts


@st.composite
def safe_clauses(draw: st.DrawFn, level: int) -> Clause:
    """A clause for a predicate of this level."""

    def atom(below: int, terms: Any) -> Atom:
        name, arity = LEVELS[draw(st.integers(0, below))]
        return Atom(name, tuple(draw(terms) for _ in range(arity)))

    anything = st.sampled_from([*VARIABLES, *VARIABLES, Variable("_")]) | st.sampled_from(VARIABLES) | values
    body: list[Literal] = [atom(draw(st.integers(0, level)), anything) for _ in range(draw(st.integers(1, 2)))]
    bound = [Variable(name) for name in dict.fromkeys(n for part in body for n in _names(part))]
    known = st.sampled_from(bound) | values if bound else values
    if draw(st.booleans()):
        made = Variable("W")
        operator = draw(st.sampled_from(["+", "-", "*", "//", "mod", "/"]))
        body.append(Comparison("=", made, Calculation(operator, draw(known), draw(known))))
        body += [Comparison("<", made, Constant(9)), Comparison(">=", made, Constant(-9))]
        known = st.just(made) | st.just(made) | known
    if draw(st.booleans()):
        body.append(Comparison(draw(st.sampled_from(["<", "<=", ">", ">=", "!=", "="])), draw(known), draw(known)))
    if draw(st.booleans()):
        body.append(Negated(atom(level - 1, known | st.just(Variable("_")))))
    name, arity = LEVELS[level]
    order = draw(st.permutations(body))
    return Clause(Atom(name, tuple(draw(known) for _ in range(arity))), tuple(order))


def _names(part: Literal) -> list[str]:
    assert isinstance(part, Atom)
    return [term.name for term in part.terms if isinstance(term, Variable) and term.name != "_"]


def naive(clauses: list[Clause], facts: list[Atom]) -> set[tuple[Any, ...]]:
    """All that holds, level by level, by trying every value for every variable until nothing new comes."""
    holds = {fact.key for fact in facts}
    for name, _ in LEVELS:
        mine = [clause for clause in clauses if clause.head.predicate == name]
        size = -1
        while size != len(holds):
            size = len(holds)
            for clause in mine:
                holds |= {head for head in consequences(clause, holds)}
    return holds


def consequences(clause: Clause, holds: set[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    found: list[dict[str, Any]] = [{}]
    for part in clause.body:
        if isinstance(part, Atom):
            found = [new for one in found for row in holds if (new := matched(part, row, one)) is not None]
    # `=` may give a value or compare, whichever its place in the clause allows.
    for part in sorted((p for p in clause.body if not isinstance(p, Atom)), key=lambda p: "W = " not in str(p)):
        found = [new for one in found if (new := checked(part, one, holds)) is not None]
    return [(clause.head.predicate, *(evaluated(term, one) for term in clause.head.terms)) for one in found]


def matched(atom: Atom, row: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any] | None:
    if row[0] != atom.predicate or len(row) != len(atom.terms) + 1:
        return None
    known = dict(given)
    for term, value in zip(atom.terms, row[1:], strict=True):
        if isinstance(term, Variable):
            if term.name != "_" and known.setdefault(term.name, value) != value:
                return None
        elif evaluated(term, {}) != value:
            return None
    return known


def checked(part: Literal, given: dict[str, Any], holds: set[tuple[Any, ...]]) -> dict[str, Any] | None:
    if isinstance(part, Negated):
        return None if any(matched(part.atom, row, given) is not None for row in holds) else given
    assert isinstance(part, Comparison)
    if part.operator == "=" and part.left == Variable("W") and "W" not in given:
        value = evaluated(part.right, given)
        return None if value is None else {**given, "W": value}
    left, right = evaluated(part.left, given), evaluated(part.right, given)
    if part.operator in ("=", "!="):
        return given if (left == right) == (part.operator == "=") else None
    if isinstance(left, str) or isinstance(right, str):
        return None
    true = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[part.operator]
    return given if true else None


def evaluated(term: Term, given: dict[str, Any]) -> Any:
    if isinstance(term, Variable):
        return given[term.name]
    if isinstance(term, Constant):
        return term.value
    assert isinstance(term, Calculation)
    left, right = evaluated(term.left, given), evaluated(term.right, given)
    if isinstance(left, str) or isinstance(right, str) or (right == 0 and term.operator in ("/", "//", "mod")):
        return None
    if term.operator == "/":
        return round(left / right, 9)
    if term.operator in ("//", "mod") and (left % 1 or right % 1):
        return None
    return {"+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right,
            "//": lambda: left // right, "mod": lambda: left % right}[term.operator]()  # fmt: skip


def rounded(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value if isinstance(value, str) else round(float(value), 6) for value in key)


@settings(max_examples=100)
@given(programs())
def test_the_engine_agrees_with_a_naive_evaluator(engine: Engine, program: tuple[list[Clause], list[Atom]]) -> None:
    clauses, facts = program
    if any("/" in str(clause) and "//" not in str(clause) for clause in clauses):
        # Quotients are rounded; fed back into a recursion they would be so in another order.
        clauses = [clause for clause in clauses if f"{clause.head.predicate}(" not in str(clause).partition(":-")[2]]
    for clause in clauses:
        check_safe(clause)
    check_stratified(clauses)
    firings = engine.run(clauses, facts)
    proofs = shortest_proofs(facts, firings)
    wanted = {rounded(key) for key in naive(clauses, facts)}
    assert {rounded(key) for key in proofs} == wanted
    assert {rounded(f.head.key) for f in firings} | {rounded(f.key) for f in facts} == wanted
    for proof in proofs.values():
        check_proof(proof, clauses, facts, {atom for atom in proofs})


def check_proof(proof: Proof, clauses: list[Clause], facts: list[Atom], holds: set[tuple[Any, ...]]) -> None:
    """A step is an instance of its clause, its facts are given, and no smaller proof stands within it."""
    assert proof.size == (0 if proof.clause is None else 1 + sum(need.size for need in proof.needs))
    if proof.clause is None:
        assert proof.atom.key in {fact.key for fact in facts}
        return
    clause = clauses[proof.clause]
    known: dict[str, Any] | None = {}
    positive = [part for part in clause.body if isinstance(part, Atom)]
    for part, need in zip(positive, proof.needs, strict=True):
        assert need.atom.key in holds and known is not None
        known = matched(part, need.atom.key, known)
    assert known is not None
    for step in proof.needs:
        assert proof.atom.key not in {inner.atom.key for inner in step.steps()}
        check_proof(step, clauses, facts, holds)


# --- single matters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clauses", "facts", "expected"),
    [
        ("g(X, Z) :- f(X, Y), f(Y, Z).", 'f(a, "B  b"). f("b B", c).', ["g(a, c)"]),
        ("p(Y) :- n(X), Y is X / 3.", "n(1).", ["p(0.333333333333333)"]),
        ("p(Y) :- n(X), Y is X / 4.", "n(1).", ["p(0.25)"]),
        ("p(Y) :- n(X), Y is X / 0.", "n(1).", []),
        ("p(Y) :- n(X), Y is X + 1.", "n(tom).", []),
        ("p(Y) :- n(X), Y is X * X * X * X.", "n(100000).", ["p(100000000000000000000)"]),
        ("p(Y) :- n(X), Y is X * X.", "n(99999999999999999999).", []),
        ("p(Y) :- n(X), Y is -X // 2 + X mod 3.", "n(7).", ["p(-3)"]),
        ("p(X) :- n(X), X < 2.5.", "n(2.25). n(2.75). n(ann).", ["p(2.25)"]),
        ("p :- n(X), X + 1 = 3 - 1.", "n(1).", ["p"]),
        ("p(X + 1, a) :- n(X).", "n(1).", ["p(2, a)"]),
        ("p(X) :- n(X), not m(X, _).", "n(1). n(2). m(2, 3).", ["p(1)"]),
        ("a(1). b(X) :- a(X), not c.", "", ["a(1)", "b(1)"]),
        ('p(X) :- n(X, "it\\"s \\\\ here").', 'n(a, "it\\"s \\\\ here").', ["p(a)"]),
        ('p(X) :- n(X), X != ").\\n#script(python) x #end.".', 'n(b). n("). #external").', ["p(b)", 'p("). #external")']),
    ],
)  # fmt: skip
def test_what_clauses_mean(engine: Engine, clauses: str, facts: str, expected: list[str]) -> None:
    assert heads(engine, clauses, facts) == expected


def test_the_shortest_proof_is_told_and_always_the_same(engine: Engine) -> None:
    clauses = parse_clauses("r(X, Y) :- e(X, Y). r(X, Z) :- r(X, Y), e(Y, Z). r(X, Z) :- e(X, Z), not gone(Z).")
    facts = parse_facts("e(a, b). e(b, c). e(c, d). e(a, d).")
    made = [shortest_proofs(order, engine.run(clauses, order)) for order in (facts, facts[::-1])]
    assert made[0] == made[1]
    proof = made[0]["r", "a", "d"]
    assert (proof.clause, proof.size) == (0, 1) and [str(step.atom) for step in proof.steps()] == ["r(a, d)", "e(a, d)"]
    assert made[0]["r", "a", "c"].size == 2


@pytest.mark.parametrize(
    ("clauses", "why"),
    [
        ("n(X + 1) :- n(X).", r"make more than 2000 facts.*may never end: n\(X \+ 1\) :- n\(X\)\."),
        ("n(Y) :- n(X), Y is X / 2, Y > 0.", "may never end: "),
        ("p(A, B, C, D, E, F) :- n(A), n(B), n(C), n(D), n(E), n(F).", "join too many facts"),
    ],
)
def test_clauses_that_never_end_are_stopped_and_the_caller_goes_on(clauses: str, why: str) -> None:
    with Engine(Limits(most=2000)) as engine:
        facts = parse_facts(" ".join(f"n({number})." for number in range(1, 30)))
        with pytest.raises(EngineError, match=f"(?s){why}"):
            engine.run(parse_clauses(clauses), facts)
        assert heads(engine, "p(X) :- q(X).", "q(1).") == ["p(1)"]


def test_only_a_clause_that_may_fire_is_blamed() -> None:
    with Engine(Limits(most=2000)) as engine:
        facts = parse_facts(" ".join(f"n({number})." for number in range(1, 30)))
        with pytest.raises(EngineError, match="they join too many facts"):
            engine.run(parse_clauses("m(X + 1) :- m(X). p(A, B, C, D, E) :- n(A), n(B), n(C), n(D), n(E)."), facts)


def test_compiled_clauses_are_used_again_with_other_facts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    clauses = parse_clauses('p(X, Y) :- q(X), Y = "A text". r(X) :- p(X, "a TEXT"), not q(X).')
    made: list[object] = []

    def compiled(given: Sequence[Clause]) -> Program:
        made.append(given)
        return Program(given)

    monkeypatch.setattr("nesycd.rules.engine.Program", compiled)
    for name, said in (("ann", "A text"), ("A Text", "A Text"), ("bob", "A text")):
        facts = parse_facts(f'q("{name}").')
        told = [firing.head for firing in engine.run(clauses, facts)]
        assert told == [Atom("p", (Constant(name), Constant(said)))], (
            "a text is spelled as the facts spell it, if they do"
        )
    assert made == [clauses]
    assert heads(engine, "p(X) :- q(X).", "q(1).") == ["p(1)"] and len(made) == 2


def test_time_is_limited_where_nothing_new_is_made() -> None:
    with Engine(Limits(seconds=0.2, most=10**9)) as engine:
        facts = parse_facts(" ".join(f"n({number})." for number in range(40)))
        started = time.monotonic()
        with pytest.raises(EngineError, match=r"did not come to an end within 0\.2 s"):
            engine.run(parse_clauses("p :- n(A), n(B), n(C), n(D), n(E), n(F), A + B + C + D + E + F < 0."), facts)
        assert time.monotonic() - started < 60
        assert heads(engine, "p(X) :- q(X).", "q(1).") == ["p(1)"]


@pytest.mark.slow
def test_memory_is_limited() -> None:
    pytest.importorskip("resource", reason="the system has no limits")
    with Engine(Limits(seconds=60, most=10**9, memory_mb=96)) as engine:
        with pytest.raises(EngineError, match=r"(?s)need 96 MB and were stopped.*may never end"):
            engine.run(
                parse_clauses("n(X + 1) :- n(X). m(X, Y, X, Y, X, Y, X, Y, X, Y, X, Y) :- n(X), n(Y)."),
                parse_facts("n(1)."),
            )
        assert heads(engine, "p(X) :- q(X).", "q(1).") == ["p(1)"]


def test_the_process_stays_from_call_to_call_and_a_killed_one_is_replaced(engine: Engine) -> None:
    heads(engine, "p(X) :- q(X).", "q(1).")
    first = engine.pid
    assert heads(engine, "p(X) :- q(X).", "q(2).") == ["p(2)"] and engine.pid == first is not None
    os.kill(first, 9)
    with pytest.raises(EngineError):
        heads(engine, "p(X) :- q(X).", "q(3).")
    assert heads(engine, "p(X) :- q(X).", "q(3).") == ["p(3)"] and engine.pid != first


def test_the_worker_ends_with_its_input() -> None:
    request = json.dumps({**Program(()).request(()).body, "seconds": 5, "most": 10}) + "\n"
    done = subprocess.run(
        [sys.executable, "-P", str(WORKER), "512"], input=request, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and json.loads(done.stdout) == {"fired": []}


def test_without_clingo_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nesycd.rules.engine.find_spec", lambda name: None)
    with Engine() as engine, pytest.raises(KnowledgeError, match=r"pip install 'nesycd\[rules\]'"):
        heads(engine, "p.")


def test_the_worker_imports_nothing_of_the_package() -> None:
    assert "nesycd" not in {line.split()[1].partition(".")[0] for line in Path(WORKER).read_text("utf-8").splitlines()
                            if line.startswith(("import ", "from "))}  # fmt: skip


def test_the_naive_evaluator_knows_what_not_means() -> None:
    [clause] = parse_clauses("p(X) :- e(X, Y), f(Y), not q(X, X).")
    facts = parse_facts("e(a, b). f(b). e(b, a).")
    assert consequences(clause, {fact.key for fact in facts}) == [("p", "a")]

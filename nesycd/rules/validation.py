"""Rule items made ready to run: clauses read and checked, exceptions worked in, and which rules cannot run and why."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Rule, RuleTest
from nesycd.rules.checks import bound_variables, check_arity, check_safe, check_stratified
from nesycd.rules.clauses import (
    FALSE,
    Atom,
    Clause,
    Constant,
    Negated,
    Signature,
    Variable,
    another,
    another_of,
    clause_variables,
    variables,
)
from nesycd.rules.parser import parse_body, parse_clauses, parse_facts

GIVEN = ("given", 1)
"""What only a question says. The engine never reads a question, so nothing is `given` outside of tests."""
_EXCEPTION = "exception "
"""Begins the predicates that stand for exceptions; no predicate in a clause's text holds a blank."""
_CASE = re.compile(r"case ([0-9]+) for [0-9 ]*of .*")
"""Predicates that stand for the conditions of a default, for those after it in its rule."""
_SAYS = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class RunnableRule:
    """A rule item with its clauses; the first clause's head is what it concludes (`false` where that is a constraint)."""

    item: Rule
    clauses: tuple[Clause, ...]
    head: Atom
    is_declared: bool = False
    """Whether it is no item, but what is declared of a relation (`deriving.declared_rules`)."""

    def triple(self, conclusion: Atom) -> tuple[str, str, str] | None:
        """A conclusion as subject, relation and object; None where it is only a step to others."""
        values = [(t.written or str(t.value)) if isinstance(t, Constant) and not t.is_number else str(t)
                  for t in conclusion.terms]  # fmt: skip
        if not self.item.says:
            return (values[0], self.head.predicate.replace("_", " "), values[1]) if len(values) == 2 else None
        names = {t.name: value for t, value in zip(self.head.terms, values, strict=True) if isinstance(t, Variable)}
        parts = [_SAYS.sub(lambda found: names[found[1]], part).strip() for part in self.item.says.split("|")]
        return parts[0], parts[1], parts[2]

    def holds_for(self, task: str) -> bool:
        """Whether it runs for a question of this task ("": unknown, so it does)."""
        return not task or not self.item.scope or task in self.item.scope


@dataclass(frozen=True)
class RuleSet:
    """Rules that run together, and what is wrong with those that cannot."""

    rules: tuple[RunnableRule, ...]
    faults: dict[str, str]
    """By item id."""

    @classmethod
    def of(
        cls, items: Iterable[Rule], relations: Collection[str] = (), declared: Sequence[RunnableRule] = ()
    ) -> RuleSet:
        """Make rules with clauses ready; where some do not go together, the later ones are set aside.

        Args:
            items: in the order that decides which stay. Rules of nothing but text are left out.
            relations: predicates that facts give (`clauses.predicate_of`).
            declared: rules that come before all others.
        """
        faults: dict[str, str] = {}
        ready = [*declared]
        for item in items:
            if item.clause is None and not (item.says or item.exceptions or item.tests):
                continue
            try:
                ready.append(runnable(item))
            except KnowledgeError as error:
                faults[item.id] = str(error)
        try:
            _check_together(ready, relations)
        except KnowledgeError:
            kept: list[RunnableRule] = []
            for rule in ready:
                try:
                    _check_together([*kept, rule], relations)
                    kept.append(rule)
                except KnowledgeError as error:
                    faults[rule.item.id] = str(error)
            ready = kept
        return cls(tuple(_with_others(ready)), faults)

    def for_task(self, task: str) -> tuple[RunnableRule, ...]:
        """Those whose scope holds it."""
        return tuple(rule for rule in self.rules if rule.holds_for(task))


def _check_together(rules: Sequence[RunnableRule], relations: Collection[str]) -> None:
    clauses = [clause for rule in _with_others(rules) for clause in rule.clauses]
    check_arity(clauses, relations)
    check_stratified(clauses)


def _with_others(rules: Sequence[RunnableRule]) -> Sequence[RunnableRule]:
    """The rules, where there are defaults with a clause beside each that makes one give way (`clauses.another`)."""
    defaults: dict[Signature, set[tuple[int, ...]]] = {}
    for rule in rules:
        for clause in rule.clauses:
            if clause.otherwise is not None:
                defaults.setdefault(clause.head.signature, set()).add(clause.otherwise)
    if not defaults:
        return rules
    made = []
    for rule in rules:
        others = [
            Clause(another(clause.head, places), clause.body)
            for clause in rule.clauses
            if clause.otherwise is None
            for places in sorted(defaults.get(clause.head.signature, ()))
        ]
        made.append(replace(rule, clauses=(*rule.clauses, *others)))
    return made


def runnable(item: Rule) -> RunnableRule:
    """Read and check one rule by itself.

    Raises:
        KnowledgeError: what is wrong, with the field (`clause`, `exceptions`, `says` or `tests`) in front.
    """
    with _naming("clause"):
        if item.clause is None:
            raise KnowledgeError("is missing; says, exceptions and tests are about what it concludes")
        clauses = parse_clauses(item.clause)
        for clause in clauses:
            if clause.head.signature == GIVEN:
                raise KnowledgeError(f"given(...) is what a question says; no rule can conclude it: {clause}")
            if clause.is_constraint and not clause.body:
                raise KnowledgeError("a constraint needs conditions that must not hold together, as in :- p(X), q(X).")
            check_safe(clause)
    with _naming("exceptions"):
        ready = _with_cases(item, _with_exceptions(item, clauses))
    with _naming("says"):
        _check_says(item, clauses[0].head)
    with _naming("tests"):
        for test in item.tests:
            _check_test(test, clauses)
    return RunnableRule(item, ready, clauses[0].head)


def _check_test(test: RuleTest, clauses: Sequence[Clause]) -> None:
    if not (test.expect.strip() or test.expect_not.strip()):
        raise KnowledgeError("a test needs expect or expect_not")
    given, expected, _ = (
        parse_facts(text) if text.strip() else () for text in (test.given, test.expect, test.expect_not)
    )
    if FALSE in given:
        raise KnowledgeError("'false' can be expected, but not given")
    if FALSE in expected and not any(clause.is_constraint for clause in clauses):
        raise KnowledgeError("'false' is expected, but the rule has no constraint (:- conditions.)")


@contextmanager
def _naming(field: str) -> Iterator[None]:
    """Puts the name of a rule's field before what is wrong with it."""
    try:
        yield
    except KnowledgeError as error:
        raise KnowledgeError(f"{field}: {error}") from None


def _with_exceptions(item: Rule, clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
    """The clauses, the first one with `not exception` for each exception, and a clause for each of these."""
    first = clauses[0]
    blocked, extra = [], []
    for number, text in enumerate(item.exceptions, start=1):
        if any(clause.head.signature == first.head.signature for clause in clauses[1:]):
            raise KnowledgeError(f"they are of a rule whose conclusion {first.head} has one clause, but it has several")
        body = parse_body(text)
        shared = tuple(
            Variable(name)
            for name in dict.fromkeys(name for part in body for name in variables(part))
            if name in clause_variables(first)
        )
        exception = Atom(f"{_EXCEPTION}{number} of {item.id}", shared)
        clause = Clause(exception, body)
        if set(clause_variables(clause)) - bound_variables(clause):
            # What it does not bind by itself it takes from the rule's own conditions.
            clause = Clause(exception, (*(part for part in first.body if not isinstance(part, Negated)), *body))
        check_safe(clause)
        blocked.append(Negated(exception))
        extra.append(clause)
    return (replace(first, body=(*first.body, *blocked)), *clauses[1:], *extra)


def _with_cases(item: Rule, clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
    """The clauses, each default (`otherwise`) under the conditions that nothing else and no default before it applies."""
    made, extra = [], []
    for number, clause in enumerate(clauses):
        blocked: list[Negated] = []
        if clause.otherwise is not None:
            blocked.append(Negated(another(clause.head, clause.otherwise)))
            for earlier, other in enumerate(clauses[:number], start=1):
                if other.otherwise is not None and other.head.signature == clause.head.signature:
                    places = " ".join(str(place + 1) for place in clause.otherwise)
                    name = f"case {earlier} for {places} of {item.id}"
                    blocked.append(Negated(Atom(name, tuple(clause.head.terms[place] for place in clause.otherwise))))
                    case = Atom(name, tuple(other.head.terms[place] for place in clause.otherwise))
                    extra.append(Clause(case, other.body))
        made.append(replace(clause, body=(*clause.body, *blocked)) if blocked else clause)
    return (*made, *extra)


def is_exception(atom: Atom) -> bool:
    """Whether an atom stands for one of a rule's exceptions."""
    return atom.predicate.startswith(_EXCEPTION)


def told_absent(atom: Atom, rule: Rule) -> str:
    """How it reads in a proof by a rule that an atom does not hold."""
    if is_exception(atom):
        return f"it is no exception: {rule.exceptions[int(atom.predicate.split()[1]) - 1]}"
    if (of := another_of(atom.predicate)) is not None:
        (predicate, arity), places = of
        terms = dict(zip(places, atom.terms, strict=True))
        return f"nothing else says {Atom(predicate, tuple(terms.get(place, Variable('_')) for place in range(arity)))}"
    if match := _CASE.fullmatch(atom.predicate):
        return f"what comes before does not hold: {parse_clauses(rule.clause or '')[int(match[1]) - 1]}"
    return f"nothing says {atom}"


def _check_says(item: Rule, head: Atom) -> None:
    if not item.says:
        return
    if head == FALSE:
        raise KnowledgeError("a constraint concludes nothing that could be said")
    parts = item.says.split("|")
    if len(parts) != 3 or not all(part.strip() for part in parts):
        raise KnowledgeError(f"must be 'subject | relation | object', but is {item.says!r}")
    named = {name for part in parts for name in _SAYS.findall(part)}
    known = {name for term in head.terms for name in variables(term) if isinstance(term, Variable)}
    if named - known:
        raise KnowledgeError(f"{{{min(named - known)}}} is no variable of the conclusion {head}")


__all__ = ["GIVEN", "RuleSet", "RunnableRule", "is_exception", "runnable", "told_absent"]

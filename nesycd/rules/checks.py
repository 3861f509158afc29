"""What must hold of clauses before they run: every variable bound, one arity a predicate, no cycle through `not`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from nesycd.core.errors import KnowledgeError
from nesycd.rules.clauses import Atom, Calculation, Clause, Comparison, Negated, Signature, Variable, variables


def bound_variables(clause: Clause) -> set[str]:
    """The variables that take their values from facts, or by `=` or `is` from such."""
    bound = {name for part in clause.body if isinstance(part, Atom) for name in variables(part)}
    equations = [part for part in clause.body if isinstance(part, Comparison) and part.operator == "="]
    growing = True
    while growing:
        growing = False
        for part in equations:
            for side, other in ((part.left, part.right), (part.right, part.left)):
                if isinstance(side, Variable) and side.name not in bound | {"_"} and bound.issuperset(variables(other)):
                    bound.add(side.name)
                    growing = True
    return bound


def check_safe(clause: Clause) -> None:
    """Refuse a clause whose conclusion or conditions could stand for endlessly many things (range restriction).

    Raises:
        KnowledgeError: a variable is not bound; the message names it.
    """
    for part in clause.body:
        if isinstance(part, Comparison) and any(_has_blank(side) for side in (part.left, part.right)):
            raise KnowledgeError(f"'_' in {part} has no value to compare, in: {clause}")
    bound = bound_variables(clause)
    free = [name for part in (clause.head, *clause.body) for name in variables(part) if name not in bound]
    if free:
        raise KnowledgeError(
            f"the variable {free[0]} takes its value from no condition, in: {clause} "
            f"(a condition without 'not' must hold it; what only a question says is given({free[0]}))"
        )


def _has_blank(term: object) -> bool:
    if isinstance(term, Calculation):
        return _has_blank(term.left) or _has_blank(term.right)
    return term == Variable("_")


def check_arity(clauses: Iterable[Clause], relations: Iterable[str] = ()) -> None:
    """Refuse a predicate that stands with two numbers of arguments.

    Args:
        clauses: all that run together.
        relations: predicates of facts; these may be read with two arguments or three (`docs/rules.md`).

    Raises:
        KnowledgeError: naming the predicate and both clauses.
    """
    of_facts = set(relations)
    seen: dict[str, tuple[int, Clause]] = {"given": (1, Clause(Atom("given", (Variable("N"),))))}
    for clause in clauses:
        for atom in atoms(clause):
            predicate, arity = atom.signature
            if predicate in of_facts and arity in (2, 3):
                continue
            known, where = seen.setdefault(predicate, (arity, clause))
            if known != arity:
                raise KnowledgeError(
                    f"{predicate} has {arity} arguments in: {clause} but {known} elsewhere, in: {where}"
                )


def atoms(clause: Clause) -> list[Atom]:
    """Head and conditions, negated ones too."""
    parts = (part.atom if isinstance(part, Negated) else part for part in clause.body)
    return [clause.head, *(part for part in parts if isinstance(part, Atom))]


def check_stratified(clauses: Sequence[Clause]) -> None:
    """Refuse clauses in which something would hold because it does not hold.

    Raises:
        KnowledgeError: naming the cycle: `p needs not q, q needs p`.
    """
    needs: dict[Signature, dict[Signature, bool]] = {}
    for clause in clauses:
        edges = needs.setdefault(clause.head.signature, {})
        for part in clause.body:
            if isinstance(part, Negated):
                edges[part.atom.signature] = True
            elif isinstance(part, Atom):
                edges.setdefault(part.signature, False)
    for start in sorted(needs):
        for negated in sorted(target for target, is_negated in needs[start].items() if is_negated):
            way = _way(needs, negated, start)
            if way is not None:
                steps = [start, *way]
                told = [
                    f"{_shown(one)} needs {'not ' if needs[one][two] else ''}{_shown(two)}"
                    for one, two in pairwise(steps)
                ]
                raise KnowledgeError(f"these clauses go in a circle through 'not': {', '.join(told)}")


def recursive(clauses: Sequence[Clause]) -> set[Signature]:
    """The predicates that need themselves, directly or by others."""
    needs: dict[Signature, dict[Signature, bool]] = {}
    for clause in clauses:
        for atom in atoms(clause)[1:]:
            needs.setdefault(clause.head.signature, {})[atom.signature] = False
    return {start for start in needs if any(_way(needs, one, start) is not None for one in needs[start])}


def _way(needs: dict[Signature, dict[Signature, bool]], start: Signature, goal: Signature) -> list[Signature] | None:
    """A shortest way along the needs, both ends included; None where there is none."""
    came: dict[Signature, Signature | None] = {start: None}
    front = [start]
    while front and goal not in came:
        nearby = [(one, other) for one in front for other in sorted(needs.get(one, ()))]
        front = []
        for one, other in nearby:
            if other not in came:
                came[other] = one
                front.append(other)
    if goal not in came:
        return None
    way: list[Signature] = []
    at: Signature | None = goal
    while at is not None:
        way.append(at)
        at = came[at]
    return way[::-1]


def _shown(signature: Signature) -> str:
    return f"{signature[0]}/{signature[1]}"

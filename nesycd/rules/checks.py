"""What must hold of clauses before they run: every variable bound, one arity a predicate, no cycle through `not` or a set."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from nesycd.core.errors import KnowledgeError
from nesycd.rules.clauses import (
    Aggregate,
    Atom,
    Clause,
    Comparison,
    Literal,
    Negated,
    Signature,
    Term,
    Variable,
    aggregates,
    clause_variables,
    parts_of,
    variables,
    within,
)


def bound_variables(clause: Clause) -> set[str]:
    """The variables that take their values from facts, or by `=` or `is` from such; an aggregate's own are not among them."""
    return _bound(clause.body, set(), set(clause_variables(clause)))


def _bound(body: Sequence[Literal], given: set[str], outside: set[str]) -> set[str]:
    bound = given | {name for part in body if isinstance(part, Atom) for name in variables(part)}
    equations = [part for part in body if isinstance(part, Comparison) and part.operator == "="]
    growing = True
    while growing:
        growing = False
        for part in equations:
            for side, other in ((part.left, part.right), (part.right, part.left)):
                if (
                    isinstance(side, Variable)
                    and side.name not in bound | {"_"}
                    and bound.issuperset(_needed(other, outside))
                ):
                    bound.add(side.name)
                    growing = True
    return bound


def _needed(term: Term, outside: set[str]) -> set[str]:
    """The variables that must have values before a term has one."""
    return {*variables(term), *(name for one in aggregates(term) for name in within(one) if name in outside)}


def shared(aggregate: Aggregate, clause: Clause) -> tuple[str, ...]:
    """The variables of an aggregate that also stand outside of aggregates in its clause: for each of their values it has one."""
    outside = set(clause_variables(clause))
    return tuple(name for name in within(aggregate) if name in outside)


def check_safe(clause: Clause) -> None:
    """Refuse a clause whose conclusion or conditions could stand for endlessly many things (range restriction).

    Raises:
        KnowledgeError: a variable is not bound; the message names it.
    """
    _check_blanks(clause.body, clause)
    bound = bound_variables(clause)
    free = [name for part in (clause.head, *clause.body) for name in variables(part) if name not in bound]
    if free:
        inside = [one for part in clause.body for one in aggregates(part) if free[0] in within(one)]
        how = f"what only a question says is given({free[0]})"
        if inside:
            how = (
                f"outside of {inside[0].function}(...): what stands within it is looked at for each value of {free[0]}"
            )
        raise KnowledgeError(
            f"the variable {free[0]} takes its value from no condition, in: {clause} "
            f"(a condition without 'not' must hold it; {how})"
        )
    for part in clause.body:
        for one in aggregates(part):
            _check_aggregate(one, clause)


def _check_blanks(body: Sequence[Literal], clause: Clause) -> None:
    for part in body:
        if isinstance(part, Comparison) and _has_blank(part):
            raise KnowledgeError(f"'_' in {part} has no value to compare, in: {clause}")
        for one in aggregates(part):
            _check_blanks(one.body, clause)


def _has_blank(part: Literal | Term) -> bool:
    if isinstance(part, Aggregate):
        return any(_has_blank(term) for term in part.terms)
    return part == Variable("_") or any(map(_has_blank, parts_of(part)))


def _check_aggregate(one: Aggregate, clause: Clause) -> None:
    """Its own variables take their values within it; those it shares, there or from conditions that need no aggregate."""
    plain = tuple(part for part in clause.body if not any(True for _ in aggregates(part)))
    common = set(shared(one, clause))
    from_outside = common & _bound(plain, set(), set())
    bound = _bound(one.body, from_outside, set())
    for name in within(one):
        if name not in bound:
            where = (
                "from another aggregate: let a clause of its own conclude it"
                if name in common
                else "from no condition in it"
            )
            raise KnowledgeError(f"the variable {name} of {one} takes its value {where}, in: {clause}")


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
    """Head and conditions, negated ones and those within aggregates too."""
    return [clause.head, *(atom for part in clause.body for atom in _atoms_in(part))]


def _atoms_in(part: Literal | Term) -> Iterator[Atom]:
    if isinstance(part, Atom):
        yield part
    else:
        for inner in parts_of(part):
            yield from _atoms_in(inner)


def check_stratified(clauses: Sequence[Clause]) -> None:
    """Refuse clauses in which something would hold because it does not hold.

    Raises:
        KnowledgeError: naming the cycle: `p needs not q, q needs p`.
    """
    needs: dict[Signature, dict[Signature, str]] = {}
    for clause in clauses:
        edges = needs.setdefault(clause.head.signature, {})
        for part in clause.body:
            if isinstance(part, Negated):
                edges[part.atom.signature] = "not "
            elif isinstance(part, Atom):
                edges.setdefault(part.signature, "")
            for one in aggregates(part):
                edges |= {atom.signature: f"the {one.function} over " for atom in _atoms_in(one)}
    for start in sorted(needs):
        for target in sorted(target for target, how in needs[start].items() if how):
            way = _way(needs, target, start)
            if way is not None:
                steps = list(pairwise([start, *way]))
                told = [f"{_shown(one)} needs {needs[one][two]}{_shown(two)}" for one, two in steps]
                through = "'not'" if "not " in (needs[one][two] for one, two in steps) else "an aggregate"
                raise KnowledgeError(f"these clauses go in a circle through {through}: {', '.join(told)}")


def recursive(clauses: Sequence[Clause]) -> set[Signature]:
    """The predicates that need themselves, directly or by others."""
    needs: dict[Signature, set[Signature]] = {}
    for clause in clauses:
        needs.setdefault(clause.head.signature, set()).update(atom.signature for atom in atoms(clause)[1:])
    return {start for start in needs if any(_way(needs, one, start) is not None for one in needs[start])}


def _way(needs: Mapping[Signature, Collection[Signature]], start: Signature, goal: Signature) -> list[Signature] | None:
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
    return signature[0] if " " in signature[0] else f"{signature[0]}/{signature[1]}"

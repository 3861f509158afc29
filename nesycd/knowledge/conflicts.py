"""Conflicts found by rules: a violated constraint, or a derived second object of a functional relation.

Each conflict comes with a minimal unsatisfiable subset of the items: without any one of them the conflict disappears. Facts that
were absent when a clause fired are taken as absent: the subset names conflicting items, not facts that would resolve them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from nesycd.core.records import Entry, Fact, Status
from nesycd.knowledge.deriving import Deriver, that_can_fire
from nesycd.knowledge.entities import Entities
from nesycd.knowledge.merge import entry_order
from nesycd.rules.clauses import FALSE, Atom, predicate_of
from nesycd.rules.engine import Engine, Limits, Step
from nesycd.rules.program import Firing, is_element
from nesycd.rules.proofs import Key, Proof, shortest_proofs
from nesycd.rules.validation import RunnableRule, is_exception, told_absent

LIMITS = Limits(seconds=10.0, most=500_000, memory_mb=2048)
"""Of the one call that derives all that follows from a base, and of each that looks for a minimal unsatisfiable subset."""
MOST = 200
SECONDS = 60.0
"""Most conflicts that are analysed, and seconds of wall time for them; further ones are only counted."""


@dataclass(frozen=True)
class Conflict:
    """A minimal unsatisfiable subset: items that cannot all be right, and why."""

    entries: tuple[Entry, ...]
    why: str


@dataclass(frozen=True)
class Conflicts:
    """What was found.

    Attributes:
        found: each set of items once.
        left: how many more there are that were not looked into.
        faults: why rules could not take part, by item id.
    """

    found: tuple[Conflict, ...] = ()
    left: int = 0
    faults: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Goal:
    """What must not hold together, by which rule (None: a declaration), and how that reads."""

    needs: tuple[Atom, ...]
    rule: RunnableRule | None
    why: str


def conflicts(entries: Iterable[Entry], engine: Engine, entities: Entities | None = None) -> Conflicts:
    """Derive all that follows from approved and proposed items together, and find what must not be.

    Two stated objects of a functional relation are not told here: that needs no rule (`KnowledgeGraph.misfits`).

    Raises:
        EngineError: a limit was reached, or there are rules but no clingo.
    """
    entities = entities or Entities()
    living = sorted((e for e in entries if e.status in {Status.APPROVED, Status.PROPOSED}), key=entry_order)
    by_id = {entry.item_id: entry for entry in living}
    # Only approved items derive; what is proposed must be held against them before it joins them.
    deriver = Deriver([e.model_copy(update={"status": Status.APPROVED}) for e in living], engine, entities)
    atoms: dict[Key, Atom] = {}
    sources: dict[Key, list[Fact]] = {}
    for fact in (entry.item for entry in living if isinstance(entry.item, Fact)):
        for atom in deriver.atoms_of(fact):
            atoms.setdefault(atom.key, atom)
            sources.setdefault(atom.key, []).append(fact)
    owned = that_can_fire(deriver.ready.rules, atoms.values())
    if not owned:
        return Conflicts(faults=deriver.faults)
    owner = [rule for rule, _ in owned]
    firings = engine.run([clause for _, clause in owned], atoms.values())
    goals = [*_broken(firings, owner), *_second_objects(deriver, atoms, sources, firings, owner, entities)]
    ways = _Ways(sources, firings, owner)
    found: dict[frozenset[str], Conflict] = {}
    deadline = time.monotonic() + SECONDS
    for number, goal in enumerate(goals):
        if number == MOST or time.monotonic() > deadline:
            return Conflicts(tuple(found.values()), len(goals) - number, deriver.faults)
        ids = ways.core(goal, engine)
        members = sorted((by_id[item_id] for item_id in ids), key=entry_order)
        found.setdefault(frozenset(ids), Conflict(tuple(members), goal.why))
    return Conflicts(tuple(found.values()), faults=deriver.faults)


def _broken(firings: Sequence[Firing], owner: Sequence[RunnableRule]) -> Iterator[_Goal]:
    seen: set[tuple[str, frozenset[Key]]] = set()
    for firing in firings:
        if firing.head != FALSE:
            continue
        rule = owner[firing.clause]
        same = (rule.item.id, frozenset(atom.key for atom in firing.needs))
        if same not in seen:
            seen.add(same)
            absent = [told_absent(atom, rule.item) for atom in firing.absent if not is_exception(atom)]
            needs = [str(atom) for atom in firing.needs if not is_element(atom)]
            told = dict.fromkeys([*needs, *(f"{one.value} is {one.told}" for one in firing.gathered), *absent])
            yield _Goal(firing.needs, rule, f"must not be: {', '.join(told)}")


def _second_objects(
    deriver: Deriver,
    atoms: dict[Key, Atom],
    sources: dict[Key, list[Fact]],
    firings: Sequence[Firing],
    owner: Sequence[RunnableRule],
    entities: Entities,
) -> Iterator[_Goal]:
    """Pairs of objects of functional relations, of which one at least is derived; shorter proofs first."""
    functional = {predicate_of(name): one.name for name, one in entities.relations.items() if one.functional}
    if not functional:
        return
    objects: dict[tuple[str, object], dict[object, Proof]] = {}
    proofs = shortest_proofs(atoms.values(), firings)
    concluded = {firing.head.key: (firing.head, owner[firing.clause]) for firing in firings}
    for proof in sorted(proofs.values(), key=lambda proof: (proof.size, str(proof.atom))):
        read = [proof.atom] if proof.atom.key in sources else _as_facts(deriver, *concluded[proof.atom.key])
        for atom in read:
            if atom.predicate in functional and len(atom.terms) == 2:
                _, subject, value = atom.key
                objects.setdefault((atom.predicate, subject), {}).setdefault(value, proof)
    for (predicate, _), values in objects.items():
        first, *others = values.values()
        for other in others:
            if other.atom.key not in sources:
                needs = (first.atom, other.atom)
                by = [owner[s.clause].item.text for one in (first, other) for s in one.steps()
                      if s.clause is not None and owner[s.clause].is_declared]  # fmt: skip
                since = f" ({'; '.join(dict.fromkeys(by))})" if by else ""
                told = f"{functional[predicate]} has one object, but: {needs[0]}, {needs[1]}{since}"
                yield _Goal(needs, None, told)


def _as_facts(deriver: Deriver, head: Atom, rule: RunnableRule) -> list[Atom]:
    """A conclusion as it would read as a fact, where it is one for the reader."""
    triple = rule.triple(head) if head.signature == rule.head.signature else None
    if triple is None or not all(triple):
        return []
    subject, relation, value = triple
    return deriver.atoms_of(Fact(text="-", subject=subject, relation=relation, object=value))[:1]


class _Ways:
    """All ways to what holds: facts that state it, and firings that conclude it."""

    def __init__(
        self, sources: dict[Key, list[Fact]], firings: Sequence[Firing], owner: Sequence[RunnableRule]
    ) -> None:
        self._sources = sources
        self._owner = owner
        self._to: dict[Key, list[Firing]] = {}
        for firing in firings:
            self._to.setdefault(firing.head.key, []).append(firing)

    def core(self, goal: _Goal, engine: Engine) -> set[str]:
        """Ids of a minimal subset of the items from which the goal follows."""
        numbers: dict[Key, int] = {}
        items: dict[str, int] = {}
        steps: list[Step] = []

        def item(item_id: str) -> int:
            return items.setdefault(item_id, len(items))

        def by(rule: RunnableRule) -> int | None:
            return None if rule.is_declared else item(rule.item.id)

        waiting = [atom.key for atom in goal.needs]
        while waiting:
            key = waiting.pop()
            if key in numbers:
                continue
            numbers[key] = len(numbers)
            waiting += [need.key for firing in self._to.get(key, ()) for need in firing.needs]
        for key, number in numbers.items():
            steps += [Step(number, (), item(fact.id)) for fact in self._sources.get(key, ())]
            for firing in self._to.get(key, ()):
                needs = tuple(numbers[need.key] for need in firing.needs)
                steps.append(Step(number, needs, by(self._owner[firing.clause])))
        wanted = [numbers[atom.key] for atom in goal.needs]
        # The constraint's own rule is an item like the others.
        if goal.rule is not None:
            steps.append(Step(len(numbers), (), by(goal.rule)))
            wanted.append(len(numbers))
        core = set(engine.core(steps, len(items), wanted))
        return {item_id for item_id, number in items.items() if number in core}

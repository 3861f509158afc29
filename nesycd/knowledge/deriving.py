"""From facts to derived facts, each with its proof: which rule, which facts, and what was not there.

Only items speak here: nothing of a question is ever asserted, so what is derived is about the entities of the base.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from nesycd.core.records import Entry, Fact, Rule, Status
from nesycd.core.text import normal
from nesycd.knowledge.entities import Entities
from nesycd.knowledge.merge import entry_order, normal_triple
from nesycd.rules.clauses import Atom, Clause, Constant, number, predicate_of
from nesycd.rules.engine import Engine
from nesycd.rules.program import is_element
from nesycd.rules.proofs import Proof, shortest_proofs
from nesycd.rules.validation import RuleSet, RunnableRule, runnable, told_absent
from nesycd.rules.values import quantity, written_date

MAX_PROOF = 64
"""Firings in a proof that is still told."""
MAX_DERIVED = 200
MAX_ELEMENTS = 20
"""Elements of a sum or count that a proof tells."""


@dataclass(frozen=True)
class Derived:
    """A fact that no item states, and why it holds."""

    fact: Fact
    rule: Rule
    """Whose conclusion it is."""
    rests_on: tuple[Fact, ...]
    """The items at the leaves of the proof, left to right, each once."""
    told: tuple[str, ...]
    """The proof as lines, indented by depth."""
    size: int
    """Firings of clauses in the proof."""
    is_declared: bool = False
    """Whether `rule` is no item, but a declaration of the relation."""


class Deriver:
    """Forward chaining over some facts with the approved rules of a knowledge base.

    Example:
        >>> fact = "{0}'s father: {1}."
        >>> facts = [Fact(text=fact.format(*p), subject=p[0], relation="father", object=p[1])
        ...          for p in (("Edward III", "Edward II"), ("Edward II", "Edward I"))]
        >>> rule = Rule(text="A father's father is a grandfather.",
        ...             clause="grandfather(X, Z) :- father(X, Y), father(Y, Z).")
        >>> entries = [Entry(item=item, status=Status.APPROVED) for item in (*facts, rule)]
        >>> with Engine() as engine:
        ...     [one] = Deriver(entries, engine).derive(facts)
        >>> one.fact.text
        "Edward III's grandfather: Edward I."
    """

    def __init__(self, entries: Sequence[Entry], engine: Engine, entities: Entities | None = None) -> None:
        """Take the approved rules of `entries`; those that cannot run are left out (`faults` says why).

        Entities that were merged (`entities`) are one here, and relations that are declared symmetric or to have an inverse
        hold from their objects' side too.
        """
        approved = [entry.item for entry in sorted(entries, key=entry_order) if entry.status is Status.APPROVED]
        self._facts = [item for item in approved if isinstance(item, Fact)]
        relations = {predicate_of(fact.relation) for fact in self._facts}
        entities = entities or Entities()
        rules = (item for item in approved if isinstance(item, Rule))
        self.ready = RuleSet.of(rules, relations, declared_rules(entities))
        self.faults = self.ready.faults
        self._engine, self._node = engine, entities.node
        self._names = _canonical(self._facts, self._node)
        self._stated = {self._triple(fact) for fact in self._facts}

    def derive(self, facts: Iterable[Fact], task: str = "", hide: frozenset[str] = frozenset()) -> list[Derived]:
        """What the rules of this task's scope derive from `facts`, shortest proofs first.

        Args:
            facts: the items to start from.
            task: of the question, for rules with a scope.
            hide: ids of items that are not to be used.

        Raises:
            EngineError: a limit of the engine was reached.
        """
        source: dict[object, Fact] = {}
        start: list[Atom] = []
        for fact in sorted((f for f in facts if f.id not in hide), key=lambda f: (normal_triple(f), f.id)):
            for atom in self.atoms_of(fact):
                if atom.key not in source:
                    source[atom.key] = fact
                    start.append(atom)
        rules = [rule for rule in self.ready.for_task(task) if rule.item.id not in hide]
        if not that_can_fire(rules, start):
            return []  # and needs no engine
        owned = [(rule, clause) for rule in rules for clause in rule.clauses if not clause.is_constraint]
        owner = [rule for rule, _ in owned]
        firings = self._engine.run([clause for _, clause in owned], start)
        proofs = shortest_proofs(start, firings)
        found: dict[tuple[str, str, str], Derived] = {}
        for proof in sorted(proofs.values(), key=lambda proof: (proof.size, str(proof.atom))):
            if len(found) == MAX_DERIVED:
                break
            made = self._derived(proof, owner, source)
            if made is not None and self._triple(made.fact) not in self._stated:
                found.setdefault(self._triple(made.fact), made)
        return list(found.values())

    def atoms_of(self, fact: Fact) -> list[Atom]:
        """A fact as the engine reads it: `makes(fathom, "6 feet")`, and with a quantity `makes(fathom, 6, feet)` too."""
        predicate = predicate_of(fact.relation)
        return self.readings(predicate, self.value(fact.subject), fact.object) if predicate else []

    def readings(self, predicate: str, subject: Constant, text: str) -> list[Atom]:
        """A statement about a subject, as the engine reads it: an object may be a number, a date, a quantity or a name."""
        text = " ".join(text.split())
        whole = number(text)
        if whole is not None:
            return [Atom(predicate, (subject, Constant(whole)))]
        value = self.value(text)
        atoms = [Atom(predicate, (subject, value))]
        amount = quantity(text) if isinstance(value.value, str) else None
        if amount is not None:
            atoms.append(Atom(predicate, (subject, Constant(amount[0]), Constant(self.name(amount[1])))))
        return atoms

    def value(self, text: str) -> Constant:
        """A name as the engine reads it: the subject that it means, or the day that it is."""
        day = written_date(text)
        return Constant(self.name(text)) if day is None else Constant(day, text)

    def name(self, text: str) -> str:
        """The subject that a name means, as it is written; a name that means none as it is."""
        return self._names.get(self._node(text), text)

    def _triple(self, fact: Fact) -> tuple[str, str, str]:
        return (self._node(fact.subject), normal(fact.relation), self._node(fact.object))

    def _derived(self, proof: Proof, owner: Sequence[RunnableRule], source: dict[object, Fact]) -> Derived | None:
        """The proof's conclusion as a fact, where a rule concludes it for the reader and the proof is not too long."""
        if proof.clause is None or proof.size > MAX_PROOF:
            return None
        rule = owner[proof.clause]
        if proof.atom.signature != rule.head.signature:
            return None
        triple = rule.triple(proof.atom)
        if triple is None or normal(triple[0]) == normal(triple[2]):
            return None
        subject, relation, value = triple
        fact = Fact(text=f"{subject}'s {relation}: {value}.", subject=subject, relation=relation, object=value)
        leaves = dict.fromkeys(source[step.atom.key] for step in proof.steps() if step.clause is None)
        told = tuple(told_proof(proof, owner, lambda atom: _stated(source[atom.key])))
        return Derived(fact, rule.item, tuple(leaves), told, proof.size, rule.is_declared)


def declared_rules(entities: Entities) -> list[RunnableRule]:
    """What is declared of relations (symmetric, inverse), as rules; none where a name cannot be a predicate."""
    made = []
    for name, back in sorted(entities.backwards.items()):
        said, follows = predicate_of(name), predicate_of(back)
        if said and follows and not re.search(r"[|{}]", back):
            how = "holds both ways" if normal(back) == name else f"is {back} from the other side"
            rule = Rule(
                text=f"{entities.relations[name].name} {how}",
                clause=f"{follows}(Y, X) :- {said}(X, Y).",
                says=f"{{Y}} | {back} | {{X}}",
            )
            made.append(replace(runnable(rule), is_declared=True))
    return made


def _canonical(facts: Sequence[Fact], node: Callable[[str], str]) -> dict[str, str]:
    """Normalised names to the subject they mean: aliases that only one subject has and that name no subject itself."""
    # The last one counts: the first fact whose subject was not merged into another, where there is one.
    ordered = sorted(reversed(facts), key=lambda fact: normal(fact.subject) == node(fact.subject))
    subjects = {node(fact.subject): fact.subject for fact in ordered}
    meant: dict[str, set[str]] = {}
    for fact in facts:
        for alias in fact.aliases:
            meant.setdefault(node(alias), set()).add(node(fact.subject))
    single = {alias: subjects[min(names)] for alias, names in meant.items() if len(names) == 1}
    return single | subjects


def that_can_fire(rules: Sequence[RunnableRule], facts: Iterable[Atom]) -> list[tuple[RunnableRule, Clause]]:
    """The clauses of the rules some clause of which has all its predicates: the rest need not be run at all."""
    there = {fact.signature for fact in facts}
    waiting: list[tuple[RunnableRule, Clause]] = [(rule, clause) for rule in rules for clause in rule.clauses]
    firing: set[str] = set()
    growing = True
    while growing:
        growing = False
        later = []
        for rule, clause in waiting:
            if all(part.signature in there for part in clause.body if isinstance(part, Atom)):
                there.add(clause.head.signature)
                firing.add(rule.item.id)
                growing = True
            else:
                later.append((rule, clause))
        waiting = later
    return [(rule, clause) for rule in rules if rule.item.id in firing for clause in rule.clauses]


def _stated(fact: Fact) -> str:
    return f"{fact.text} [fact {fact.id[:8]}]"


def told_proof(
    proof: Proof,
    owner: Sequence[RunnableRule],
    leaf: Callable[[Atom], str],
    depth: int = 0,
    told: set[Hashable] | None = None,
) -> Iterator[str]:
    """A proof as lines, indented by depth.

    Args:
        proof: the proof.
        owner: the rule of each clause.
        leaf: says where an atom comes from that no rule concludes.
        depth: of its first line.
        told: conclusions whose proof stands above, which is not told again; it takes those of this proof. None: tell all.
    """
    indent = "  " * depth
    if proof.clause is None:
        yield f"{indent}{leaf(proof.atom)}"
        return
    if told is not None and not is_element(proof.atom):
        if proof.atom.key in told:
            yield f"{indent}{proof.atom} [see above]"
            return
        told.add(proof.atom.key)
    rule = owner[proof.clause].item
    if is_element(proof.atom):
        depth -= 1
    else:
        by = "declared" if owner[proof.clause].is_declared else f"rule {rule.id[:8]}"
        yield f"{indent}{proof.atom} [{by}: {rule.text}]"
    conditions = proof.gathered[0].first if proof.gathered else len(proof.needs)
    for need in proof.needs[:conditions]:
        yield from told_proof(need, owner, leaf, depth + 1, told)
    for one in proof.gathered:
        elements = proof.needs[one.first : one.end]
        yield f"{indent}  {one.value} is {one.told}, of {len(elements)}{':' if elements else ''}"
        for element in elements[:MAX_ELEMENTS]:
            yield from told_proof(element, owner, leaf, depth + 2, told)
        if len(elements) > MAX_ELEMENTS:
            yield f"{indent}    and {len(elements) - MAX_ELEMENTS} more"
    for atom in proof.absent:
        yield f"{'  ' * (depth + 1)}{told_absent(atom, rule)}"

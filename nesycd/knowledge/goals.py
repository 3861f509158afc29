"""One goal derived from what somebody stated, a base's facts and its rules: the answers, each with its shortest proof.

Nothing of a question is read here but the statements, which are untrusted texts. Facts of the base take part where a rule on
the way to the goal names their relation: all of them where the relation is small (a table of fees), otherwise those
within some links of what the goal and the statements name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact, Rule, Status
from nesycd.core.text import shortened
from nesycd.knowledge.deriving import Deriver, told_proof
from nesycd.knowledge.entities import Entities
from nesycd.knowledge.merge import normal_triple
from nesycd.rules.checks import atoms
from nesycd.rules.clauses import (
    Atom,
    Clause,
    Constant,
    Negated,
    Signature,
    Variable,
    another_of,
    predicate_of,
    variables,
)
from nesycd.rules.engine import Engine, EngineError
from nesycd.rules.parser import parse_facts, parse_goal
from nesycd.rules.program import Firing
from nesycd.rules.proofs import Proof, shortest_proofs
from nesycd.rules.validation import GIVEN, RunnableRule
from nesycd.rules.values import written_date

MAX_STATED = 200
MAX_LENGTH = 400
"""Statements that are taken, and characters in one; whoever writes more has lost the thread."""
MAX_TABLE = 300
"""Facts of a relation that all take part, whatever they are about."""
MAX_FACTS = 2_000
HOPS = 3
_AMOUNT = re.compile(r"[-+]?[$£€¥]? ?[0-9]")
MAX_ANSWERS = 50
MAX_TOLD = 100
"""Lines of a proof that are told."""
KEPT = 256
"""Forms of goals whose way is remembered."""


@dataclass(frozen=True)
class Answer:
    """The goal with values in its open places, and why it holds."""

    atom: Atom
    values: tuple[tuple[str, str], ...]
    """Each variable of the goal with its value; an open relation's is the predicate, `_` is left out."""
    text: str
    """As a fact would read: `subject | relation | object`; "" where no rule says how."""
    told: tuple[str, ...]
    """The proof as lines, indented by depth; what it needs several times is told once, and at most `MAX_TOLD` lines are."""
    items: tuple[Fact | Rule, ...]
    """Facts at the leaves of the proof, then rules, each once."""
    stated: tuple[int, ...]
    """Statements at the leaves, by their place from 0."""
    size: int
    """Firings of clauses in the proof; 0: it was stated."""


@dataclass(frozen=True)
class Answers:
    """What a goal came to.

    Attributes:
        found: shortest proof first, equals by their text.
        left: how many answers more there are.
        stopped: which limit of the engine was reached, so that nothing is known; "" where none was.
        cut: whether facts within reach were left out, as there were too many: then what rests on sums or on `not` is unsure.
    """

    found: tuple[Answer, ...] = ()
    left: int = 0
    stopped: str = ""
    cut: bool = False

    @property
    def outcome(self) -> Literal["one", "several", "nothing", "stopped"]:
        """What to say of it in a word."""
        if self.stopped:
            return "stopped"
        return "nothing" if not self.found else "one" if len(self.found) == 1 else "several"


@dataclass(frozen=True)
class Needed:
    """What a goal may depend on.

    Attributes:
        predicates: of clauses and facts on a way to it.
        whole: those of which a clause looks at facts that nothing named leads to, such as the rows of a table of fees.
        names: constants that such conditions hold.
    """

    predicates: frozenset[str]
    whole: frozenset[str]
    names: tuple[str, ...]


def needed_for(goal: Atom, known: tuple[int, ...], clauses: Sequence[Clause]) -> Needed:
    """Follow a goal back through clauses, with the arguments that are known at each (as magic sets do).

    An argument is known where the goal gives it (at the places `known`), or where a condition that has a known argument leads to
    it. A condition without any has to be looked for among all facts of its relation.
    """
    # Of each clause the variables of its conclusion's arguments, then each condition with those of its own.
    concluding: dict[Signature, list[list[tuple[Atom, list[set[str]]]]]] = {}
    for clause in clauses:
        parts = [(atom, [set(variables(term)) for term in atom.terms]) for atom in atoms(clause)]
        concluding.setdefault(clause.head.signature, []).append(parts)
    waiting: list[tuple[Signature, tuple[int, ...]]] = [(goal.signature, known)]
    if not goal.predicate:
        waiting = [(signature, known) for signature in concluding if signature[1] == len(goal.terms)]
    seen = set(waiting)
    whole: set[str] = set()
    names: dict[str, None] = {}
    while waiting:
        signature, known = waiting.pop()
        if (of := another_of(signature[0])) is not None:
            # Facts of the relation count there, as well as the clauses that were made for it.
            fact = (of[0], tuple(of[1][place] for place in known))
            waiting += [fact] if fact not in seen else []
            seen.add(fact)
        if not known:
            whole.add(signature[0])
        for (_, arguments), *conditions in concluding.get(signature, ()):
            bound = {name for place in known for name in arguments[place]}
            left = conditions
            while left:
                # Left to right, but what a known argument leads to before what nothing does.
                chosen = next((one for one in left if not all(map(bound.isdisjoint, one[1]))), left[0])
                left = [one for one in left if one is not chosen]
                atom, own = chosen
                places = tuple(place for place, named in enumerate(own) if not bound.isdisjoint(named))
                if not places:
                    names.update((_name(term), None) for term in atom.terms if isinstance(term, Constant))
                bound.update(*own)
                if (atom.signature, places) not in seen:
                    seen.add((atom.signature, places))
                    waiting.append((atom.signature, places))
    return Needed(frozenset(signature[0] for signature, _ in seen), frozenset(whole), tuple(names))


class Premises:
    """A base made ready for goals: facts by what they name, rules by what they conclude. Made once, used for many goals."""

    def __init__(self, entries: Sequence[Entry], engine: Engine, entities: Entities | None = None) -> None:
        """Take the approved ones of `entries`; rules that cannot run are left out (`faults` says why)."""
        self.engine = engine
        self.deriver = Deriver(entries, engine, entities)
        self.faults = self.deriver.faults
        """Approved rules that cannot run, and why, by item id."""
        approved = (e.item for e in entries if e.status is Status.APPROVED and isinstance(e.item, Fact))
        self._facts = sorted(approved, key=lambda fact: (normal_triple(fact), fact.id))
        self._of: dict[str, list[int]] = {}
        self._about: dict[str, list[int]] = {}
        self._into: dict[str, list[int]] = {}
        self._ends: list[tuple[str, ...]] = []
        self._predicates: list[str] = []
        node = (entities or Entities()).node
        for number, fact in enumerate(self._facts):
            self._predicates.append(predicate_of(fact.relation))
            self._of.setdefault(self._predicates[-1], []).append(number)
            ends = (node(self.deriver.name(fact.subject)), node(self.deriver.name(fact.object)))
            # What is so many dollars, or the same number of something, has nothing to do with each other.
            leads = not _AMOUNT.match(fact.object) or written_date(fact.object) is not None
            self._ends.append(ends if leads else ends[:1])
            self._about.setdefault(ends[0], []).append(number)
            if ends[1] != ends[0]:
                self._into.setdefault(ends[1], []).append(number)
        self._node = node
        self._rules = frozenset(rule.item.id for rule in self.deriver.ready.rules)
        self._ways: dict[Hashable, tuple[list[tuple[RunnableRule, Clause]], Needed]] = {}
        self._read: dict[int, list[Atom]] = {}

    def facts(self, needed: Needed, names: Sequence[str], about: Sequence[str]) -> tuple[list[int], bool]:
        """Numbers of the facts that take part, nearest first, and whether some that might matter were left out.

        Args:
            needed: which relations matter, and which of them as a whole.
            names: what is named, where the walk along facts begins.
            about: those of which a fact of any relation is taken.
        """
        rows: dict[int, None] = {}
        cut = False
        for predicate in sorted(needed.whole):
            table = self._of.get(predicate, [])
            rows.update(dict.fromkeys(table[:MAX_TABLE]))
            cut = cut or len(table) > MAX_TABLE
        wanted = set(map(self._node, about))
        front = list(dict.fromkeys(self._node(name) for name in (*names, *needed.names)))
        seen = set(front)
        front += dict.fromkeys(end for number in rows for end in self._ends[number] if end not in seen)
        seen.update(front)
        found: dict[int, None] = {}
        for hop in range(HOPS):
            reached: dict[str, None] = {}
            for name in front:
                near = [
                    number
                    for number in (*self._about.get(name, ()), *self._into.get(name, ()))
                    if self._predicates[number] in needed.predicates or (not hop and name in wanted)
                ]
                # A country reached by a birthplace leads to some of those who were born there, as an amount does to its like.
                if len(near) > MAX_TABLE and (hop or _AMOUNT.match(name)):
                    near, cut = near[:MAX_TABLE], True
                for number in near:
                    found[number] = None
                    reached.update(dict.fromkeys(self._ends[number]))
                if len(found) > MAX_FACTS:
                    return list(found)[:MAX_FACTS], True
            front = [name for name in reached if name not in seen]
            seen.update(front)
        found.update(rows)
        return list(found)[:MAX_FACTS], cut or len(found) > MAX_FACTS

    def way(
        self, goal: Atom, names: Sequence[str], task: str, hide: frozenset[str]
    ) -> tuple[list[tuple[RunnableRule, Clause]], Needed]:
        """The clauses on a way to a goal, with their rules, and what they need; the same for all goals of its form.

        `names`: those that statements hold; they, and what facts name, are known where the goal gives them.
        """
        stated = set(map(self._node, names))

        def leads(term: Constant) -> bool:
            name = self._node(_name(term))
            return not term.is_number and (name in stated or name in self._about or name in self._into)

        known = tuple(place for place, term in enumerate(goal.terms) if isinstance(term, Constant) and leads(term))
        key = (goal.signature, known, task, hide & self._rules)
        if key not in self._ways:
            rules = [rule for rule in self.deriver.ready.for_task(task) if rule.item.id not in hide]
            owned = [(rule, clause) for rule in rules for clause in rule.clauses if not clause.is_constraint]
            needed = needed_for(goal, known, [clause for _, clause in owned])
            if len(self._ways) == KEPT:
                self._ways.clear()
            self._ways[key] = ([one for one in owned if one[1].head.predicate in needed.predicates], needed)
        return self._ways[key]

    def fact(self, number: int) -> Fact:
        """A fact by its number."""
        return self._facts[number]

    def atoms_of(self, number: int) -> list[Atom]:
        """A fact as the engine reads it."""
        if number not in self._read:
            self._read[number] = self.deriver.atoms_of(self._facts[number])
        return self._read[number]


def derive(
    goal: str, stated: Sequence[str], base: Premises, *, task: str = "", hide: frozenset[str] = frozenset()
) -> Answers:
    """What a goal comes to, from what is stated and what a base knows.

    Args:
        goal: an atom with open places: `grandfather("Ann", X)`, or with an open relation, `R("Ann", "Bob")`.
        stated: atoms without variables, such as `father("Ann", "Ben")`; a full stop may end each.
        base: facts and rules.
        task: for rules with a scope.
        hide: ids of items that are not to be used.

    Raises:
        KnowledgeError: a goal or statement that cannot be read, or more of them than are taken; the message says which one.

    Example:
        >>> rule = Rule(text="A father's father is a grandfather.",
        ...             clause="grandfather(X, Z) :- father(X, Y), father(Y, Z).")
        >>> with Engine() as engine:
        ...     base = Premises([Entry(item=rule, status=Status.APPROVED)], engine)
        ...     made = derive('grandfather("Ann", X)', ['father("Ann", "Ben")', 'father("Ben", "Cy")'], base)
        >>> made.outcome, made.found[0].text
        ('one', 'Ann | grandfather | Cy')
    """
    try:
        return fire(goal, stated, base, task=task, hide=hide).answers()
    except EngineError as error:
        return Answers(stopped=str(error))


@dataclass(frozen=True)
class Fired:
    """All that fires on the way to a goal: its answers without some items need no further run.

    Attributes:
        goal: with names as the base writes them.
        start: what is stated, and the facts that take part.
        source: of each of these, by `Atom.key`, the place of the statement, or the fact.
        owner: of each clause, by its number in `firings`.
        firings: see `Engine.run`.
        cut: see `Answers`.
        is_monotone: whether no clause looks at what does not hold, or at all that does: then fewer items only take answers away.
    """

    goal: Atom
    start: Sequence[Atom]
    source: Mapping[object, int | Fact]
    owner: Sequence[RunnableRule]
    firings: Sequence[Firing]
    cut: bool
    is_monotone: bool

    def answers(self, hide: frozenset[str] = frozenset(), *, is_told: bool = True) -> Answers:
        """What the goal comes to without the items of these ids, which is exact where it `is_monotone`.

        Proofs are put into words (`Answer.told`) where `is_told`, which takes most of the time.
        """
        start = [atom for atom in self.start if not (isinstance(of := self.source[atom.key], Fact) and of.id in hide)]
        firings = [one for one in self.firings if self.owner[one.clause].item.id not in hide]
        proofs = shortest_proofs(start, firings)
        matching = [
            (proof, values)
            for proof in proofs.values()
            if (values := _matched(self.goal, proof, self.owner)) is not None
        ]
        matching.sort(key=lambda one: (one[0].size, str(one[0].atom)))
        found = tuple(
            _answer(proof, values, self.owner, self.source, is_told) for proof, values in matching[:MAX_ANSWERS]
        )
        return Answers(found, len(matching) - len(found), cut=self.cut)


def fire(
    goal: str, stated: Sequence[str], base: Premises, *, task: str = "", hide: frozenset[str] = frozenset()
) -> Fired:
    """Run the clauses on the way to a goal; see `derive`.

    Raises:
        KnowledgeError: see `derive`.
        EngineError: a limit of the engine was reached.
    """
    wanted = _goal(goal, base)
    given = _statements(stated, base)
    about = [_name(term) for term in wanted.terms if isinstance(term, Constant)]
    named = [_name(term) for _, atom in given for term in atom.terms if isinstance(term, Constant)]
    owned, needed = base.way(wanted, named, task, hide)
    numbers, cut = base.facts(needed, [*about, *named], about if not wanted.predicate else ())
    source: dict[object, int | Fact] = {}
    start: list[Atom] = []
    for place, atom in given:
        if source.setdefault(atom.key, place) == place:
            start.append(atom)
    for number in sorted(numbers):
        fact = base.fact(number)
        for atom in base.atoms_of(number) if fact.id not in hide else ():
            if atom.key not in source:
                source[atom.key] = fact
                start.append(atom)
    clauses = [clause for _, clause in owned]
    firings = base.engine.run(clauses, start) if owned else []
    is_monotone = all(
        clause.is_horn and not any(isinstance(part, Negated) for part in clause.body) for clause in clauses
    )
    return Fired(wanted, start, source, [rule for rule, _ in owned], firings, cut, is_monotone)


def _goal(text: str, base: Premises) -> Atom:
    """The goal with names as the base writes them; without predicate where the relation is open."""
    if len(text) > MAX_LENGTH:
        raise KnowledgeError(f"the goal has {len(text)} characters, {MAX_LENGTH} are taken at most: {shortened(text)}")
    try:
        goal = parse_goal(text)
    except KnowledgeError as error:
        raise KnowledgeError(f"goal: {error}") from None
    return _named(goal, base)


def _statements(texts: Sequence[str], base: Premises) -> list[tuple[int, Atom]]:
    """Each statement as the engine reads it, with its place."""
    if len(texts) > MAX_STATED:
        raise KnowledgeError(f"{len(texts)} statements are too many: {MAX_STATED} are taken")
    found = []
    for place, text in enumerate(texts):
        where = f"statement {place + 1}"
        if len(text) > MAX_LENGTH:
            raise KnowledgeError(
                f"{where} has {len(text)} characters, {MAX_LENGTH} are taken at most: {shortened(text)}"
            )
        try:
            read = parse_facts(text if text.rstrip().endswith(".") else f"{text}.")
        except KnowledgeError as error:
            raise KnowledgeError(f"{where}: {error}") from None
        if len(read) != 1:
            raise KnowledgeError(f"{where} holds {len(read)} facts, but one is expected: {shortened(text)}")
        [atom] = read
        if atom.signature == GIVEN or atom.predicate == "false":
            raise KnowledgeError(f"{where}: {atom} cannot be stated")
        named = _named(atom, base)
        *_, last = named.terms or (None,)
        if len(named.terms) == 2 and isinstance(last, Constant) and isinstance(last.value, str):
            subject = named.terms[0]
            assert isinstance(subject, Constant)
            found += [(place, one) for one in base.deriver.readings(named.predicate, subject, last.value)]
        else:
            found.append((place, named))
    return found


def _named(atom: Atom, base: Premises) -> Atom:
    """An atom in which each text is the name of the subject that it means."""
    terms = (
        base.deriver.value(term.value) if isinstance(term, Constant) and isinstance(term.value, str) else term
        for term in atom.terms
    )
    return replace(atom, terms=tuple(terms))


def _name(term: Constant) -> str:
    return term.written or str(term.value)


def _matched(goal: Atom, proof: Proof, owner: Sequence[RunnableRule]) -> tuple[tuple[str, str], ...] | None:
    """The values with which the goal is what a proof proves; None where it is not."""
    atom = proof.atom
    if len(atom.terms) != len(goal.terms) or " " in atom.predicate:
        return None
    if goal.predicate:
        if atom.predicate != goal.predicate:
            return None
    elif proof.clause is not None and atom.signature != owner[proof.clause].head.signature:
        return None  # only a step to what the rule concludes
    values: dict[str, Constant] = {}
    for wanted, found in zip(goal.terms, atom.terms, strict=True):
        assert isinstance(found, Constant)
        if isinstance(wanted, Constant):
            if wanted.key != found.key:
                return None
        elif (
            isinstance(wanted, Variable)
            and wanted.name != "_"
            and values.setdefault(wanted.name, found).key != found.key
        ):
            return None
    relation = () if goal.predicate else (("relation", atom.predicate),)
    return (*relation, *((name, _name(value)) for name, value in values.items()))


def _answer(
    proof: Proof,
    values: tuple[tuple[str, str], ...],
    owner: Sequence[RunnableRule],
    source: Mapping[object, int | Fact],
    is_told: bool,
) -> Answer:
    def leaf(atom: Atom) -> str:
        of = source[atom.key]
        return f"{of.text} [fact {of.id[:8]}]" if isinstance(of, Fact) else f"{atom} [stated {of + 1}]"

    leaves = dict.fromkeys(source[step.atom.key] for step in proof.steps() if step.clause is None)
    rules = dict.fromkeys(owner[step.clause].item for step in proof.steps()
                          if step.clause is not None and not owner[step.clause].is_declared)  # fmt: skip
    return Answer(
        atom=proof.atom,
        values=values,
        text=_read(proof, owner),
        told=_told(proof, owner, leaf) if is_told else (),
        items=(*(one for one in leaves if isinstance(one, Fact)), *rules),
        stated=tuple(sorted(one for one in leaves if isinstance(one, int))),
        size=proof.size,
    )


def _told(proof: Proof, owner: Sequence[RunnableRule], leaf: Callable[[Atom], str]) -> tuple[str, ...]:
    lines = tuple(islice(told_proof(proof, owner, leaf, told=set()), MAX_TOLD + 1))
    return lines if len(lines) <= MAX_TOLD else (*lines[:MAX_TOLD], "and more steps")


def _read(proof: Proof, owner: Sequence[RunnableRule]) -> str:
    rule = None if proof.clause is None else owner[proof.clause]
    if rule is not None and proof.atom.signature == rule.head.signature:
        triple = rule.triple(proof.atom)
        return " | ".join(triple) if triple is not None else ""
    if len(proof.atom.terms) != 2:
        return ""
    subject, value = (_name(term) for term in proof.atom.terms if isinstance(term, Constant))
    return f"{subject} | {proof.atom.predicate.replace('_', ' ')} | {value}"

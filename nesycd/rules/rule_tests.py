"""Rules' own tests (given facts, what must follow, what must not), and the gate that approved rules pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Rule, RuleTest
from nesycd.rules.clauses import FALSE, Atom, predicate_of
from nesycd.rules.engine import Engine, EngineError
from nesycd.rules.parser import parse_facts
from nesycd.rules.validation import RuleSet, RunnableRule


@dataclass(frozen=True)
class Failure:
    """A test that does not pass, or a rule that cannot run (`number` 0)."""

    rule: Rule
    number: int
    why: str

    def __str__(self) -> str:
        where = f"test {self.number}: " if self.number else ""
        return f"rule {self.rule.id[:8]} ({_short(self.rule.text)}): {where}{self.why}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def failures(items: Iterable[Rule], engine: Engine, relations: Collection[str] = ()) -> list[Failure]:
    """Run the tests of all rules, with all rules; nothing but a test's given facts is known in it."""
    rules = sorted(items, key=lambda rule: (rule.text, rule.id))
    ready = RuleSet.of(rules, relations)
    found = [Failure(rule, 0, ready.faults[rule.id]) for rule in rules if rule.id in ready.faults]
    for rule in ready.rules:
        for number, test in enumerate(rule.item.tests, start=1):
            if why := _why_not(test, rule, ready.rules, engine):
                found.append(Failure(rule.item, number, why))
    return found


def _why_not(test: RuleTest, tested: RunnableRule, rules: Sequence[RunnableRule], engine: Engine) -> str:
    """ "" where the test passes; `false` in it is about the constraints of the tested rule alone."""
    given, wanted, unwanted = (
        parse_facts(text) if text.strip() else () for text in (test.given, test.expect, test.expect_not)
    )
    owned = [(rule, clause) for rule in rules for clause in rule.clauses]
    clauses = [clause for rule, clause in owned if rule is tested or not clause.is_constraint]
    try:
        firings = engine.run(clauses, given)
    except EngineError as error:
        return str(error)
    holds: dict[object, Atom] = {atom.key: atom for atom in (*given, *(firing.head for firing in firings))}
    told = f"given {test.given.strip() or 'nothing'}"
    for atom in wanted:
        if atom.key not in holds:
            if atom == FALSE:
                return f"{told} a constraint of the rule should be broken, but none is"
            near = sorted(str(other) for other in holds.values() if other.signature == atom.signature)
            return f"{told} expected {atom}, but {_some(near, atom)}"
    for atom in unwanted:
        if atom.key in holds:
            broken = "no constraint of the rule should be broken, but one is"
            return f"{told} {broken}" if atom == FALSE else f"{told} {atom} must not follow, but does"
    return ""


def _some(near: Sequence[str], atom: Atom) -> str:
    if not near:
        return f"nothing of {atom.predicate} follows"
    more = f" and {len(near) - 3} more" if len(near) > 3 else ""
    return f"what follows is {', '.join(near[:3])}{more}"


@dataclass(frozen=True)
class RuleGate:
    """Lets no change through after which an approved rule cannot run or fails a test that did not before."""

    engine: Engine

    def __call__(self, before: Sequence[Rule], after: Sequence[Rule], relations: Callable[[], Collection[str]]) -> None:
        """Compare the approved rules before and after a change; `relations` finds those of the approved facts.

        Raises:
            KnowledgeError: what fails after the change.
        """
        if not any(rule.clause or rule.tests for rule in after):
            return
        predicates = {predicate_of(relation) for relation in relations()}
        found = failures(after, self.engine, predicates)
        if not found:
            return
        old = {(one.rule.id, one.number) for one in failures(before, self.engine, predicates)}
        new = [one for one in found if (one.rule.id, one.number) not in old]
        if new:
            more = f"\n({len(new) - 1} more fail)" if len(new) > 1 else ""
            raise KnowledgeError(f"not approved: {new[0]}{more}")

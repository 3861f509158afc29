"""The gate for rules with clauses: what they derive, from what kept rationales say that their questions state.

A rule passes if it can run and its own tests pass; if with the other proposed items it derives the gold answer of a question
that it was proposed from; if without it some question of another fold has no right derivation any more; and if there are
several such questions for each that has a right one only without it. Where rationales say nothing that rules could be run on,
its tests decide alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from nesycd.calls.deriving import result_of
from nesycd.core.errors import KnowledgeError
from nesycd.core.judgements import Judgement
from nesycd.core.records import Entry, Example, Fact, Rationale, Rule, Status
from nesycd.knowledge.goals import Answers, Fired, Premises, derive, fire
from nesycd.rules import Engine, failures
from nesycd.rules.engine import EngineError
from nesycd.rules.statements import OPEN, atom_of, goal_of, parts_of

ALGORITHM = 1
"""Part of the fingerprint: raised when other items would pass."""
EXCUSED = 3
"""Questions that an item must repair for each that it breaks: some labels and readings are wrong, and some questions have two
answers."""
Grade = Callable[[str, Example], bool]
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|\b[A-Z_]\w*\b")


@dataclass(frozen=True)
class Read:
    """A question whose kept rationale says what it states and what the rules are asked for."""

    example: Example
    goal: str
    stated: tuple[str, ...]


@dataclass(frozen=True)
class _Outcome:
    """What the items derive for a question.

    Attributes:
        is_right: it is the gold answer.
        uses: ids of the items in a proof of the gold answer, where it is among what follows.
        blamed: ids of those in proofs of other answers that are as near or nearer.
    """

    is_right: bool = False
    uses: frozenset[str] = frozenset()
    blamed: frozenset[str] = frozenset()


def judge_rules(
    proposed: Sequence[Entry],
    others: Iterable[Entry],
    examples: Iterable[Example],
    kept: Mapping[str, Rationale],
    folds: Mapping[str, str],
    grade: Grade,
    engine: Engine,
) -> list[Judgement]:
    """Judge the proposed rules that have clauses, each together with all of them that can run and pass their tests.

    Facts that have a part in it are judged too: those that right derivations rest on pass, and those fail that make others
    wrong.

    Args:
        proposed: rules and facts with their evidence; rules without clauses are passed over.
        others: facts and rules that they may rest on, and that are not judged.
        examples: the training questions.
        kept: the teacher's accepted rationales, by `Example.uid`.
        folds: a question's fold, by `Example.uid`; another one is what a question without is asked in.
        grade: whether an answer is that of a question.
        engine: runs the clauses.
    """
    rules = [one for one in proposed if isinstance(one.item, Rule) and one.item.clause]
    facts = [one for one in proposed if isinstance(one.item, Fact)]
    faults = {one.rule.id: _fault(one.number, one.why) for one in failures([_rule(one) for one in rules], engine)}
    sound = [one for one in rules if one.item_id not in faults]
    asked = _readable(examples, kept)
    world = _World([*sound, *facts, *others], asked, grade, engine)
    broken = world.broken({one.item_id for one in (*sound, *facts)})
    suspects = frozenset(item for item, questions in broken.items() if questions)
    excused = {one for one in suspects if len(world.helped(one, suspects)) >= EXCUSED * len(broken[one])}
    harmful = suspects - excused
    repaired = world.repaired([one for one in sound if one.item_id not in harmful], harmful)
    judged = []
    for entry in rules:
        if why := faults.get(entry.item_id, ""):
            judged.append(Judgement(item=entry.item_id, verdict="failed", told=why))
        elif not asked:
            told = _UNREAD if _rule(entry).tests else f"{_UNREAD}, of which it has none"
            judged.append(Judgement(item=entry.item_id, verdict="passed", told=told))
        else:
            judged.append(_by_derivation(entry, broken[entry.item_id], repaired.get(entry.item_id, []), asked, folds))
    return [*judged, *_facts(facts, world.used(harmful), broken)]


_UNREAD = "no kept rationale says what its question states, so that its own tests alone were run"


def _facts(facts: Iterable[Entry], used: Mapping[str, int], broken: Mapping[str, Sequence[str]]) -> Iterator[Judgement]:
    """The verdict on the facts that have a part in derivations."""
    for entry in facts:
        bad, good = broken[entry.item_id], used[entry.item_id]
        figures = {"derived": good, "broken": len(bad)}
        if len(bad) * EXCUSED > good:
            yield Judgement(item=entry.item_id, verdict="failed", told=_breaks(bad), figures=figures)
        elif good:
            told = f"{_questions(good)} {'are' if good > 1 else 'is'} rightly derived from it"
            yield Judgement(item=entry.item_id, verdict="passed", told=told, figures=figures)


def _by_derivation(
    entry: Entry, broken: Sequence[str], repaired: Sequence[str], asked: Mapping[str, Read], folds: Mapping[str, str]
) -> Judgement:
    own = {piece.example for piece in entry.evidence} & set(asked)
    own_folds = {folds.get(piece.example, piece.example) for piece in entry.evidence}
    # What was proposed from questions of several folds is an item of another fold to each of them.
    elsewhere = [one for one in repaired if own_folds - {folds.get(one, one)}]
    proven = own & set(repaired)
    figures = {"own": len(proven), "repaired": len(elsewhere), "broken": len(broken)}
    spoils = len(broken) * EXCUSED > len(repaired)
    passed = not spoils and bool(elsewhere) and (bool(proven) or not own)
    if spoils:
        told = _breaks(broken)
    elif own and not proven:
        told = "its own question is answered no better with it"
    elif not elsewhere:
        told = "no question of another fold is answered better with it"
    else:
        told = f"repairs {_questions(len(elsewhere))} of other folds, and breaks {len(broken) or 'none'}"
    return Judgement(item=entry.item_id, verdict="passed" if passed else "failed", told=told, figures=figures)


def _breaks(broken: Sequence[str]) -> str:
    return f"makes right answers of {_questions(len(broken))} wrong, such as {broken[0]}"


def _questions(count: int) -> str:
    return f"{count:,} question{'s' if count != 1 else ''}"


def _fault(number: int, why: str) -> str:
    return f"test {number} fails: {why}" if number else f"cannot run: {why}"


def _rule(entry: Entry) -> Rule:
    assert isinstance(entry.item, Rule)
    return entry.item


def _readable(examples: Iterable[Example], kept: Mapping[str, Rationale]) -> dict[str, Read]:
    """The questions whose kept rationales have statements and a goal that can be read."""
    found = {}
    for example in examples:
        rationale = kept.get(example.uid)
        if rationale is None or not rationale.goal:
            continue
        stated = tuple(one.text for one in rationale.stated)
        try:
            goal_of(rationale.goal)
            for text in stated:
                atom_of(text)
        except KnowledgeError:
            continue  # a language model's reading may be no statement
        found[example.uid] = Read(example, rationale.goal, stated)
    return found


class _World:
    """Questions that are derived again and again, with some items left out."""

    def __init__(self, entries: Iterable[Entry], asked: Mapping[str, Read], grade: Grade, engine: Engine) -> None:
        approved = [one.model_copy(update={"status": Status.APPROVED}) for one in entries]
        self._asked, self._grade = asked, grade
        self._base = Premises(approved, engine) if asked else None
        self._known: dict[tuple[str, frozenset[str]], _Outcome] = {}
        self._fired: dict[str, Fired] = {}
        # Equal rules that came under several wordings repair together: without one the other would do.
        self._alike: dict[str, frozenset[str]] = {}
        by_form: dict[object, set[str]] = {}
        for one in approved:
            if isinstance(one.item, Rule) and one.item.clause:
                by_form.setdefault(_form(one.item), set()).add(one.item_id)
        for alike in by_form.values():
            self._alike |= dict.fromkeys(alike, frozenset(alike))

    def broken(self, items: Collection[str]) -> dict[str, list[str]]:
        """For each item the questions that it breaks: right without it, and wrong with it."""
        found: dict[str, list[str]] = {item: [] for item in items}
        wrong: dict[frozenset[str], list[str]] = {}
        for uid in self._asked:
            outcome = self._outcome(uid)
            suspects = (outcome.blamed - outcome.uses) & frozenset(items)
            if suspects and outcome.uses and not outcome.is_right:
                wrong.setdefault(suspects, []).append(uid)
        for (
            suspects,
            uids,
        ) in wrong.items():  # the engine keeps what it compiled: the same items are hidden one after another
            right = [uid for uid in uids if self._outcome(uid, suspects).is_right]
            for item in sorted(suspects):
                found[item] += [uid for uid in right if not self._outcome(uid, suspects - {item}).is_right]
        return found

    def helped(self, item: str, suspects: frozenset[str]) -> list[str]:
        """The questions that an item alone of several suspects makes right."""
        using = [uid for uid in self._asked if item in self._outcome(uid).uses]
        return [
            uid
            for uid in using
            if self._outcome(uid, suspects - {item}).is_right and not self._outcome(uid, suspects).is_right
        ]

    def repaired(self, entries: Iterable[Entry], without: frozenset[str]) -> dict[str, list[str]]:
        """For each item the questions that have a right derivation with it alone of its like, those of `without` left out."""
        using: dict[frozenset[str], list[str]] = {}
        for uid in self._asked:
            outcome = self._outcome(uid, without)
            for alike in (
                {self._alike[item] for item in outcome.uses if item in self._alike} if outcome.is_right else ()
            ):
                using.setdefault(alike, []).append(uid)
        proven = {
            alike: [uid for uid in uids if not self._outcome(uid, without | alike).is_right]
            for alike, uids in using.items()
        }
        return {one.item_id: proven.get(self._alike[one.item_id], []) for one in entries}

    def used(self, without: frozenset[str]) -> Counter[str]:
        """How many right derivations rest on each item, those of `without` left out."""
        counts: Counter[str] = Counter()
        for uid in self._asked:
            outcome = self._outcome(uid, without)
            counts.update(outcome.uses if outcome.is_right else ())
        return counts

    def _outcome(self, uid: str, hide: frozenset[str] = frozenset()) -> _Outcome:
        key = (uid, hide)
        if key not in self._known:
            self._known[key] = self._derived(self._asked[uid], hide)
        return self._known[key]

    def _answers(self, read: Read, hide: frozenset[str]) -> Answers:
        """What the goal comes to without some items. The clauses are run once a question where that is exact."""
        assert self._base is not None
        uid, task = read.example.uid, read.example.task
        stated = [atom_of(one) for one in read.stated]
        try:
            if uid not in self._fired:
                self._fired[uid] = fire(goal_of(read.goal), stated, self._base, task=task)
            fired = self._fired[uid]
            if not hide or fired.is_monotone:
                return fired.answers(hide, is_told=False)
            return derive(goal_of(read.goal), stated, self._base, task=task, hide=hide)
        except EngineError as error:
            return Answers(stopped=str(error))

    def _derived(self, read: Read, hide: frozenset[str]) -> _Outcome:
        made = self._answers(read, hide)

        def is_right(answers: Answers) -> bool:
            said = result_of(read.goal, answers, read.stated)
            return bool(answers.found) and self._grade(said.found, read.example)

        right = next((one for one in made.found if is_right(replace(made, found=(one,)))), None)
        if right is None:
            return _Outcome(is_right(made))
        nearest = parts_of(read.goal)[1] == OPEN
        rivals = [one for one in made.found if not is_right(replace(made, found=(one,)))]
        near = [one for one in rivals if not nearest or one.size <= right.size]
        ids = frozenset(item.id for one in near for item in one.items)
        return _Outcome(is_right(made), frozenset(item.id for item in right.items), ids)


def _form(rule: Rule) -> tuple[object, ...]:
    """A rule's clauses whatever their variables are called."""
    names: dict[str, str] = {}

    def renamed(match: re.Match[str]) -> str:
        word = match.group()
        return word if word[0] in "'\"" else names.setdefault(word, f"V{len(names)}")

    return (_VARIABLE.sub(renamed, " ".join((rule.clause or "").split())), rule.exceptions, rule.scope)

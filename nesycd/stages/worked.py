"""What right workings prove of facts that they do not name: their formula, with the numbers of another question of the kind and a
proposed value, comes to that question's gold answer.

A weak teacher works few questions rightly and proposes facts for many. How a kind of question is worked is general and recurs; a
value is sparse and does not. So the formulas come from the right workings, and the values from the proposals.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from nesycd.core.records import Example, Fact
from nesycd.grading import quantity
from nesycd.grading.formulas import Formula, formula_of
from nesycd.retrieval.words import root
from nesycd.stages.claims import Sentence, amount_of, numbers_in, place_of, read, relation_stems, stems_of, words_of

HOLDS = 3
"""Questions that a formula must be right for, those that it was made from included: a single one may have been lucky."""
TOGETHER = 1 / 3
"""What a question counts that comes right with two values, neither of which is proven: both may be wrong, so it takes two."""


@dataclass(frozen=True)
class Asked:
    """A question whose answer is an amount.

    Attributes:
        uid, task: see `Example`.
        sentences: as read.
        given: its numbers, in order.
        gold, answer: its answer, as a number and as written.
    """

    uid: str
    task: str
    sentences: Sequence[Sentence]
    given: tuple[Fraction, ...]
    gold: Fraction
    answer: str


def with_amounts(examples: Iterable[Example]) -> list[Asked]:
    """The questions whose gold answers are amounts."""
    found = []
    for example in examples:
        if (gold := quantity(example.answer)) is not None:
            said = read(example.question)
            found.append(Asked(example.uid, example.task, said, numbers_in(said), gold.value, example.answer))
    return found


def formulas(questions: Sequence[Asked], right: Iterable[tuple[str, str]]) -> dict[str, dict[Formula, set[str]]]:
    """The formulas of right workings, by task, each with the questions it was made from.

    Args:
        questions: those whose formulas are sought.
        right: pairs of a question (`Asked.uid`) and the text of a working that is right.
    """
    by_uid = {one.uid: one for one in questions}
    found: dict[str, dict[Formula, set[str]]] = defaultdict(lambda: defaultdict(set))
    for uid, text in right:
        if (question := by_uid.get(uid)) is None:
            continue
        made = formula_of(text, question.given, question.answer)
        if made is not None and 0 < made.values <= 2:
            found[question.task][made].add(uid)
    return found


def worked(
    facts: Sequence[Fact], questions: Sequence[Asked], made: Mapping[str, Mapping[Formula, set[str]]]
) -> list[dict[str, float]]:
    """For each fact the questions that come right with it, and what each counts.

    Args:
        facts: those proposed; only those whose object is an amount are looked at.
        questions: see `with_amounts`.
        made: see `formulas`. A formula proves nothing for the questions that it was made from.
    """
    found = _right_with(facts, questions, made)
    proofs: list[dict[str, float]] = [{} for _ in facts]
    together: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for (task, formula), right in found.items():
        if len({uid for uid, _ in right} | made[task][formula]) < HOLDS:
            continue
        for uid, used in right:
            if len(used) == 1:
                proofs[used[0]][uid] = 1.0
            else:
                together[uid].add(used)
    for uid, pairs in together.items():
        for number in {number for pair in pairs for number in pair}:
            proofs[number].setdefault(uid, TOGETHER / len(pairs))
    # With a value that is proven elsewhere, the other one is all that the answer leaves open.
    for uid, pairs in together.items():
        for pair in pairs:
            for number, other in (pair, pair[::-1]):
                if sum(weight for one, weight in proofs[other].items() if one != uid) >= 2 * TOGETHER:
                    proofs[number][uid] = 1.0
    return proofs


def _right_with(
    facts: Sequence[Fact], questions: Sequence[Asked], made: Mapping[str, Mapping[Formula, set[str]]]
) -> dict[tuple[str, Formula], list[tuple[str, tuple[int, ...]]]]:
    """For each formula the questions that come right by it, each with the numbers of the facts whose values it takes."""
    amounts = {number: value for number, fact in enumerate(facts) if (value := amount_of(fact)) is not None}
    by_word: dict[str, set[int]] = defaultdict(set)
    for number in amounts:
        for name in words_of(facts[number]):
            by_word[next((root(word) for word in name if word.isalpha()), "")].add(number)
    found: dict[tuple[str, Formula], list[tuple[str, tuple[int, ...]]]] = defaultdict(list)
    for question in questions:
        of_task = made.get(question.task, {})
        if not of_task:
            continue
        words = {root(word.text) for sentence in question.sentences for word in sentence.words}
        near = sorted(set().union(*(by_word.get(word, ()) for word in words)))
        named = _named({number: facts[number] for number in near}, question)
        subjects = {place for place, _ in named}
        for formula, sources in of_task.items():
            if question.uid in sources or len(subjects) != formula.values:
                continue
            for chosen in itertools.combinations(named, formula.values):
                # In the order in which the question names them; not two values of one name.
                if len({place for place, _ in chosen}) == formula.values:
                    values = [amounts[number] for _, number in chosen]
                    if formula.comes_to(question.given, values) == question.gold:
                        found[question.task, formula].append((question.uid, tuple(number for _, number in chosen)))
    return found


def _named(facts: Mapping[int, Fact], question: Asked) -> list[tuple[int, int]]:
    """The facts that a question asks about: where it names each, and its number, in this order."""
    places = ((place_of(fact, question.sentences), number) for number, fact in facts.items())
    named = sorted((place, number) for place, number in places if place is not None)
    # What others are counted in is no subject of its own: 4 seahs and 5 kabs.
    units = [read(facts[number].object) for _, number in named]
    named = [one for one in named if all(place_of(facts[one[1]], unit) is None for unit in units)]
    # Of several relations of a subject that which the question names.
    stems = stems_of(question.sentences)
    spoken = {one for one in named if not stems.isdisjoint(relation_stems(facts[one[1]].relation))}
    places_spoken = {place for place, _ in spoken}
    return [one for one in named if one in spoken or one[0] not in places_spoken]

"""The gate between proposal and approval, for facts: an item enters by proof.

The proof is what a run has anyway: its questions with their gold answers, and all answers that the proposing teacher gave
to them. A benchmark's ground truth (`Example.truth`) is never looked at. Rules with clauses are judged by `rule_gate`,
lessons and rules in words by `lesson_gate`.

What a rationale proves depends on what its right answer rests on. Where that is the fact and what the question says, no
other value gives the answer: a whole proof. Where it is more, two errors may make up for each other, and where it is less,
nothing speaks for the fact but that its teacher is mostly right: such a rationale counts as the teacher's share of right
answers, a remark by the way as its square. A wrong answer proves a fact too, where its working gives another value and, worked
again with this one, comes to the right answer. And a right working proves facts that it does not name (`worked`): its
formula, with the numbers of another question and a proposed value of what that asks about, comes to its gold answer. A fact
passes with half a proof, unless as many questions speak against it.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nesycd.core.judgements import Judgement
from nesycd.core.records import Entry, Example, Fact, Rationale, Sample
from nesycd.grading import quantity
from nesycd.prompts import question_text
from nesycd.retrieval.words import fold, root
from nesycd.stages.claims import Said, Sentence, read, relation_stems, said_of, sums_of, words_of
from nesycd.stages.worked import formulas, with_amounts, worked
from nesycd.teachers import mining

ALGORITHM = 3
"""Part of the fingerprint: raised when other items would pass."""
ENOUGH = 0.5
"""Proofs from which on a fact passes."""


@dataclass(frozen=True)
class Working:
    """An answer of the teacher, read.

    Attributes:
        example: `Example.uid` of its question.
        asked: the sentences of the question.
        sentences: those of the working.
        answer: that it comes to, options in words.
        gold: the right answer.
        correct, hinted: see `Sample`.
    """

    example: str
    asked: Sequence[Sentence]
    sentences: Sequence[Sentence]
    answer: str
    gold: str
    correct: bool
    hinted: bool


def workings(examples: Iterable[Example], rationales: Iterable[Rationale]) -> list[Working]:
    """All answers of the teacher to some questions, the kept ones and the other samples."""
    by_uid = {one.uid: one for one in examples}
    made = []
    for rationale in rationales:
        if (example := by_uid.get(rationale.example)) is None:
            continue
        asked = read(question_text(example))
        options = {f"({chr(65 + place)})": text for place, text in enumerate(example.options)}
        samples: tuple[Rationale | Sample, ...] = (rationale, *rationale.others)
        for one in samples:
            if one.text:
                answer = options.get(one.answer, one.answer)
                made.append(
                    Working(example.uid, asked, read(one.text), answer, example.answer, one.correct, one.hinted)
                )
    return made


class _Index:
    """Finds the workings that name a fact's subject."""

    def __init__(self, made: Sequence[Working]) -> None:
        self._made = made
        self._with: dict[str, set[int]] = defaultdict(set)
        for number, one in enumerate(made):
            for word in {word.text for sentence in one.sentences for word in sentence.words}:
                self._with[root(word)].add(number)

    def about(self, fact: Fact) -> list[Working]:
        found: set[int] = set()
        for name in words_of(fact):
            # Numbers may be written otherwise.
            known = [self._with.get(root(word), set()) for word in name if word.isalpha()]
            found |= set.intersection(*known) if known else set()
        return [self._made[number] for number in sorted(found)]


def heard(facts: Sequence[Fact], made: Sequence[Working]) -> list[list[tuple[Working, Said]]]:
    """What the workings say of each fact; those that say nothing of it are left out."""
    index = _Index(made)
    relations = frozenset(stem for fact in facts for stem in relation_stems(fact.relation))
    found = []
    for fact in facts:
        told = ((one, said_of(fact, one.sentences, one.answer, one.asked, relations)) for one in index.about(fact))
        found.append([(one, said) for one, said in told if said.states or said.other])
    return found


def judge_facts(
    proposed: Sequence[Entry], examples: Iterable[Example], rationales: Sequence[Rationale]
) -> list[Judgement]:
    """Judge the proposed facts; other items are passed over.

    Args:
        proposed: facts with their evidence.
        examples: the training questions.
        rationales: all of the teacher's, right or wrong.
    """
    examples = list(examples)
    entries = [one for one in proposed if isinstance(one.item, Fact)]
    facts = [one.item for one in entries if isinstance(one.item, Fact)]
    made = workings(examples, rationales)
    right = ((one.example, sums_of(one.sentences)) for one in made if one.correct)
    questions = with_amounts(examples)
    proofs = worked(facts, questions, formulas(questions, right))
    rivals = _rivals(facts, proofs)
    trust = share_right(rationales)
    return [_judged(*one, trust) for one in zip(entries, heard(facts, made), proofs, rivals, strict=True)]


def _rivals(facts: Sequence[Fact], proofs: Sequence[Mapping[str, float]]) -> list[dict[str, str]]:
    """For each fact the questions that come right with another proposed value of its subject instead, and that value."""
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, fact in enumerate(facts):
        alike[(fold(fact.subject), *sorted(relation_stems(fact.relation)))].append(number)
    found: list[dict[str, str]] = [{} for _ in facts]
    for numbers in alike.values():
        for number, other in itertools.permutations(numbers, 2):
            found[number] |= {uid: facts[other].object for uid in proofs[other] if uid not in proofs[number]}
    return found


def share_right(rationales: Iterable[Rationale]) -> float:
    """The teacher's share of right answers, where it was not shown the gold answer."""
    samples: list[Rationale | Sample] = []
    for rationale in rationales:
        samples += (rationale, *rationale.others)
    asked = [one for one in samples if not one.hinted and not one.failure]
    return (sum(one.correct for one in asked) + 1) / (len(asked) + 2)


def _judged(
    entry: Entry,
    told: Sequence[tuple[Working, Said]],
    worked: Mapping[str, float],
    rivals: Mapping[str, str],
    trust: float,
) -> Judgement:
    # What was mined stands in the accepted rationale of its question, in whatever words.
    mined = {piece.example for piece in entry.evidence if piece.source == mining.NAME}
    proofs = dict.fromkeys(mined, trust)
    for uid, weight in worked.items():
        proofs[uid] = max(proofs.get(uid, 0.0), weight)
    against: dict[str, str] = {}
    repaired: set[str] = set()
    for one, said in told:
        if one.correct and said.states:
            weight = 1.0 if said.alone else trust if said.rests else trust**2
            proofs[one.example] = max(proofs.get(one.example, 0.0), weight)
        elif not one.correct and _becomes_right(one, said):
            proofs[one.example] = max(proofs.get(one.example, 0.0), 1.0 if said.alone else trust)
            repaired.add(one.example)
        elif one.correct:
            against.setdefault(one.example, said.other)
    against = {uid: other for uid, other in against.items() if uid not in proofs}
    instead = {uid: other for uid, other in rivals.items() if uid not in proofs and uid not in against}
    right = [(one.example, said) for one, said in told if one.correct and said.states]
    figures = {
        "stated": len({uid for uid, _ in right} | mined),
        "rests": len({uid for uid, said in right if said.rests}),
        "alone": len({uid for uid, said in right if said.alone}),
        "repaired": len(repaired),
        "worked": len(worked),
        "against": len(against) + len(instead),
    }
    passed = sum(proofs.values()) >= ENOUGH and len(proofs) > figures["against"]
    verdict: Literal["passed", "failed"] = "passed" if passed else "failed"
    return Judgement(
        item=entry.item_id,
        verdict=verdict,
        told=_told(figures, [*against.values()], [*instead.values()]),
        figures=figures,
    )


def _becomes_right(one: Working, said: Said) -> bool:
    """Whether a wrong answer becomes right with the fact's value in the place of the one that its working gives."""
    gold = quantity(one.gold)
    return gold is not None and said.replayed == gold.value


def _told(figures: Mapping[str, int], others: Sequence[str], instead: Sequence[str]) -> str:
    stated = figures["stated"]
    if not stated:
        said = "no right answer states it"
    else:
        asked = "1 question" if stated == 1 else f"{stated} questions"
        rests, alone = figures["rests"], figures["alone"]
        said = f"right answers to {asked} state it, those to {rests} rest on it, to {alone} on it alone"
    if figures["worked"]:
        said += f"; worked like right answers, {figures['worked']} more come right with it"
    if figures["repaired"]:
        said += f"; wrong answers to {figures['repaired']} become right with it"
    for told, values in (("right answers to {} say otherwise", others), ("{} come right with another value", instead)):
        if values:
            said += f"; {told.format(len(values))}, such as {Counter(values).most_common(1)[0][0]}"
    return said

"""The expert teacher: a program that derives answers by a function it is given.

Its rationales are derivations. It diagnoses by holding a wrong response against the derivation: the first needed fact
that the response misses or states wrongly, else the first false sum, missing step or closing answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nesycd import grading
from nesycd.core.errors import NesycdError
from nesycd.core.protocols import ErrorCase, ErrorCluster
from nesycd.core.records import (
    Derivation,
    Diagnosis,
    Example,
    Fact,
    Induction,
    Item,
    Lesson,
    Rationale,
    Rule,
    content_hash,
)

_VERSION = 1
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")
_EQUATION = re.compile(r"(?<![\d.=+x*-])(-?\d+)\s*([x*×+-])\s*(-?\d+)\s*=\s*(-?\d+)(?![\d.]\d)")
_SLIP = "Work out one operation at a time and check each result before it is used again."
_STEP = "After stating what is known, go on step by step until the question itself is answered."
_CLOSING = "Close with the result of the last step, in the form that the question asks for."


@dataclass(frozen=True)
class Finding:
    """What a diagnosis found: one sentence, and the items that would mend it."""

    cause: str
    items: tuple[Item, ...]


class ExpertTeacher:
    """Writes derivations as rationales and finds where a response leaves the derivation.

    Args:
        derive: from an example to its derivation, `answer` included; a `NesycdError` from it becomes a record with a
            failure.
        name: the teacher's name in records.
        source: fingerprint of what `derive` knows (a benchmark's), part of this teacher's own.

    Example:
        >>> fact = Fact(text="A span is 9 inches.", subject="span", relation="makes", object="9 inches")
        >>> truth = Derivation(facts=(fact,), steps=("One span makes 9 inches.", "2 x 9 = 18."), uses=((0,), ()),
        ...                    answer="18")
        >>> teacher = ExpertTeacher(lambda example: truth)
        >>> example = Example(uid="q", task="units", question="How many inches are 2 spans?", answer="18")
        >>> [rationale] = teacher.rationales([example])
        >>> rationale.text, rationale.answer
        ('One span makes 9 inches. 2 x 9 = 18.', '18')
    """

    def __init__(self, derive: Callable[[Example], Derivation], name: str = "expert", source: str = "") -> None:
        self.name = name
        self._derive = derive
        self.fingerprint = content_hash(["expert", _VERSION, name, source])

    def rationales(self, examples: Sequence[Example]) -> Iterator[Rationale]:
        """The steps of each derivation, and its answer."""
        for example in examples:
            derivation = self._derivation(example)
            if isinstance(derivation, str):
                yield Rationale(example=example.uid, teacher=self.name, failure=derivation)
            else:
                text = " ".join(derivation.steps)
                yield Rationale(
                    example=example.uid,
                    teacher=self.name,
                    text=text,
                    answer=derivation.answer,
                    stated=derivation.stated,
                    goal=derivation.goal,
                )

    def diagnoses(self, cases: Sequence[ErrorCase]) -> Iterator[Diagnosis]:
        """The first break of each response, and items that mend it and what comes after.

        Of a derivation with a goal all facts and rules are proposed: rules are run on the base, not on what a student knows.
        """
        for case in cases:
            derivation = self._derivation(case.example)
            failure = derivation if isinstance(derivation, str) else ""
            found = Finding("", ()) if isinstance(derivation, str) else diagnose(derivation, case.attempt.response)
            items = found.items
            if isinstance(derivation, Derivation) and derivation.goal:
                items = tuple(dict.fromkeys((*items, *derivation.facts, *derivation.rules)))
            yield Diagnosis(
                example=case.example.uid,
                attempt=case.attempt.prediction,
                teacher=self.name,
                items=items,
                cause=found.cause,
                failure=failure,
            )

    def inductions(self, clusters: Sequence[ErrorCluster]) -> Iterator[Induction]:
        """The rules that more than half of a cluster's errors lack, those that most of them lack first."""
        for cluster in clusters:
            lacked: Counter[Rule] = Counter()
            for case in cluster.cases:
                derivation = self._derivation(case.example)
                if isinstance(derivation, Derivation):
                    lacked.update([*dict.fromkeys(_lacks(derivation, case.attempt.response))])
            common = [rule for rule, count in lacked.most_common() if 2 * count > len(cluster.cases)]
            yield cluster.induction(self.name, common)

    def _derivation(self, example: Example) -> Derivation | str:
        """The derivation, or why there is none."""
        try:
            derivation = self._derive(example)
        except NesycdError as error:
            return str(error)
        if not derivation.answer:
            return f"the derivation of {example.uid} comes to no answer"
        return derivation


def diagnose(derivation: Derivation, response: str) -> Finding:
    """Where a response first leaves a derivation.

    After a fact that is missing or wrong nothing later can be trusted, so every later needed fact that is not stated
    rightly is proposed too. Where all facts are right, the rules are proposed, with a lesson on the kind of slip.
    """
    sentences = [part.strip() for part in _SENTENCE_END.split(response) if part.strip()]
    for index, fact in enumerate(derivation.facts):
        verdict = _verdict(fact, _stated(derivation, index), sentences)
        if verdict:
            later = [
                other
                for number, other in enumerate(derivation.facts[index:], index)
                if _verdict(other, _stated(derivation, number), sentences)
            ]
            empty = "The response is empty; it" if not sentences else "The response"
            return Finding(f"{empty} {verdict}", tuple(dict.fromkeys(later)))
    cause, lesson = _broken_step(derivation, response, sentences)
    rules: tuple[Rule, ...] = derivation.rules
    return Finding(cause, (*rules, Lesson(text=_lesson(lesson, rules))))


def _lesson(advice: str, rules: Sequence[Rule]) -> str:
    """Advice tied to its rule's condition, so that it is found for such questions again."""
    condition = rules[0].text.partition(",")[0] if rules else ""
    return f"{condition}: {advice[0].lower()}{advice[1:]}" if condition else advice


# --- facts -----------------------------------------------------------------------------------------------------------


def _stated(derivation: Derivation, index: int) -> str:
    """The step that states a fact."""
    for step, uses in zip(derivation.steps, derivation.uses, strict=True):
        if index in uses:
            return step
    return derivation.facts[index].text


def _verdict(fact: Fact, model: str, sentences: Sequence[str]) -> str:
    """ "" where some sentence states the fact; else what the response does instead."""
    candidates = [sentence for sentence in sentences if _names(fact, model, sentence)]
    if any(_says(fact, model, sentence) for sentence in candidates):
        return ""
    # A name that ends a sentence is what it says of somebody else ("Edward III's father: Edward II.").
    wrong = [sentence for sentence in candidates if not _ends_with_subject(fact, sentence)]
    if wrong:
        return f"says {wrong[0]!r}, but the fact is: {fact.text}"
    return f"does not state a needed fact: {fact.text}"


def _names(fact: Fact, model: str, sentence: str) -> bool:
    """Whether a sentence names the subject and, where both ways of stating the fact do, the relation.

    So an element's group is not taken for its period, but "A fathom is 6 feet" need not say "makes".
    Derived sentences (sums, "So grandfather: ...") may name anybody and state no fact.
    """
    if _EQUATION.search(sentence) or sentence.startswith("So ") or _subject(fact, sentence) is None:
        return False
    told = _find(fact.relation, model) and _find(fact.relation, fact.text)
    return not told or _find(fact.relation, sentence) is not None


def _says(fact: Fact, model: str, sentence: str) -> bool:
    value, subject = _find(fact.object, sentence), _subject(fact, sentence)
    if value is None or subject is None:
        return False
    model_value, model_subject = _find(fact.object, model), _subject(fact, model)
    if fact.object[:1].isdigit() or model_value is None or model_subject is None:
        return True
    # Between two names the order tells who is whose father.
    return (subject.start() < value.start()) == (model_subject.start() < model_value.start())


def _ends_with_subject(fact: Fact, sentence: str) -> bool:
    subject = _subject(fact, sentence)
    return subject is not None and not sentence[subject.end() :].strip(" .!?;:")


def _subject(fact: Fact, text: str) -> re.Match[str] | None:
    """The first place, and of those there the longest, where a text names the subject by any of its names."""
    found = [match for name in (fact.subject, *fact.aliases) if (match := _find(name, text))]
    return min(found, key=lambda match: (match.start(), -match.end()), default=None)


def _find(words: str, text: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE)


# --- steps -----------------------------------------------------------------------------------------------------------


def _broken_step(derivation: Derivation, response: str, sentences: Sequence[str]) -> tuple[str, str]:
    """(what is wrong, advice) where all facts are right: a false sum, a missing step, or the closing answer."""
    for match in _EQUATION.finditer(response):
        left, sign, right, result = match.groups()
        true = _compute(int(left), sign, int(right))
        if int(result) != true:
            return f"The response says {match.group()}, but {left} {sign} {right} = {true}.", _SLIP
    said = {_plain(sentence) for sentence in sentences}
    for step, uses in zip(derivation.steps, derivation.uses, strict=True):
        if not uses and _plain(step) not in said:
            return f"The response lacks the step {step!r}", _STEP
    answer = grading.closing_answer(response)
    if not answer:
        return f"The response does the working but closes with no answer; it is {derivation.answer}.", _CLOSING
    return f"The response does the working but answers {answer!r} instead of {derivation.answer!r}.", _CLOSING


def _lacks(derivation: Derivation, response: str) -> Sequence[Rule]:
    """The rules of a derivation, where the response lacks one of the steps that state no fact: these apply them."""
    said = {_plain(part) for part in _SENTENCE_END.split(response)}
    steps = (step for step, uses in zip(derivation.steps, derivation.uses, strict=True) if not uses)
    return derivation.rules if any(_plain(step) not in said for step in steps) else ()


def _compute(left: int, sign: str, right: int) -> int:
    return left + right if sign == "+" else left - right if sign == "-" else left * right


def _plain(sentence: str) -> str:
    """A sentence without case, blanks, final stop and kind of multiplication sign."""
    return re.sub(r"\s+", "", sentence.casefold()).replace("×", "x").replace("*", "x").rstrip(".;!?")

"""The leak check: which items would carry an answer, or a test question, into the knowledge base.

An item leaks when it restates a training question's particular premises (its numbers, or a long run of its words) together
with its answer; when it carries the text of a question of another split; or when it comes from no training question. A
general fact that happens to equal an answer does not leak: `A hin is 12 logs.` stands for itself.

Texts of other splits' questions are read to refuse items and for nothing else: no item is chosen, changed or ranked by
them, and their answers are never read.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from nesycd import grading
from nesycd.core.records import Evidence, Example, Fact, Item, Refusal, Rule
from nesycd.core.text import normal

ALGORITHM = 1
"""Raised when other items are refused: stages depend on it."""
RUN = 8
"""So many words in a row make a question's text: fewer are idiom (`how many does he have left`)."""
SHARE = 0.5
"""Share of a question's content words, or of its numbers, that restate it."""
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_CHOICE = re.compile(r"\(([A-Z])\)")
_SAYS_ANSWER = re.compile(r"\banswer\b[^.;]{0,40}?\b(?:is|was|=|:)\s*(?P<said>[^.;]+)", re.IGNORECASE)
_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NAMED = {word: Fraction(value) for value, word in enumerate(_UNITS)} | {
    word: Fraction(10 * value) for value, word in enumerate(_TENS, 2)
}
_COMMON = frozenset((Fraction(0), Fraction(1)))
"""Numbers that are nobody's own: `1 hin is 12 logs` is as general as `a hin is 12 logs`."""


@dataclass(frozen=True)
class Text:
    """A text as it is compared: its numbers (figures and words), its content words' stems, all its words in order."""

    numbers: Counter[Fraction]
    stems: frozenset[str]
    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Text:
        text = normal(text)
        words = tuple(re.findall(r"[^\W_]+(?:[.,'’][^\W_]+)*", text))
        named = [_NAMED[word] for word in words if word in _NAMED]
        numbers = Counter([*(Fraction(found.replace(",", "")) for found in _NUMBER.findall(text)), *named])
        stems = frozenset(_stem(word) for word in _WORD.findall(text) if len(word) > 3 and word not in _NAMED)
        return cls(numbers, stems, words)

    def runs(self, size: int = 0) -> set[tuple[str, ...]]:
        """Every run of `size` words. Not given: of `RUN`; a shorter text is one run, if it is no mere phrase."""
        if not size and RUN > len(self.words) > RUN // 2:
            return {self.words}
        size = size or RUN
        return {self.words[start : start + size] for start in range(len(self.words) - size + 1)}

    def all_runs(self) -> set[tuple[str, ...]]:
        """Whatever `runs` may give for a text within this one."""
        return {run for size in range(RUN // 2 + 1, RUN + 1) for run in self.runs(size)}


def _stem(word: str) -> str:
    """A crude singular: enough for `logs` to meet `log`."""
    word = re.sub(r"['’]s$", "", word)
    return word[:-2] if word.endswith("es") and len(word) > 5 else word.rstrip("s")


@dataclass(frozen=True)
class _Question:
    """A training question with what tells its answer."""

    uid: str
    text: Text
    own: Counter[Fraction]
    """Its particular numbers."""
    answer: str
    value: Fraction | None
    example: Example


class LeakCheck:
    """Knows the training questions with their answers, and the texts of all others.

    >>> asked = Example(uid="t1", task="units", question="How many logs are 3 hins and 5 logs?", answer="41")
    >>> check = LeakCheck([asked], ["How many logs are 7 hins and 9 logs more?"])
    >>> check.reason(Rule(text="3 hins and 5 logs are 41 logs."))
    'restates question t1 with its answer'
    >>> check.reason(Fact(text="A hin is 12 logs.", subject="hin", relation="makes", object="12 logs"))
    ''

    Args:
        train: the questions that items may come from.
        held_out: the texts of all other splits' questions.
    """

    def __init__(self, train: Iterable[Example], held_out: Iterable[str]) -> None:
        questions = [_question(example) for example in train]
        self._train = {question.uid: question for question in questions}
        self._by_answer: dict[Fraction | None, list[_Question]] = defaultdict(list)
        self._by_run: dict[tuple[str, ...], list[_Question]] = defaultdict(list)
        for question in questions:
            if question.own:
                self._by_answer[question.value].append(question)
            for run in question.text.runs():
                self._by_run[run].append(question)
        self._held_by_run: set[tuple[str, ...]] = set()
        self._held_by_number: dict[Fraction, list[Text]] = defaultdict(list)
        for text in map(Text.of, held_out):
            # What training questions say too tells nothing of this one.
            self._held_by_run.update(run for run in text.runs() if run not in self._by_run)
            if sum(text.numbers.values()) > 1 and (own := _own(text)):
                self._held_by_number[max(own)].append(text)

    def reason(self, item: Item, evidence: Iterable[Evidence] = ()) -> str:
        """Why an item leaks; "" where it does not. Evidence without an example is a person's."""
        text, given = Text.of(_whole(item)), list(evidence)
        own = [self._train[one.example] for one in given if one.example in self._train]
        return self._foreign(given) or self._carries_held_out(text) or self._restates(item, text, own)

    def refusals(self, proposed: Sequence[tuple[Item, Evidence]]) -> list[Refusal]:
        """The proposals that leak, in order. Each is judged by its own evidence; equal items are judged alike."""
        proof: dict[str, list[Evidence]] = defaultdict(list)
        for item, evidence in proposed:
            if not self._foreign([evidence]):
                proof[item.id].append(evidence)
        said = {item.id: self.reason(item, proof[item.id]) for item, _ in proposed}
        judged = ((item, evidence, self._foreign([evidence]) or said[item.id]) for item, evidence in proposed)
        return [Refusal(item=item, evidence=evidence, reason=reason) for item, evidence, reason in judged if reason]

    def _foreign(self, evidence: Iterable[Evidence]) -> str:
        for one in evidence:
            if one.example and one.example not in self._train:
                return f"comes from {one.example}, which is no training question"
        return ""

    def _carries_held_out(self, text: Text) -> str:
        if found := text.all_runs() & self._held_by_run:
            return f"carries the text of a question outside training: {' '.join(min(found))!r}"
        for number in text.numbers:
            for question in self._held_by_number.get(number, ()):
                if question.numbers <= text.numbers and _shared(question, text) >= SHARE:
                    return "carries the numbers and words of a question outside training"
        return ""

    def _restates(self, item: Item, text: Text, own: Iterable[_Question]) -> str:
        near = {question.uid: question for run in text.all_runs() for question in self._by_run.get(run, ())}
        # Of the question that an item comes from, all numbers and the answer are enough, in whatever words.
        near |= {q.uid: q for q in own if len(q.own) > 1 and q.own.keys() <= text.numbers.keys()}
        if text.numbers:
            near |= {q.uid: q for v in (*text.numbers, None) for q in self._by_answer.get(v, ()) if _premises(q, text)}
        for question in near.values():
            if _has_answer(question, item, text):
                return f"restates question {question.uid} with its answer"
        return ""


def _question(example: Example) -> _Question:
    text = Text.of("\n".join((example.question, *example.options)))
    answer, value = example.answer, None
    if letter := grading.option_letter(answer, example.options) if example.options else "":
        answer = example.options[ord(letter[1]) - ord("A")]
    if (quantity := grading.quantity(answer)) is not None:
        value = abs(quantity.value)
    return _Question(
        example.uid, text, Counter({n: k for n, k in _own(text).items() if n != value}), answer, value, example
    )


def _own(text: Text) -> Counter[Fraction]:
    """The numbers that are a text's own."""
    return Counter({number: count for number, count in text.numbers.items() if number not in _COMMON})


def _premises(question: _Question, text: Text) -> bool:
    """Whether a text has so many of a question's own numbers and a share of its words."""
    shared = sum(1 for number in question.own if number in text.numbers)
    return shared >= max(1, SHARE * len(question.own)) and _shared(question.text, text) >= SHARE / 2


def _shared(question: Text, text: Text) -> float:
    """Share of a question's content words that stand in a text; 1 where it has none."""
    return len(question.stems & text.stems) / len(question.stems) if question.stems else 1.0


def _has_answer(question: _Question, item: Item, text: Text) -> bool:
    if question.value is not None:
        return question.value in text.numbers
    wanted = normal(question.answer)
    said = normal(_whole(item))
    if re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", said) and wanted:
        return True
    stated = _SAYS_ANSWER.search(_whole(item))
    return stated is not None and grading.grade(stated["said"], question.example)


def _whole(item: Item) -> str:
    """All that an item says, a line each."""
    parts = [item.text]
    if isinstance(item, Fact):
        parts += [item.subject, item.relation, item.object, *item.aliases]
    elif isinstance(item, Rule):
        parts += [item.clause or "", item.says, *item.exceptions]
        parts += [text for test in item.tests for text in (test.given, test.expect, test.expect_not)]
    return "\n".join(filter(None, parts))

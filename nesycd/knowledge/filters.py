"""The filters before the knowledge base: which proposed items are refused, and why.

- The **leak filter**: an item leaks when it restates a training question's particular premises (its numbers, or a long run
  of its words) together with its answer; when it carries the text of a question of another split; or when it comes from no
  training question. A general fact that happens to equal an answer does not leak: `A hin is 12 logs.` stands for itself.
  A number is a premise where it is an amount; it is none in a name (`grade G3`, `article 12`, a lone year), nor where an item
  states a limit (`above 1000 EUR`) and the question an amount.
- The **ill-formed-item filter**: remarks on the student or the answer, and bare arithmetic, which small teachers write by
  the dozen (docs/log.md, 2026-11-24). Narrow on purpose: merely false or vague items are left to review and measurement.
- The **instance-specific-item filter**: an item that retells the story it came from. "Clay's watermelon weighs 24 pounds"
  is no knowledge, though it repeats neither the premises nor the answer of its question. It is recognised by numbers of that
  question (those it states, and those of its chain of thought) together with words that few other questions have.

Texts of other splits' questions are used only to refuse items: no item is chosen, changed or ranked by them, and their
answers are never read.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from nesycd import grading
from nesycd.core.judgements import FilterName, Refusal
from nesycd.core.records import Evidence, Example, Fact, Item, Rule
from nesycd.core.text import normal
from nesycd.prompts import question_text

ALGORITHM = 4
"""Part of the fingerprint of what was refused: raised when any of the filters would refuse other items."""
RUN = 8
"""So many words in a row make a question's text: fewer are idiom (`how many does he have left`)."""
SHARE = 0.5
"""Share of a question's content words, or of its numbers, that restate it."""
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_CODE = r"(?<![^\W_])(?!(?:eur|usd|gbp|chf|rs)\d)[^\W\d_]+\d[^\W_]*"
_LABELLED = (
    r"\b(?:grade|class|level|tier|band|category|group|type|zone|article|section|clause|paragraph|chapter|annex|appendix|version)"
    r" \d+(?:\.\d+)*"
)
_NAMES = re.compile(f"{_CODE}|{_LABELLED}")
"""Where a number is part of a name, in normal text: `g3`, `grade 3`. `eur250` is an amount."""
_YEAR = re.compile(
    r"\b(?:in|since|until|before|after|by|year) (?:1\d|20)\d\d"
    r"(?=$|[?.,;:!)](?!\d)| (?:did|was|were|is|and|the|by|to|as|who|which|when|that)\b)"
)
_LIMIT = re.compile(
    r"\b(?:above|below|over|under|(?<!(?:sum|add) )(?<!(?:sums|adds) )up to|at most|at least"
    r"|(?:more|less|fewer) than|exceed(?:s|ing)?|within|(?:limit|maximum|minimum|threshold)(?: is| of)?) [$€£]? ?"
    rf"({_NUMBER.pattern})|\bbetween ({_NUMBER.pattern}) and ({_NUMBER.pattern})"
)
"""Numbers, in normal text, that bound amounts and are none themselves; what sums up to 10 is 10."""
_DIGITS = 300
"""Digits of what is still read as a number: Python refuses to convert thousands of them."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_SAYS_ANSWER = re.compile(r"\banswer\b[^.;]{0,40}?\b(?:is|was|=|:)\s*(?P<said>[^.;]+)", re.IGNORECASE)
_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NAMED = {word: Fraction(value) for value, word in enumerate(_UNITS)} | {
    word: Fraction(10 * value) for value, word in enumerate(_TENS, 2)
}
_COMMON = frozenset((Fraction(0), Fraction(1)))
"""Numbers that are nobody's own: `1 hin is 12 logs` is as general as `a hin is 12 logs`."""

_REMARK = re.compile(
    r"\bthe student(?:'s)?\b|\breference book\b"
    r"|\b(?:correct|right|final|given|wrong) (?:answer|result|response|working)\b"
    r"|\bquestion is of this kind\b|\b(?:the|this|your) response\b|\banswer (?:to|of) (?:the |this |that )?question\b",
    re.IGNORECASE,
)
_SUM_WORDS = frozenset(
    """the of and is are equal equals to plus minus times by divided multiplied added subtracted from sum difference product
    quotient total result gives makes""".split()  # noqa: SIM905 - a list of words is read more easily as a text
)
_RESULTS = frozenset(
    {"sum", "total", "result", "answer", "difference", "product", "quotient", "count", "number", "value"}
)
"""Subjects that every question has another one of."""
_LETTERS = re.compile(r"[^\W\d_]+")
_RARE = 2
"""A word is a question's own where at most so many training questions have it."""
_RESULT = re.compile(r"=\s*[^\w=]{0,3}(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)")
_ROUND = frozenset(map(Fraction, (0, 1, 2, 10, 100)))
"""Numbers too common to identify a question."""

Proposal = tuple[Item, Evidence]


def refusals(
    proposed: Sequence[Proposal], train: Sequence[Example], held_out: Iterable[Example], rationales: Mapping[str, str]
) -> list[Refusal]:
    """The proposals to refuse: leaks, then ill-formed items, then instance-specific ones.

    Each proposal is refused once, by the first filter that refuses it. Equal items are judged alike, by all questions that they
    come from: what retells one of them is no better for being proposed from others too.

    Args:
        proposed: items, each with the evidence that gave rise to it.
        train: the questions that items may come from.
        held_out: the questions of all other splits.
        rationales: texts of the accepted rationales by `Example.uid`.
    """
    leaks, specific = LeakFilter(train, held_out), InstanceFilter(train, rationales)
    questions = {example.uid: question_text(example) for example in train}
    sources: dict[str, dict[str, None]] = defaultdict(dict)
    for item, evidence in proposed:
        sources[item.id][evidence.example] = None
    retold = {
        item.id: next((uid for uid in sources[item.id] if specific.reason(item, [uid])), "") for item, _ in proposed
    }
    found: dict[FilterName, list[Refusal]] = {"leak": [], "ill_formed": [], "instance_specific": []}

    def refuse(name: FilterName, item: Item, evidence: Evidence, reason: str, question: str) -> None:
        found[name].append(Refusal(item=item, evidence=evidence, filter=name, reason=reason, question=question))

    for (item, evidence), leak in zip(proposed, leaks.leaks(proposed), strict=True):
        if leak:
            refuse("leak", item, evidence, leak.reason, leak.question)
        elif reason := ill_formed(item):
            refuse("ill_formed", item, evidence, reason, "")
        elif uid := retold[item.id]:
            refuse("instance_specific", item, evidence, specific.reason(item, [uid]), questions[uid])
    return list(chain.from_iterable(found.values()))


@dataclass(frozen=True)
class Text:
    """A text as it is compared.

    Attributes:
        numbers: its amounts, in figures and words.
        stems: of its content words.
        words: all its words, in order.
        names: what has a number in it and is a name: `g3`, `grade 3`.
        in_names: the numbers of these.
        limits: numbers that it has only as bounds of amounts.
    """

    numbers: Counter[Fraction]
    stems: frozenset[str]
    words: tuple[str, ...]
    names: frozenset[str]
    in_names: frozenset[Fraction]
    limits: frozenset[Fraction]

    @classmethod
    def of(cls, text: str) -> Text:
        text = normal(text)
        words = tuple(re.findall(r"[^\W_]+(?:[.,'’][^\W_]+)*", text))
        named = [_NAMED[word] for word in words if word in _NAMED]
        numbers = Counter(named)
        names = frozenset(_NAMES.findall(text))
        in_names = frozenset(_read(_NUMBER.findall(" ".join(names))))
        amounts = _NAMES.sub(" ", text) if names else text
        numbers += _read(_NUMBER.findall(amounts))
        bounds = _read(filter(None, chain.from_iterable(_LIMIT.findall(amounts))))
        limits = frozenset(number for number, count in bounds.items() if count == numbers[number])
        stems = frozenset(_stem(word) for word in _WORD.findall(text) if len(word) > 3 and word not in _NAMED)
        return cls(numbers, stems, words, names, in_names, limits)

    def amounts(self, question: Text) -> Counter[Fraction]:
        """Its numbers, without those that only it has as bounds where a question has them as amounts."""
        bounds = self.limits - question.limits
        if not bounds:
            return self.numbers
        return Counter({number: count for number, count in self.numbers.items() if number not in bounds})

    def runs(self, size: int = 0) -> set[tuple[str, ...]]:
        """Every run of `size` words. Not given: of `RUN`; a shorter text is one run, if it is no mere phrase."""
        if not size and RUN > len(self.words) > RUN // 2:
            return {self.words}
        size = size or RUN
        return {self.words[start : start + size] for start in range(len(self.words) - size + 1)}

    def all_runs(self) -> set[tuple[str, ...]]:
        """Whatever `runs` may give for a text within this one."""
        return {run for size in range(RUN // 2 + 1, RUN + 1) for run in self.runs(size)}


def _read(figures: Iterable[str]) -> Counter[Fraction]:
    numbers: Counter[Fraction] = Counter()
    for found, count in Counter(figures).items():
        if len(found) <= _DIGITS:
            numbers[Fraction(found.replace(",", ""))] += count
    return numbers


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


@dataclass(frozen=True)
class Leak:
    """Why an item leaks, and the text of the question that it would give away; "" of one that is not known."""

    reason: str
    question: str


class LeakFilter:
    """Knows the training questions with their answers, and the texts of all others.

    >>> asked = Example(uid="t1", task="units", question="How many logs are 3 hins and 5 logs?", answer="41")
    >>> leaks = LeakFilter([asked], [])
    >>> leaks.leak(Rule(text="3 hins and 5 logs are 41 logs."))
    Leak(reason='restates question t1 with its answer', question='How many logs are 3 hins and 5 logs?')
    >>> leaks.leak(Fact(text="A hin is 12 logs.", subject="hin", relation="makes", object="12 logs"))

    Args:
        train: the questions that items may come from.
        held_out: the questions of all other splits; their answers are not read.
    """

    def __init__(self, train: Iterable[Example], held_out: Iterable[Example]) -> None:
        questions = [_question(example) for example in train]
        self._train = {question.uid: question for question in questions}
        self._by_answer: dict[Fraction | None, list[_Question]] = defaultdict(list)
        self._by_run: dict[tuple[str, ...], list[_Question]] = defaultdict(list)
        for question in questions:
            if question.own:
                self._by_answer[question.value].append(question)
            for run in question.text.runs():
                self._by_run[run].append(question)
        self._held: dict[str, Example] = {}
        self._held_by_run: dict[tuple[str, ...], Example] = {}
        self._held_by_mark: dict[Fraction | str, list[tuple[Text, Example]]] = defaultdict(list)
        for example in held_out:
            self._held.setdefault(example.uid, example)
            text = _text_of(example)
            for run in text.runs():
                # What training questions say too tells nothing of this one.
                if run not in self._by_run:
                    self._held_by_run.setdefault(run, example)
            own = _own(text)
            if (own and sum(text.numbers.values()) + len(text.names) > 1) or len(text.names) > 1:
                self._held_by_mark[max(own) if own else min(text.names)].append((text, example))

    def leak(self, item: Item, evidence: Iterable[Evidence] = ()) -> Leak | None:
        """How an item leaks; None where it does not. Evidence without an example is a person's."""
        text, given = Text.of(_whole(item)), list(evidence)
        own = [self._train[one.example] for one in given if one.example in self._train]
        return self._foreign(given) or self._carries_held_out(text) or self._restates(item, text, own)

    def leaks(self, proposed: Sequence[Proposal]) -> list[Leak | None]:
        """How each proposal leaks, in their order. Each is judged by its own evidence; equal items are judged alike."""
        proof: dict[str, list[Evidence]] = defaultdict(list)
        for item, evidence in proposed:
            if not self._foreign([evidence]):
                proof[item.id].append(evidence)
        said = {item.id: self.leak(item, proof[item.id]) for item, _ in proposed}
        return [self._foreign([evidence]) or said[item.id] for item, evidence in proposed]

    def _foreign(self, evidence: Iterable[Evidence]) -> Leak | None:
        for one in evidence:
            if one.example and one.example not in self._train:
                held = self._held.get(one.example)
                return Leak(
                    f"comes from {one.example}, which is no training question", question_text(held) if held else ""
                )
        return None

    def _carries_held_out(self, text: Text) -> Leak | None:
        if found := text.all_runs() & self._held_by_run.keys():
            run = min(found)
            return _outside("text", self._held_by_run[run], f": {' '.join(run)!r}")
        marks: list[Fraction | str] = [*text.numbers, *text.names]
        for mark in marks:
            for question, example in self._held_by_mark.get(mark, ()):
                marked = question.numbers <= text.amounts(question) and _names_alike(question, text)
                if marked and _shared(question, text) >= SHARE:
                    return _outside("numbers and words", example)
        return None

    def _restates(self, item: Item, text: Text, own: Iterable[_Question]) -> Leak | None:
        near = {question.uid: question for run in text.all_runs() for question in self._by_run.get(run, ())}
        # Of the question that an item comes from, all numbers and the answer are enough, in whatever words.
        near |= {q.uid: q for q in own if len(q.own) > 1 and q.own.keys() <= text.amounts(q.text).keys()}
        if text.numbers:
            values = (*text.numbers, *text.in_names, None)
            near |= {q.uid: q for v in values for q in self._by_answer.get(v, ()) if _premises(q, text)}
        for question in near.values():
            if _has_answer(question, item, text):
                return Leak(f"restates question {question.uid} with its answer", question_text(question.example))
        return None


def _outside(what: str, example: Example, quoted: str = "") -> Leak:
    where = f"{example.uid} of {example.split}"
    return Leak(f"carries the {what} of a question outside training, {where}{quoted}", question_text(example))


def _text_of(example: Example) -> Text:
    return Text.of("\n".join((example.question, *example.options)))


def _question(example: Example) -> _Question:
    text = _text_of(example)
    answer, value = example.answer, None
    if letter := grading.option_letter(answer, example.options) if example.options else "":
        answer = example.options[ord(letter[1]) - ord("A")]
    if (quantity := grading.quantity(answer)) is not None:
        value = abs(quantity.value)
    own = Counter({number: count for number, count in _own(text).items() if number != value})
    # With the year alone nothing is computed: it says when. Of several the difference may be asked for.
    if text.numbers.total() == 1 and _YEAR.search(normal(example.question)):
        own.clear()
    return _Question(example.uid, text, own, answer, value, example)


def _own(text: Text) -> Counter[Fraction]:
    """The numbers that are a text's own."""
    return Counter({number: count for number, count in text.numbers.items() if number not in _COMMON})


def _premises(question: _Question, text: Text) -> bool:
    """Whether a text has so many of a question's own numbers and a share of its words."""
    shared = len(question.own.keys() & text.amounts(question.text).keys())
    return shared >= max(1, SHARE * len(question.own)) and _shared(question.text, text) >= SHARE / 2


def _names_alike(question: Text, text: Text) -> bool:
    """Whether a text has a question's names; one that has more others, as a list of all grades, is about none of them."""
    return not question.names or (question.names <= text.names and len(text.names) <= 2 * len(question.names))


def _shared(question: Text, text: Text) -> float:
    """Share of a question's content words that stand in a text; 1 where it has none."""
    return len(question.stems & text.stems) / len(question.stems) if question.stems else 1.0


def _has_answer(question: _Question, item: Item, text: Text) -> bool:
    if question.value is not None:
        return question.value in text.numbers or question.value in text.in_names
    wanted = normal(question.answer)
    said = normal(_whole(item))
    if wanted and wanted in said and re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", said):
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


def ill_formed(item: Item) -> str:
    """Why an item is ill-formed; "" where it is not.

    Example:
        >>> from nesycd.core.records import Lesson
        >>> ill_formed(Lesson(text="The sum of 11 and 4 is 15."))
        'bare arithmetic'
        >>> ill_formed(Lesson(text="A gross is 144 pieces."))
        ''
    """
    if found := _REMARK.search(item.text):
        return f"speaks of {' '.join(found.group().lower().split())!r}"
    words = {word.lower() for word in _LETTERS.findall(item.text)}
    # A lone letter is a sign between numbers: 4 x 6.
    said = {word for word in words if len(word) > 1}
    if len(re.findall(r"\d", item.text)) > 1 and said <= _SUM_WORDS:
        return "bare arithmetic"
    if isinstance(item, Fact) and item.subject.lower().removeprefix("the ") in _RESULTS:
        return f"its subject {item.subject!r} names nothing"
    return ""


@dataclass(frozen=True)
class _Course:
    """A question's own numbers (`stated`, and the `results` of its rationale) and the words that few others have."""

    stated: frozenset[Fraction]
    results: frozenset[Fraction]
    rare: frozenset[str]


class InstanceFilter:
    """Knows the training questions and their accepted rationales.

    >>> asked = Example(uid="t1", task="t", question="Mia's melon weighs 8 pounds, Clay's melon 3 times that.", answer="24")
    >>> specific = InstanceFilter([asked], {"t1": "3 x 8 = 24."})
    >>> told = Fact(text="Clay's melon weighs 24 pounds.", subject="melon", relation="weighs", object="24")
    >>> specific.reason(told, ["t1"])
    'holds only in question t1'
    >>> specific.reason(Fact(text="A stone is 14 pounds.", subject="stone", relation="is", object="14 pounds"), ["t1"])
    ''
    """

    def __init__(self, train: Iterable[Example], rationales: Mapping[str, str]) -> None:
        texts = {example.uid: _text_of(example) for example in train}
        known = Counter(stem for text in texts.values() for stem in text.stems)
        self._courses = {
            uid: _course(text, rationales.get(uid, ""), frozenset(s for s in text.stems if known[s] <= _RARE))
            for uid, text in texts.items()
        }

    def reason(self, item: Item, examples: Iterable[str]) -> str:
        """Why an item holds only in one of the questions it came from (`Example.uid`); "" where it is more general."""
        parts = [item.text]
        if isinstance(item, Fact):
            parts += [item.subject, item.object]
        elif isinstance(item, Rule):
            parts += [item.clause or "", item.says, *item.exceptions]
        text = Text.of("\n".join(parts))
        numbers = frozenset(text.numbers) - _ROUND
        for uid in examples:
            course = self._courses.get(uid)
            if course is None or len(text.stems & course.rare) < 2:
                continue
            if numbers & course.results or len(numbers & course.stated) > 1:
                return f"holds only in question {uid}"
        return ""


def _course(question: Text, rationale: str, rare: frozenset[str]) -> _Course:
    stated = frozenset(question.numbers) - _ROUND
    found = {one.replace(",", "") for one in _RESULT.findall(rationale) if len(one) <= _DIGITS}
    results = frozenset(map(Fraction, found)) - stated - _ROUND
    return _Course(stated, results, rare)

"""What the table student remembers and how it adapts a remembered completion to another prompt (see `table`).

Of calls it knows only how a name is set off, `[name |` in the last brackets before something was supplied (`_NAME`), how the
parts of statements and goals are (`_STATED`), and that a result in parentheses is a note and no value; all else is left to the
tools.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from nesycd.core.answers import Call
from nesycd.core.protocols import Tools
from nesycd.core.segments import Segment

_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = r"\d{1,3}(?:,\d{3})+(?![\d,])|\d+(?:\.\d+)?"
_TOKEN = re.compile(rf"{_NUMBER}|[^\W\d_]+|\S")
_NAME = re.compile(r"\[(?!derive:)([^\[\]|\n]*[^\[\]|\s])\s*\|[^\[\]\n]*\]$")
"""The name of the call that a text ends with."""
_STATED = r"(?m:^|(?<=\| )|(?<=\[derive: ))[^|\[\]\n?]+(?= \|)|(?<= \| )[^|\[\]\n?]+(?=\n|\]|$)"
"""A part of a statement or goal, such as the names of `Ann | mother | Bea`."""
_OPEN_SUM = re.compile(r"=\s*\$?$")
_VALUE = re.compile(r"(?:[^.,;\[\n]|[.,;](?=\S))*")
"""What own text after a note begins with: the value that was not found."""
_RECENT = 12
"""How many earlier numbers the fake looks back to when it tells how a number came about."""


class Parts:
    """A prompt taken apart: what stands before the question, the question, the knowledge lines (most fitting first)."""

    def __init__(self, prompt: str) -> None:
        asked: list[str] = []
        lines: list[str] = []
        inside = False
        for line in prompt.splitlines():
            if line.strip() == "Knowledge:":
                inside = True
            elif inside and line.startswith("- "):
                lines.append(line[2:].strip())
            else:
                inside = False
                asked.append(line)
        before, mark, question = "\n".join(asked).strip().rpartition("Question:")
        self.before = before if mark else ""
        self.question = question.strip()
        self.words = _words(self.question)
        self.knowledge = tuple(sorted(lines, key=lambda line: -len(self.words & _words(line))))

    @property
    def last_line(self) -> str:
        """The line under the question, where instructions stand; "" for a question of one line."""
        return self.question.rpartition("\n")[2] if "\n" in self.question else ""

    def form(self, instructions: frozenset[str]) -> tuple[str, str, bool]:
        """How the question is asked: the text before it, the instruction under it, and whether knowledge is given."""
        return (self.before, self.last_line if self.last_line in instructions else "", bool(self.knowledge))

    @cached_property
    def numbers(self) -> dict[tuple[int, int], str]:
        """Every given number by where it stands: (-1, k) the k-th of the question, (r, k) that of knowledge line r."""
        places = {}
        for rank, text in enumerate((self.question, *self.knowledge), -1):
            for position, number in enumerate(re.findall(_NUMBER, text)):
                places[rank, position] = number
        return places


class Memory:
    """What one adapter has memorised, with an index of words."""

    def __init__(self, table: Sequence[tuple[str, Sequence[Segment]]]) -> None:
        """`table`: prompts with their completions, in the order in which they were trained on."""
        # Latest first, so that it wins ties.
        self.parts = [Parts(prompt) for prompt, _ in reversed(table)]
        self.completions = [completion for _, completion in reversed(table)]
        self.vocabulary = {word: i for i, word in enumerate(sorted({w for p in self.parts for w in p.words}))}
        self.matrix = np.zeros((len(self.parts), len(self.vocabulary)), dtype=np.float32)
        for row, parts in enumerate(self.parts):
            self.matrix[row, [self.vocabulary[word] for word in parts.words]] = 1
        # A last line that a twentieth of the prompts share is an instruction, not part of their questions.
        counts = Counter(parts.last_line for parts in self.parts)
        common = max(2, len(self.parts) / 20)
        self.instructions = frozenset(line for line, count in counts.items() if count >= common)
        self.forms: dict[tuple[str, str, bool], list[int]] = {}
        for row, parts in enumerate(self.parts):
            self.forms.setdefault(parts.form(self.instructions), []).append(row)
        self.programs: dict[int, Program] = {}

    def recall(self, prompts: Sequence[Parts], ranks: Sequence[int] = ()) -> list[tuple[Program, float]]:
        """For each prompt the completion to be adapted and the margin: the share of its words that the recalled one has.

        `ranks`: for each which of the nearest is recalled; not given: the nearest.
        """
        queries = np.zeros((len(prompts), len(self.vocabulary)), dtype=np.float32)
        for row, parts in enumerate(prompts):
            queries[row, [self.vocabulary[word] for word in parts.words if word in self.vocabulary]] = 1
        shared = queries @ self.matrix.T
        taken = ranks or [0] * len(prompts)
        return [self._recalled(parts, shared[row], taken[row]) for row, parts in enumerate(prompts)]

    def _recalled(
        self, parts: Parts, shared: np.ndarray[Any, np.dtype[np.float32]], rank: int
    ) -> tuple[Program, float]:
        rows = self.forms.get(parts.form(self.instructions))
        if rows is None:  # never asked in this form: with or without knowledge at least
            rows = [row for row, other in enumerate(self.parts) if bool(other.knowledge) == bool(parts.knowledge)]
        rows = rows or list(range(len(self.parts)))
        order = np.argsort(-shared[rows], kind="stable")
        best = rows[int(order[min(rank, len(rows) - 1)])]
        if best not in self.programs:
            self.programs[best] = Program(self.parts[best], self.completions[best])
        margin = float(shared[best]) / max(1, len(parts.words))
        return self.programs[best], round(margin, 6)


class Writer:
    """An answer while it is written: the tools are asked after each character that may end a call."""

    def __init__(self, tools: Tools | None, question: str) -> None:
        """`question`: the part of the prompt that calls may read."""
        self.text = ""
        self._tools, self._question = tools, question
        self._supplied: list[tuple[int, int, Call]] = []
        # What was supplied last, as far as the remembered text has not come to it, and what it has come to.
        self._due = self._met = ""

    def own(self, text: str) -> None:
        """Write text as the student's own, except for what was supplied at this place already."""
        while text:
            if not self._due:
                self.text, text = self.text + text[0], text[1:]
                self._ask()
            elif text.startswith(self._due):
                text = text[len(self._due) :]
                self._due = self._met = ""
            elif self._due.startswith(text):
                self._due, self._met = self._due[len(text) :], self._met + text
                return
            else:  # the remembered text goes on otherwise
                text = self._met + text
                self._due = self._met = ""

    def number(self, value: float, text: str) -> float:
        """Write a number as `text`, or leave the one that was supplied in its place; returns the value of what stands there."""
        supplied = re.match(rf"\s*({_NUMBER})", self._due)
        if supplied is None:
            self.own(text)
            return value
        self._due, self._met = self._due[supplied.end() :], ""
        return _value(supplied[1])

    def take(self) -> str:
        """What was supplied at this place, which the remembered text does not repeat; "" where nothing was."""
        taken = self._met + self._due
        self._due = self._met = ""
        return taken

    def before(self, mark: str) -> int:
        """Where the first `mark` begins that does not end in supplied text; the length of the text where there is none."""
        place = self.text.find(mark)
        while place >= 0 and any(start < place + len(mark) <= stop for start, stop, _ in self._supplied):
            place = self.text.find(mark, place + 1)
        return place if place >= 0 else len(self.text)

    def until(self, end: int) -> tuple[tuple[Segment, ...], tuple[Call, ...]]:
        """The segments and the calls of the first `end` characters; of a call whose result is cut only the text stays."""
        segments: list[Segment] = []
        trace: list[Call] = []
        done = 0
        for start, stop, call in self._supplied:
            if stop <= end:
                segments += [
                    Segment(text=self.text[done:start]),
                    Segment(text=self.text[start:stop], source="supplied"),
                ]
                trace.append(call)
                done = stop
        rest = self.text[done:end]
        return (*segments, *([Segment(text=rest)] if rest else [])), tuple(trace)

    def _ask(self) -> None:
        if self._tools is None or not self.text.endswith(self._tools.ends):
            return
        made = self._tools.supply(self.text, self._question, [call for *_, call in self._supplied])
        if made is not None:
            start = len(self.text)
            self.text += made.text
            self._supplied.append((start, len(self.text), made.call))
            self._due = made.text


_OPERATIONS: tuple[Callable[[float, float], float], ...] = (
    lambda a, b: a * b,
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: b - a,
    lambda a, b: a / b if b else math.nan,
    lambda a, b: b / a if a else math.nan,
)


@dataclass(frozen=True)
class _Place:
    """Words that a completion took from the question (`source` -1) or from its k-th result (`source` k)."""

    words: str
    source: int
    start: int
    end: int


@dataclass(frozen=True)
class _Result:
    """What was supplied in training: a value, or a note, after which the value is the student's own."""

    note: str
    value: str


class Program:
    """A completion as steps that can be replayed on another prompt.

    Steps are texts, restated lines, names and repeated results, numbers copied and computed, and results supplied. Values are
    numbered: the given ones in the order of `Parts.numbers`, then each number as the completion writes it or is given it.
    """

    def __init__(self, parts: Parts, completion: Sequence[Segment]) -> None:
        self.question = parts.question
        self.places = list(parts.numbers)
        self.given = list(parts.numbers.values())
        self.lines = parts.knowledge
        self.steps: list[tuple[str, Any]] = []
        self.found: list[str] = []
        self.copies: Counter[int] = Counter()
        values = [_value(number) for number in self.given]
        pieces, last = _pieces(completion)
        for text, result in pieces:
            name = _NAME.search(text)
            self._read(text if name is None else text[: name.start(1)], values)
            if name is not None:
                self.steps += [("place", self._source(name[1])), ("text", text[name.end(1) :])]
            self.steps.append(("result", result))
            self.found.append(result.value)
            values += map(_value, re.findall(_NUMBER, result.value))
        self._read(last, values)

    def _read(self, text: str, values: list[float]) -> None:
        """Take own text apart; `values` grows by its numbers."""
        known = sorted(self.lines, key=len, reverse=True)
        repeated = {words for value in self.found for part in re.split(_NUMBER, value) if (words := part.strip())}
        again = [rf"(?<!\w){re.escape(words)}(?!\w)" for words in sorted(repeated, key=len, reverse=True)]
        end = 0
        stated = [_STATED] if " | " in text else []
        for match in re.finditer("|".join([*map(re.escape, known), *again, *stated, _NUMBER]), text):
            self.steps.append(("text", text[end : match.start()]))
            end = match.end()
            if match.group() in self.lines:
                self.steps.append(("line", self.lines.index(match.group())))
            elif stated and re.fullmatch(_NUMBER, match.group()) is None and match.group() not in repeated:
                self.steps.append(("place", self._source(match.group())))
            elif match.group() in repeated:
                self.steps.append(("place", self._source(match.group(), results_only=True)))
            else:
                self.steps.append(self._explain(match.group(), values))
                values.append(_value(match.group()))
        self.steps.append(("text", text[end:]))

    def _source(self, words: str, *, results_only: bool = False) -> _Place | str:
        """Where words were taken from: the question, else the latest result that has them; the words where neither does."""
        sources = [] if results_only else [(-1, self.question)]
        sources += reversed(list(enumerate(self.found)))
        for source, text in sources:
            match = re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE)
            if match is not None:
                return _Place(words, source, *match.span())
        return words

    def _explain(self, number: str, values: list[float]) -> tuple[str, Any]:
        target = _value(number)
        if target in values:
            return "copy", (number, self._copied(target, values))
        recent = range(len(values) - 1, max(-1, len(values) - 1 - _RECENT), -1)
        for second in recent:
            for first in range(second - 1, max(-1, second - 1 - _RECENT), -1):
                for operation in _OPERATIONS:
                    if math.isclose(operation(values[first], values[second]), target, rel_tol=1e-9):
                        return "compute", (number, operation, first, second)
        return "memorised", (number,)

    def _copied(self, target: float, values: list[float]) -> int:
        """Which of equal values a number was copied from: the first, or after results the one that was copied least so far.

        `4 pecks`, of which each `makes] 4 quarts`, is `4 x 4`: the one number is the question's, the other the result.
        """
        if not self.found:
            return values.index(target)
        equal = [place for place, value in enumerate(values) if value == target]
        place = min(equal, key=lambda place: self.copies[place])
        self.copies[place] += 1
        return place

    def run(self, parts: Parts, writer: Writer) -> None:
        """Write the completion for another prompt; what that prompt lacks is repeated as memorised."""
        values = [_value(parts.numbers.get(place, old)) for place, old in zip(self.places, self.given, strict=True)]
        found: list[str] = []
        for kind, what in self.steps:
            if kind == "text":
                writer.own(what)
            elif kind == "line":
                writer.own((parts.knowledge if what < len(parts.knowledge) else self.lines)[what])
            elif kind == "place":
                writer.own(what if isinstance(what, str) else self._in_place(what, parts, found))
            elif kind == "result":
                found.append(_result(what, writer))
                old, new = re.findall(_NUMBER, what.value), re.findall(_NUMBER, found[-1])
                values += map(_value, [*new[: len(old)], *old[len(new) :]])
            else:
                values.append(writer.number(*self._number(kind, what, values)))

    def _in_place(self, place: _Place, parts: Parts, found: Sequence[str]) -> str:
        """What stands here in the place of words that were taken from the question or from a result."""
        if place.source < 0:
            return _aligned(self.question, parts.question, place.start, place.end) or place.words
        return _aligned(self.found[place.source], found[place.source], place.start, place.end) or place.words

    @staticmethod
    def _number(kind: str, what: Any, values: list[float]) -> tuple[float, str]:
        """The value of one number for this prompt, and how it is written."""
        memorised, *how = what
        value = math.nan
        if kind == "copy":
            value = values[how[0]]
        elif kind == "compute":
            operation, first, second = how
            value = operation(values[first], values[second])
        if not math.isfinite(value):  # memorised, or a division by the other prompt's zero
            return _value(memorised), memorised
        return value, f"{value:.10g}"


def _pieces(completion: Sequence[Segment]) -> tuple[list[tuple[str, _Result]], str]:
    """A completion's own texts, each with the result supplied after it, and the own text at the end.

    A supplied sum counts as own text: the student computes it where no tool does. The value after a note is what own text goes on
    with up to the next stop; how long it really is does not show.
    """
    texts = [(segment.text, segment.source == "supplied") for segment in completion]
    pieces: list[tuple[str, _Result]] = []
    own = ""
    for place, (text, supplied) in enumerate(texts):
        if not supplied or _OPEN_SUM.search(own):
            own += text
            continue
        result = _Result("", text)
        if _is_note(text):
            after, others = texts[place + 1] if place + 1 < len(texts) else ("", True)
            value = "" if others else _VALUE.match(after).group()  # type: ignore[union-attr]
            result = _Result(text, value)
            texts[place + 1 : place + 2] = [(after[len(value) :], others)]
        pieces.append((own, result))
        own = ""
    return pieces, own


def _result(result: _Result, writer: Writer) -> str:
    """Write what stands in the place of a result; returns the value: what is supplied now, else the memorised one."""
    supplied = writer.take()
    if supplied and not _is_note(supplied):
        return supplied
    writer.own(result.value if supplied else result.note + result.value)
    return result.value


def _is_note(result: str) -> bool:
    return result.startswith(" (")


@lru_cache(maxsize=256)
def _aligned(old: str, new: str, start: int, end: int) -> str:
    """What stands in `new` in the place of some characters of `old`, aligned word by word; numbers count as equal.

    Of words that were replaced together by as many others each has its own in its place, else all of them.
    """
    if old[start:end] == old.strip():
        return new.strip()
    before, after = list(_TOKEN.finditer(old)), list(_TOKEN.finditer(new))
    first, second = (
        ["0" if token.group()[0].isdigit() else token.group().lower() for token in tokens] for tokens in (before, after)
    )
    wanted = [number for number, token in enumerate(before) if token.start() < end and token.end() > start]
    places: list[int] = []
    for _, a, b, c, d in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        here = [number for number in wanted if a <= number < b]
        if here:
            places += [c + number - a for number in here] if b - a == d - c else range(c, d)
    return new[after[places[0]].start() : after[places[-1]].end()] if places else ""


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _words(text: str) -> frozenset[str]:
    """The words of a text in lower case; a final s is taken off, so that "rods" is "rod"."""
    words = (word.lower() for word in _WORD.findall(text))
    return frozenset(word.removesuffix("s") if len(word) > 3 else word for word in words)

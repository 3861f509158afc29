"""What the table student remembers and how it adapts a remembered completion to another prompt (see `table`)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = r"\d{1,3}(?:,\d{3})+(?![\d,])|\d+(?:\.\d+)?"
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

    def __init__(self, table: Sequence[Sequence[str]]) -> None:
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
        self.programs: dict[int, _Program] = {}

    def recall(self, prompts: Sequence[Parts]) -> list[tuple[str, float]]:
        """For each prompt the adapted completion and the margin: the share of its words that the recalled one has."""
        queries = np.zeros((len(prompts), len(self.vocabulary)), dtype=np.float32)
        for row, parts in enumerate(prompts):
            queries[row, [self.vocabulary[word] for word in parts.words if word in self.vocabulary]] = 1
        shared = queries @ self.matrix.T
        return [self._answer(parts, shared[row]) for row, parts in enumerate(prompts)]

    def _answer(self, parts: Parts, shared: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[str, float]:
        rows = self.forms.get(parts.form(self.instructions))
        if rows is None:  # never asked in this form: with or without knowledge at least
            rows = [row for row, other in enumerate(self.parts) if bool(other.knowledge) == bool(parts.knowledge)]
        rows = rows or list(range(len(self.parts)))
        best = rows[int(np.argmax(shared[rows]))]
        if best not in self.programs:
            self.programs[best] = _Program(self.parts[best], self.completions[best])
        margin = float(shared[best]) / max(1, len(parts.words))
        return self.programs[best].run(parts), round(margin, 6)


_OPERATIONS: tuple[Callable[[float, float], float], ...] = (
    lambda a, b: a * b,
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: b - a,
    lambda a, b: a / b if b else math.nan,
    lambda a, b: b / a if a else math.nan,
)


class _Program:
    """A completion as steps that can be replayed on another prompt: texts, restated lines, copied and computed numbers.

    Values are numbered: the given ones in the order of `Parts.numbers`, then each number as the completion writes it.
    """

    def __init__(self, parts: Parts, completion: str) -> None:
        self.places = list(parts.numbers)
        self.given = list(parts.numbers.values())
        self.lines = parts.knowledge
        self.steps: list[tuple[str, Any]] = []
        values = [_value(number) for number in self.given]
        known = sorted(self.lines, key=len, reverse=True)
        pattern = "|".join([re.escape(line) for line in known] + [_NUMBER])
        end = 0
        for match in re.finditer(pattern, completion):
            self.steps.append(("text", completion[end : match.start()]))
            end = match.end()
            if match.group() in self.lines:
                self.steps.append(("line", self.lines.index(match.group())))
            else:
                self.steps.append(self._explain(match.group(), values))
                values.append(_value(match.group()))
        self.steps.append(("text", completion[end:]))

    @staticmethod
    def _explain(number: str, values: list[float]) -> tuple[str, Any]:
        target = _value(number)
        if target in values:
            return "copy", (number, values.index(target))
        recent = range(len(values) - 1, max(-1, len(values) - 1 - _RECENT), -1)
        for second in recent:
            for first in range(second - 1, max(-1, second - 1 - _RECENT), -1):
                for operation in _OPERATIONS:
                    if math.isclose(operation(values[first], values[second]), target, rel_tol=1e-9):
                        return "compute", (number, operation, first, second)
        return "memorised", (number,)

    def run(self, parts: Parts) -> str:
        """The completion for another prompt; what that prompt lacks is repeated as memorised."""
        values = [_value(parts.numbers.get(place, old)) for place, old in zip(self.places, self.given, strict=True)]
        written = []
        for kind, what in self.steps:
            if kind == "text":
                written.append(what)
            elif kind == "line":
                written.append((parts.knowledge if what < len(parts.knowledge) else self.lines)[what])
            else:
                written.append(self._number(kind, what, values))
        return "".join(written)

    @staticmethod
    def _number(kind: str, what: Any, values: list[float]) -> str:
        """One number as written for this prompt; `values` grows by it."""
        memorised, *how = what
        value = math.nan
        if kind == "copy":
            value = values[how[0]]
        elif kind == "compute":
            operation, first, second = how
            value = operation(values[first], values[second])
        if not math.isfinite(value):  # memorised, or a division by the other prompt's zero
            values.append(_value(memorised))
            return str(memorised)
        values.append(value)
        return f"{value:.10g}"


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _words(text: str) -> frozenset[str]:
    """The words of a text in lower case; a final s is taken off, so that "rods" is "rod"."""
    words = (word.lower() for word in _WORD.findall(text))
    return frozenset(word.removesuffix("s") if len(word) > 3 else word for word in words)

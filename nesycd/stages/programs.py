"""Program distillation (PaD, Zhu et al. 2024): small Python programs made from rationales, kept where they print the gold answer.

A benchmark may say itself how its rationales become programs (`program`). Elsewhere equations become assignments: `a = 4 * 6`,
and what was computed before is named: `b = a + 5`. The words beside an equation become a comment, in which the student plans the
line and no result stands. What has no equations, or none that lead to the answer, becomes no program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from string import ascii_lowercase

from nesycd.calls.programs import FENCE, Sandbox, fenced, result
from nesycd.core.records import Example, Rationale, TrainingText
from nesycd.core.segments import Segment
from nesycd.core.text import sentences
from nesycd.grading import gold_letter
from nesycd.grading.computed import NUMBER, compute, number_of, plain, read_tokens
from nesycd.prompts import Prompts

Write = Callable[[Example, Rationale], str]
"""The program that the rationale of a question becomes; "" where it becomes none."""
Value = Fraction | bool

# Atomic: nothing is read in a second way, which would take for ever where many terms lead to no equation.
_TERM = rf"(?>\(*(?:-\s?)?(?:{NUMBER})(?:\s?%)?(?:\s?[^\W\d_]{{2,}})?\)*)"
_SUM = rf"(?<![\w.,])(?P<sum>(?>{_TERM}(?:\s?[-+*/]\s?{_TERM})+))\s?=\s?(?P<number>-?(?:{NUMBER}))(?![\d%])(?!\s?[-+*/=]\s?[\d(])"
_TRUTH = r"(?P<formula>(?>(?:(?:(?:not|and|or|True|False)\b|[()])\s?)+))is (?P<truth>True|False)\b"
_EQUATION = re.compile(f"{_SUM}|{_TRUTH}")
_OPERAND = re.compile(rf"(?P<value>{NUMBER}|True|False)(?P<share>\s?%)?")
_BINARY = re.compile(r"(?<=[\w)])\s?([-+*/])\s?")
_WORD = re.compile(r"[^\W\d_]{2,}")
_LONGEST = 400
"""Characters of a sentence at most; longer ones are passed over."""
_MOST = 40
"""Lines that compute something at most."""


@dataclass
class _Program:
    """A program as it comes about, line by line."""

    given: frozenset[Fraction]
    """The numbers of the question."""
    lines: list[str] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    def name_of(self, value: Value) -> str:
        """The variable that stands for a value; "" where nobody computed it, or the question gives it.

        What was computed and not used yet goes before what the question gives.
        """
        found = [name for name, one in self.values.items() if one == value and type(one) is type(value)]
        fresh = [name for name in found if name in self.unused]
        if fresh:
            return fresh[-1]
        return found[-1] if found and not isinstance(value, bool) and value not in self.given else ""

    def add(self, sentence: str) -> None:
        """The lines of one sentence of the rationale: its words as a comment, then what it computes."""
        before, assigned, comment, place = len(self.values), list[str](), "", 0
        for match in _EQUATION.finditer(sentence):
            line = self._sum(match) if match["sum"] else self._truth(match)
            if line:
                assigned.append(line)
                comment += self._named(sentence[place : match.start()]) + [*self.values][-1]
                place = match.end()
        comment += self._named(sentence[place:])
        if _WORD.search(comment):
            self.lines.append(f"# {comment}")
        self.lines += assigned
        assert len(self.values) == before + len(assigned)

    def _named(self, text: str) -> str:
        """Words of a comment: what was computed by its variable, which the student need not compute by itself."""

        def told(match: re.Match[str]) -> str:
            value = _value(match["value"])
            named = next((name for name in reversed([*self.values]) if self.values[name] == value), "")
            return named if named and not isinstance(value, bool) and value not in self.given else match.group()

        return _OPERAND.sub(told, text)

    def _sum(self, match: re.Match[str]) -> str:
        left, value = _WORD.sub("", match["sum"]), number_of(match["number"].replace(" ", ""))
        # 5 % of something is a hundredth, and 20 % + 30 % are 50.
        per_cent = [one for one in (True, False) if _agrees(compute(read_tokens(left), one), value, match["number"])]
        if not per_cent:
            return ""

        def operand(found: re.Match[str]) -> str:
            name = self._use(_value(found["value"])) or found["value"].replace(",", "")
            return f"({name} / 100)" if found["share"] and per_cent[0] else name

        return self._assign(_BINARY.sub(r" \1 ", _OPERAND.sub(operand, " ".join(left.split()))), value)

    def _truth(self, match: re.Match[str]) -> str:
        operands = [_value(one["value"]) for one in _OPERAND.finditer(match["formula"])]
        fresh = [name for name in self.unused if isinstance(self.values[name], bool)]
        if len(operands) < 1 + (match["formula"].count("not ") == 0):
            return ""
        # Nothing but their order tells truths apart.
        names = iter(fresh if [self.values[name] for name in fresh] == operands else [])
        used = list[str]()

        def operand(found: re.Match[str]) -> str:
            used.append(next(names, ""))
            return used[-1] or found.group()

        formula = _OPERAND.sub(operand, " ".join(match["formula"].split()))
        self.unused = [name for name in self.unused if name not in used]
        return self._assign(formula, match["truth"] == "True")

    def _use(self, value: Value) -> str:
        name = self.name_of(value)
        self.unused = [one for one in self.unused if one != name]
        return name

    def _assign(self, expression: str, value: Value) -> str:
        number = len(self.values)
        name = ascii_lowercase[number % 26] + (str(number // 26) if number >= 26 else "")
        self.values[name] = value
        self.unused.append(name)
        return f"{name} = {expression}"


def from_equations(example: Example, rationale: Rationale) -> str:
    """The program that the equations of a rationale become; "" where there are none, or none comes to the answer.

    Example:
        >>> asked = Example(uid="q", task="t", question="4 boxes of 6 pens, and 5 more?", answer="29")
        >>> told = "The boxes hold 4 x 6 = 24 pens. With the others it is 24 + 5 = 29."
        >>> print(from_equations(asked, Rationale(example="q", teacher="t", text=told, answer="29")))
        # The boxes hold a pens.
        a = 4 * 6
        # With the others it is b.
        b = a + 5
        print(b)
    """
    made = _Program(frozenset(number_of(one) for one in re.findall(NUMBER, plain(example.question))))
    for sentence in sentences(rationale.text):
        if len(sentence) <= _LONGEST and len(made.values) < _MOST:
            made.add(" ".join(plain(sentence).split()))
    while made.lines and made.lines[-1].startswith("#"):
        made.lines.pop()
    answer = rationale.answer
    if example.options and (letter := gold_letter(answer, example.options)):
        answer = example.options[ord(letter[1]) - ord("A")]
    return "\n".join([*made.lines, printing]) if (printing := _printing(answer, made.values)) else ""


def _printing(answer: str, values: Mapping[str, Value]) -> str:
    """The line that prints an answer with its words (`23 November`) from what was computed; "" where nothing comes to it."""
    answer = plain(answer).strip()
    found = [*_OPERAND.finditer(answer)]
    if len(found) != 1:
        return ""
    wanted = _value(found[0]["value"])
    name = next((one for one in reversed([*values]) if values[one] == wanted), "")
    words = (answer[: found[0].start("value")].strip(), answer[found[0].end("value") :].strip())
    before, after = (word if _WORD.search(word) else "" for word in words)
    parts = [repr(before)] * bool(before) + [name] + [repr(after)] * bool(after)
    return f"print({', '.join(parts)})" if name else ""


def _value(written: str) -> Value:
    return written == "True" if written in ("True", "False") else number_of(written)


def _agrees(computed: Fraction | None, value: Fraction, written: str) -> bool:
    """Whether a sum comes to what is written, which may be rounded to its decimals."""
    places = len(written.partition(".")[2])
    return computed is not None and abs(computed - value) <= (Fraction(1, 10**places) if places else 0)


# --- texts to train on -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Programs:
    """Texts of program distillation, and of how many kept rationales there are none."""

    texts: list[TrainingText]
    not_converted: int
    wrong: int
    """Programs that do not run, or do not print the gold answer."""


def program_texts(
    examples: Sequence[Example],
    kept: Mapping[str, Rationale],
    write: Write,
    grade: Callable[[str, Example], bool],
    prompts: Prompts,
) -> Programs:
    """Each question with its program, and what running it supplies, without loss.

    Args:
        examples: the training questions.
        kept: their rationales.
        write: makes a program of one.
        grade: whether what it prints is the question's answer.
        prompts: the student's.
    """
    sandbox, texts = Sandbox(), list[TrainingText]()
    not_converted = wrong = 0
    for example in examples:
        if example.uid not in kept:
            continue
        program = write(example, kept[example.uid])
        # What ends a program cannot stand in one.
        ran = sandbox.run(program) if program and FENCE not in program else None
        if ran is None:
            not_converted += 1
        elif not ran.answer or not grade(ran.answer, example):
            wrong += 1
        else:
            segments = (Segment(text=fenced(program)), Segment(text=result(ran), source="supplied"))
            prompt = prompts.closed_book(example)
            texts.append(TrainingText(example=example.uid, task="direct", prompt=prompt, segments=segments))
    return Programs(texts, not_converted, wrong)

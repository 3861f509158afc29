"""The lenient verdict, beside the strict one that counts: the last number or letter anywhere in a response.

This is what others call "flexible" extraction: published scores are often of this kind, and compare with it. It guesses: a
response that is cut off, or goes on after its answer, may be right by chance.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from nesycd.core.reasoning import without_reasoning
from nesycd.core.records import Example
from nesycd.grading.answers import POLAR, polarity
from nesycd.grading.numbers import DIGITS, quantity
from nesycd.grading.options import letter

_NUMBER = re.compile(rf"(?<![\w.])-?[$£€¥]?(?:{DIGITS})(?:/\d+)?")
# "A" and "I" before a word are an article and a pronoun.
_LETTER = re.compile(r"\(([A-Za-z])\)|(?<![\w'’-])(?:([B-HJ-Z])|([AI])(?!\s+[a-z]))(?![\w'’-])")
_TAIL = 20_000
"""Characters at the end of a response in which an answer is looked for."""


def lenient_answer(response: str, example: Example) -> str:
    """The last option letter, number or yes/no word of a response, by what the gold answer is; "" where there is none."""
    text = without_reasoning(response)[-_TAIL:]
    if example.options:
        last = ""
        for found in _LETTER.finditer(text):
            index = ord(next(filter(None, found.groups())).upper()) - ord("A")
            last = letter(index) if index < len(example.options) else last
        return last
    if quantity(example.answer) is not None:
        numbers = _NUMBER.findall(text)
        return numbers[-1] if numbers else ""
    pair = next((pair for pair in POLAR if polarity(example.answer) in pair), None)
    said = re.findall(rf"\b(?:{'|'.join(pair)})\b", text.lower()) if pair else []
    return said[-1] if said else ""


def lenient_verdict(strict: bool, response: str, example: Example, grade: Callable[[str, Example], bool]) -> bool:
    """Whether a response is right by its strict verdict or by its `lenient_answer`.

    Args:
        strict: the strict verdict.
        response: the response.
        example: the question with its gold answer.
        grade: how its benchmark compares answers.
    """
    if strict:
        return True
    answer = lenient_answer(response, example)
    return bool(answer) and grade(answer, example)

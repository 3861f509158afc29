"""Grading: finding the answer that a response states, and comparing it with the gold one, by the form that the gold has.

`answers` is what all benchmarks share, with `wording`, `numbers` and `options`; `forms` is what some golds need besides: lists,
brackets, dates, several options, rounded numbers, mathematics; `lenient` is the verdict that other graders' scores compare
with; `arithmetic` computes the sums of what leads there. None knows benchmarks, files or models.
"""

from nesycd.grading.answers import (
    CLOSING,
    Found,
    Source,
    closing,
    closing_answer,
    find_answer,
    source_of,
    split_closing,
)
from nesycd.grading.forms import FORMS, Form, extract, grade
from nesycd.grading.lenient import lenient_verdict
from nesycd.grading.numbers import quantity, same_answer
from nesycd.grading.options import gold_letter, letter, option_letter

VERSION = 2
"""Part of every verdict: grows when a response would be graded otherwise, here or by a benchmark; verdicts are then made anew."""

__all__ = [
    "CLOSING",
    "FORMS",
    "VERSION",
    "Form",
    "Found",
    "Source",
    "closing",
    "closing_answer",
    "extract",
    "find_answer",
    "gold_letter",
    "grade",
    "lenient_verdict",
    "letter",
    "option_letter",
    "quantity",
    "same_answer",
    "source_of",
    "split_closing",
]

"""Grading: finding the answer that a response states, and comparing it with the gold one, by the form that the gold has.

`answers` is what all benchmarks share; `forms` is what some golds need besides: lists, brackets, dates, several options,
rounded numbers, mathematics; `working` computes the sums of what leads there. None knows benchmarks, files or models.
"""

from nesycd.grading.answers import (
    CLOSING,
    Found,
    Source,
    closing,
    closing_answer,
    find_answer,
    letter,
    option_letter,
    quantity,
    same_answer,
    split_closing,
)
from nesycd.grading.forms import FORMS, Form, extract, grade

VERSION = 1
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
    "grade",
    "letter",
    "option_letter",
    "quantity",
    "same_answer",
    "split_closing",
]

"""Calls: what a student looks up and computes while it writes (`docs/calls.md`)."""

from nesycd.calls.annotate import annotate, with_calls
from nesycd.calls.lookup import LookedUp, LookUp
from nesycd.calls.notation import without_calls
from nesycd.calls.tools import LOOK_UP, SUM, Calls, GoldFacts, Sums, as_read, question_of

__all__ = [
    "LOOK_UP",
    "SUM",
    "Calls",
    "GoldFacts",
    "LookUp",
    "LookedUp",
    "Sums",
    "annotate",
    "as_read",
    "question_of",
    "with_calls",
    "without_calls",
]

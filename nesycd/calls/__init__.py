"""Calls: what a student looks up and computes while it writes (`docs/calls.md`)."""

from nesycd.calls.annotate import annotate, with_calls
from nesycd.calls.deriving import BaseRules, GoldRules
from nesycd.calls.lookup import LookedUp, LookUp
from nesycd.calls.notation import without_calls
from nesycd.calls.tools import DERIVE, LOOK_UP, SUM, Calls, GoldFacts, Sums, as_read, question_of

__all__ = [
    "DERIVE",
    "LOOK_UP",
    "SUM",
    "BaseRules",
    "Calls",
    "GoldFacts",
    "GoldRules",
    "LookUp",
    "LookedUp",
    "Sums",
    "annotate",
    "as_read",
    "question_of",
    "with_calls",
    "without_calls",
]

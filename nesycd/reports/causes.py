"""Why answers are wrong, as far as can be told from the answer and, where a benchmark knows it, the truth."""

from __future__ import annotations

from collections.abc import Iterable

from nesycd.core.answers import Attempt
from nesycd.core.records import Example
from nesycd.retrieval import mentions

CAUSES = {
    "right": "right",
    "no answer": "no answer is stated",
    "cut off": "the answer reached the limit of its length, or the prompt did not fit",
    "fact missing": "a needed fact is not stated rightly in the working",
    "facts there": "all needed facts are stated, and the answer is wrong all the same",
    "wrong": "wrong, of a question whose facts are not known",
}


def cause(example: Example, attempt: Attempt) -> str:
    """The first of `CAUSES` that holds of an answer."""
    if attempt.correct:
        return "right"
    if attempt.finish in ("length", "too_long"):
        return "cut off"
    if not attempt.answer:
        return "no answer"
    if example.truth is None or not example.truth.facts:
        return "wrong"
    stated = all(mentions(attempt.response, fact.object) for fact in example.truth.facts)
    return "facts there" if stated else "fact missing"


def causes(pairs: Iterable[tuple[Example, Attempt]]) -> dict[str, int]:
    """How often each cause holds, in the order of `CAUSES`; causes that never do are left out."""
    counts = dict.fromkeys(CAUSES, 0)
    for example, attempt in pairs:
        counts[cause(example, attempt)] += 1
    return {name: count for name, count in counts.items() if count}

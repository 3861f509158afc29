"""No text makes the readers slow: responses and items are of any length, and a student may repeat itself without end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from nesycd import grading
from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Example, Lesson
from nesycd.grading import arithmetic
from nesycd.knowledge.filters import InstanceFilter, LeakFilter, ill_formed
from nesycd.rules.parser import parse_body, parse_clauses
from nesycd.teachers.mining import items_of

SIZE = 100_000
SECONDS = 0.3
FRAGMENTS = [
    "Mr. ", '"A,"', "A, ", "1/2 ", "1,000", "7", "7 ", "a ", "the answer is ", "The answer is 5. ", "The answer is correct. ",
    "\\boxed{", "####", "$ ", "* ", "**", "\n", "1. a\n", "<think>", "<answer>", '{"a":1}', "(A) ", "(b) no, ", "= ", "1 = 1 ",
    "1 + ", "mod 5 = ", "max(1, 2) = ", "x ", "March 5 + ", "“", "<", "[1. a] ", "identify the ", "is a part of ", "(", "\\text{",
    "p(X) :- q(X). ", '"\\', "grade 3 ", "g3 ", "in 1066 ", "above 5 ", "between 2 and 3 ",
]  # fmt: skip
NUMERIC = Example(uid="q", task="t", question="How many more eggs has Ann Lee than 3?", answer="14")
CHOICE = Example(uid="q", task="t", question="Which?", answer="(B)", options=("red", "blue", "green"))
LEAKS = LeakFilter(
    [NUMERIC], [NUMERIC.model_copy(update={"question": "Ann has 3 eggs and 4 hens in the yard of the farm"})]
)
INSTANCES = InstanceFilter([NUMERIC], {"q": "3 + 11 = 14"})


def graded(asked: Example, form: grading.Form) -> Callable[[str], object]:
    def both(text: str) -> object:
        found = grading.extract(text, asked, form)
        strict = grading.grade(found, asked, form) or grading.grade(text, asked, form)
        return grading.lenient_verdict(strict, text, asked, grading.grade)

    return both


READERS: dict[str, Callable[[str], object]] = {
    "plain": graded(NUMERIC, "plain"),
    "option": graded(CHOICE, "letters"),
    "words": graded(NUMERIC, "words"),
    "math": graded(NUMERIC, "math"),
    "split_closing": lambda text: grading.split_closing(f"The answer is {text}"),
    "same_answer": lambda text: grading.same_answer(text, "5"),
    "false_equation": arithmetic.false_equation,
    "next_result": lambda text: arithmetic.next_result(f"{text} ="),
    "comes_to": lambda text: arithmetic.comes_to(text, "5"),
    "mining": lambda text: items_of(text, NUMERIC),
    "mining a question": lambda text: items_of("All of it holds.", NUMERIC.model_copy(update={"question": text})),
    "ill_formed": lambda text: ill_formed(Lesson(text=f"a {text}")),
    "leaks": lambda text: LEAKS.leak(Lesson(text=f"a {text}")),
    "instances": lambda text: INSTANCES.reason(Lesson(text=f"a {text}"), ["q"]),
    "results": lambda text: InstanceFilter([NUMERIC], {"q": text}),
    "clauses": parse_clauses,
    "body": lambda text: parse_body(text[:19_000]),
}


def taken(reader: str, text: str) -> float:
    """Seconds of the processor."""
    before = time.process_time()
    with suppress(KnowledgeError):
        READERS[reader](text)
    return time.process_time() - before


@pytest.mark.parametrize("reader", READERS)
def test_no_text_of_100_kb_takes_long(reader: str) -> None:
    slow = {}
    for fragment in FRAGMENTS:
        text = (fragment * (SIZE // len(fragment) + 1))[:SIZE]
        # Once more where it was slow: a busy machine is slow by chance.
        if (spent := taken(reader, text)) > SECONDS:
            spent = min(spent, taken(reader, text), taken(reader, text))
        if spent > SECONDS:
            slow[fragment] = round(spent, 2)
    assert slow == {}

"""What cannot be knowledge, and what looks like it and can."""

from __future__ import annotations

import pytest

from nesycd.core.records import Evidence, Fact, Lesson, Rule
from nesycd.knowledge import unfit


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("The student added the distances in the wrong order.", "the student"),
        ("The correct answer is 24.", "correct answer"),
        ("Always consult a reference book for other questions.", "reference book"),
        ("If the question is of this kind, then do this, then add the eggs.", "question is of this kind"),
        ("9 + 2 = 11", "bare arithmetic"),
        ("The sum of 16, 6, 4, and 3 is 22.", "bare arithmetic"),
        ("4 x 6 = 24.", "bare arithmetic"),
        ("12 divided by 4 equals 3", "bare arithmetic"),
    ],
)
def test_what_no_question_could_be_helped_by(text: str, why: str) -> None:
    assert why in unfit.unfit(Lesson(text=text))
    evidence = Evidence(example="q", source="t")
    [refusal] = unfit.refusals([(Lesson(text=text), evidence), (Lesson(text="A gross is 144 pieces."), evidence)])
    assert refusal.reason.startswith("unfit: ") and refusal.item.text == text


@pytest.mark.parametrize(
    "text",
    [
        "A gross is 144 pieces.",
        "The sum of the angles of a triangle is 180 degrees.",
        "Osmium is element 76.",
        "If the question asks for the distance east, then leave out the steps north and south.",
        "A student ticket is half the price of a full one.",
        "Pi is about 3.14159.",
        "The result of a division by zero is not defined.",
        "7",
    ],
)
def test_what_may_be_knowledge_passes(text: str) -> None:
    assert unfit.unfit(Lesson(text=text)) == unfit.unfit(Rule(text=text)) == ""


def test_no_item_of_the_embedded_benchmark_is_unfit() -> None:
    from nesycd.tasks.longtail.task import LongTail

    items = {item for e in LongTail().load("train") if e.truth for item in (*e.truth.facts, *e.truth.rules)}
    assert len(items) > 150 and any(isinstance(item, Fact) for item in items)
    assert not [item.text for item in items if unfit.unfit(item)]

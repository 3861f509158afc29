"""Items that hold only in the question they came from, and true items that look like it."""

from __future__ import annotations

import pytest

from nesycd.core.records import Evidence, Example, Fact, Item, Lesson, Rule
from nesycd.knowledge.particulars import Particulars

MELON = Example(
    uid="melon",
    task="t",
    question="Mia's melon weighs 8 pounds. Clay's melon weighs three times as much. How much are both?",
    answer="32",
)
HINS = Example(uid="hins", task="t", question="How many logs are 6 hins and 5 logs?", answer="77")
TRAIN = [
    MELON,
    HINS,
    *(Example(uid=f"o{n}", task="t", question=f"How much are {n} pounds?", answer="1") for n in range(3)),
]
CHECK = Particulars(TRAIN, {"melon": "3 x 8 = 24. 24 + 8 = 32.", "hins": "A hin is 12 logs. 6 x 12 = 72. 72 + 5 = 77."})


@pytest.mark.parametrize(
    "item",
    [
        Lesson(text="Clay's melon weighs 24 pounds."),
        Rule(text="If Mia's melon weighs 8 pounds, then three times as much is Clay's melon."),
        Fact(text="It weighs 24.", subject="Clay's melon", relation="weighs", object="24 pounds"),
    ],
)
def test_a_story_retold_is_particular(item: Item) -> None:
    assert CHECK.reason(item, ["melon"]) == "holds only in question melon"
    # Of another question's course it says nothing.
    assert CHECK.reason(item, ["hins"]) == CHECK.reason(item, [""]) == CHECK.reason(item, ["unknown"]) == ""
    evidence = Evidence(example="melon", source="t")
    [refusal] = CHECK.refusals([(item, evidence), (Lesson(text="A stone is 14 pounds."), evidence)])
    assert refusal.unfit and refusal.item == item


@pytest.mark.parametrize(
    "text",
    [
        "A hin is 12 logs.",
        "6 hins are so many logs as 6 times 12.",
        "A pound is 16 ounces.",
        "If one thing weighs three times as much as another, then multiply.",
        "If logs and hins are added, then turn the hins into logs first.",
    ],
)
def test_what_is_true_of_other_questions_passes(text: str) -> None:
    assert CHECK.reason(Lesson(text=text), ["melon", "hins"]) == ""


def test_no_true_item_of_the_embedded_benchmark_is_particular_to_a_question_that_needs_it() -> None:
    from nesycd.tasks.longtail.task import LongTail

    train = LongTail().load("train")
    workings = {example.uid: " ".join(example.truth.steps) for example in train if example.truth}
    check = Particulars(train, workings)
    needed = [(e, item) for e in train if e.truth for item in (*e.truth.facts, *e.truth.rules)]
    assert len(needed) > 500
    assert not [item.text for example, item in needed if check.reason(item, [example.uid])]

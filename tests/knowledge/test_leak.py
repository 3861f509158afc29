"""What leaks and what does not: own questions with their answers, held-out questions, provenance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.records import Evidence, Example, Fact, Item, Lesson, Rule
from nesycd.knowledge import LeakCheck
from nesycd.tasks.registry import build_task


def asked(uid: str, question: str, answer: str, *options: str) -> Example:
    return Example(uid=uid, task="t", question=question, answer=answer, options=options)


TRAIN = [
    asked("logs", "How many logs are 3 hins and 5 logs more?", "41"),
    asked("yard", "How many feet are in 1 yard?", "3"),
    asked("eggs", "A farmer has 16 eggs. He eats three and sells the rest for $2 each. What does he earn?", "$26"),
    asked("kin", "Name the person who was Henry VIII's mother's mother's own dear mother.", "Jacquetta"),
    asked("gas", "Which gas do plants take in from the air by day?", "(B)", "oxygen", "carbon dioxide"),
]
HELD_OUT = [
    "How many logs are 7 hins and 9 logs more?",
    "The zorbex of Quandle weighs how many fnords today?",
    "A girl buys 13 pens for $4 each and 6 books. How much does the girl pay for the pens?",
]
CHECK = LeakCheck(TRAIN, HELD_OUT)


def fact(text: str, subject: str = "hin", relation: str = "makes", thing: str = "12 logs", *aliases: str) -> Fact:
    return Fact(text=text, subject=subject, relation=relation, object=thing, aliases=aliases)


def by(*uids: str) -> list[Evidence]:
    return [Evidence(example=uid, source="t") for uid in uids]


@pytest.mark.parametrize(
    "item",
    [
        fact("A hin is 12 logs."),
        fact("1 hin is 12 logs."),
        fact("A yard is 3 feet.", "yard", "is", "3 feet"),
        fact("1 yard has 3 feet.", "yard", "has", "3 feet"),
        fact("The mother of Elizabeth Woodville was Jacquetta.", "Elizabeth Woodville", "mother", "Jacquetta"),
        fact("Plants take in carbon dioxide.", "plants", "take in", "carbon dioxide"),
        Rule(text="If units and smaller ones are put together, multiply by what one makes, then add."),
        Rule(text="If some of the eggs are eaten, take them away before you multiply by the price of $2."),
        Lesson(text="There are 24 hours in a day and 60 minutes in an hour; 41 is prime."),
        fact("A dozen is 12 pieces, and 26 weeks are half a year.", "dozen", "makes", "12 pieces"),
    ],
    ids=lambda item: item.text,
)
def test_general_knowledge_passes(item: Item) -> None:
    assert CHECK.reason(item, by("logs", "eggs")) == ""


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Lesson(text="3 hins and 5 logs are 41 logs."), "restates question logs"),
        (Lesson(text="Three hins and five logs more make 41 logs."), "restates question logs"),
        (Lesson(text="3 x 12 = 36, and 36 + 5 = 41."), "restates question logs"),
        (fact("See the triple.", "3 hins and 5 logs", "are", "41 logs"), "restates question logs"),
        (Rule(text="See the clause.", clause="logs(hins(3), logs(5), 41)."), "restates question logs"),
        (
            Lesson(text="With 16 eggs, of which three are eaten, 13 are sold for $2 each: he earns $26."),
            "question eggs",
        ),
        (
            Lesson(text="The person who was Henry VIII's mother's mother's own dear mother is Jacquetta."),
            "restates question kin",
        ),
        (Lesson(text="Which gas do plants take in from the air by day? The answer is (B)."), "restates question gas"),
    ],
)
def test_a_question_restated_with_its_answer_leaks(item: Item, reason: str) -> None:
    assert reason in CHECK.reason(item, by("logs"))


@pytest.mark.parametrize(
    "item",
    [
        Lesson(text="How many logs are 7 hins and 9 logs more?"),
        Lesson(text="Think of this: how many logs are 7 hins, and 9 logs more"),
        Lesson(text="The logs in 7 hins with 9 logs more are many."),
        fact("A zorbex is heavy.", "zorbex", "is", "heavy", "the zorbex of Quandle weighs how many fnords"),
        Lesson(text="If a girl buys 13 pens for $4 each and six books, the girl pays for pens first."),
    ],
    ids=lambda item: item.text,
)
def test_the_text_of_a_held_out_question_leaks(item: Item) -> None:
    assert "outside training" in CHECK.reason(item)


def test_words_that_training_questions_share_are_nobodys_text() -> None:
    train = [asked("a", "So how much money does the girl have left in the end of 5?", "7")]
    check = LeakCheck(train, ["Ann has 3. So how much money does the girl have left in the end?"])
    assert check.reason(Lesson(text="Ask: how much money does the girl have left in the end?")) == ""


def test_items_come_from_training_questions_only() -> None:
    item = fact("A hin is 12 logs.")
    assert "no training question" in CHECK.reason(item, by("test-1"))
    proposed = [(item, one) for one in by("logs", "test-1")]
    [refusal] = CHECK.refusals(proposed)
    assert refusal.evidence.example == "test-1", "the same item from a training question stays"
    assert CHECK.reason(item, [Evidence(example="", source="ann")]) == "", "a person's"


def test_an_item_is_judged_by_all_errors_it_comes_from() -> None:
    item = Lesson(text="3 x 12 = 36, and 36 + 5 = 41.")
    assert len(CHECK.refusals([(item, one) for one in by("eggs", "logs")])) == 2
    assert not CHECK.refusals([(item, one) for one in by("eggs")]), "numbers alone, of no question of its own"


def test_no_true_fact_or_rule_of_the_embedded_benchmark_leaks_and_every_question_does() -> None:
    task = build_task("longtail", {"seed": 0})
    train = task.load("train")
    held = [example for split in task.splits() if split != "train" for example in task.load(split)]
    check = LeakCheck(train, [example.question for example in held])
    truths = [example.truth for example in train + held if example.truth is not None]
    items = {item.id: item for truth in truths for item in (*truth.facts, *truth.rules)}
    assert len(items) > 250 and not [item for item in items.values() if check.reason(item, by(train[0].uid))]
    told = [Lesson(text=f"{example.question} The answer is {example.answer}.") for example in train[::4]]
    assert all(check.reason(item) for item in told)
    assert all(check.reason(Lesson(text=f"Remember: {example.question}")) for example in held[::4])


@given(st.text(max_size=60), st.text(min_size=1, max_size=60))
def test_any_text_can_be_checked(question: str, text: str) -> None:
    check = LeakCheck([asked("a", question or "?", text)], [question])
    assert isinstance(check.reason(Lesson(text=text)), str)

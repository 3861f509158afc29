"""What each filter refuses and what looks like it and passes: leaks, ill-formed and instance-specific items."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.records import Evidence, Example, Fact, Item, Lesson, Rule
from nesycd.knowledge.filters import InstanceFilter, LeakFilter, ill_formed, refusals
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
    Example(uid=f"held-{number}", task="t", question=question, answer="", split="test")
    for number, question in enumerate(
        (
            "How many logs are 7 hins and 9 logs more?",
            "The zorbex of Quandle weighs how many fnords today?",
            "A girl buys 13 pens for $4 each and 6 books. How much does the girl pay for the pens?",
        )
    )
]
CHECK = LeakFilter(TRAIN, HELD_OUT)


def why(check: LeakFilter, item: Item, evidence: Iterable[Evidence] = ()) -> str:
    """Why an item leaks; "" where it does not."""
    leak = check.leak(item, evidence)
    return leak.reason if leak else ""


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
    assert why(CHECK, item, by("logs", "eggs")) == ""


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
    assert reason in why(CHECK, item, by("logs"))


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
    assert "outside training" in why(CHECK, item)


STAFF = [
    asked("grade", "Mo is grade G3 and has 3 full years of service. How many days of leave does Mo have?", "26"),
    asked("plain", "Mo is in grade 3 and has 4 years of service. How many days of leave does Mo have?", "26"),
    asked("code", "How many days of leave does an employee of grade G3 have?", "26"),
    asked("spend", "Who has to approve an expense of 800 EUR?", "(B)", "nobody", "the team lead", "the director"),
    asked("ends", "May an expense of 40 EUR without a receipt be paid?", "no"),
    asked("king", "Which king fell in the battle of Hastings in 1066?", "Harold"),
    asked("fare", "A ticket of EUR20 is paid by Mo for 3 days. What does Mo pay for the tickets?", "60"),
]
STAFF_TEST = [
    asked("t1", "Jo is grade G4 and has 5 full years of service. How many days of leave does Jo have?", "29"),
    asked("t2", "May a G1 employee work at home 3 days a week?", "no"),
    asked("t3", "Do G4 and G2 employees of Quandle differ in days of leave?", "yes"),
]
POLICY = LeakFilter(STAFF, [one.model_copy(update={"split": "test"}) for one in STAFF_TEST])


@pytest.mark.parametrize(
    "item",
    [
        fact("Grade G3 has 26 days of leave.", "grade G3", "leave", "26 days"),
        fact("Grade 3 has 26 days of leave.", "grade 3", "leave", "26 days"),
        Lesson(
            text="Annual leave is 24 days in grade G2, 26 in G3, 28 days in G4; one is added for five full years of service."
        ),
        fact("An expense above 200 EUR up to 800 EUR is approved by the team lead.", "team lead", "limit", "800 EUR"),
        Lesson(text="Between 200 and 800 EUR the team lead has to approve an expense."),
        Lesson(text="No expense above 40 EUR is paid without a receipt."),
        Lesson(text="Work at home is allowed up to 3 days a week, in G1 no employee may more than 2 days a week."),
        fact("King Harold fell near Hastings in 1066, in battle.", "Harold", "fell in", "the battle of Hastings"),
    ],
    ids=lambda item: item.text,
)
def test_general_facts_pass_whose_numbers_are_names_or_limits(item: Item) -> None:
    assert why(POLICY, item) == why(POLICY, item, by(*(one.uid for one in STAFF))) == ""


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Lesson(text="Mo, grade G3, with 3 full years of service has 26 days of leave."), "restates question grade"),
        (Lesson(text="In grade 3 with 4 years of service Mo has 26 days of leave."), "restates question plain"),
        (Lesson(text="An expense of 800 EUR: the team lead has to approve it."), "restates question spend"),
        (Lesson(text="An expense of 40 EUR without a receipt? No."), "restates question ends"),
        (Lesson(text="Mo pays EUR20 for a ticket, for 3 days: 60."), "restates question fare"),
        (Lesson(text="Jo of grade G4 with 5 full years of service: days of leave."), "t1 of test"),
        (Lesson(text="Does a G1 employee work 3 days a week at home?"), "t2 of test"),
        (Lesson(text="Employees of Quandle of G2 and of G4 differ in leave by days."), "t3 of test"),
    ],
)
def test_a_question_with_names_and_limits_restated_leaks(item: Item, reason: str) -> None:
    assert reason in why(POLICY, item)


def test_an_answer_may_be_the_number_of_a_name() -> None:
    for answer in ("3", "G3", "grade 3"):
        check = LeakFilter(
            [asked("of", "With 26 days of leave and 130 EUR for hotels, of which grade is Mo?", answer)], []
        )
        for said in ("G3", "grade 3") if answer == "3" else (answer,):
            assert why(check, Lesson(text=f"With 26 days of leave and 130 EUR for hotels Mo is of {said}."))


def test_years_that_are_computed_with_are_premises() -> None:
    check = LeakFilter([asked("born", "Mo was born in 1932, and Jo in 1936. By how many years is Mo older?", "4")], [])
    assert why(check, Lesson(text="Mo and Jo were born in 1932 and in 1936: Mo is 4 years older."))


def test_a_limit_of_the_question_is_its_premise() -> None:
    check = LeakFilter([asked("over", "Mo pays for at most 12 pens and at least 7 books. How many things?", "19")], [])
    assert why(check, Lesson(text="At most 12 pens and at least 7 books that Mo pays for are 19 things."))
    check = LeakFilter(
        [asked("sum", "Mo pays 10 EUR for pens and 15 EUR for books. What is left of 50 EUR?", "25")], []
    )
    assert why(check, Lesson(text="What Mo pays for pens sums up to 10 EUR, for books to 15 EUR: 25 EUR are left."))


def test_a_leak_tells_the_question_that_it_gives_away() -> None:
    leak = CHECK.leak(Lesson(text="How many logs are 7 hins and 9 logs more?"))
    assert leak is not None and leak.question == HELD_OUT[0].question
    assert leak.reason.startswith("carries the text of a question outside training, held-0 of test: 'how many logs")
    leak = CHECK.leak(Lesson(text="Which gas do plants take in from the air by day? The answer is (B)."))
    assert leak is not None and leak.question.splitlines()[1:] == ["(A) oxygen", "(B) carbon dioxide"]
    item = fact("A hin is 12 logs.")
    assert [leak.question for leak in CHECK.leaks([(item, by("held-1")[0])]) if leak] == [HELD_OUT[1].question]
    # The options of test questions that training questions have too are nobody's text.
    options = ("one", "the second of all these things", "none of all these things")
    check = LeakFilter([asked("a", "Who?", "(A)", *options)], [asked("b", "Which?", "(A)", *options)])
    assert check.leak(Lesson(text=f"Choose {' '.join(options[1:])}.")) is None


def test_words_that_training_questions_share_are_nobodys_text() -> None:
    train = [asked("a", "So how much money does the girl have left in the end of 5?", "7")]
    check = LeakFilter(train, [asked("b", "Ann has 3. So how much money does the girl have left in the end?", "")])
    assert why(check, Lesson(text="Ask: how much money does the girl have left in the end?")) == ""


def test_items_come_from_training_questions_only() -> None:
    item = fact("A hin is 12 logs.")
    assert "no training question" in why(CHECK, item, by("test-1"))
    proposed = [(item, one) for one in by("logs", "test-1")]
    [refusal] = refusals(proposed, TRAIN, HELD_OUT, {})
    assert refusal.filter == "leak" and refusal.evidence.example == "test-1", (
        "the same item from a training question stays"
    )
    assert why(CHECK, item, [Evidence(example="", source="ann")]) == "", "a person's"


def test_an_item_is_judged_by_all_errors_it_comes_from() -> None:
    item = Lesson(text="3 x 12 = 36, and 36 + 5 = 41.")
    assert len(list(filter(None, CHECK.leaks([(item, one) for one in by("eggs", "logs")])))) == 2
    assert not any(CHECK.leaks([(item, one) for one in by("eggs")])), "numbers alone, of no question of its own"


def test_no_true_fact_or_rule_of_the_embedded_benchmark_leaks_and_every_question_does() -> None:
    task = build_task("longtail", {"seed": 0})
    train = task.load("train")
    held = [example for split in task.splits() if split != "train" for example in task.load(split)]
    check = LeakFilter(train, held)
    truths = [example.truth for example in train + held if example.truth is not None]
    items = {item.id: item for truth in truths for item in (*truth.facts, *truth.rules)}
    assert len(items) > 250 and not [item for item in items.values() if why(check, item, by(train[0].uid))]
    told = [Lesson(text=f"{example.question} The answer is {example.answer}.") for example in train[::4]]
    assert all(why(check, item) for item in told)
    assert all(why(check, Lesson(text=f"Remember: {example.question}")) for example in held[::4])


@given(st.text(max_size=60), st.text(min_size=1, max_size=60))
def test_any_text_can_be_checked(question: str, text: str) -> None:
    check = LeakFilter([asked("a", question or "?", text)], [asked("b", question or "?", "")])
    assert isinstance(why(check, Lesson(text=text)), str)


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
    assert why in ill_formed(Lesson(text=text))
    evidence = Evidence(example="q", source="t")
    proposed = [(Lesson(text=text), evidence), (Lesson(text="A gross is 144 pieces."), evidence)]
    [refusal] = refusals(proposed, [asked("q", "How many?", "1")], [], {})
    assert refusal.filter == "ill_formed" and refusal.item.text == text


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
    assert ill_formed(Lesson(text=text)) == ill_formed(Rule(text=text)) == ""


def test_a_fact_about_a_result_is_ill_formed() -> None:
    told = Fact(text="The sum of the groups is 14.", subject="The sum", relation="is", object="14")
    assert ill_formed(told) == "its subject 'The sum' names nothing"
    assert not ill_formed(told.model_copy(update={"subject": "sum of a triangle's angles"}))


def test_no_item_of_the_embedded_benchmark_is_ill_formed() -> None:
    from nesycd.tasks.longtail.task import LongTail

    items = {item for e in LongTail().load("train") if e.truth for item in (*e.truth.facts, *e.truth.rules)}
    assert len(items) > 150 and any(isinstance(item, Fact) for item in items)
    assert not [item.text for item in items if ill_formed(item)]


MELON = Example(
    uid="melon",
    task="t",
    question="Mia's melon weighs 8 pounds. Clay's melon weighs three times as much. How much are both?",
    answer="32",
)
HINS = Example(uid="hins", task="t", question="How many logs are 6 hins and 5 logs?", answer="77")
POUNDS = [
    MELON,
    HINS,
    *(Example(uid=f"o{n}", task="t", question=f"How much are {n} pounds?", answer="1") for n in range(3)),
]
WORKINGS = {"melon": "3 x 8 = 24. 24 + 8 = 32.", "hins": "A hin is 12 logs. 6 x 12 = 72. 72 + 5 = 77."}
SPECIFIC = InstanceFilter(POUNDS, WORKINGS)


@pytest.mark.parametrize(
    "item",
    [
        Lesson(text="Clay's melon weighs 24 pounds."),
        Rule(text="If Mia's melon weighs 8 pounds, then three times as much is Clay's melon."),
        Fact(text="It weighs 24.", subject="Clay's melon", relation="weighs", object="24 pounds"),
    ],
)
def test_a_story_retold_is_instance_specific(item: Item) -> None:
    assert SPECIFIC.reason(item, ["melon"]) == "holds only in question melon"
    # Of another question's course it says nothing.
    assert SPECIFIC.reason(item, ["hins"]) == SPECIFIC.reason(item, [""]) == SPECIFIC.reason(item, ["unknown"]) == ""
    evidence = Evidence(example="melon", source="t")
    [refusal] = refusals([(item, evidence), (Lesson(text="A stone is 14 pounds."), evidence)], POUNDS, [], WORKINGS)
    assert refusal.filter == "instance_specific" and refusal.item == item and refusal.question == MELON.question


def test_what_retells_one_of_its_questions_is_refused_for_all_of_them() -> None:
    retold = Lesson(text="Clay's melon weighs 24 pounds.")
    proposed = [(retold, Evidence(example=uid, source="t")) for uid in ("hins", "melon")]
    made = refusals(proposed, POUNDS, [], WORKINGS)
    assert [one.evidence.example for one in made] == ["hins", "melon"]
    assert {(one.filter, one.question) for one in made} == {("instance_specific", MELON.question)}


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
    assert SPECIFIC.reason(Lesson(text=text), ["melon", "hins"]) == ""


def test_no_true_item_of_the_embedded_benchmark_is_specific_to_a_question_that_needs_it() -> None:
    from nesycd.tasks.longtail.task import LongTail

    train = LongTail().load("train")
    workings = {example.uid: " ".join(example.truth.steps) for example in train if example.truth}
    check = InstanceFilter(train, workings)
    needed = [(e, item) for e in train if e.truth for item in (*e.truth.facts, *e.truth.rules)]
    assert len(needed) > 500
    assert not [item.text for example, item in needed if check.reason(item, [example.uid])]


def test_each_proposal_is_refused_once_and_leaks_stand_first() -> None:
    evidence = Evidence(example="melon", source="t")
    specific, remark = (
        Lesson(text="Clay's melon weighs 24 pounds."),
        Lesson(text="The student forgot Clay's 24 pounds."),
    )
    leak = Lesson(text="Mia's melon weighs 8 pounds, Clay's three times as much: 32.")
    proposed = [(item, evidence) for item in (specific, remark, leak, Lesson(text="A stone is 14 pounds."))]
    found = [(one.filter, one.item) for one in refusals(proposed, POUNDS, [], WORKINGS)]
    assert found == [("leak", leak), ("ill_formed", remark), ("instance_specific", specific)]


def test_an_item_that_speaks_of_a_questions_answer_is_ill_formed() -> None:
    for text in (
        "The answer to question 12 is 42.",
        "The answer of the question is 42.",
        "Answer to this question: 42.",
    ):
        assert ill_formed(Lesson(text=text)), text
    assert not ill_formed(Lesson(text="Ask what the question is about before you answer."))

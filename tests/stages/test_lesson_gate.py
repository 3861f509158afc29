"""On which questions a lesson is tried, and what figures let it pass."""

from __future__ import annotations

import random

import pytest

from nesycd.core.answers import Attempt
from nesycd.core.records import Evidence, Example, Fact, Item, Lesson, Rule
from nesycd.stages import lesson_gate
from nesycd.stages.lesson_gate import Gains, Trial

EXAMPLES = [
    Example(uid=f"{task}{n}", task=task, question=f"{text} {n}?", answer="1", group=f"{task}-{n // 2}")
    for task, text in (("price", "What is the price of pears"), ("day", "Which weekday was it then"))
    for n in range(10)
]
ATTEMPTS = [Attempt(example=e.uid, solver=f"fold-{n // 2 % 2}", response="no") for n, e in enumerate(EXAMPLES)]
SOLVER = {attempt.example: attempt.solver for attempt in ATTEMPTS}
ALL = [example.uid for example in EXAMPLES]
LESSON = Lesson(text="Multiply number and price.")


def proposed(item: Item, *uids: str) -> list[tuple[Item, Evidence]]:
    return [(item, Evidence(example=uid, source="t")) for uid in uids]


def tried(pairs: list[tuple[Item, Evidence]], scorable: list[str] = ALL, budget: int = 100) -> list[Trial]:
    return lesson_gate.trials(pairs, EXAMPLES, ATTEMPTS, scorable, budget)[0]


def test_it_is_tried_on_questions_of_its_task_in_the_other_fold() -> None:
    [trial] = tried(proposed(LESSON, "price0", "price1", "price4"))
    assert set(trial.questions) == {"price2", "price3", "price6", "price7"} and not trial.why
    assert {SOLVER[uid] for uid in trial.questions} == {"fold-1"}


def test_what_comes_from_all_folds_is_tried_on_questions_of_other_groups() -> None:
    [trial] = tried(proposed(LESSON, "price0", "price2"))
    assert set(trial.questions) == {f"price{n}" for n in range(4, 10)}


def test_only_advice_in_words_from_training_questions_is_tried() -> None:
    fact = Fact(text="A hin is 12 logs.", subject="hin", relation="makes", object="12 logs")
    clause, words = Rule(text="If a, then b.", clause="a(X) :- b(X)."), Rule(text="If c, then d.")
    pairs = [*proposed(fact, "price0"), *proposed(clause, "price0"), *proposed(words, "price0"), *proposed(LESSON, "")]
    assert [trial.item for trial in tried(pairs)] == [words]


def test_too_few_questions_or_no_budget_leave_it_unjudged() -> None:
    [trial] = tried(proposed(LESSON, "price0"), scorable=["price2", "price3", "day2"])
    assert not trial.questions and trial.why.startswith("2 other questions of its kind")
    assert lesson_gate.judgement(trial, None, False, []).verdict == "unjudged"
    other = Lesson(text="Multiply, then add.")
    first, second = tried([*proposed(other, "price0"), *proposed(LESSON, "price0", "price1")], budget=4)
    assert first.item == LESSON and len(first.questions) == 4, "what comes from most errors goes first"
    assert second.item == other and "gate_questions" in second.why


def test_a_control_is_an_item_for_other_questions() -> None:
    days, other = Lesson(text="Count the days."), Lesson(text="Count on from Monday.")
    pairs = [*proposed(LESSON, "price0"), *proposed(days, "day0"), *proposed(other, "day1")]
    made, alike = lesson_gate.trials(pairs, EXAMPLES, ATTEMPTS, ALL, 100)
    found = lesson_gate.controls(made, alike)
    assert {found[uid].text for uid in found if uid.startswith("day")} == {LESSON.text}
    assert {found[uid].text for uid in found if uid.startswith("price")} == {
        min((days, other), key=lambda one: one.id).text
    }
    assert set(found) == {uid for trial in made for uid in trial.questions}
    alone, alike = lesson_gate.trials(pairs[:1], EXAMPLES, ATTEMPTS, ALL, 100)
    assert lesson_gate.controls(alone, alike) == {}


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(2, 2.920), (3, 2.353), (4, 2.132), (5, 2.015), (10, 1.812), (11, 1.796), (30, 1.697)]
)
def test_p_is_that_of_tables_of_students_t(freedom: int, quantile: float) -> None:
    n = freedom + 1
    values = [1.0 if place % 2 else -1.0 for place in range(n)]
    centred = [value - sum(values) / n for value in values]
    deviation = (sum(value**2 for value in centred) / freedom) ** 0.5
    shift = quantile * deviation / n**0.5
    assert lesson_gate.greater([value + shift for value in centred]) == pytest.approx(0.05, abs=1e-4)
    assert lesson_gate.greater([value - shift for value in centred]) == pytest.approx(0.95, abs=1e-4)


def test_of_lessons_that_do_nothing_few_pass() -> None:
    rng = random.Random(0)
    passed = 0
    for _ in range(200):
        p = {str(n): lesson_gate.greater([rng.gauss(0, 1) for _ in range(6)]) for n in range(40)}
        passed += bool(lesson_gate.sure(p))
    assert passed <= 200 * (lesson_gate.RATE + 0.06), "with no true effect, at most a tenth of all runs lets any pass"
    strong = {f"strong-{n}": lesson_gate.greater([rng.gauss(2, 1) for _ in range(8)]) for n in range(20)}
    assert len(lesson_gate.sure(strong | p)) >= 18


def test_a_gain_that_any_line_gives_is_none() -> None:
    noise = [0.01 * n for n in range(6)]
    real = lesson_gate.gains([(-1 - one, -2.0, -2.1) for one in noise])
    anything = lesson_gate.gains([(-1 - one, -2.0, -1.0) for one in noise])
    assert real and anything and real.p < 0.001 < 0.5 < anything.p
    assert anything.gain == real.gain > 0.9 and anything.control is not None and anything.control < 0
    uncontrolled = lesson_gate.gains([(-1 - one, -2.0, None) for one in noise])
    assert uncontrolled and uncontrolled.control is None and uncontrolled.p < 0.001


def test_scores_of_texts_that_did_not_fit_are_left_out() -> None:
    out = float("-inf")
    assert lesson_gate.gains([(out, -1, -1), (-1, -2, -2), (-1, -2.5, out)]) is None
    found = lesson_gate.gains([(out, -1, -1), (-1, -2, -2), (-1, -2.5, out), (-1.2, -9, -2)])
    assert found and found.n == 3 and found.control is None and found.gain == pytest.approx((1 + 1.5 + 5) / 3)


@pytest.mark.parametrize(
    ("sure", "answers", "verdict"),
    [
        (True, [(True, False), (True, True), (False, False)], "passed"),
        (True, [(True, False), (False, True), (False, False)], "failed"),
        (True, [(True, True), (False, False)], "failed"),
        (False, [], "failed"),
    ],
)
def test_more_answers_must_become_right_than_wrong(sure: bool, answers: list[tuple[bool, bool]], verdict: str) -> None:
    made = lesson_gate.judgement(Trial(LESSON, ("d",), ("a", "b", "c")), Gains(3, 0.51, 0.4, 0.002), sure, answers)
    assert made.verdict == verdict and made.answered == len(answers)
    assert made.told.startswith(
        "on 3 other questions the right working gains +0.51 nats, +0.40 against an item for other"
    )
    assert ("become right" in made.told) == sure

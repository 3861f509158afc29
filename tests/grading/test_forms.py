"""Answers by the form of the gold: a corpus of odd ones, and what must hold for any."""

from __future__ import annotations

import importlib.util
import random
import threading
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd import grading
from nesycd.core.records import Example
from nesycd.grading import FORMS, Form
from nesycd.grading.forms import read_date

spec = importlib.util.spec_from_file_location("odd_answers", Path(__file__).with_name("odd_answers.py"))
assert spec and spec.loader
odd_answers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(odd_answers)

CHEAP: list[Form] = [form for form in FORMS if form != "math"]
forms = st.sampled_from(CHEAP)
words = st.from_regex(r"[a-z]{1,8}", fullmatch=True).filter(lambda word: word != "and")


def example(gold: str, options: tuple[str, ...] = ()) -> Example:
    return Example(uid="q", task="t", question="?", answer=gold, options=options)


def graded(response: str, gold: str, form: Form, options: tuple[str, ...] = ()) -> bool:
    asked = example(gold, options)
    return grading.grade(grading.extract(response, asked, form), asked, form)


def test_the_corpus_is_large_and_has_every_form_and_source() -> None:
    assert len(odd_answers.CASES) >= 300
    assert {case[0] for case in odd_answers.CASES} == set(FORMS)
    assert {case[5] for case in odd_answers.CASES} == {"closing", "answer_is", "hashes", "boxed", "none"}


@pytest.mark.parametrize("form, gold", sorted({case[:2] for case in odd_answers.CASES}))
def test_odd_answers(form: Form, gold: str) -> None:
    faults = []
    for _, _, options, response, right, how in (case for case in odd_answers.CASES if case[:2] == (form, gold)):
        asked = example(gold, options)
        extracted = grading.extract(response, asked, form)
        source = grading.find_answer(response).source if extracted else "none"
        if (grading.grade(extracted, asked, form), source) != (right, how):
            faults.append(
                f"{response[-60:]!r}: extracted {extracted!r} from {source}, which must be {right} from {how}"
            )
    assert faults == []


@given(st.text(), forms, st.sampled_from(["5", "yes", "a b", "] )", "05/01/2021", "None", "4.33"]))
def test_without_a_stated_answer_nothing_is_right(text: str, form: Form, gold: str) -> None:
    if not grading.find_answer(text).text:
        assert not graded(text, gold, form)
        assert not graded(text, "(A), (B)", form, ("one", "two", "three"))


@given(st.text(), forms)
def test_a_form_only_adds_to_what_is_right(text: str, form: Form) -> None:
    for asked in (example("5"), example("yes"), example("(A)", ("one", "two"))):
        assert grading.grade(text, asked, form) or not grading.grade(text, asked)


@given(
    st.integers(-(10**9), 10**9), st.sampled_from(["{}", "{:,}", "{}.0", "${}$", "\\boxed{{{}}}", "{} kg", "x = {}"])
)
def test_a_number_is_read_in_every_spelling(number: int, spelling: str) -> None:
    text = grading.closing(spelling.format(number))
    assert graded(text, str(number), "plain") and graded(text, str(number), "number")
    assert not graded(text, str(number + 1), "number")


@given(st.fractions(max_denominator=99))
def test_fractions_are_numbers(value: Fraction) -> None:
    text = f"{value.numerator}/{value.denominator}"
    found = grading.quantity(text)
    assert found is not None and found.value == value
    sign = "-" if value < 0 else ""
    assert grading.same_answer(rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}", text)


@given(st.decimals(min_value=1, max_value=999, places=4, allow_nan=False))
def test_a_rounded_gold_equals_only_what_rounds_to_it(value: object) -> None:
    gold = f"{value:.2f}"
    exact = Fraction(str(value))
    assert graded(grading.closing(str(value)), gold, "number") == (
        abs(exact - Fraction(gold)) <= Fraction(1, 200) if len(gold) > 3 else exact == Fraction(gold)
    )


@given(st.lists(words, min_size=2, max_size=8, unique=True), st.sampled_from([" ", ", ", "; ", " < ", " -> "]))
def test_a_list_needs_all_words_in_order(items: list[str], between: str) -> None:
    gold = " ".join(items)
    assert graded(grading.closing(between.join(items)), gold, "words")
    other = items[1:] + items[:1]
    assert not graded(grading.closing(between.join(other)), gold, "words")
    assert not graded(grading.closing(between.join(items[:-1])), gold, "words")


@given(st.lists(st.sampled_from("()[]{}<>"), min_size=1, max_size=12))
def test_brackets_are_read_with_and_without_blanks(signs: list[str]) -> None:
    gold = " ".join(signs)
    for spelling in (gold, "".join(signs)):
        assert grading.grade(spelling, example(gold), "brackets")
    assert not grading.grade(gold + " (", example(gold), "brackets")


@given(st.dates(date(1000, 1, 1), date(9998, 12, 31)))
def test_dates_are_read_in_every_spelling(day: date) -> None:
    month = day.strftime("%B")
    for text in (
        f"{day.month:02d}/{day.day:02d}/{day.year}",
        day.isoformat(),
        f"{month} {day.day}, {day.year}",
        f"{day.day} {month[:3]} {day.year}",
    ):
        assert read_date(text) == day
        assert not grading.grade(text, example((day + timedelta(days=1)).isoformat()), "date")


@given(st.sets(st.integers(0, 4), min_size=1), st.sets(st.integers(0, 4), min_size=1), st.integers())
def test_several_options_are_a_set(gold: set[int], given: set[int], seed: int) -> None:
    options = ("iron", "tin", "oak", "zinc", "lead")
    order = sorted(given)
    random.Random(seed).shuffle(order)
    for spelling in (", ".join(map(grading.letter, order)), " and ".join(options[index] for index in order)):
        right = graded(grading.closing(spelling), ", ".join(map(grading.letter, sorted(gold))), "letters", options)
        assert right is (given == gold)


def test_mathematics_is_graded_in_threads_too() -> None:
    found: list[bool] = []
    worker = threading.Thread(
        target=lambda: found.extend(graded(r"So the answer is \frac{2}{4}.", gold, "math") for gold in ("1/2", "1/3"))
    )
    worker.start()
    worker.join()
    assert found == [True, False]

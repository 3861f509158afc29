"""Finding and comparing answers: what counts, and what must never count."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd import grading
from nesycd.core.records import Example

SHAPES = ("circle", "heptagon", "hexagon", "kite")


def example(answer: str, options: tuple[str, ...] = ()) -> Example:
    return Example(uid="q", task="t", question="?", answer=answer, options=options)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Therefore, the answer is 18.", "18"),
        ("So the answer is 3.5.", "3.5"),
        ("so THE ANSWER IS: 3.5", "3.5"),
        ("The answer is 4. No, wait. Therefore, the answer is 5.", "5"),
        ("The answer is 5. The rest of the text follows.", "5"),
        ("Therefore, the answer is no. It is too long.", "no"),
        ("Therefore, the answer is Mr. Toad. He drives.", "Mr. Toad"),
        ("Therefore, the answer is J. S. Bach. He wrote it.", "J. S. Bach"),
        ('The answer is "red".', "red"),
        ("The final answer is **(B)**.", "(B)"),
        ("The answer is\n\n42\nand more", "42"),
        ("**The final answer is:**\n\n42", "42"),
        ("The answer is:\n\\[\n\\boxed{42}\n\\]", "42"),
        ("The answer is:\n$$\n42\n$$", "42"),
        ("The answer is:\n```text\n42\n```", "42"),
        ("The answer is **", ""),
        (r"The answer is $\boxed{7}$.", "7"),
        (r"The answer is \(7\).", "7"),
        ("The answer is $5.", "$5"),
        ("So the answer is ] ].", "] ]"),
        ("The answer is", ""),
        ("The answer is 4. The answer is", ""),
        ("It is 42.", ""),
        ("", ""),
    ],
)
def test_the_answer_stands_after_the_last_closing_phrase(text: str, answer: str) -> None:
    assert grading.closing_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer", "source"),
    [
        ("2 + 2\nTherefore, the answer is 4.\n#### 5", "4", "closing"),
        ("2 + 2\n**Therefore, the answer is 4.**", "4", "closing"),
        ("2 + 2 = 4\n#### 4", "4", "hashes"),
        (r"so \boxed{3} and \boxed{\frac{1}{2}}", r"\frac{1}{2}", "boxed"),
        ("the number 4 and the number 5", "", "none"),
    ],
)
def test_fallbacks_are_told_apart(text: str, answer: str, source: str) -> None:
    assert grading.find_answer(text) == grading.Found(answer, source)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("18.0", "18"),
        ("1,000", "1000"),
        ("$5", "5"),
        ("5 dollars", "5"),
        ("5%", "5"),
        ("1/2", "0.5"),
        ("2 1/2", "2.5"),
        (r"\frac{1}{2}", "1/2"),
        ("−3", "-3"),
        ("-$3", "-3"),
        (".5", "0.5"),
        ("6 Feet", "6 feet"),
        ("6.0 feet", "6 feet"),
        ("£5", "£5"),
        ("Red  Fox.", "red fox"),
        ("Yes, they can", "yes"),
        ("invalid", "invalid"),
        ("FALSE", "False"),
    ],
)
def test_equal_answers(answer: str, gold: str) -> None:
    assert grading.grade(answer, example(gold))


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("", "5"),
        ("", ""),
        ("3", "3.5"),
        ("35", "3.5"),
        ("5 or 6", "5"),
        ("5 or more", "5"),
        ("5 dozen", "5"),
        ("not 5", "5"),
        ("5 x 6", "5"),
        ("4 + 1 = 5", "4"),
        ("1,00", "100"),
        ("1/0", "1"),
        ("5 6", "5"),
        ("€5", "$5"),
        ("6 inches", "6 feet"),
        ("6", "6 feet"),
        ("5 pm", "5 am"),
        ("0.333", "1/3"),
        ("yes or no", "yes"),
        ("yes/no", "yes"),
        ("not valid", "valid"),
        ("invalid", "valid"),
        ("true", "yes"),
        ("no, not yes", "no"),
        ("foxes", "fox"),
    ],
)
def test_answers_that_are_wrong(answer: str, gold: str) -> None:
    assert not grading.grade(answer, example(gold))


@pytest.mark.parametrize(
    "answer",
    ["(B)", "B", "b", "B)", "B.", "option b", "Option (B)", "choice B", "[B]", "heptagon", "Heptagon.", "(B) heptagon",
     "B: heptagon", "**(B)**"],
)  # fmt: skip
def test_option_named_by_letter_or_text(answer: str) -> None:
    assert grading.option_letter(answer, SHAPES) == "(B)"
    assert grading.grade(answer, example("(B)", SHAPES))


@pytest.mark.parametrize(
    "answer",
    ["", "(B) hexagon", "(B) or (C)", "B or C", "a heptagon", "heptagon or kite", "(E)", "E", "pentagon", "because",
     "the first", "2", "Bees"],
)  # fmt: skip
def test_ambiguous_or_unknown_options_are_never_guessed(answer: str) -> None:
    assert grading.option_letter(answer, SHAPES) == ""
    assert not grading.grade(answer, example("(B)", SHAPES))


def test_letters_that_are_texts_of_other_options_need_brackets() -> None:
    options = ("C", "A", "B")
    assert grading.option_letter("A", options) == ""
    assert grading.option_letter("(A)", options) == "(A)"


def test_equal_option_texts_name_nothing_but_their_letters_do() -> None:
    options = ("red", "red", "blue")
    assert grading.option_letter("red", options) == ""
    assert grading.option_letter("(B)", options) == "(B)"


def test_option_numbers_are_compared_as_numbers() -> None:
    assert grading.option_letter("18", ("17.0", "18.0")) == "(B)"


def test_extract_reads_options_with_full_stops_in_them() -> None:
    options = ("He left. She stayed", "He stayed")
    assert grading.extract("Therefore, the answer is He left. She stayed.", example("(A)", options)) == "(A)"
    assert grading.extract("Therefore, the answer is (A) He left. She stayed.", example("(A)", options)) == "(A)"
    assert grading.extract("He left. She stayed.", example("(A)", options)) == ""


def test_extract_keeps_an_answer_that_is_no_option_and_grades_it_wrong() -> None:
    asked = example("(A)", SHAPES)
    assert grading.extract("The answer is sphere.", asked) == "sphere"
    assert not grading.grade("sphere", asked)


@pytest.mark.parametrize(
    ("text", "working", "answer"),
    [
        ("1 + 1 = 2. So the answer is 2.", "1 + 1 = 2.", "2"),
        ("One.\nTherefore, the answer is (B).", "One.", "(B)"),
        ("The answer is 3.5.", "", "3.5"),
        ("They ask more, so the answer is 6.", "They ask more, so the answer is 6.", ""),
        ("The answer is 6. But it is not.", "The answer is 6. But it is not.", ""),
        ("No closing here.", "No closing here.", ""),
    ],
)
def test_split_closing_takes_off_a_last_sentence_only(text: str, working: str, answer: str) -> None:
    assert grading.split_closing(text) == (working, answer)


@given(st.integers(-(10**6), 10**6), st.sampled_from(["", "Some 3 steps. ", "Line.\n"]))
def test_what_closing_writes_is_read_back(number: int, working: str) -> None:
    text = working + grading.closing(str(number))
    assert grading.closing_answer(text) == str(number)
    assert grading.split_closing(text) == (working.strip(), str(number))


@given(st.text())
def test_no_text_breaks_the_readers(text: str) -> None:
    for asked in (example("5"), example("(A)", SHAPES), example("yes"), example(text)):
        answer = grading.extract(text, asked)
        assert answer or not grading.grade(answer, asked)
    assert grading.same_answer(text, text)


def test_an_option_that_contains_its_closing_full_stop() -> None:
    assert grading.closing("Monsters, Inc.") == "Therefore, the answer is Monsters, Inc."


def test_a_response_that_stutters_is_wrong_and_costs_no_time() -> None:
    digits, blanks = "7" * 5000, "\n" * 4000
    assert not grading.grade(grading.extract(f"The answer is {digits}", example("7")), example("7"))
    assert not grading.same_answer(f"1/{digits}", "7") and grading.quantity(digits) is None
    before = time.process_time()
    assert grading.split_closing(f"{blanks}the answer") == ("the answer", "")
    assert time.process_time() - before < 0.2

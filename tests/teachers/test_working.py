"""What counts as a false sum, and what must not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.teachers.working import comes_to, false_equation


@pytest.mark.parametrize(
    ("text", "false"),
    [
        ("3 x 6 feet = 18 feet. 18 + 4 = 23.", "18 + 4 = 23"),
        ("First, 4*7 = 28 pens; then 28 + 3 = 32 pens", "28 + 3 = 32"),
        (r"So \(4 \times 6 = 25\).", "4 * 6 = 25"),
        (r"\frac{6}{2} = 4", "(6) / (2) = 4"),
        ("1,000 + 5 = 1,006", "1,000 + 5 = 1,006"),
        ("4 + 4 = **9**", "4 + 4 = 9"),
        ("That is 7 + 8 = 15 + 2 = 17", "7 + 8 = 15 + 2"),
        ("She paid <<3*4=13>>13", "3 * 4 = 13"),
        ("10 / 4 = 3", "10 / 4 = 3"),
    ],
)
def test_false_sums_are_found(text: str, false: str) -> None:
    assert false_equation(text) == false


@pytest.mark.parametrize(
    "text",
    [
        "4 fathoms and 3 feet: 4 x 6 = 24. 24 + 3 = 27.",
        "10 / 3 = 3.33",
        "2 / 3 = 0.67 of it",
        "20% * 50 = 10 and 50 / 100 = 50%",
        "$12 + $3.50 = $15.50",
        "17 / 5 = 3 remainder 2",
        "17 / 3 = 5 and 2/3 loads",
        "6 / 1/3 = 18",
        "2x + 3 = 9, so x = 3",
        "8m + m = 27",
        "11:00 - 8:00 = 3 hours",
        "2 x 30 minutes = 1 hour",
        "The answer = 5 because it is",
        "7 - 9 = -2",
        "(True or False) = True",
        "4 < 5 = True and ((((",
        "1 / 0 = 3",
    ],
)
def test_what_may_be_right_is_not_called_false(text: str) -> None:
    assert false_equation(text) == ""


@given(st.text(alphabet="0123456789+-*/x=().,% ab$\n", max_size=60))
def test_any_text_can_be_checked(text: str) -> None:
    assert isinstance(false_equation(text), str)
    assert isinstance(comes_to(text, "7"), bool)


@given(st.integers(0, 999), st.integers(0, 999), st.sampled_from("+*-"), st.integers(-3, 3))
def test_a_sum_is_false_where_it_is_off(left: int, right: int, sign: str, off: int) -> None:
    true = {"+": left + right, "*": left * right, "-": left - right}[sign]
    found = false_equation(f"So he has {left} {sign} {right} = {true + off} of them.")
    assert bool(found) == bool(off)


def test_a_working_must_come_to_its_answer() -> None:
    assert comes_to("4 x 6 = 24. 24 + 3 = 27.", "27 feet")
    assert not comes_to("4 x 6 = 24. 24 + 3 = 27.", "31")
    assert comes_to("Four sixes and three make it.", "31"), "no sum: nothing to check"
    assert comes_to("The mother of A was B.", "B")
    assert comes_to("1 / 4 = 0.25", "25%")

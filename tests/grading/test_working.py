"""What counts as a false sum, and what must not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.grading.arithmetic import comes_to, false_equation, next_result


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


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("4 x 5 =", " 20"),
        ("4x5=", "20"),
        ("4 × 5 = ", "20"),
        ("One prana makes 4 seconds. 5 x 4 = 20. 20 + 9 =", " 29"),
        ("a = 3 + 4 =", " 7"),
        ("3 x 6 feet + 4 feet =", " 22"),
        ("20 - (3 + 4) =", " 13"),
        ("7 - 12 =", " -5"),
        ("2 + 3 * 4 =", " 14"),
        ("10 / 4 =", " 2.5"),
        ("0.1 + 0.2 =", " 0.3"),
        (r"So \\(\\frac{1}{2} + 1 =".replace("\\\\", "\\"), " 1.5"),
        ("1,200 + 300 =", " 1,500"),
        ("1200 + 300 =", " 1500"),
        ("3 packs cost 3 x $5 = $", "15"),
        ("$12 - $3 = $9. 9 x 2 =", " 18"),
        # What is not sure, the student writes itself.
        ("3 x $5 =", ""),
        ("3 x 5 = $", ""),
        ("10 / 3 =", ""),
        ("6 / 1/3 =", ""),
        ("50% + 3 =", ""),
        ("2 ^ 3 =", ""),
        ("x + 3 =", ""),
        ("half of 3 + 4 =", ""),
        ("5 / 0 =", ""),
        ("5 =", ""),
        ("=", ""),
        ("", ""),
        ("4 x 5", ""),
        ("999999999999 x 9 =", ""),
    ],
)
def test_what_a_sum_comes_to(text: str, result: str) -> None:
    assert next_result(text) == result


@given(st.integers(0, 9999), st.integers(1, 9999), st.sampled_from("+-*/x"))
def test_what_comes_next_makes_a_true_equation(left: int, right: int, sign: str) -> None:
    written = f"So {left} {sign} {right} ="
    result = next_result(written)
    assert not false_equation(written + result)
    assert result or (sign == "/" and left * 10_000 % right)

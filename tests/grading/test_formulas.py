"""Formulas of workings: which number is which, and what they come to with others."""

from __future__ import annotations

from fractions import Fraction

import pytest

from nesycd.grading.formulas import formula_of


def numbers(*values: int) -> list[Fraction]:
    return [Fraction(value) for value in values]


@pytest.mark.parametrize(
    ("working", "given", "answer", "others", "values", "result"),
    [
        ("5 x 2 = 10. 10 + 3 = 13.", (5, 3), "13", (7, 1), (9,), 64),
        ("4 x 6 = 24. 24 - 9 = 15. 15 / 3 = 5.", (4, 3), "5 kabs", (8, 5), (6, 3), 9),
        ("5 x 2 + 3 x 1 = 13.", (5, 3), "13", (7, 1), (9,), 64),
        ("7 x 60 = 420. 420 / 8 = 52.5.", (7, 8), "52.5", (5, 2), (Fraction(1, 2),), Fraction(5, 4)),
    ],
)
def test_a_formula_is_that_of_its_working(
    working: str,
    given: tuple[int, ...],
    answer: str,
    others: tuple[int, ...],
    values: tuple[Fraction | int, ...],
    result: Fraction | int,
) -> None:
    found = formula_of(working, numbers(*given), answer)
    assert found is not None and found.comes_to(numbers(*others), [Fraction(one) for one in values]) == result
    assert found.comes_to(numbers(*others), numbers(*range(2, 3 + len(values)))) is None, "another number of values"


@pytest.mark.parametrize(
    ("working", "given", "answer"),
    [
        ("It is 13.", (5, 3), "13"),  # no sum
        ("5 x 2 = 10. 10 + 3 = 13.", (5, 5), "14"),  # comes to something else
        ("5 x 2 = 11. 11 + 3 = 14.", (5, 3), "14"),  # a false sum
        ("5 x 2 = 10. 10 + 5 = 15.", (5, 5), "15"),  # which 5 is which?
        ("5 x 2 = 10. 10 + 3 = 13.", (5, 3), "a lot"),
        ("5 pecks are 10. 10 + 3 = 13.", (5, 3), "13"),  # 5 is not used
        ("2 + 4 = 6. 6 + 4 = 10.", (4,), "10"),  # used twice
        ("2 x 2 = 4. 3 x 9 = 27. 4 + 27 = 31.", (2, 3), "31"),  # is 2 the question's or a value?
    ],
)
def test_no_formula_where_it_cannot_be_told(working: str, given: tuple[int, ...], answer: str) -> None:
    assert formula_of(working, numbers(*given), answer) is None


def test_a_division_by_nothing_comes_to_nothing() -> None:
    found = formula_of("8 / 2 = 4. 4 + 1 = 5.", numbers(8, 1), "5")
    assert found is not None and found.comes_to(numbers(8, 1), numbers(0)) is None
    assert found.comes_to(numbers(8, 1), [Fraction(-1, 2)]) == -15

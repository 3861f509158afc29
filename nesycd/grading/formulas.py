"""The formula of a working: how it comes from its question's numbers, and from values that it states, to its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from nesycd.grading.arithmetic import LONGEST_WORKING, equations
from nesycd.grading.computed import LONGEST, Token, compute, number_of, readings
from nesycd.grading.numbers import quantity

_DEEPEST = 12
"""Sums that are followed back, one within the other."""
_LONGEST_FORMULA = 4 * LONGEST
"""Tokens of a formula; anything longer repeats itself."""


@dataclass(frozen=True)
class Formula:
    """A sum with blanks for the numbers of a question and for values that are stated beside it.

    Attributes:
        tokens: signs and numbers as written; `("given", "0")` for the first number of the question, `("value", "0")` for the
            first value.
        given: how many numbers the question has.
        values: how many values there are.
    """

    tokens: tuple[Token, ...]
    given: int
    values: int

    def comes_to(self, given: Sequence[Fraction], values: Sequence[Fraction]) -> Fraction | None:
        """The result with other numbers; None where there is none, or where there are more or fewer of them."""
        if (len(given), len(values)) != (self.given, self.values):
            return None
        blanks = {"given": given, "value": values}
        written: list[Token] = []
        for kind, token in self.tokens:
            written += _written(blanks[kind][int(token)]) if kind in blanks else [(kind, token)]
        return compute(written)


def formula_of(working: str, given: Sequence[Fraction], answer: str) -> Formula | None:
    """The formula of a working; None where no sum of it comes to the answer, where it cannot be told which number is which, or
    where a number of the question is not used, or used twice: it is then no way for other questions.

    Args:
        working: its text.
        given: the numbers of the question, in order.
        answer: that it comes to.

    >>> found = formula_of("A peck is 2 gallons. 5 x 2 = 10. 10 + 3 = 13.", [Fraction(5), Fraction(3)], "13")
    >>> found.comes_to([Fraction(7), Fraction(1)], [Fraction(9)])
    Fraction(64, 1)
    """
    wanted = quantity(answer)
    if wanted is None:
        return None
    sums = [(left, frozenset(readings(right))) for left, right, _ in equations(working[:LONGEST_WORKING])]
    tokens: list[Token] = []
    values: list[Fraction] = []

    def put(value: Fraction, before: int, depth: int) -> bool:
        place = next((at for at in range(before - 1, -1, -1) if value in sums[at][1]), None)
        if place is None:
            if given.count(value) > 1 or not depth:
                return False
            if value == 1 and value not in given:
                tokens.append(("number", "1"))
            elif value in given:
                tokens.append(("given", str(given.index(value))))
            else:
                tokens.append(("value", str(len(values))))
                values.append(value)
            return True
        if depth == _DEEPEST or len(tokens) > _LONGEST_FORMULA:
            return False
        tokens.append(("sign", "("))
        for kind, token in sums[place][0]:
            if kind != "number":
                tokens.append((kind, token))
            elif not put(number_of(token), place, depth + 1):
                return False
        tokens.append(("sign", ")"))
        return True

    used = [token for token in tokens if token[0] == "given"] if put(wanted.value, len(sums), 0) else []
    if sorted(used) != sorted(("given", str(at)) for at in range(len(given))) or not used:
        return None
    found = Formula(tuple(tokens), len(given), len(values))
    # A false sum on the way comes to something else.
    return found if found.comes_to(given, values) == wanted.value else None


def _written(value: Fraction) -> list[Token]:
    """A number as part of a sum."""
    sign, number = ("-",) * (value < 0), ("number", str(abs(value.numerator)))
    whole = [*[("sign", one) for one in sign], number]
    if value.denominator == 1 and not sign:
        return whole
    rest = [("sign", "/"), ("number", str(value.denominator))] if value.denominator > 1 else []
    return [("sign", "("), *whole, *rest, ("sign", ")")]

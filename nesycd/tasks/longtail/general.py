"""Families that need no sparse knowledge: walking, boolean expressions, everyday sums.

Rules:
    navigate:  net(A, B, C, R)      :- S is A - B, R is S + C.            (all along one line)
    boolean:   value(and(X, Y), V)  :- ...; the usual tables of not, and, or.
    stories:   rest(A, B, C, R)     :- P is A * B, R is P - C (or + C).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from nesycd.errors import DataError
from nesycd.records import Fact, Rule
from nesycd.tasks.longtail.families import Family, Form, Lookup, Naming, Problem, Work, chain


class General(Family):
    """A family without facts."""

    kind = "general"

    def facts(self) -> list[Fact]:
        """None."""
        return []

    def needs(self, problem: Problem, look: Lookup) -> list[Fact]:
        """None."""
        return []

    def state(self, fact: Fact) -> str:
        """Never asked for."""
        raise DataError(f"{self.name} needs no facts, but was given {fact.text!r}")


_WAYS = (("north", "south"), ("east", "west"), ("up", "down"), ("right", "left"))


class Navigate(General):
    """Net position after three moves along one line."""

    name = "navigate"
    forms = (
        Form(
            "line",
            Rule(
                text="If moves go to and fro on one line, subtract those back from those forth, in order.",
                clause="net(A, B, C, R) :- S is A - B, R is S + C.",
            ),
            seen=(
                "A robot goes {x} {forth}, {y} {back} and {z} {forth}. How far {forth} is it from the start?",
                "Move {x} {forth}, then {y} {back}, then {z} {forth}. How far {forth} have you come?",
                "A bird flies {x} steps {forth}, {y} steps {back}, {z} steps {forth}. How far {forth} does it end?",
            ),
            unseen=(
                "After {x} {forth}, {y} {back} and {z} {forth} again, how far {forth} is a cart?",
                "Starting at zero, walk {x} {forth}, {y} {back}, {z} {forth}. What is your distance {forth}?",
            ),
        ),
    )

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """Back by less than forth, so that all positions are positive."""
        forth = rng.randint(5, 15)
        return Problem(
            self.name, form, numbers=(forth, rng.randint(2, forth - 2), rng.randint(2, 9)), extra=rng.choice(_WAYS)
        )

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Two equations."""
        forth, back, again = problem.numbers
        return chain(forth, ("-", back), ("+", again))

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """Numbers `x`, `y`, `z` and the two directions."""
        return dict(zip("xyz", map(str, problem.numbers), strict=True)) | dict(
            zip(("forth", "back"), problem.extra, strict=True)
        )


class Boolean(General):
    """`not (True and False) or True`: numbers code two literals with a connective in brackets, negated or not, a
    connective and a last pair of negation and literal."""

    name = "boolean"
    forms = (
        Form(
            "expression",
            Rule(
                text="If an expression has brackets, work out the brackets, then each not, then the rest.",
                clause="value(or(X, Y), V) :- value(X, A), value(Y, B), or(A, B, V).",
            ),
            seen=("Is it True or False: {expression}?", "Evaluate: {expression}", "What is {expression}?"),
            unseen=("Work out the value of {expression}.", "Which truth value has {expression}?"),
        ),
    )

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """See the class for the code."""
        return Problem(self.name, form, numbers=tuple(rng.randint(0, 1) for _ in range(8)))

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Brackets, negations, the outer connective."""
        negated, left, inner, right, outer, first_not, second_not, last = problem.numbers
        a, b = bool(left) ^ bool(first_not), bool(right)
        value = (a and b) if inner else (a or b)
        steps = []
        if first_not:
            steps.append(f"not {bool(left)} is {a}.")
        steps.append(f"{a} {_word(inner)} {b} is {value}.")
        if negated:
            steps.append(f"not {value} is {not value}.")
            value = not value
        end = bool(last) ^ bool(second_not)
        if second_not:
            steps.append(f"not {bool(last)} is {end}.")
        result = (value and end) if outer else (value or end)
        steps.append(f"{value} {_word(outer)} {end} is {result}.")
        return Work(tuple(steps), str(result))

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """The `expression`."""
        negated, left, inner, right, outer, first_not, second_not, last = problem.numbers
        brackets = f"({'not ' * first_not}{bool(left)} {_word(inner)} {bool(right)})"
        return {"expression": f"{'not ' * negated}{brackets} {_word(outer)} {'not ' * second_not}{bool(last)}"}


def _word(connective: int) -> str:
    return "and" if connective else "or"


_WHO = ("Tom", "Mia", "Sam", "Eva", "Leo", "Zoe")
_THINGS = (("boxes", "pens"), ("bags", "apples"), ("plates", "buns"), ("shelves", "books"), ("jars", "sweets"),
           ("packs", "cards"), ("trays", "eggs"), ("vases", "roses"))  # fmt: skip


class Stories(General):
    """Everyday sums in two steps."""

    name = "stories"
    forms = (
        Form(
            "away",
            Rule(
                text="If equal heaps lose some, multiply heaps by what is in each, then subtract.",
                clause="rest(A, B, C, R) :- P is A * B, R is P - C.",
            ),
            seen=(
                "{who} has {x} {heaps} with {y} {things} each and gives {z} {things} away. How many are left?",
                "There are {x} {heaps} of {y} {things}. {who} takes {z} {things}. How many {things} stay?",
                "{who} fills {x} {heaps} with {y} {things} each, then loses {z}. How many {things} are left?",
            ),
            unseen=(
                "Of {x} {heaps} holding {y} {things} each, {who} sells {z} {things}. How many remain?",
                "{who} buys {x} {heaps}, each with {y} {things}, and uses {z}. How many {things} remain?",
            ),
        ),
        Form(
            "more",
            Rule(
                text="If equal heaps gain some, multiply heaps by what is in each, then add.",
                clause="rest(A, B, C, R) :- P is A * B, R is P + C.",
            ),
            seen=(
                "{who} has {x} {heaps} with {y} {things} each and finds {z} more. How many {things} are there?",
                "There are {x} {heaps} of {y} {things} and {z} single ones. How many {things} is that?",
                "{who} fills {x} {heaps} with {y} {things} each and keeps {z} more. How many {things} is that?",
            ),
            unseen=(
                "To {x} {heaps} holding {y} {things} each, {who} adds {z} {things}. How many are there now?",
                "{who} buys {x} {heaps}, each with {y} {things}, and gets {z} extra. How many {things} now?",
            ),
        ),
    )

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """Products of digits up to 54."""
        heaps, each = rng.randint(2, 6), rng.randint(3, 9)
        rest = rng.randint(2, min(9, heaps * each - 1))
        return Problem(
            self.name, form, numbers=(heaps, each, rest), extra=(rng.choice(_WHO), *rng.choice(_THINGS))
        )  # fmt: skip

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Two equations."""
        heaps, each, rest = problem.numbers
        return chain(heaps, ("x", each), ("-" if problem.form == "away" else "+", rest))

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """Numbers `x`, `y`, `z`, `who`, `heaps` and `things`."""
        return dict(zip("xyz", map(str, problem.numbers), strict=True)) | dict(
            zip(("who", "heaps", "things"), problem.extra, strict=True)
        )

"""Families that need no sparse knowledge: walking, boolean expressions, everyday sums, plain sums.

Rules:
    navigate:  way(D, P, R): the moves up to the P-th lead R in direction D, by move(P, D, N), one after the other.
    boolean:   value(E, V): expression(E, O, X, Y) has value V by the tables of `and` and `or`.
    stories:   rest(A, B, C, R) :- given(A), given(B), given(C), P is A * B, R is P + C.
    sums:      sum(P, R): the numbers up to the P-th add up to R, by term(P, N); and
               products(A, B, C, D, R) :- given(A), given(B), given(C), given(D), P is A * B, Q is C * D, R is P + Q.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from nesycd.core.errors import DataError
from nesycd.core.records import Fact, Rule
from nesycd.tasks.longtail.families import Family, Form, Lookup, Naming, Problem, Work, chain, equation


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


_WAYS = (
    ("north", "east"),
    ("east", "south"),
    ("south", "west"),
    ("west", "north"),
    ("up", "right"),
    ("left", "down"),
    ("right", "up"),
    ("down", "left"),
)


class Navigate(General):
    """How far three or four moves lead in one of two directions at right angles; two of them go that way."""

    name = "navigate"
    forms = (
        Form(
            "way",
            Rule(
                text="If the way in one direction is asked, pick the moves in that direction, then add them.",
                clause="way(D, P, R) :- way(D, Q, S), P is Q + 1, move(P, D, N), R is S + N. "
                "way(D, P, S) :- way(D, Q, S), P is Q + 1, move(P, E, N), E != D. way(D, 0, 0) :- asked(D).",
            ),
            seen=(
                "A robot goes {moves}. How far {forth} is it from the start?",
                "Move {moves}. How far {forth} have you come?",
                "A bird flies {moves}. How far {forth} does it end?",
                "After moves of {moves}, how far {forth} is a snail from its hole?",
                "The track runs {moves}. What is its length {forth}?",
                "From home, go {moves}. Say how far {forth} you get.",
            ),
            unseen=(
                "A cart rolls {moves}. How far {forth} is it at the end?",
                "Starting at zero, walk {moves}. What is your distance {forth}?",
            ),
        ),
    )

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """Two moves of different length forth and one or two aside, in any places."""
        numbers = tuple(rng.sample(range(2, 16), rng.choice((3, 4))))
        forth, aside = rng.choice(_WAYS)
        places = rng.sample(range(len(numbers)), 2)
        return Problem(
            self.name,
            form,
            numbers=numbers,
            extra=(forth, *(forth if place in places else aside for place in range(len(numbers)))),
        )

    def _forth(self, problem: Problem) -> list[int]:
        asked, *ways = problem.extra
        return [number for number, way in zip(problem.numbers, ways, strict=True) if way == asked]

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Pick the moves, then add them."""
        first, second = self._forth(problem)
        forth = problem.extra[0]
        step, total = equation(first, "+", second)
        return Work((f"{forth.capitalize()} {first}, {forth} {second}.", step), str(total))

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """The `moves` in order and the direction `forth`."""
        asked, *ways = problem.extra
        moves = [f"{way} {number}" for number, way in zip(problem.numbers, ways, strict=True)]
        return {"moves": f"{', '.join(moves[:-1])} and {moves[-1]}", "forth": asked}


class Boolean(General):
    """`(True and False) or (False or True)`: numbers code four literals and three connectives in their order."""

    name = "boolean"
    forms = (
        Form(
            "expression",
            Rule(
                text="If an expression has brackets, work out each bracket, then join what they come to.",
                clause="value(E, V) :- expression(E, O, X, Y), value(X, A), value(Y, B), joined(O, A, B, V). "
                "joined(and, true, true, true). joined(and, true, false, false). joined(and, false, true, false). "
                "joined(and, false, false, false). joined(or, true, true, true). joined(or, true, false, true). "
                "joined(or, false, true, true). joined(or, false, false, false). value(true, true). value(false, false).",
            ),
            seen=(
                "Is it True or False: {expression}?",
                "Evaluate: {expression}",
                "What is {expression}?",
                "Say whether {expression} holds.",
                "{expression} comes to what?",
            ),
            unseen=("Work out the value of {expression}.", "Which truth value has {expression}?"),
        ),
    )

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """See the class for the code."""
        return Problem(self.name, form, numbers=tuple(rng.randint(0, 1) for _ in range(7)))

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Both brackets, then the connective between them."""
        a, first, b, outer, c, second, d = problem.numbers
        steps = []
        sides: list[bool] = []
        for left, inner, right in ((a, first, b), (c, second, d), (0, outer, 0)):
            x, y = sides if sides[1:] else (bool(left), bool(right))
            sides.append((x and y) if inner else (x or y))
            steps.append(f"{x} {_word(inner)} {y} is {sides[-1]}.")
        return Work(tuple(steps), str(sides[2]))

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """The `expression`."""
        a, first, b, outer, c, second, d = problem.numbers
        left = f"({bool(a)} {_word(first)} {bool(b)})"
        return {"expression": f"{left} {_word(outer)} ({bool(c)} {_word(second)} {bool(d)})"}


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
            "more",
            Rule(
                text="If equal heaps gain some, multiply heaps by what is in each, then add.",
                clause="rest(A, B, C, R) :- given(A), given(B), given(C), P is A * B, R is P + C.",
            ),
            seen=(
                "{who} has {x} {heaps} with {y} {things} each and finds {z} more. How many {things} are there?",
                "There are {x} {heaps} of {y} {things} and {z} single ones. How many {things} is that?",
                "{who} fills {x} {heaps} with {y} {things} each and keeps {z} more. How many {things} is that?",
                "On a table are {x} {heaps} with {y} {things} in each; {who} puts {z} {things} beside them. Count the {things}.",
                "{who} sells {x} {heaps} of {y} {things}, then {z} {things} more. How many {things} are sold?",
            ),
            unseen=(
                "{who} owns {x} {heaps} holding {y} {things} each and adds {z}. How many {things} now?",
                "{who} buys {x} {heaps}, each with {y} {things}, and gets {z} extra. How many {things} now?",
            ),
        ),
    )

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """Sums up to 30, as in the special families."""
        heaps, each, rest = rng.randint(2, 6), rng.randint(3, 8), rng.randint(2, 9)
        if heaps * each + rest > 30:
            return None
        return Problem(
            self.name, form, numbers=(heaps, each, rest), extra=(rng.choice(_WHO), *rng.choice(_THINGS))
        )  # fmt: skip

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Two equations."""
        heaps, each, rest = problem.numbers
        return chain(heaps, ("x", each), ("+", rest))

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """Numbers `x`, `y`, `z`, `who`, `heaps` and `things`."""
        return dict(zip("xyz", map(str, problem.numbers), strict=True)) | dict(
            zip(("who", "heaps", "things"), problem.extra, strict=True)
        )


class Sums(General):
    """Additions in a row, and two products to be added: the arithmetic of the other families without their words."""

    name = "sums"
    forms = (
        Form(
            "row",
            Rule(
                text="If several numbers are added, add the first two, then each next one to what came out.",
                clause="sum(P, R) :- sum(Q, S), P is Q + 1, term(P, N), R is S + N. sum(0, 0).",
            ),
            seen=("What is {a} + {b} + {c} + {d}?", "Add: {a} + {b} + {c} + {d}", "{a} + {b} + {c} + {d} makes what?"),
            unseen=("Work out {a} + {b} + {c} + {d}.", "Find the value of {a} + {b} + {c} + {d}."),
        ),
        Form(
            "products",
            Rule(
                text="If products are added, multiply first, then add.",
                clause="products(A, B, C, D, R) :- given(A), given(B), given(C), given(D), "
                "P is A * B, Q is C * D, R is P + Q.",
            ),
            seen=("What is {a} x {b} + {c} x {d}?", "Add: {a} x {b} + {c} x {d}", "{a} x {b} + {c} x {d} makes what?"),
            unseen=("Work out {a} x {b} + {c} x {d}.", "Find the value of {a} x {b} + {c} x {d}."),
        ),
    )

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """Sums up to 30, as in the special families."""
        bounds = (20, 9, 9, 9) if form == "row" else (9, 9, 9, 9)
        a, b, c, d = numbers = tuple(rng.randint(2, bound) for bound in bounds)
        total = sum(numbers) if form == "row" else a * b + c * d
        return Problem(self.name, form, numbers=numbers) if total <= 30 else None

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """One equation a step."""
        first, *others = problem.numbers
        if problem.form == "row":
            return chain(first, *(("+", number) for number in others))
        steps, products = zip(
            *(equation(a, "x", b) for a, b in (problem.numbers[:2], problem.numbers[2:])), strict=True
        )
        added = chain(products[0], ("+", products[1]))
        return Work((*steps, *added.steps), added.answer)

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """Numbers `a` to `d`."""
        return dict(zip("abcd", map(str, problem.numbers), strict=True))

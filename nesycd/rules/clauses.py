"""Horn clauses as frozen values, and their text (`docs/rules.md`). Knows neither parser nor engine.

Texts (entity names) are compared as everywhere in the knowledge base: case and white space do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from nesycd.core.text import normal

RESERVED = frozenset({"not", "is", "mod"})
COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
"""`is` reads as `=`."""
SUMS, PRODUCTS = ("+", "-"), ("*", "/", "//", "mod")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}

Signature = tuple[str, int]
"""A predicate with its number of arguments."""


@dataclass(frozen=True)
class Variable:
    """`X`; `_` stands for another variable in each place."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Constant:
    """A text or a number; a number without a fraction is an `int`."""

    value: str | int | Decimal

    def __str__(self) -> str:
        if not isinstance(self.value, str):
            return f"{self.value:f}" if isinstance(self.value, Decimal) else str(self.value)
        if re.fullmatch(r"[a-z][a-z0-9_]*", self.value) and self.value not in RESERVED:
            return self.value
        return '"' + "".join(_ESCAPES.get(char, char) for char in self.value) + '"'

    @cached_property
    def key(self) -> str | int | Decimal:
        """Equal constants, and only they, have the same key."""
        return normal(self.value) if isinstance(self.value, str) else self.value


@dataclass(frozen=True)
class Calculation:
    """`left operator right`, with an operator of `SUMS` or `PRODUCTS`."""

    operator: str
    left: Term
    right: Term

    def __str__(self) -> str:
        sides = (f"({side})" if isinstance(side, Calculation) else str(side) for side in (self.left, self.right))
        return f" {self.operator} ".join(sides)


Term = Variable | Constant | Calculation


@dataclass(frozen=True)
class Atom:
    """`predicate(term, ...)`. Only a head may hold calculations."""

    predicate: str
    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        return f"{self.predicate}({', '.join(map(str, self.terms))})" if self.terms else self.predicate

    @property
    def signature(self) -> Signature:
        """Predicate and number of arguments."""
        return self.predicate, len(self.terms)

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Of an atom without variables: equal ones, and only they, have the same key."""
        return self.predicate, *(term.key for term in self.terms if isinstance(term, Constant))


@dataclass(frozen=True)
class Negated:
    """`not atom`: nothing says so."""

    atom: Atom

    def __str__(self) -> str:
        return f"not {self.atom}"


@dataclass(frozen=True)
class Comparison:
    """`left operator right`, with an operator of `COMPARISONS`; `=` and `is` give a variable its value."""

    operator: str
    left: Term
    right: Term

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right}"


Literal = Atom | Negated | Comparison


FALSE = Atom("false")
"""What a constraint concludes: its conditions must never hold together. `:- body.` is short for `false :- body.`"""


@dataclass(frozen=True)
class Clause:
    """`head :- body.`; without a body a fact, with the head `false` a constraint."""

    head: Atom
    body: tuple[Literal, ...] = ()

    @property
    def is_constraint(self) -> bool:
        """Whether it concludes nothing, but says what must not be."""
        return self.head == FALSE

    def __str__(self) -> str:
        if self.is_constraint and self.body:
            return f":- {', '.join(map(str, self.body))}."
        return f"{self.head} :- {', '.join(map(str, self.body))}." if self.body else f"{self.head}."


def variables(part: Literal | Term) -> Iterator[str]:
    """Names of the variables in a part of a clause, from left to right, repeated ones too; `_` is left out."""
    if isinstance(part, Variable):
        if part.name != "_":
            yield part.name
    elif isinstance(part, Calculation | Comparison):
        yield from variables(part.left)
        yield from variables(part.right)
    elif isinstance(part, Negated):
        yield from variables(part.atom)
    elif isinstance(part, Atom):
        for term in part.terms:
            yield from variables(term)


def clause_variables(clause: Clause) -> tuple[str, ...]:
    """Each of a clause's variables once, head first."""
    return tuple(dict.fromkeys(name for part in (clause.head, *clause.body) for name in variables(part)))


def predicate_of(relation: str) -> str:
    """The predicate of a fact's relation: `Place of birth` is `place_of_birth`; "" where nothing of it can be named."""
    name = re.sub(r"\W+", "_", normal(relation)).strip("_")
    name = name if name.isidentifier() else re.sub(r"[^a-z0-9_]+", "_", name).strip("_")
    taken = RESERVED | {FALSE.predicate}
    return name if not name or (name.isidentifier() and name not in taken) else f"r_{name}"


def number(text: str) -> int | Decimal | None:
    """The number that a whole text is: `12`, `-3`, `2.50`, `1,200`; None where it is none, or too long to be one."""
    if len(text) > 30 or not re.fullmatch(r"-?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?", text):
        return None
    return tidy_number(Decimal(text.replace(",", "")))


def tidy_number(value: int | Decimal) -> int | Decimal:
    """The same number as an `int` where it has no fraction, else without closing zeros."""
    return int(value) if value == int(value) else value.normalize() if isinstance(value, Decimal) else value

"""Horn clauses as frozen values, and their text (`docs/rules.md`). Knows neither parser nor engine.

Texts (entity names) are compared as everywhere in the knowledge base: case and white space do not count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeVar

from nesycd.core.text import normal

RESERVED = frozenset({"not", "is", "mod"})
COMPARISONS = ("=", "!=", "<", "<=", ">", ">=", "in")
"""`is` reads as `=`; `in`: a number or date lies in the range that a text states (`ranges`)."""
SUMS, PRODUCTS = ("+", "-"), ("*", "/", "//", "mod")
FUNCTIONS = {"abs": (1, 1), "ceil": (1, 1), "floor": (1, 1), "round": (1, 2), "min": (2, 12), "max": (2, 12),
             "weekday": (1, 1), "day": (1, 1), "month": (1, 1), "year": (1, 1)}  # fmt: skip
"""What may be called, with the fewest and the most arguments."""
AGGREGATES = ("count", "sum", "min", "max", "avg")
UNITS = ("days", "weeks", "months", "years")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
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
    """A text, a number or a date; a number without a fraction is an `int`."""

    value: str | int | Decimal | date
    written: str = field(default="", compare=False)
    """How a date was written, where not as `2026-11-30`."""

    def __str__(self) -> str:
        if not isinstance(self.value, str):
            return f"{self.value:f}" if isinstance(self.value, Decimal) else str(self.value)
        if re.fullmatch(r"[a-z][a-z0-9_]*", self.value) and self.value not in RESERVED:
            return self.value
        return '"' + "".join(_ESCAPES.get(char, char) for char in self.value) + '"'

    @property
    def is_number(self) -> bool:
        """Whether it is neither a text nor a date."""
        return isinstance(self.value, int | Decimal)

    @cached_property
    def key(self) -> str | int | Decimal | date:
        """Equal constants, and only they, have the same key."""
        return normal(self.value) if isinstance(self.value, str) else self.value


@dataclass(frozen=True)
class Calculation:
    """`left operator right`, with an operator of `SUMS` or `PRODUCTS`."""

    operator: str
    left: Term
    right: Term

    def __str__(self) -> str:
        return f" {self.operator} ".join((_bracketed(self.left), _bracketed(self.right)))


@dataclass(frozen=True)
class Duration:
    """`30 days`: what is added to a date or taken from it; `unit` is one of `UNITS`."""

    amount: Term
    unit: str

    def __str__(self) -> str:
        return f"{_bracketed(self.amount)} {self.unit}"


@dataclass(frozen=True)
class Call:
    """`round(X, 2)`, with a function of `FUNCTIONS`."""

    function: str
    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.terms))})"


@dataclass(frozen=True)
class Aggregate:
    """`sum(W, B : bag(P, B), weight(B, W))`, with a function of `AGGREGATES`, over all ways in which `body` holds.

    An element is a tuple of `terms`, the first of which is what is added or compared. Where a sum or an average has one term
    only, all variables of the body tell elements apart (`docs/rules.md`).
    """

    function: str
    terms: tuple[Term, ...]
    body: tuple[Literal, ...]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.terms))} : {', '.join(map(str, self.body))})"


def _bracketed(side: Term) -> str:
    return f"({side})" if isinstance(side, Calculation) else str(side)


Term = Variable | Constant | Calculation | Duration | Call | Aggregate


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
    otherwise: tuple[int, ...] | None = None
    """Of a default: the places of the arguments (from 0) for which it holds only where nothing else concludes the same."""

    @property
    def is_constraint(self) -> bool:
        """Whether it concludes nothing, but says what must not be."""
        return self.head == FALSE

    @property
    def is_horn(self) -> bool:
        """Whether it is no default, and has nothing but atoms, `not`, comparisons and sums of texts and numbers."""

        def is_plain(part: Literal | Term) -> bool:
            match part:
                case Aggregate() | Call() | Duration() | Comparison("in"):
                    return False
                case Constant():
                    return not isinstance(part.value, date)
                case _:
                    return all(map(is_plain, parts_of(part)))

        return self.otherwise is None and all(map(is_plain, (self.head, *self.body)))

    def __str__(self) -> str:
        if self.is_constraint and self.body:
            return f":- {', '.join(map(str, self.body))}."
        told = f"{self.head} :- {', '.join(map(str, self.body))}." if self.body else f"{self.head}."
        if self.otherwise is None:
            return told
        names = [str(self.head.terms[place]) for place in self.otherwise]
        usual = self.otherwise == tuple(range(len(self.head.terms) - 1))
        return f"otherwise {told}" if usual else f"otherwise for {', '.join(names)}: {told}"


def parts_of(part: Literal | Term) -> tuple[Literal | Term, ...]:
    """What a part of a clause consists of, one level down, from left to right."""
    match part:
        case Calculation() | Comparison():
            return part.left, part.right
        case Negated():
            return (part.atom,)
        case Atom() | Call():
            return part.terms
        case Duration():
            return (part.amount,)
        case Aggregate():
            return *part.terms, *part.body
        case _:
            return ()


def variables(part: Literal | Term) -> Iterator[str]:
    """Names of the variables in a part of a clause, from left to right, repeated ones too; `_` is left out.

    Those within an aggregate are left out: they are its own, unless they also stand outside of it (`within`).
    """
    if isinstance(part, Variable):
        if part.name != "_":
            yield part.name
    elif not isinstance(part, Aggregate):
        for inner in parts_of(part):
            yield from variables(inner)


def within(aggregate: Aggregate) -> tuple[str, ...]:
    """Each variable within an aggregate once, its own and others."""
    return tuple(dict.fromkeys(name for part in parts_of(aggregate) for name in variables(part)))


def aggregates(part: Literal | Term) -> Iterator[Aggregate]:
    """The aggregates in a part of a clause, from left to right."""
    if isinstance(part, Aggregate):
        yield part
    else:
        for inner in parts_of(part):
            yield from aggregates(inner)


def mapped(term: Term, change: Callable[[Term], Term]) -> Term:
    """A term with each term directly in it changed; an aggregate and what is not calculated as they are."""
    match term:
        case Calculation(operator, left, right):
            return Calculation(operator, change(left), change(right))
        case Duration(amount, unit):
            return Duration(change(amount), unit)
        case Call(function, terms):
            return Call(function, tuple(map(change, terms)))
        case _:
            return term


Part = TypeVar("Part", Literal, Term, Atom, Aggregate)


def filled(part: Part, values: Mapping[str, Term]) -> Part:
    """A part of a clause with values for variables; those without one stay."""

    def term(one: Term) -> Term:
        return literal(one) if isinstance(one, Variable | Aggregate) else mapped(one, term)

    def literal(one: Any) -> Any:
        match one:
            case Variable():
                return values.get(one.name, one)
            case Atom():
                return Atom(one.predicate, tuple(map(term, one.terms)))
            case Negated():
                return Negated(literal(one.atom))
            case Comparison():
                return Comparison(one.operator, term(one.left), term(one.right))
            case Aggregate():
                return Aggregate(one.function, tuple(map(term, one.terms)), tuple(map(literal, one.body)))
            case _:
                return term(one)

    return literal(part)  # type: ignore[no-any-return]


_ANOTHER = re.compile(r"another (.+)/([0-9]+) for([0-9 ]*)")


def another(atom: Atom, places: tuple[int, ...]) -> Atom:
    """What holds where something that is no default concludes an atom with the same arguments at these places (from 0)."""
    name = f"another {atom.predicate}/{len(atom.terms)} for {' '.join(str(place + 1) for place in places)}".strip()
    return Atom(name, tuple(atom.terms[place] for place in places))


def another_of(predicate: str) -> tuple[Signature, tuple[int, ...]] | None:
    """Of which predicate, and of which places of it, an atom of `another` tells; None for all other predicates."""
    match = _ANOTHER.fullmatch(predicate)
    return match and ((match[1], int(match[2])), tuple(int(place) - 1 for place in match[3].split()))


def is_calculated(term: Term) -> bool:
    """Whether its value is calculated rather than written or found."""
    return not isinstance(term, Variable | Constant)


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

"""Clauses as clingo reads them, and what clingo found as firings of clauses. Starts no process.

Clause k becomes `fk(values) :- body.` and `head :- fk(values).` An aggregate j gets a clause of its own for its elements,
`ej(shared values, element)`; a clause that uses it is run in a later part, in which `@aggregate(j, shared values)` is what
the elements come to. Nothing of a clause's or fact's text is sent: predicates and texts are numbered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from nesycd.rules.checks import shared
from nesycd.rules.clauses import (
    SUMS,
    WEEKDAYS,
    Aggregate,
    Atom,
    Calculation,
    Call,
    Clause,
    Comparison,
    Constant,
    Duration,
    Literal,
    Negated,
    Signature,
    Term,
    Variable,
    aggregates,
    another_of,
    clause_variables,
    filled,
    is_calculated,
    mapped,
    tidy_number,
    variables,
    within,
)
from nesycd.rules.values import written_range

_FUNCTIONS = {"+": "plus", "-": "minus", "*": "times", "/": "quotient", "//": "whole", "mod": "rest"}
_COMPARING = {"<": "less", ">": "less", "<=": "at_most", ">=": "at_most", "!=": "differ", "in": "inside"}
_SMALL = 2**31
_DAYS = {name.lower(): number for number, name in enumerate(WEEKDAYS, start=1)}
_ELEMENT = "element "
"""Begins the predicates of aggregates' elements; no predicate in a clause's text holds a blank."""


@dataclass(frozen=True)
class Gathered:
    """What an aggregate of a firing came to: `told`, with the clause's values in it, over the needs from `first` to `end`."""

    told: str
    value: Constant
    first: int
    end: int


@dataclass(frozen=True)
class Firing:
    """A clause with values for its variables: `head` holds since all of `needs` do and none of `absent` does."""

    clause: int
    head: Atom
    needs: tuple[Atom, ...]
    """Conditions, then the elements of aggregates, which have firings of their own (`is_element`)."""
    absent: tuple[Atom, ...]
    """May hold `_`."""
    gathered: tuple[Gathered, ...] = ()


def is_element(atom: Atom) -> bool:
    """Whether it is no conclusion of a clause, but an element of an aggregate in one."""
    return atom.predicate.startswith(_ELEMENT)


@dataclass(frozen=True)
class _Elements:
    """The elements of an aggregate: `head` is `element j(shared values, element)`."""

    aggregate: Aggregate
    head: Atom
    shared: tuple[str, ...]


@dataclass(frozen=True)
class _Fetch:
    """A condition that gives a variable what an aggregate comes to."""

    variable: Variable
    elements: int


@dataclass(frozen=True)
class _Plain:
    """A clause without aggregates, without calculations in its head, with names for what stands as `_` in conditions."""

    number: int
    """Of the clause it was made of."""
    head: Atom
    body: tuple[Literal, ...]
    needs: tuple[Literal, ...]
    """The part of the body that a firing tells of."""
    names: tuple[str, ...]
    fetched: tuple[_Fetch, ...] = ()
    values: tuple[Comparison, ...] = ()
    """Calculations of an element; one that has no value leaves the aggregate without one."""
    elements: int | None = None
    """Of which aggregate these are the elements."""


class Symbols:
    """The texts of one call, numbered, and how dates were written in it."""

    def __init__(self, before: Symbols | None = None) -> None:
        """Begin with those `before`, which stay as they are."""
        self.numbers: dict[str, int] = {} if before is None else before.numbers.copy()
        self._constants: list[Constant] = [] if before is None else before._constants.copy()
        self._written: dict[date, Constant] = {} if before is None else before._written.copy()
        self._before = {*self.numbers}
        """Texts whose spelling is that of a clause; a fact's is preferred."""

    def name(self, term: Constant) -> str:
        """A constant as clingo reads it."""
        key = term.key
        if isinstance(key, str):
            if key in _DAYS:
                return f"w{_DAYS[key]}"
            if key not in self.numbers:
                self.numbers[key] = len(self._constants)
                self._constants.append(term)
            elif key in self._before:
                self._before.remove(key)
                self._constants[self.numbers[key]] = term
            return f"c{self.numbers[key]}"
        if isinstance(key, date):
            self._written.setdefault(key, term)
            return f"d({key.toordinal()})"
        return str(key) if isinstance(key, int) and -_SMALL < key < _SMALL else f'"{key:f}"'

    def constant(self, value: int | str) -> Constant:
        """What clingo told as a constant."""
        if isinstance(value, int):
            return Constant(value)
        match value[0]:
            case "c":
                return self._constants[int(value[1:])]
            case "d":
                day = date.fromordinal(int(value[1:]))
                return self._written.get(day) or Constant(day)
            case "w":
                return Constant(WEEKDAYS[int(value[1:]) - 1])
            case "n":
                return Constant("no value")
            case _:
                return Constant(tidy_number(Decimal(value)))


@dataclass(frozen=True)
class Request:
    """What the process is sent, the symbols in it, and the numbers of the clauses that may fire."""

    body: dict[str, Any]
    symbols: Symbols
    clauses: tuple[int, ...]


class Program:
    """Clauses compiled, for any number of calls."""

    def __init__(self, clauses: Sequence[Clause]) -> None:
        self._elements: list[_Elements] = []
        self._plain: list[_Plain] = []
        for number, clause in enumerate(clauses):
            self._compile(number, clause)
        self._predicates: dict[Signature, str] = {}
        for plain in self._plain:
            for atom in (plain.head, *_atoms(plain.body)):
                self._predicates.setdefault(atom.signature, f"p{len(self._predicates)}")
        needed = dict.fromkeys(atom.signature for plain in self._plain for atom in _atoms(plain.body))
        self._needed = frozenset(needed)
        self._others: dict[Signature, list[tuple[Signature, tuple[int, ...]]]] = {}
        for one in needed:
            if (of := another_of(one[0])) is not None:
                self._others.setdefault(of[0], []).append((one, of[1]))
        self._with_ranges = any(part.operator == "in" for plain in self._plain for part in _comparisons(plain.body))
        self._level = self._levels()
        self._symbols = Symbols()
        self._lines = [self._text(number, plain) for number, plain in enumerate(self._plain)]
        self._conditions = [{part.signature for part in plain.body if isinstance(part, Atom)} for plain in self._plain]

    def request(self, facts: Iterable[Atom]) -> Request:
        """What the process is sent: parts in their order, each with the aggregates that are complete before it.

        Clauses that lack a fact or clause for some condition are left out: they could not fire.
        """
        symbols = Symbols(self._symbols)
        count = 1 + max(self._level.values(), default=0)
        parts: list[list[str]] = [[] for _ in range(count)]
        there: set[Signature] = set()
        for fact in facts:
            signature = fact.signature
            if signature in self._needed:
                there.add(signature)
                parts[self._level.get(signature, 0)].append(f"{self._atom(fact, symbols)}.")
            for one, places in self._others.get(signature, ()):
                other = Atom(one[0], tuple(fact.terms[place] for place in places))
                parts[self._level.get(one, 0)].append(f"{self._atom(other, symbols)}.")
        sent = sorted(self._that_can_fire(there))
        for number in sent:
            parts[self._level[self._plain[number].head.signature]].append(self._lines[number])
        asked: list[list[list[Any]]] = [[] for _ in range(count)]
        for number, elements in enumerate(self._elements):
            name, size = self._predicates[elements.head.signature], len(elements.head.terms)
            row = [number, elements.aggregate.function, name, size, len(elements.shared)]
            asked[self._level[elements.head.signature] + 1].append(row)
        made = [{"text": "\n".join(part), "aggregates": rows} for part, rows in zip(parts, asked, strict=True)]
        body = {"parts": made, "ranges": self._ranges(symbols)}
        return Request(body, symbols, tuple(dict.fromkeys(self._plain[number].number for number in sent)))

    def firings(self, rows: Iterable[Sequence[Any]], symbols: Symbols) -> list[Firing]:
        """What the process found, in a fixed order."""
        told = sorted(rows, key=lambda row: (row[0], [(isinstance(v, str), v) for v in row[1:]]))
        groups: dict[tuple[Any, ...], dict[tuple[Any, ...], Atom]] = {}
        made: list[tuple[_Plain, dict[str, Constant], Atom]] = []
        for row in told:
            plain = self._plain[row[0]]
            values = dict(zip(plain.names, map(symbols.constant, row[1:]), strict=True))
            head = filled(plain.head, values)
            made.append((plain, values, head))
            if plain.elements is not None:
                group = (plain.elements, *head.key[1 : 1 + len(self._elements[plain.elements].shared)])
                groups.setdefault(group, {}).setdefault(head.key, head)
        return [self._firing(plain, values, head, groups) for plain, values, head in made]

    def _firing(
        self,
        plain: _Plain,
        values: dict[str, Constant],
        head: Atom,
        groups: dict[tuple[Any, ...], dict[tuple[Any, ...], Atom]],
    ) -> Firing:
        needs = [filled(part, values) for part in plain.needs if isinstance(part, Atom)]
        absent = tuple(filled(part.atom, values) for part in plain.needs if isinstance(part, Negated))
        gathered = []
        for fetch in plain.fetched:
            one = self._elements[fetch.elements]
            key = (fetch.elements, *(values[name].key for name in one.shared))
            found = list(groups.get(key, {}).values())
            told = str(filled(one.aggregate, values))
            gathered.append(Gathered(told, values[fetch.variable.name], len(needs), len(needs) + len(found)))
            needs += found
        return Firing(plain.number, head, tuple(needs), absent, tuple(gathered))

    # --- compiling ----------------------------------------------------------------------------------------------------

    def _compile(self, number: int, clause: Clause) -> None:
        fresh = _Fresh()
        fetched: list[_Fetch] = []
        outside = _without_aggregates(clause.body)

        def without(term: Term) -> Term:
            """The term with a variable in the place of each aggregate."""
            if isinstance(term, Aggregate):
                variable = fresh.variable()
                fetched.append(_Fetch(variable, len(self._elements)))
                self._gather(number, term, clause, outside)
                return variable
            return mapped(term, without)

        body: list[Literal] = []
        for part in clause.body:
            if isinstance(part, Comparison):
                body.append(Comparison(part.operator, without(part.left), without(part.right)))
            else:
                body.append(fresh.named(part))
        terms: list[Term] = []
        for term in clause.head.terms:
            terms.append(fresh.variable() if is_calculated(term) else term)
            if is_calculated(term):
                body.append(Comparison("=", terms[-1], term))
        head = Atom(clause.head.predicate, tuple(terms))
        names = clause_variables(Clause(head, tuple(body)))
        names = tuple(dict.fromkeys((*names, *(one.variable.name for one in fetched))))
        self._plain.append(_Plain(number, head, tuple(body), tuple(body), names, tuple(fetched)))

    def _gather(self, number: int, one: Aggregate, clause: Clause, outside: tuple[Literal, ...]) -> None:
        """Add the clause of an aggregate's elements; values that it does not bind come from the conditions around it."""
        fresh = _Fresh()
        body = tuple(map(fresh.named, one.body))
        common = shared(one, clause)
        own = {name for part in body if isinstance(part, Atom) for name in clause_variables(Clause(part))}
        around = () if own.issuperset(common) else tuple(p for p in outside if not isinstance(p, Negated))
        terms: list[Term] = list(one.terms)
        if one.function in ("sum", "avg") and len(terms) == 1:
            terms += [Variable(name) for name in within(one) if name not in common]
        values: list[Comparison] = []
        for place, term in enumerate(terms):
            if is_calculated(term):
                values.append(Comparison("=", fresh.variable(), term))
                terms[place] = values[-1].left
        count = len(self._elements)
        head = Atom(f"{_ELEMENT}{count}", (*map(Variable, common), *terms))
        whole = (*body, *(fresh.named(part) for part in around))
        self._elements.append(_Elements(one, head, common))
        names = clause_variables(Clause(head, (*whole, *values)))
        self._plain.append(_Plain(number, head, whole, body, names, values=tuple(values), elements=count))

    def _levels(self) -> dict[Signature, int]:
        """The part of the program in which each predicate is concluded: after the elements of all that it aggregates."""
        level = {plain.head.signature: 0 for plain in self._plain}
        growing = True
        while growing:
            growing = False
            for plain in self._plain:
                after = [level.get(atom.signature, 0) for atom in _atoms(plain.body)]
                after += [1 + level[self._elements[one.elements].head.signature] for one in plain.fetched]
                if max(after, default=0) > level[plain.head.signature]:
                    level[plain.head.signature] = max(after)
                    growing = True
                    assert max(after) <= len(self._elements), "clauses are stratified (`checks.check_stratified`)"
        return level

    def _that_can_fire(self, there: set[Signature]) -> list[int]:
        """Numbers of the clauses each of whose conditions is a fact or concluded by such a clause; `there` takes the latter."""
        found: list[int] = []
        waiting = list(range(len(self._plain)))
        growing = True
        while growing:
            later = []
            for number in waiting:
                if self._conditions[number] <= there:
                    there.add(self._plain[number].head.signature)
                    found.append(number)
                else:
                    later.append(number)
            growing = len(later) < len(waiting)
            waiting = later
        return found

    # --- text ---------------------------------------------------------------------------------------------------------

    def _text(self, number: int, plain: _Plain) -> str:
        names = {name: f"V{place}" for place, name in enumerate(plain.names)}
        fired = f"f{number}({','.join(names.values())})" if names else f"f{number}"
        body = [self._literal(part, names) for part in plain.body]
        body += [f"{names[str(one.left)]}={self._term(one.right, names, strict=True)}" for one in plain.values]
        for one in plain.fetched:
            given = [str(one.elements), *(names[name] for name in self._elements[one.elements].shared)]
            body.append(f"{names[one.variable.name]}=@aggregate({','.join(given)})")
        fires = f"{fired} :- {','.join(body)}." if body else f"{fired}."
        return f"{fires}\n{self._atom(plain.head, self._symbols, names)} :- {fired}."

    def _atom(self, atom: Atom, symbols: Symbols, names: dict[str, str] | None = None) -> str:
        predicate = self._predicates[atom.signature]
        terms = ",".join(
            symbols.name(term) if isinstance(term, Constant) else self._term(term, names or {}) for term in atom.terms
        )
        return f"{predicate}({terms})" if terms else predicate

    def _term(self, term: Term, names: dict[str, str], strict: bool = False) -> str:
        """`strict`: what has no value is told as such, rather than that nothing holds."""

        def called(function: str, *terms: Term) -> str:
            listed = [self._term(one, names, strict) for one in terms]
            return f"@{function}({','.join([str(int(strict)), *listed])})"

        match term:
            case Variable():
                return names.get(term.name, "_")
            case Calculation(operator, left, Duration(amount, unit)) if operator in SUMS:
                days = unit in ("days", "weeks")
                size = {"weeks": 7, "years": 12}.get(unit, 1) * (1 if operator == "+" else -1)
                return called("later" if days else "months_later", left, amount, Constant(size))
            case Calculation():
                return called(_FUNCTIONS[term.operator], term.left, term.right)
            case Call():
                return called(f"{term.function}_of", *term.terms)
            case Constant():
                return self._symbols.name(term)
            case _:
                raise AssertionError(f"{term} stands where no clause's text can have it")

    def _literal(self, part: Literal, names: dict[str, str]) -> str:
        if isinstance(part, Atom):
            return self._atom(part, self._symbols, names)
        if isinstance(part, Negated):
            return f"not {self._atom(part.atom, self._symbols, names)}"
        left, right = self._term(part.left, names), self._term(part.right, names)
        if part.operator == "=":
            # clingo takes a value from the right side only.
            return f"{right}={left}" if isinstance(part.right, Variable) else f"{left}={right}"
        if part.operator in (">", ">="):
            left, right = right, left
        return f"1=@{_COMPARING[part.operator]}({left},{right})"

    def _ranges(self, symbols: Symbols) -> dict[str, list[Any]]:
        """The ranges that texts state, where some clause looks for one: ends as the process reads numbers, or null."""
        if not self._with_ranges:
            return {}
        found: dict[str, list[Any]] = {}
        for key, number in symbols.numbers.items():
            one = written_range(key)
            if one is not None:
                found[f"c{number}"] = [_end(one.low), one.with_low, _end(one.high), one.with_high]
        return found


def _end(end: int | Decimal | date | None) -> str | None:
    if end is None:
        return None
    return f"d{end.toordinal()}" if isinstance(end, date) else f"{Decimal(end):f}"


class _Fresh:
    """Variables that no clause's text can name."""

    def __init__(self) -> None:
        self._count = 0

    def variable(self) -> Variable:
        self._count += 1
        return Variable(f"_{self._count} ")  # no text of a variable ends with a blank

    def named(self, part: Literal) -> Literal:
        """An atom with a name for each `_`, so that a firing tells what it stood for; other conditions as they are."""
        if not isinstance(part, Atom):
            return part
        return Atom(part.predicate, tuple(self.variable() if one == Variable("_") else one for one in part.terms))


def _without_aggregates(body: Sequence[Literal]) -> tuple[Literal, ...]:
    """The conditions that hold no aggregate and need the value of none."""
    plain = [part for part in body if not any(True for _ in aggregates(part))]
    bound = {name for part in plain if isinstance(part, Atom) for name in variables(part)}
    growing = True
    while growing:
        growing = False
        for part in plain:
            if isinstance(part, Comparison) and part.operator == "=":
                for one, other in ((part.left, part.right), (part.right, part.left)):
                    if isinstance(one, Variable) and one.name not in bound and bound.issuperset(variables(other)):
                        bound.add(one.name)
                        growing = True
    return tuple(part for part in plain if bound.issuperset(variables(part)))


def _atoms(body: Iterable[Literal]) -> Iterator[Atom]:
    for part in body:
        if isinstance(part, Atom):
            yield part
        elif isinstance(part, Negated):
            yield part.atom


def _comparisons(body: Iterable[Literal]) -> Iterator[Comparison]:
    return (part for part in body if isinstance(part, Comparison))

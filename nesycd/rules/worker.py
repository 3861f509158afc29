"""The process in which clingo runs: a program a line on standard input, what its clauses came to on standard output.

A program of its own that imports nothing of nesycd, so that it starts fast. Within its limits it stops itself: by a timer
of the system that counts computing and that no loop holds up, by the memory it may have, and by counting what clingo makes.

Values: small integers are clingo's own; other numbers are strings of digits; dates are `d(days)`; texts are symbols `c0`, `c1`,
... of which only the caller knows what they mean, but for the days of the week, `w1` to `w7`.
"""

from __future__ import annotations

import json
import signal
import sys
from calendar import monthrange
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from typing import Any

import clingo

SMALL = 2**31
EXACT = Context(prec=30)
EXACT_ONLY = Context(prec=30, traps=[DivisionByZero, Inexact, InvalidOperation, Overflow])
QUOTIENT = Context(prec=15)
"""Sums and products keep 30 digits, quotients that do not end 15."""


class TooMany(Exception):
    """More was made than is allowed."""


Value = int | Decimal | date
NONE = clingo.Function("none")
"""What a calculation that has no value comes to within an aggregate, which then has none either."""


class Functions:
    """What clauses may calculate. A result that does not exist (a division by 0, a sum of texts) gives no value.

    Calculations take first whether they must give something (`NONE` where there is no value).
    """

    def __init__(self, ranges: dict[str, list[Any]]) -> None:
        self._ranges = {name: (_end(row[0]), row[1], _end(row[2]), row[3]) for name, row in ranges.items()}
        self._gathered: dict[int, tuple[str, dict[tuple[clingo.Symbol, ...], list[clingo.Symbol]]]] = {}

    def plus(self, strict: clingo.Symbol, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a + b."""
        return _calculated(strict, lambda x, y: EXACT.add(_decimal(x), _decimal(y)), a, b)

    def minus(self, strict: clingo.Symbol, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a - b; of two dates the days between them."""
        return _calculated(strict, _difference, a, b)

    def times(self, strict: clingo.Symbol, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a * b."""
        return _calculated(strict, lambda x, y: EXACT.multiply(_decimal(x), _decimal(y)), a, b)

    def quotient(self, strict: clingo.Symbol, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a / b."""
        return _calculated(strict, _quotient, a, b)

    def whole(self, strict: clingo.Symbol, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a // b, rounded down."""
        return _calculated(strict, lambda x, y: _whole(x) // _whole(y), a, b)

    def rest(self, strict: clingo.Symbol, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a mod b, with the sign of b."""
        return _calculated(strict, lambda x, y: _whole(x) % _whole(y), a, b)

    def later(
        self, strict: clingo.Symbol, day: clingo.Symbol, count: clingo.Symbol, size: clingo.Symbol
    ) -> list[clingo.Symbol]:
        """The date that is `count` times `size` days after a date."""
        return _calculated(strict, lambda d, n, s: _day(d) + timedelta(days=_whole(n) * _whole(s)), day, count, size)

    def months_later(
        self, strict: clingo.Symbol, day: clingo.Symbol, count: clingo.Symbol, size: clingo.Symbol
    ) -> list[clingo.Symbol]:
        """The same day `count` times `size` months on, or that month's last day where it is too short."""
        return _calculated(strict, lambda d, n, s: _months_later(_day(d), _whole(n) * _whole(s)), day, count, size)

    def abs_of(self, strict: clingo.Symbol, a: clingo.Symbol) -> list[clingo.Symbol]:
        """The number without its sign."""
        return _calculated(strict, lambda x: _decimal(x).copy_abs(), a)

    def ceil_of(self, strict: clingo.Symbol, a: clingo.Symbol) -> list[clingo.Symbol]:
        """The next whole number up."""
        return _calculated(strict, lambda x: _decimal(x).to_integral_value(ROUND_CEILING), a)

    def floor_of(self, strict: clingo.Symbol, a: clingo.Symbol) -> list[clingo.Symbol]:
        """The next whole number down."""
        return _calculated(strict, lambda x: _decimal(x).to_integral_value(ROUND_FLOOR), a)

    def round_of(self, strict: clingo.Symbol, *given: clingo.Symbol) -> list[clingo.Symbol]:
        """A number rounded to so many decimal places (0), a half away from zero."""
        return _calculated(strict, _rounded, *given)

    def min_of(self, strict: clingo.Symbol, *given: clingo.Symbol) -> list[clingo.Symbol]:
        """The least of numbers, or of dates."""
        return _calculated(strict, lambda *values: min(_alike(values)), *given)

    def max_of(self, strict: clingo.Symbol, *given: clingo.Symbol) -> list[clingo.Symbol]:
        """The greatest of numbers, or of dates."""
        return _calculated(strict, lambda *values: max(_alike(values)), *given)

    def weekday_of(self, strict: clingo.Symbol, day: clingo.Symbol) -> list[clingo.Symbol]:
        """The day of the week: `w1` (Monday) to `w7`."""
        value = _value(day)
        if isinstance(value, date):
            return [clingo.Function(f"w{value.isoweekday()}")]
        return [NONE] if strict.number else []

    def day_of(self, strict: clingo.Symbol, day: clingo.Symbol) -> list[clingo.Symbol]:
        """The day of the month."""
        return _calculated(strict, lambda d: _day(d).day, day)

    def month_of(self, strict: clingo.Symbol, day: clingo.Symbol) -> list[clingo.Symbol]:
        """The month, 1 to 12."""
        return _calculated(strict, lambda d: _day(d).month, day)

    def year_of(self, strict: clingo.Symbol, day: clingo.Symbol) -> list[clingo.Symbol]:
        """The year."""
        return _calculated(strict, lambda d: _day(d).year, day)

    def less(self, a: clingo.Symbol, b: clingo.Symbol) -> clingo.Symbol:
        """1 where a < b, both being numbers or both dates."""
        return clingo.Number(int((order := _order(a, b)) is not None and order < 0))

    def at_most(self, a: clingo.Symbol, b: clingo.Symbol) -> clingo.Symbol:
        """1 where a <= b, both being numbers or both dates."""
        return clingo.Number(int((order := _order(a, b)) is not None and order <= 0))

    def differ(self, a: clingo.Symbol, b: clingo.Symbol) -> clingo.Symbol:
        """1 where a and b are not the same."""
        return clingo.Number(int(a != b))

    def inside(self, a: clingo.Symbol, text: clingo.Symbol) -> clingo.Symbol:
        """1 where a lies in the range that a text states; a number and a date state themselves."""
        value, itself = _value(a), _value(text)
        if value is None or itself is not None:
            return clingo.Number(int(value is not None and value == itself))
        low, with_low, high, with_high = self._ranges.get(str(text), (None, False, None, False))
        if (low is None and high is None) or not all(isinstance(end, date) == isinstance(value, date)
                                                   for end in (low, high) if end is not None):  # fmt: skip
            return clingo.Number(0)
        after = low is None or low < value or (with_low and low == value)  # type: ignore[operator]
        before = high is None or value < high or (with_high and value == high)  # type: ignore[operator]
        return clingo.Number(int(after and before))

    def gather(self, number: int, function: str, shared: int, elements: Iterable[Sequence[clingo.Symbol]]) -> None:
        """Take the elements of an aggregate: `shared` values that choose it, then its own, the first of which counts."""
        groups: dict[tuple[clingo.Symbol, ...], list[clingo.Symbol]] = {}
        for row in elements:
            groups.setdefault(tuple(row[:shared]), []).append(row[shared])
        self._gathered[number] = (function, groups)

    def aggregate(self, number: clingo.Symbol, *shared: clingo.Symbol) -> list[clingo.Symbol]:
        """What the elements come to for these shared values."""
        function, groups = self._gathered[number.number]
        found = groups.get(shared, [])
        if function == "count":
            return [clingo.Number(len(found))]
        values = [_value(one) for one in found]
        try:
            return [_symbol(_gathered(function, values))]
        except (ArithmeticError, ValueError, TypeError):
            return []


def _gathered(function: str, values: Sequence[Value | None]) -> Value:
    if function in ("min", "max"):
        least: Value = min(_alike(values)) if function == "min" else max(_alike(values))
        return least
    total = Decimal(0)
    for one in values:
        total = EXACT.add(total, _decimal(one))
    return total if function == "sum" else _quotient(total, len(values))


def _value(symbol: clingo.Symbol) -> Value | None:
    """A number or date; None for what is a text."""
    if symbol.type == clingo.SymbolType.Number:
        return int(symbol.number)
    if symbol.type == clingo.SymbolType.String:
        return Decimal(symbol.string)
    return date.fromordinal(symbol.arguments[0].number) if symbol.name == "d" and symbol.arguments else None


def _end(text: str | None) -> Value | None:
    if text is None:
        return None
    return date.fromordinal(int(text[1:])) if text.startswith("d") else Decimal(text)


def _symbol(value: Value) -> clingo.Symbol:
    if isinstance(value, date):
        return clingo.Function("d", [clingo.Number(value.toordinal())])
    exact = Decimal(value)
    if not exact.is_finite() or abs(exact.adjusted()) >= EXACT.prec:
        raise ValueError("too long")
    if exact == int(exact):
        whole = int(exact)
        return clingo.Number(whole) if -SMALL < whole < SMALL else clingo.String(str(whole))
    return clingo.String(f"{exact.normalize():f}")


def _calculated(strict: clingo.Symbol, function: Callable[..., Value], *given: clingo.Symbol) -> list[clingo.Symbol]:
    try:
        return [_symbol(function(*map(_value, given)))]
    except (ArithmeticError, ValueError, TypeError):  # DecimalException and OverflowError are of the first
        return [NONE] if strict.number else []


def _decimal(value: Value | None) -> Decimal:
    if value is None or isinstance(value, date):
        raise TypeError("no number")
    return Decimal(value)


def _whole(value: Value | None) -> int:
    number = _decimal(value)
    if number != int(number):
        raise ValueError("no whole number")
    return int(number)


def _day(value: Value | None) -> date:
    if not isinstance(value, date):
        raise TypeError("no date")
    return value


def _alike(values: Sequence[Value | None]) -> list[Any]:
    """Numbers only or dates only, one at least."""
    return (
        [_day(one) for one in values] if isinstance(values[0] if values else 0, date) else [_decimal(v) for v in values]
    )


def _order(a: clingo.Symbol, b: clingo.Symbol) -> int | None:
    """Below, at or above 0 as a is less than, equal to or greater than b; None where they cannot be compared."""
    left, right = _value(a), _value(b)
    if left is None or right is None or isinstance(left, date) != isinstance(right, date):
        return None
    return (left > right) - (left < right)  # type: ignore[operator]


def _difference(left: Value | None, right: Value | None) -> Value:
    if isinstance(left, date) and isinstance(right, date):
        return (left - right).days
    return EXACT.subtract(_decimal(left), _decimal(right))


def _quotient(left: Value | None, right: Value | None) -> Decimal:
    a, b = _decimal(left), _decimal(right)
    try:
        return EXACT_ONLY.divide(a, b)
    except Inexact:
        return QUOTIENT.divide(a, b)


def _rounded(value: Value | None, places: Value | None = 0) -> Decimal:
    number, digits = _decimal(value), _whole(places)
    if abs(digits) >= EXACT.prec:
        raise ValueError("too long")
    return number.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, EXACT)


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


class Counter:
    """Counts the rules that clingo makes of the clauses, and stops it in time."""

    def __init__(self, most: int) -> None:
        self.most = most

    def rule(self, choice: bool, head: Sequence[int], body: Sequence[int]) -> None:
        """Called by clingo for each."""
        self.most -= 1
        if self.most < 0:
            raise TooMany


def solve(parts: Sequence[dict[str, Any]], ranges: dict[str, list[Any]], most: int) -> dict[str, Any]:
    """Run a stratified program; gives the instances of its atoms `f0`, `f1`, ... (a clause fired with these values).

    Each part is run when all before it is known, so that what its aggregates run over is complete.
    """
    control = clingo.Control(["--warn=none"], logger=lambda code, message: None, message_limit=1)
    counter = Counter(most)
    control.register_observer(counter)
    functions = Functions(ranges)
    try:
        for number, part in enumerate(parts):
            control.add(f"part{number}", [], part["text"])
        for number, part in enumerate(parts):
            for one, function, name, size, shared in part["aggregates"]:
                found = control.symbolic_atoms.by_signature(name, size)
                functions.gather(one, function, shared, (atom.symbol.arguments for atom in found))
            control.ground([(f"part{number}", [])], context=functions)
    except MemoryError:
        return {"stopped": "memory"}
    except Exception as error:
        if counter.most < 0:
            return {"stopped": "many"}
        return {"stopped": "memory"} if "bad_alloc" in str(error) else {"failed": str(error)}
    fired = [
        [int(atom.symbol.name[1:]), *map(_told, atom.symbol.arguments)]
        for atom in control.symbolic_atoms
        if atom.symbol.name.startswith("f")
    ]
    return {"fired": fired}


def core(program: str, items: int, most: int) -> dict[str, Any]:
    """A minimal subset of the items `i0`, `i1`, ... that makes `goal` true in a ground program: none of it can be left out.

    The solver names a part (its core), which is then tried without each item in turn.
    """
    control = clingo.Control(["--warn=none"], logger=lambda code, message: None, message_limit=1)
    counter = Counter(most)
    control.register_observer(counter)
    control.add("base", [], program)
    try:
        control.ground([("base", [])])
        literals = {control.symbolic_atoms[clingo.Function(f"i{n}")].literal: n for n in range(items)}
        goal = control.symbolic_atoms[clingo.Function("goal")].literal

        def needed(given: Sequence[int]) -> list[int] | None:
            found: list[int] = []
            done = control.solve(assumptions=[-goal, *given], on_core=found.extend)
            return [one for one in given if one in found] if done.unsatisfiable else None

        kept = needed(list(literals))
        for one in list(kept or ()):
            if kept is not None and one in kept:
                kept = needed([other for other in kept if other != one]) or kept
    except MemoryError:
        return {"stopped": "memory"}
    except Exception as error:
        if counter.most < 0:
            return {"stopped": "many"}
        return {"stopped": "memory"} if "bad_alloc" in str(error) else {"failed": str(error)}
    return {"core": None if kept is None else [literals[one] for one in kept]}


def _told(symbol: clingo.Symbol) -> int | str:
    if symbol.type == clingo.SymbolType.Number:
        return int(symbol.number)
    if symbol.type == clingo.SymbolType.String:
        return str(symbol.string)
    return f"d{symbol.arguments[0].number}" if symbol.arguments else str(symbol.name)


def limit_memory(megabytes: int) -> None:
    """Have the system refuse more memory, where it can."""
    try:
        import resource

        size = megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass


def main() -> None:
    """Answer line by line until the input ends."""
    limit_memory(int(sys.argv[1]))
    # Ctrl-C is the caller's, who then closes the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    timer = getattr(signal, "setitimer", None)
    for line in sys.stdin:
        request = json.loads(line)
        if timer is not None:
            timer(signal.ITIMER_PROF, request["seconds"])
        most = request["most"]
        if "items" in request:
            answer = core(request["program"], request["items"], most)
        else:
            answer = solve(request["parts"], request["ranges"], most)
        if timer is not None:
            timer(signal.ITIMER_PROF, 0)
        print(json.dumps(answer, separators=(",", ":")), flush=True)


if __name__ == "__main__":
    main()

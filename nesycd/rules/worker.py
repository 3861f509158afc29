"""The process in which clingo runs: a program a line on standard input, what its clauses came to on standard output.

A program of its own that imports nothing of nesycd, so that it starts fast. Within its limits it stops itself: by a timer
of the system that counts computing and that no loop holds up, by the memory it may have, and by counting what clingo makes.

Values: small integers are clingo's own; other numbers are strings of digits; texts are symbols `c0`, `c1`, ... of which only
the caller knows what they mean.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from decimal import Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Any

import clingo

SMALL = 2**31
EXACT = Context(prec=30)
EXACT_ONLY = Context(prec=30, traps=[DivisionByZero, Inexact, InvalidOperation, Overflow])
QUOTIENT = Context(prec=15)
"""Sums and products keep 30 digits, quotients that do not end 15."""


class TooMany(Exception):
    """More was made than is allowed."""


class Arithmetic:
    """What clauses may calculate. A result that does not exist (a division by 0, a sum of texts) gives no value."""

    def plus(self, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a + b."""
        return _calculated("+", a, b)

    def minus(self, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a - b."""
        return _calculated("-", a, b)

    def times(self, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a * b."""
        return _calculated("*", a, b)

    def quotient(self, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a / b."""
        return _calculated("/", a, b)

    def whole(self, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a // b, rounded down."""
        return _calculated("//", a, b)

    def rest(self, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
        """a mod b, with the sign of b."""
        return _calculated("mod", a, b)

    def less(self, a: clingo.Symbol, b: clingo.Symbol) -> clingo.Symbol:
        """1 where a < b, both being numbers."""
        left, right = _number(a), _number(b)
        return clingo.Number(int(left is not None and right is not None and left < right))

    def at_most(self, a: clingo.Symbol, b: clingo.Symbol) -> clingo.Symbol:
        """1 where a <= b, both being numbers."""
        left, right = _number(a), _number(b)
        return clingo.Number(int(left is not None and right is not None and left <= right))

    def differ(self, a: clingo.Symbol, b: clingo.Symbol) -> clingo.Symbol:
        """1 where a and b are not the same."""
        return clingo.Number(int(a != b))


def _number(symbol: clingo.Symbol) -> int | Decimal | None:
    if symbol.type == clingo.SymbolType.Number:
        return int(symbol.number)
    return Decimal(symbol.string) if symbol.type == clingo.SymbolType.String else None


def _calculated(operator: str, a: clingo.Symbol, b: clingo.Symbol) -> list[clingo.Symbol]:
    left, right = _number(a), _number(b)
    if left is None or right is None:
        return []
    try:
        value = _value(operator, left, right)
    except (ArithmeticError, DecimalException):
        return []
    if value is None or not Decimal(value).is_finite() or abs(Decimal(value).adjusted()) >= EXACT.prec:
        return []
    if value == int(value):
        value = int(value)
        return [clingo.Number(value) if -SMALL < value < SMALL else clingo.String(str(value))]
    return [clingo.String(f"{Decimal(value).normalize():f}")]


def _value(operator: str, left: int | Decimal, right: int | Decimal) -> int | Decimal | None:
    if operator in ("//", "mod"):
        if left != int(left) or right != int(right):
            return None
        return int(left) // int(right) if operator == "//" else int(left) % int(right)
    a, b = Decimal(left), Decimal(right)
    if operator == "/":
        try:
            return EXACT_ONLY.divide(a, b)
        except Inexact:
            return QUOTIENT.divide(a, b)
    return {"+": EXACT.add, "-": EXACT.subtract, "*": EXACT.multiply}[operator](a, b)


class Counter:
    """Counts the rules that clingo makes of the clauses, and stops it in time."""

    def __init__(self, most: int) -> None:
        self.most = most

    def rule(self, choice: bool, head: Sequence[int], body: Sequence[int]) -> None:
        """Called by clingo for each."""
        self.most -= 1
        if self.most < 0:
            raise TooMany


def solve(program: str, most: int) -> dict[str, Any]:
    """Run a stratified program; gives the instances of its atoms `f0`, `f1`, ... (a clause fired with these values)."""
    control = clingo.Control(["--warn=none"], logger=lambda code, message: None, message_limit=1)
    counter = Counter(most)
    control.register_observer(counter)
    control.add("base", [], program)
    try:
        control.ground([("base", [])], context=Arithmetic())
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
    return str(symbol.string) if symbol.type == clingo.SymbolType.String else str(symbol.name)


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
        program, most = request["program"], request["most"]
        answer = core(program, request["items"], most) if "items" in request else solve(program, most)
        if timer is not None:
            timer(signal.ITIMER_PROF, 0)
        print(json.dumps(answer, separators=(",", ":")), flush=True)


if __name__ == "__main__":
    main()

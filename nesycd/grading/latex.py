"""Equality of mathematical answers, by math-verify (extra `math`).

math-verify's own time limits are signals, which only the main thread can have; in other threads it runs without them,
and what could take long (towers of powers, very long answers) is refused beforehand in either case.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from typing import Any

from nesycd.grading.numbers import LONGEST, is_unit
from nesycd.grading.wording import clean

SECONDS = 5
"""math-verify's limit for each step, in the main thread."""

_TOWER = re.compile(r"\^\s*(?:\{[^{}]*\^|\w+\s*\^|\([^()]*\^|\{?\s*\d{4,})|\d{4,}\s*!")
_WORD = re.compile(r"\b(?:[A-Za-z]{3,}|or|no|is|at)\b")
_COMMAND = re.compile(r"\\[A-Za-z]+|\{[a-z]*(?:matrix|array)\*?\}")
_SHORT_UNITS = "mm|cm|dm|km|in|ft|yd|mi|mg|kg|lb|oz|ml|mL|dl|cl|kl|hr|am|pm|mph|kph"
# Letters right after a number, or after an operator, are factors: only units that are nothing else may stand there.
_UNIT = re.compile(
    r"(?<=\S)\s*(?:\\(?:text|mbox|mathrm)\s*\{\s*(?P<latex>[A-Za-z][A-Za-z. ]*)\}"
    rf"|(?<=\d)(?P<glued>{_SHORT_UNITS})"
    rf"|(?<=[\w}})\]%])\s+(?P<typed>(?:[A-Za-z]{{3,}}|{_SHORT_UNITS})(?: [A-Za-z]{{2,}}){{0,2}}))"
    r"(?:\s*\^\s*\{?\d\}?)?$"
)
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SUBSCRIPT = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
# What people write who do not write LaTeX, and what does not change the value.
_TYPED = (
    (re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+"), lambda found: f"^{{{found[0].translate(_SUPERSCRIPT)}}}"),
    (re.compile(r"[₀₁₂₃₄₅₆₇₈₉]+"), lambda found: f"_{{{found[0].translate(_SUBSCRIPT)}}}"),
    (re.compile(r"\\(?:text|mbox)\s*\{\s*and\s*\}|\band\b"), ", "),
    (re.compile(r"\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ)|°"), ""),
    (re.compile(r"(?<=\d)(?:\{,\}|,?\\!|\\,)(?=\d{3}(?!\d))"), ""),
    (re.compile(r"(?:(?<!\\)\bsqrt|√)\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"√\s*(\w+)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<!\\)\b(pi|sin|cos|tan|log|ln)\b"), r"\\\1"),
    (re.compile("π"), r"\\pi "),
    (re.compile(r"∞|(?<!\\)\b(?:infinity|inf)\b"), r"\\infty "),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"[*·⋅]"), r"\\cdot "),
    (re.compile("×"), r"\\times "),
    (re.compile("÷"), r"\\div "),
    (re.compile("≤"), r"\\le "),
    (re.compile("≥"), r"\\ge "),
    (re.compile("≠"), r"\\ne "),
    (re.compile("±"), r"\\pm "),
    (re.compile("∪"), r"\\cup "),
    (re.compile("∩"), r"\\cap "),
)
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar)\s*\{?(\d+)\}?")
_BASED = re.compile(r"(\d+)_\{?(\d+)\}?")
_UNREADABLE = re.compile(
    r"[^\x20-\x7eͰ-Ͽ]|[@#`\"?~]|\\(?:l|c)?dots\b|\.\.\.|\d\s*_|\d\s*'|\d\s+\d(?!\d*\s*/\s*\d)"
    r"|(?:[-+*/^<>]|\\(?:cdot|times|div|approx|le|ge|leq|geq|ne|neq|pm)\b)\s*$"
)
"""What math-verify drops or reads as something else: unknown signs, dots, figures side by side, an operator at the end."""
_MARK = r"\zeta"
_LEAST_DIFFERENCE = 1e-5
"""Numbers that differ by a greater share of the larger one are unequal, however small they are."""


def require() -> None:
    """Fail early where answers will have to be compared as mathematics.

    Raises:
        ModuleNotFoundError: math-verify is not installed (the command line says how to get it).
    """
    import math_verify  # noqa: F401


def is_formula(text: str) -> bool:
    """Whether a text is one line of mathematics, with no other words than commands."""
    one_line = 0 < len(text) <= LONGEST and "\n" not in text
    return one_line and not _WORD.search(_COMMAND.sub(" ", text)) and bool(re.search(r"\d|\\[a-z]|[\^_=+]", text))


def same(answer: str, gold: str) -> bool:
    """Whether two answers are equal as mathematics; what cannot be read whole is equal to nothing.

    A unit, or the base of a numeral, may be missing on one side; where both have one, it must be the same. Words other than
    units make an answer unreadable: to pick an expression out of a sentence would be guessing.

    Raises:
        ModuleNotFoundError: math-verify is not installed.
    """
    if max(len(answer), len(gold)) > 4 * LONGEST:
        return False
    (answer, unit), (gold, gold_unit) = _as_latex(answer), _as_latex(gold)
    if unit and gold_unit and unit != gold_unit:
        return False
    if max(len(answer), len(gold)) > LONGEST or _TOWER.search(answer) or _WORD.search(_COMMAND.sub(" ", answer)):
        return False
    if not answer or any(_UNREADABLE.search(text) or text.count("|") % 2 for text in (answer, gold)):
        return False
    return _same(answer, gold, _seconds())


def _as_latex(text: str) -> tuple[str, str]:
    """A cleaned answer as LaTeX, and its unit or base ("" where it has none)."""
    for typed, written in _TYPED:
        text = typed.sub(written, text)
    text = _REPEATING.sub(_as_fraction, text)
    unit = _UNIT.search(text.rstrip())
    words = (unit["latex"] or unit["glued"] or unit["typed"]).strip().lower() if unit else ""
    if unit is not None and is_unit(words):
        return clean(text[: unit.start()], formula=True), words
    text = clean(text, formula=True)
    based = _BASED.fullmatch(text)
    return (based[1], f"base {based[2]}") if based else (text, "")


def _as_fraction(repeating: re.Match[str]) -> str:
    r"""`0.1\overline{6}` as the fraction that it is."""
    whole, fixed, period = repeating.groups()
    scale = 10 ** len(fixed)
    value = Fraction(int(f"{whole or 0}{fixed}"), scale) + Fraction(int(period), scale * (10 ** len(period) - 1))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _seconds() -> int | None:
    main = threading.current_thread() is threading.main_thread()
    return SECONDS if main and os.name == "posix" else None


@lru_cache(maxsize=4096)
def _same(answer: str, gold: str, seconds: int | None) -> bool:
    from math_verify import parse, verify

    with _quiet():
        given, wanted = (_read(text, lambda one: list(parse(one, parsing_timeout=seconds))) for text in (answer, gold))
        if not given or not wanted:
            return False
        return bool(verify(wanted, given, timeout_seconds=seconds)) and _close(given[0], wanted[0])


def _read(text: str, parse: Callable[[str], list[Any]]) -> list[Any]:
    """What math-verify reads, the end of a formula included, which it may drop or take for a unit (`3x + 2ab`): a symbol is added
    after it, and must be there. Nothing where it is not.
    """
    read = parse(f"${text}$")
    if not read or not _is_expression(read[0]) or re.fullmatch(r"[-+]?[\d.,]+", text):
        return read
    marked = parse(f"${text} + {_MARK}$")
    symbols = [symbol for symbol in getattr(marked[0], "free_symbols", ()) if symbol.name == "zeta"] if marked else []
    if not symbols or not _is_expression(marked[0]):
        return []
    return [marked[0].subs(symbols[0], 0)]


def _close(given: Any, wanted: Any) -> bool:
    """Whether two numbers are equal but for rounding: math-verify rounds to decimals, which makes all tiny numbers zero."""
    if not all(getattr(side, "is_number", False) and getattr(side, "is_comparable", False) for side in (given, wanted)):
        return True
    difference = abs((given - wanted).evalf())
    return bool(difference <= _LEAST_DIFFERENCE * abs(wanted.evalf()))


def _is_expression(value: Any) -> bool:
    """Whether a value is a single number or formula (sympy's `Expr`), and no set, interval, equation or text."""
    return hasattr(value, "as_coeff_Add")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without math-verify's log: that its limits are off, or that an answer took too long and is wrong."""
    loggers = [logging.getLogger(name) for name in ("math_verify.parser", "math_verify.grader")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

"""Equality of mathematical answers, by math-verify (extra `math`).

math-verify's own time limits are signals, which only the main thread can have; in other threads it runs without them,
and what could take long (towers of powers, very long answers) is refused beforehand in either case.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from nesycd.grading.answers import LONGEST, clean, is_unit

SECONDS = 5
"""math-verify's limit for each step, in the main thread."""

_TOWER = re.compile(r"\^\s*(?:\{[^{}]*\^|\w+\s*\^|\([^()]*\^|\{?\s*\d{4,})|\d{4,}\s*!")
_WORD = re.compile(r"\b(?:[A-Za-z]{3,}|or|no|is|at)\b")
_COMMAND = re.compile(r"\\[A-Za-z]+|\{[a-z]*(?:matrix|array)\*?\}")
_UNIT = re.compile(
    r"(?<=\S)\s*(?:\\(?:text|mbox|mathrm)\s*\{\s*(?P<latex>[A-Za-z][A-Za-z. ]*)\}"
    r"|(?<=[\d}) ])(?P<typed>[A-Za-z]{2,}(?: [A-Za-z]{2,}){0,2}))"
    r"(?:\s*\^\s*\{?\d\}?)?$"
)
# What people write who do not write LaTeX, and what does not change the value.
_TYPED = (
    (re.compile(r"\\(?:text|mbox)\s*\{\s*and\s*\}|\band\b"), ", "),
    (re.compile(r"\s*\^\s*\{?\s*\\circ\s*\}?|°"), ""),
    (re.compile(r"(?:(?<!\\)\bsqrt|√)\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"√\s*(\w+)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<!\\)\b(pi|sin|cos|tan|log|ln)\b"), r"\\\1"),
    (re.compile("π"), r"\\pi"),
    (re.compile(r"∞|(?<!\\)\b(?:infinity|inf)\b"), r"\\infty"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\*"), r"\\cdot "),
)


def require() -> None:
    """Fail early where answers will have to be compared as mathematics.

    Raises:
        ModuleNotFoundError: math-verify is not installed (the command line says how to get it).
    """
    import math_verify  # noqa: F401


def same(answer: str, gold: str) -> bool:
    """Whether two answers are equal as mathematics; what cannot be read is equal to nothing.

    A unit may be missing on one side; where both have one, it must be the same. Words other than units make an answer
    unreadable: to pick an expression out of a sentence would be guessing.

    Raises:
        ModuleNotFoundError: math-verify is not installed.
    """
    (answer, unit), (gold, gold_unit) = _as_latex(answer), _as_latex(gold)
    if unit and gold_unit and unit != gold_unit:
        return False
    if max(len(answer), len(gold)) > LONGEST or _TOWER.search(answer) or _WORD.search(_COMMAND.sub(" ", answer)):
        return False
    return bool(answer) and _same(answer, gold, _seconds())


def _as_latex(text: str) -> tuple[str, str]:
    """A cleaned answer as LaTeX, and its unit ("" where it has none)."""
    for typed, written in _TYPED:
        text = typed.sub(written, text)
    unit = _UNIT.search(text.rstrip())
    words = (unit["latex"] or unit["typed"]).strip().lower() if unit else ""
    if unit is None or not is_unit(words):
        return clean(text), ""
    return clean(text[: unit.start()]), words


def _seconds() -> int | None:
    main = threading.current_thread() is threading.main_thread()
    return SECONDS if main and os.name == "posix" else None


@lru_cache(maxsize=4096)
def _same(answer: str, gold: str, seconds: int | None) -> bool:
    from math_verify import parse, verify

    with _quiet():
        read = [parse(f"${text}$", parsing_timeout=seconds) for text in (gold, answer)]
        if not all(read):
            return False
        return bool(verify(*read, timeout_seconds=seconds))


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

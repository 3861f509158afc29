"""What facts' texts say beyond a name: numbers with units, money, dates, and ranges such as `50 to 70 lb`. Knows no clauses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

from nesycd.core.text import normal
from nesycd.grading.forms import read_date
from nesycd.rules.clauses import number

LONGEST = 120
"""Characters of a text that is looked at; beyond them it is prose."""
_MONEY = re.compile(r"(?P<minus>-?)(?P<sign>[$£€¥])\s?(?P<count>[0-9][0-9,]*(?:\.[0-9]+)?)")
_JOINED = re.compile(r"(?P<count>-?[0-9][0-9,]*(?:\.[0-9]+)?)(?P<unit>[%$£€¥°]|[a-zA-Z]{1,4})")
_DIGIT = re.compile(r"[0-9]")
_YEAR = re.compile(r"[0-9]{4}")
_NUMERIC = re.compile(r"(?:\w+,?\s+)?[0-9]{1,2}[/-]")
"""Which of two numbers is the month cannot be told."""


def quantity(text: str) -> tuple[int | Decimal, str] | None:
    """A number and its unit: `6 feet`, `100 USD`, `$1,200.50` (unit `$`), `70lb`, `15%`; None where a text is none."""
    amount, _, unit = text.partition(" ")
    count = number(amount)
    if count is not None and unit:
        return count, unit
    if len(text) <= LONGEST:
        if match := _MONEY.fullmatch(text):
            count = number(match["minus"] + match["count"])
            return None if count is None else (count, match["sign"])
        if match := _JOINED.fullmatch(text):
            count = number(match["count"])
            return None if count is None else (count, match["unit"])
    return None


@lru_cache(maxsize=50_000)
def written_date(text: str) -> date | None:
    """The day that a text names: `2026-11-30`, `30 November 2026`, `Nov 30, 2026`; None for `05/06/2026`: May or June?"""
    if len(text) > LONGEST or not _YEAR.search(text) or _NUMERIC.match(text):
        return None
    return read_date(text)


@dataclass(frozen=True)
class Range:
    """Numbers or days between two ends; None: no end."""

    low: int | Decimal | date | None
    high: int | Decimal | date | None
    with_low: bool = True
    with_high: bool = True

    @property
    def is_one(self) -> bool:
        """Whether its ends, where it has two, are of one kind and in order."""
        low, high = self.low, self.high
        if isinstance(low, date) or isinstance(high, date):
            return not (isinstance(low, int | Decimal) or isinstance(high, int | Decimal)) and (
                low is None or high is None or low <= high
            )
        return low is None or high is None or low <= high


_END = (
    r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|(?:[a-z]{3,9}\.? [0-9]{1,2}(?:st|nd|rd|th)?,? [0-9]{4})"
    r"|(?:[0-9]{1,2}(?:st|nd|rd|th)?(?: of)? [a-z]{3,9}\.? [0-9]{4})"
    r"|(?<![\w.,/-])-?[$£€¥]?[0-9][0-9,]*(?:\.[0-9]+)?(?![0-9/:]))"
)
_UNIT = r"(?: ?(?!to\b|and\b|or\b|up\b|but\b|through\b)[a-z%$£€¥°]+)?"
_A, _B = (f"(?P<{name}>{_END}){_UNIT}" for name in "ab")
_OVER = r"(?<!no )(?<!not )(?:over|above|more than|greater than|exceeding|(?<!on or )after)"
_LEAST = r"(?:at least|no less than|not less than|no fewer than|minimum(?: of)?|from|on or after|since|starting)"
_UNDER = r"(?<!no )(?<!not )(?:under|below|less than|fewer than|before)"
_MOST = r"(?:up to|at most|(?:no|not) more than|not over|not above|not exceeding|maximum(?: of)?|max|until|through|on or before)"
_UP = r"(?:more|over|above|up|greater|higher|later|older|heavier|longer)"
_DOWN = r"(?:less|fewer|under|below|lower|down|earlier|younger|lighter|shorter)"
_TO = r"(?:to|-|–|up to|through|until|and)"
_FORMS = tuple(
    (re.compile(form), with_low, with_high)
    for form, with_low, with_high in (
        (rf"\b{_OVER} {_A},? (?:and |but |to |up to )*{_UNDER} {_B}", False, False),
        (rf"\b{_OVER} {_A},? ?(?:and |but )*(?:{_MOST}|{_TO}) ?{_B}", False, True),
        (rf"(?:\b{_LEAST} )?{_A},? (?:and |but |to |up to )*(?:{_UNDER}|not including) {_B}", True, False),
        (rf"(?:\b(?:{_LEAST}|between) )?{_A},? ?(?:and |but )*(?:{_MOST}|{_TO}) ?{_B}", True, True),
        (rf"\b{_OVER} {_A}", False, True),
        (rf"\b{_LEAST} {_A}|(?P<c>{_END})(?:{_UNIT} (?:or|and) {_UP}\b|\+)", True, True),
        (rf"\b{_UNDER} {_B}", True, False),
        (rf"\b{_MOST} {_B}|(?P<d>{_END}){_UNIT} (?:or|and) {_DOWN}\b", True, True),
    )
)
_HYPHEN = re.compile(r"([^\s-]*[0-9])-([0-9].*)")
"""A whole text: within one, a hyphen may belong to a name (`Boeing 737-800`)."""
_TURNED = re.compile(r"\b(?:not|no|non|never|except|excluding|outside|other than)\b")
"""Words that may turn a range into its opposite."""
_BRACKETS = re.compile(r"\([^()]*\)")


@lru_cache(maxsize=50_000)
def written_range(text: str) -> Range | None:
    """The one range that a text states; None where it states none or several.

    >>> written_range("fee for over 50 to 70 lb")
    Range(low=50, high=70, with_low=False, with_high=True)
    >>> written_range("3 or more"), written_range("3"), written_range("tier 3")
    (Range(low=3, high=None, with_low=True, with_high=True), Range(low=3, high=3, with_low=True, with_high=True), None)
    """
    if len(text) > LONGEST or not _DIGIT.search(text):
        return None
    said = normal(_BRACKETS.sub(" ", text))
    if (joined := _HYPHEN.fullmatch(said)) and written_date(text) is None:
        said = f"{joined[1]} to {joined[2]}"
    for form, with_low, with_high in _FORMS:
        found = list(form.finditer(said))
        if not found:
            continue
        named = found[0].groupdict()
        low, high = (named.get(one) or named.get(other) for one, other in (("a", "c"), ("b", "d")))
        ends = [None if end is None else _value(end) for end in (low, high)]
        outside = said[: found[0].start()] + said[found[0].end() :]
        if (
            len(found) > 1
            or _TURNED.search(outside)
            or any(end is not None and value is None for end, value in zip((low, high), ends, strict=True))
        ):
            return None
        made = Range(ends[0], ends[1], with_low, with_high)
        return made if made.is_one else None
    day = written_date(text)
    if day is not None:
        return Range(day, day)
    amount = quantity(text)
    if amount is not None and _DIGIT.search(amount[1]):
        return None  # `18 x 14 x 8 inches`
    value = number(said) if amount is None else amount[0]
    return None if value is None else Range(value, value)


def _value(text: str) -> int | Decimal | date | None:
    return number(text.lstrip("$£€¥")) if not _YEAR.search(text) or number(text) is not None else written_date(text)

"""What comes out of an expression as people write it: a sum, a comparison, a remainder, `max(...)`, `min(...)`, days from a date.

Results are exact. Where an expression could be read in two ways, there is none.
"""

from __future__ import annotations

import itertools
import re
from datetime import date, timedelta
from fractions import Fraction

_LATEX = (
    (re.compile(r"\\(?:times|cdot)\b"), "*"),
    (re.compile(r"\\div\b"), "/"),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"(\1)/(\2)"),
    (re.compile(r"\\text\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\[()\[\],;!]|\\[%$]|\$|[£€¥]|\*\*|`"), " "),
    (re.compile(r"\\boxed\s*\{([^{}]*)\}"), r" \1 "),
)
_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})
NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_TOKEN = re.compile(rf"(?P<number>{NUMBER})|(?P<sign>[-+*/()%=^])|(?P<word>[^\W\d_]+)|(?P<other>\S)")
BREAK = re.compile(r"[;\n]|[.?!,:](?=\s|$)")
JOINING = frozenset(["of", "and", "or", "to", "per", "is", "times", "plus", "minus", "by", "x", "half"])
"""Words that make the sum before or after them another one."""
LONGEST = 40
"""Tokens of one side of an equation; anything longer is not checked."""

Token = tuple[str, str]


def plain(text: str) -> str:
    """A text with plain signs for its arithmetic: without LaTeX, currencies and bold type."""
    for pattern, written in _LATEX:
        text = pattern.sub(written, text)
    # A single x between numbers, or before a bracket, multiplies.
    text = re.sub(r"(?<=[\d)%])[ \t]*[xX][ \t]*(?=[\d(.])|(?<=[^\W\d_]) [xX] (?=[\d(.])", " * ", text)
    return text.translate(_SIGNS)


def read_tokens(text: str) -> list[Token]:
    """The numbers, signs and words of a text, each with its kind."""
    return [(str(match.lastgroup), match.group()) for match in _TOKEN.finditer(text)]


def number_of(token: str) -> Fraction:
    """What a number comes to as it is written, with its thousands."""
    return Fraction(token.replace(",", ""))


def decimal(value: Fraction, grouped: bool) -> str:
    """A number as people write it, exactly; "" where it takes more than four decimals."""
    if value * 10_000 % 1 or abs(value) >= 10**12:
        return ""
    whole = value.denominator == 1
    written = f"{value.numerator:,}" if whole else f"{float(value):,.4f}".rstrip("0")
    return written if grouped else written.replace(",", "")


# --- arithmetic ------------------------------------------------------------------------------------------------------


def compute(tokens: list[Token], per_cent: bool = True) -> Fraction | None:
    """What a sum of numbers, `+ - * / ( ) %` comes to; None where it is no such sum."""
    try:
        value, rest = _added(tokens, per_cent)
    except (ArithmeticError, ValueError, IndexError, RecursionError):
        return None
    return None if rest else value


def readings(tokens: list[Token]) -> list[Fraction]:
    """What a sum may be meant to come to: a per cent as a hundredth or not, and `6 / 1/3` as 6 thirds or as a third of 6."""
    found = [compute(tokens, per_cent) for per_cent in (True, False)]
    signs = [place for place, (_, token) in enumerate(tokens) if token == "/"]
    for first, second in itertools.pairwise(signs):
        if second == first + 2 and second + 1 < len(tokens):
            inner = [("sign", "("), *tokens[first + 1 : second + 2], ("sign", ")")]
            found.append(compute([*tokens[: first + 1], *inner, *tokens[second + 2 :]]))
    return [value for value in found if value is not None]


def value_of(text: str) -> Fraction | None:
    """What a text that is a sum as a whole comes to; None where it is none or could be meant in two ways."""
    tokens = read_tokens(text)
    values = set(readings(tokens)) if len(tokens) <= LONGEST else set()
    return values.pop() if len(values) == 1 else None


def _added(tokens: list[Token], per_cent: bool) -> tuple[Fraction, list[Token]]:
    value, tokens = _multiplied(tokens, per_cent)
    while tokens and tokens[0][1] in {"+", "-"}:
        sign = tokens[0][1]
        other, tokens = _multiplied(tokens[1:], per_cent)
        value = value + other if sign == "+" else value - other
    return value, tokens


def _multiplied(tokens: list[Token], per_cent: bool) -> tuple[Fraction, list[Token]]:
    value, tokens = _single(tokens, per_cent)
    while tokens and tokens[0][1] in {"*", "/"}:
        sign = tokens[0][1]
        other, tokens = _single(tokens[1:], per_cent)
        value = value / other if sign == "/" else value * other
    return value, tokens


def _single(tokens: list[Token], per_cent: bool) -> tuple[Fraction, list[Token]]:
    kind, token = tokens[0]
    if token == "-":
        value, rest = _single(tokens[1:], per_cent)
        return -value, rest
    if token == "(":
        value, rest = _added(tokens[1:], per_cent)
        if not rest or rest[0][1] != ")":
            raise ValueError("a bracket is not closed")
        rest = rest[1:]
    elif kind == "number":
        value, rest = number_of(token), tokens[1:]
    else:
        raise ValueError(f"{token} is no number")
    while rest and rest[0][1] == "%":
        value, rest = value / 100 if per_cent else value, rest[1:]
    return value, rest


# --- other forms -----------------------------------------------------------------------------------------------------

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_SUM = r"-\d.,+*/()%\s"
"""Characters of a sum without words."""
_RELATED = re.compile(rf"(?:[{_SUM}<>≤≥]|\bmod\b)*$")
_RELATION = re.compile(r"[<>≤≥]|\bmod\b")
_EXTREME = re.compile(rf"\b(?P<name>max|min) ?\((?P<listed>[{_SUM}]*)\)\s*$", re.IGNORECASE)
_MAYBE_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3},\d{3}(?!\d)")
_MAYBE_OTHER = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?!\d)|<-")
"""A date rather than a difference, an arrow rather than a comparison."""
_CURRENCY = re.compile(r"[£€¥]")
_ROOM = 300
"""Characters of one of these forms at most."""
_LINE = 2 * _ROOM
"""Characters at the end of a text that are read: a form, and what stands before it."""
_WORD_BEFORE = re.compile(r"(?P<number>\d\s+)?(?<!\S)(?P<word>[^\W\d_]{2,})\s+$")
_CHANGING = (JOINING - {"is"}) | {month.lower() for month in _MONTHS} | {
    "not", "nor", "xor", "than", "more", "less", "fewer", "over", "between", "except", "without", "in", "during", "mod",
    "modulo", "twice", "thrice", "double", "triple", "negative", "square", "squared", "cube", "cubed", "root", "sqrt", "exp",
    "log", "ln", "sin", "cos", "tan", "abs", "floor", "ceil", "arg", "max", "min", "dozen", "hundred", "thousand", "million",
    "billion",
}  # fmt: skip
"""Words that may make what comes after them another expression."""


def result_of_form(text: str, money: bool = False) -> str | None:
    """What a text comes to that ends in a comparison, a remainder, `max(...)`, `min(...)` or days from a date.

    Args:
        text: what is written before `=`.
        money: the result is in dollars.

    Returns:
        "" where there is such an expression but what it comes to is not sure; None where there is none: it may be a sum.

    >>> result_of_form("So 3 x 4 < 15"), result_of_form("The larger is max(3, 7)"), result_of_form("x mod 5")
    ('true', '7', '')
    """
    line = text[-_LINE:].rpartition("\n")[2]
    for form in (_moved_date, _extreme, _related):
        found = form(line, money)
        if found is not None:
            return found
    return None


def _stands_free(before: str) -> bool:
    """Whether an expression is whole with these words before it: none, a break, `=`, or a word that does not change it."""
    # With a sign after it: a colon without a blank breaks nothing, as in `1:3 > 2`.
    before = BREAK.split(f"{before}0")[-1][:-1]
    if not before.strip() or before.rstrip().endswith("="):
        return True
    found = _WORD_BEFORE.search(before)
    if found is None or found["word"].lower() in _CHANGING:
        return False
    # `6 feet 3` is one measure.
    return not found["number"] or found["word"].lower() == "is"


def _related(line: str, money: bool) -> str | None:
    """`13 > 7` and `17 mod 5`. A comparison that cannot be read is left to be no such form: `x <= 3 + 4` ends in a sum."""
    part = BREAK.split(line.replace(">=", "≥").replace("<=", "≤"))[-1]
    text = plain(part)
    found = _RELATED.search(text, max(0, len(text) - _ROOM))
    written = found.group() if found else ""
    signs = _RELATION.findall(written)
    if not signs:
        return None
    unsure = "" if signs[-1] == "mod" else None
    before, written = text.removesuffix(written) + written[: -len(written.lstrip())], written.strip()
    # A minus may be a list's dash, or take away from what the words before it say.
    begins = r"[\d(.]" if before.strip(" =") else r"-?[\d(.]"
    if len(signs) > 1 or money or not re.match(begins, written) or not _stands_free(before):
        return unsure
    if _CURRENCY.search(part) or _MAYBE_OTHER.search(written):
        return unsure
    left, sign, right = _unwrapped(written).partition(signs[0])
    if sign == "mod":
        return _remainder(left.strip(), right.strip()) if "$" not in part else ""
    amount, _, other = part.rpartition(sign)
    if before.rstrip().endswith("=") or ("$" in amount) != ("$" in other):
        return None
    return _comparison(left, sign, right)


def _comparison(left: str, sign: str, right: str) -> str | None:
    one, other = value_of(left), value_of(right)
    if one is None or other is None:
        return None
    holds = {"<": one < other, ">": one > other, "≤": one <= other, "≥": one >= other}[sign]
    return "true" if holds else "false"


def _remainder(left: str, right: str) -> str:
    """Of whole numbers; a sum must stand in brackets, as `2 + 7 mod 5` could be 4 or 2 + 2."""
    if any(_unwrapped(side) == side and not re.fullmatch(rf"-?(?:{NUMBER})", side) for side in (left, right)):
        return ""
    one, other = value_of(left), value_of(right)
    if one is None or other is None or other <= 0 or one.denominator != 1 or other.denominator != 1:
        return ""
    return decimal(one % other, grouped="," in left + right)


def _extreme(line: str, money: bool) -> str | None:
    """`max(3, 7)`, `min(3, 7)`: of two numbers or more."""
    text = plain(line)
    found = _EXTREME.search(text, max(0, len(text) - _ROOM))
    listed = _listed(found["listed"]) if found else []
    if found is None or len(listed) < 2:
        return None
    place = line.rfind(found["name"])
    part = BREAK.split(line[:place])[-1] + line[place:]
    values = [number for one in listed if (number := value_of(one)) is not None]
    if len(values) < len(listed) or ("$" in part) != money or _CURRENCY.search(part):
        return ""
    if any(pattern.search(found["listed"]) for pattern in (_MAYBE_THOUSANDS, _MAYBE_OTHER)):
        return ""
    if not _stands_free(text[: found.start()]):
        return ""
    return decimal(max(values) if found["name"].lower() == "max" else min(values), grouped=False)


def _listed(text: str) -> list[str]:
    """What stands between the commas outside of brackets; [] where the brackets are not paired."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return []
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return [] if depth else parts


def _unwrapped(text: str) -> str:
    """Without the brackets around the whole."""
    while text.startswith("(") and text.endswith(")") and _listed(text[1:-1]):
        text = text[1:-1].strip()
    return text


# --- dates -----------------------------------------------------------------------------------------------------------

_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_DAY = r"(?P<day>[1-9]\d?)"
_YEAR = r"(?:(?P<comma>,?)[ \t]+(?P<year>\d{4}))?"
_STEP = r"\s*(?P<sign>[+-])\s*(?P<count>\d{1,3}(?:,\d{3})+|\d{1,6})\s*(?P<unit>day|week)s?\s*$"
_DAY_FIRST = re.compile(rf"(?<![\w.,/:+*-]){_DAY}[ \t]+{_MONTH}{_YEAR}{_STEP}")
_MONTH_FIRST = re.compile(rf"(?<!\w){_MONTH}[ \t]+{_DAY}{_YEAR}{_STEP}")
_ISO = re.compile(rf"(?<![\w.,/:+*-])(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d){_STEP}")
# Anything that may be time from a date. `may` and `march` in small letters are words.
_ANY_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_ANY_MONTH = (
    r"(?:(?i:january|february|april|june|july|august|september|october|november|december)|March|May"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?)"
)
_ANY_YEAR = r"(?:,\s+\d{4}|\s+'?\d{2,4})?"
_GAP = r"(?:[-+*/()\d\s]|[.,](?=\d))*"
_TIMES = r"(?i:business |working |calendar )?(?i:minute|hour|day|night|week|fortnight|month|quarter|year|decade)s?\b"
_ANY_MOVED = re.compile(
    rf"\b(?:{_ANY_DAY}(?:\s+of)?\s+{_ANY_MONTH}{_ANY_YEAR}|{_ANY_MONTH}\s+{_ANY_DAY}{_ANY_YEAR}"
    rf"|{_ANY_MONTH},?\s+\d{{4}}|\d{{4}}-\d{{1,2}}-\d{{1,2}})\s*[+-](?:{_GAP}{_TIMES})+{_GAP}$"
)
_FIRST_YEAR = 1583
"""Before it, days were counted in another calendar."""
_ANY_FOUR_YEARS = range(2021, 2025)
"""One of them has a 29 February."""


def _moved_date(line: str, money: bool) -> str | None:
    """`2 February + 9 days`, `February 28, 2024 - 2 weeks`, `2024-02-28 + 2 days`: the date that is reached, written alike."""
    text = plain(line)
    room = max(0, len(text) - _ROOM)
    if not _ANY_MOVED.search(text, room):
        return None
    for form in (_DAY_FIRST, _MONTH_FIRST, _ISO):
        found = form.search(text, room)
        if found is not None:
            return _reached(found) if _stands_free(text[: found.start()]) and not money else ""
    return ""


def _reached(found: re.Match[str]) -> str:
    count = int(found["count"].replace(",", "")) * {"day": 1, "week": 7}[found["unit"]]
    days = count if found["sign"] == "+" else -count
    month = int(found["month"]) if found["month"].isdigit() else _MONTHS.index(found["month"]) + 1
    if found["year"] is None and count > 366:
        return ""
    reached = set()
    for year in [int(found["year"])] if found["year"] else _ANY_FOUR_YEARS:
        try:
            start = date(year, month, int(found["day"]))
            reached.add(start + timedelta(days=days))
        except (ValueError, OverflowError):
            continue
    if len({(day.month, day.day) for day in reached}) != 1:
        return ""
    return _dated(reached.pop(), found)


def _dated(day: date, like: re.Match[str]) -> str:
    """A date, written as another one is."""
    if like.re is _ISO:
        written = day.isoformat()
    elif like.re is _DAY_FIRST:
        written = f"{day.day} {_MONTHS[day.month - 1]}"
    else:
        written = f"{_MONTHS[day.month - 1]} {day.day}"
    if like["year"] is None:
        return written
    if min(day.year, int(like["year"])) < _FIRST_YEAR:
        return ""
    return written if like.re is _ISO else f"{written}{like['comma']} {day.year}"

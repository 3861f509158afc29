"""Whether the sums in a written working are true, and what comes next in one: equations are computed. No algebra, no language.

Nothing is called false that could be meant rightly: what cannot be read as arithmetic is not checked, and rounding,
per cents and remainders are allowed for.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction

from nesycd.grading.answers import quantity

_LATEX = (
    (re.compile(r"\\(?:times|cdot)\b"), "*"),
    (re.compile(r"\\div\b"), "/"),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"(\1)/(\2)"),
    (re.compile(r"\\text\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\[()\[\],;!]|\\[%$]|\$|[£€¥]|\*\*|`"), " "),
    (re.compile(r"\\boxed\s*\{([^{}]*)\}"), r" \1 "),
)
_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_TOKEN = re.compile(rf"(?P<number>{_NUMBER})|(?P<sign>[-+*/()%=^])|(?P<word>[^\W\d_]+)|(?P<other>\S)")
_ANNOTATION = re.compile(r"<<([^<>]*)>>")
_BREAK = re.compile(r"[;\n]|[.?!,:](?=\s|$)")
_CONVERTED = frozenset(
    f"{unit}{plural}"
    for unit in ("cent", "dollar", "second", "minute", "hour", "day", "week", "month", "year")
    for plural in ("", "s")
)
"""Units that are changed without a word: `2 x 30 minutes = 1 hour`, `$1/2 = 50 cents`."""
_JOINING = frozenset(["of", "and", "or", "to", "per", "is", "times", "plus", "minus", "by", "x", "half"])
"""Words that make the sum before or after them another one."""
_OPEN_EQUATION = re.compile(r"(?P<blank>[ \t]?)=[ \t]*\$?$")
_LONGEST = 40
"""Tokens of one side of an equation; anything longer is not checked."""

Token = tuple[str, str]


def false_equation(text: str) -> str:
    """The first equation of a working that is false, as written; "" where none is.

    >>> false_equation("3 x 6 feet = 18 feet. 18 + 4 = 23.")
    '18 + 4 = 23'
    """
    for left, right, written in _equations(text):
        if not _agree(left, right):
            return written
    return ""


def comes_to(text: str, answer: str) -> bool:
    """Whether a working with sums in it ever names its answer; True where that cannot be told (words, no sums)."""
    wanted = quantity(answer)
    if wanted is None or not any(True for _ in _equations(text)):
        return True
    named = {_value(token) for kind, token in _tokens(_plain(text)) if kind == "number"}
    # A hundredfold: cents of dollars, per cents of shares.
    return not named.isdisjoint({abs(wanted.value), abs(wanted.value) / 100, abs(wanted.value) * 100})


def next_result(text: str) -> str:
    """What a working that ends in a sum and `=` goes on with, its blanks and thousands as in the sum; "" where that is not sure.

    >>> next_result("3 packs cost 3 x $5 = $"), next_result("So 2.5 x 3 ="), next_result("x + 3 =")
    ('15', ' 7.5', '')
    """
    ending = _OPEN_EQUATION.search(text)
    if ending is None:
        return ""
    part = _BREAK.split(text[: ending.start()])[-1].split("=")[-1]
    tokens = _last_sum(_tokens(_plain(part)))
    values = set(_readings(tokens)) if tokens else set()
    if len(values) != 1 or ("$" in part) != ("$" in ending.group()):
        return ""
    written = _decimal(values.pop(), grouped=any("," in token for _, token in tokens))
    return f" {written}" if written and ending["blank"] and ending.group().endswith("=") else written


def _decimal(value: Fraction, grouped: bool) -> str:
    """A number as people write it, exactly; "" where it takes more than four decimals."""
    if value * 10_000 % 1 or abs(value) >= 10**12:
        return ""
    whole = value.denominator == 1
    written = f"{value.numerator:,}" if whole else f"{float(value):,.4f}".rstrip("0")
    return written if grouped else written.replace(",", "")


def _plain(text: str) -> str:
    for pattern, written in _LATEX:
        text = pattern.sub(written, text)
    # A single x between numbers, or before a bracket, multiplies.
    text = re.sub(r"(?<=[\d)%])[ \t]*[xX][ \t]*(?=[\d(.])|(?<=[^\W\d_]) [xX] (?=[\d(.])", " * ", text)
    return text.translate(_SIGNS)


def _equations(text: str) -> Iterator[tuple[list[Token], list[Token], str]]:
    """Both sides of every `a = b` whose left side is a sum and whose right side begins with one, and how it reads."""
    text = _plain(text)
    for part in (*_BREAK.split(_ANNOTATION.sub("", text)), *_ANNOTATION.findall(text)):
        sides = [_tokens(side) for side in part.split("=")]
        for number, (left, right) in enumerate(itertools.pairwise(sides)):
            before = _last_sum(left)
            after = _first_sum(right, whole=number + 2 < len(sides))
            if before and after and not _changes_unit(left, right) and not _leaves_rest(right):
                yield before, after, f"{_written(before)} = {_written(after)}"


def _changes_unit(left: list[Token], right: list[Token]) -> bool:
    words = {token.lower() for kind, token in left if kind == "word"}
    return any(token.lower() in _CONVERTED - words for kind, token in right if kind == "word")


def _leaves_rest(right: list[Token]) -> bool:
    """`3 remainder 2`, `3 and 2/3`: more than the number that stands first."""
    words = [token.lower() for _, token in right]
    return "and" in words[1:2] or not {"r", "rem", "remainder", "remaining", "left"}.isdisjoint(words)


def _tokens(text: str) -> list[Token]:
    return [(str(match.lastgroup), match.group()) for match in _TOKEN.finditer(text)]


def _written(tokens: list[Token]) -> str:
    return " ".join(token for _, token in tokens).replace("( ", "(").replace(" )", ")").replace(" %", "%")


def _last_sum(tokens: list[Token]) -> list[Token]:
    """The longest end of a side that is a sum once unit words are taken out: `so 3 x 6 feet` is `3 * 6`."""
    for start in range(max(0, len(tokens) - _LONGEST), len(tokens)):
        found = _bare(tokens[start:]) if _may_begin(tokens, start) else []
        if any(kind == "sign" and token in "+-*/" for kind, token in found[1:]):
            return found
    return []


def _may_begin(tokens: list[Token], start: int) -> bool:
    kind, token = tokens[start]
    if start == 0:
        return kind == "number" or token in "(-"
    before, word = tokens[start - 1]
    return (
        (kind == "number" or token == "(")
        and before == "word"
        and len(word) > 1
        and word.lower() not in _JOINING - {"is"}
    )


def _first_sum(tokens: list[Token], whole: bool) -> list[Token]:
    """What a right side begins with: the longest sum up to its unit words (`18 feet`); `whole`: another `=` follows."""
    if whole:
        return _bare(tokens[:_LONGEST])
    for end in range(min(len(tokens), _LONGEST), 0, -1):
        if tokens[end - 1][0] == "number" or tokens[end - 1][1] in ")%":
            after = tokens[end] if end < len(tokens) else ("word", "")
            found = tokens[:end] if all(kind != "word" for kind, _ in tokens[:end]) else []
            if found and after[0] == "word" and _compute(found) is not None:
                return found
    return []


def _bare(tokens: list[Token]) -> list[Token]:
    """The tokens without unit words, which may only follow a number or a bracket; [] where that is no sum.

    A word of one letter is an unknown, not a unit.
    """
    kept: list[Token] = []
    for kind, token in tokens:
        if kind == "word":
            if len(token) == 1 or token.lower() in _JOINING or not kept or kept[-1][1] in "+-*/(^":
                return []
        elif kind == "other":
            return []
        else:
            kept.append((kind, token))
    return kept if _compute(kept) is not None else []


def _agree(left: list[Token], right: list[Token]) -> bool:
    """Whether two sums come to the same; `50%` may stand for 50 or a half, and a decimal or quotient for its rounding."""
    slack = _slack(left, right)
    return any(abs(one - other) <= slack for one in _readings(left) for other in _readings(right))


def _readings(tokens: list[Token]) -> list[Fraction]:
    """What a sum may be meant to come to: a per cent as a hundredth or not, and `6 / 1/3` as 6 thirds or as a third of 6."""
    found = [_compute(tokens, per_cent) for per_cent in (True, False)]
    signs = [place for place, (_, token) in enumerate(tokens) if token == "/"]
    for first, second in itertools.pairwise(signs):
        if second == first + 2 and second + 1 < len(tokens):
            inner = [("sign", "("), *tokens[first + 1 : second + 2], ("sign", ")")]
            found.append(_compute([*tokens[: first + 1], *inner, *tokens[second + 2 :]]))
    return [value for value in found if value is not None]


def _slack(left: list[Token], right: list[Token]) -> Fraction:
    """How far a rounded figure may be off: one in the last decimal place that is written anywhere; 0 for whole numbers."""
    places = [len(token.partition(".")[2]) for side in (left, right) for kind, token in side if kind == "number"]
    decimals = [place for place in places if place]
    return Fraction(1, 10 ** min(decimals)) if decimals else Fraction(0)


def _value(token: str) -> Fraction:
    return Fraction(token.replace(",", ""))


# --- arithmetic ------------------------------------------------------------------------------------------------------


def _compute(tokens: list[Token], per_cent: bool = True) -> Fraction | None:
    """What a sum of numbers, `+ - * / ( ) %` comes to; None where it is no such sum."""
    try:
        value, rest = _added(tokens, per_cent)
    except (ArithmeticError, ValueError, IndexError, RecursionError):
        return None
    return None if rest else value


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
        value, rest = _value(token), tokens[1:]
    else:
        raise ValueError(f"{token} is no number")
    while rest and rest[0][1] == "%":
        value, rest = value / 100 if per_cent else value, rest[1:]
    return value, rest

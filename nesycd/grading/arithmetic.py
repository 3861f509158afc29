"""Whether the sums in a written working are true, and what comes next in one: equations are computed. No algebra, no language.

Nothing is called false that could be meant rightly: what cannot be read as arithmetic is not checked, and rounding,
per cents and remainders are allowed for.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction

from nesycd.grading.computed import (
    BREAK,
    JOINING,
    LONGEST,
    Token,
    compute,
    decimal,
    number_of,
    plain,
    read_tokens,
    readings,
    result_of_form,
)
from nesycd.grading.numbers import quantity

_ANNOTATION = re.compile(r"<<([^<>]*)>>")
_CONVERTED = frozenset(
    f"{unit}{plural}"
    for unit in ("cent", "dollar", "second", "minute", "hour", "day", "week", "month", "year")
    for plural in ("", "s")
)
"""Units that are changed without a word: `2 x 30 minutes = 1 hour`, `$1/2 = 50 cents`."""
_OTHER_FORM = re.compile(r"[<>≤≥]|mod|max|min|day|week", re.IGNORECASE)
LONGEST_LINE = 600
"""Characters before an `=` that are looked at for its left side."""
LONGEST_WORKING = 20_000
"""Characters of a working whose equations are checked: what is longer repeats itself."""
_OPEN_EQUATION = re.compile(r"(?P<blank>[ \t]?)=[ \t]*\$?$")


def false_equation(text: str) -> str:
    """The first equation of a working that is false, as written; "" where none is.

    >>> false_equation("3 x 6 feet = 18 feet. 18 + 4 = 23.")
    '18 + 4 = 23'
    """
    for left, right, written in equations(_without_right_forms(text[:LONGEST_WORKING])):
        if not _agree(left, right):
            return written
    return ""


def _without_right_forms(text: str) -> str:
    """A text without its true equations whose left side is no sum but another form (`computed.result_of_form`)."""
    signs, previous = list(text), 0
    for match in re.finditer("(?<![<>])=", text):
        # No form has an `=` within it, but one may follow another: `3 = 17 mod 5`.
        before = text[max(previous, match.start() - LONGEST_LINE) : match.start()]
        previous = match.start()
        written = result_of_form(before) if _OTHER_FORM.search(before.rpartition("\n")[2]) else ""
        if written and re.match(rf"\s*{re.escape(written)}(?!\w)", text[match.end() : match.end() + LONGEST_LINE]):
            signs[match.start()] = ";"
    return "".join(signs)


def comes_to(text: str, answer: str) -> bool:
    """Whether a working with sums in it ever names its answer; True where that cannot be told (words, no sums)."""
    wanted = quantity(answer)
    if wanted is None or not any(True for _ in equations(text)):
        return True
    tokens = read_tokens(plain(text[:LONGEST_WORKING]))
    named = {number_of(token) for kind, token in tokens if kind == "number" and len(token) <= LONGEST_LINE}
    # A hundredfold: cents of dollars, per cents of shares.
    return not named.isdisjoint({abs(wanted.value), abs(wanted.value) / 100, abs(wanted.value) * 100})


def rests_on(text: str, answer: str) -> frozenset[Fraction]:
    """The numbers from which the sums of a working lead to its answer; that itself where no sum does, none where it is none.

    >>> sorted(map(int, rests_on("5 x 2 = 10. 10 + 3 = 13. 4 x 4 = 16.", "13 feet")))
    [2, 3, 5]
    """
    wanted = quantity(answer)
    if wanted is None:
        return frozenset()
    needed = {wanted.value}
    for left, right, _ in reversed([*equations(text)]):
        if found := needed.intersection(readings(right)):
            needed -= found
            needed.update(number_of(token) for kind, token in left if kind == "number")
    return frozenset(needed)


def replayed(text: str, old: Fraction, new: Fraction, answer: str) -> Fraction | None:
    """What a working comes to if a number in its sums were another one; None where its answer does not rest on that number, or
    where it stands in several places: which of equal numbers is meant cannot be told.

    >>> replayed("7 x 4 = 28. 28 + 5 = 33.", Fraction(4), Fraction(2), "33 gallons")
    Fraction(19, 1)
    """
    changed = {old: new}
    wanted = quantity(answer)
    numbers = [number_of(token) for left, _, _ in equations(text) for kind, token in left if kind == "number"]
    if numbers.count(old) > 1:
        return None
    for left, right, _ in equations(text):
        if not any(kind == "number" and number_of(token) in changed for kind, token in left):
            continue
        replaced = [
            (kind, str(changed.get(number_of(token), token)) if kind == "number" else token) for kind, token in left
        ]
        value = compute([part for one in replaced for part in read_tokens(one[1])])
        if value is None:
            return None
        changed |= dict.fromkeys(readings(right), value)
    return changed.get(wanted.value) if wanted is not None else None


def next_result(text: str) -> str:
    """What a working that ends in a sum and `=` goes on with, its blanks and thousands as in the sum; "" where that is not sure.

    Comparisons, remainders, `max(...)`, `min(...)` and days from a date are gone on with too, see `computed.result_of_form`.

    >>> next_result("3 packs cost 3 x $5 = $"), next_result("So 2.5 x 3 ="), next_result("x + 3 =")
    ('15', ' 7.5', '')
    >>> next_result("3 x 4 < 15 ="), next_result("17 mod 5 ="), next_result("28 February 2024 + 2 days =")
    (' true', ' 2', ' 1 March 2024')
    """
    ending = _OPEN_EQUATION.search(text)
    if ending is None:
        return ""
    before, money = text[: ending.start()], "$" in ending.group()
    written = result_of_form(before, money)
    if written is None:
        written = _sum_result(before, money)
    return f" {written}" if written and ending["blank"] and ending.group().endswith("=") else written


def _sum_result(text: str, money: bool) -> str:
    """What the sum that a text ends in comes to; `money`: the result is in dollars, as the sum must then be."""
    end = text[-LONGEST_LINE:]
    part = BREAK.split(end)[-1].split("=")[-1]
    if len(part) == len(end) < len(text):
        return ""  # a number may be cut off at its beginning
    tokens = _last_sum(read_tokens(plain(part)))
    values = set(readings(tokens)) if tokens else set()
    if len(values) != 1 or ("$" in part) != money:
        return ""
    return decimal(values.pop(), grouped=any("," in token for _, token in tokens))


def equations(text: str) -> Iterator[tuple[list[Token], list[Token], str]]:
    """Both sides of every `a = b` of a text whose left side is a sum and whose right side begins with one, and how it reads."""
    text = plain(text[:LONGEST_WORKING])
    for part in (*BREAK.split(_ANNOTATION.sub("", text)), *_ANNOTATION.findall(text)):
        sides = [read_tokens(side) for side in part.split("=")]
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


def _written(tokens: list[Token]) -> str:
    return " ".join(token for _, token in tokens).replace("( ", "(").replace(" )", ")").replace(" %", "%")


def _last_sum(tokens: list[Token]) -> list[Token]:
    """The longest end of a side that is a sum once unit words are taken out: `so 3 x 6 feet` is `3 * 6`."""
    for start in range(max(0, len(tokens) - LONGEST), len(tokens)):
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
        and word.lower() not in JOINING - {"is"}
    )


def _first_sum(tokens: list[Token], whole: bool) -> list[Token]:
    """What a right side begins with: the longest sum up to its unit words (`18 feet`); `whole`: another `=` follows."""
    if whole:
        return _bare(tokens[:LONGEST])
    for end in range(min(len(tokens), LONGEST), 0, -1):
        if tokens[end - 1][0] == "number" or tokens[end - 1][1] in ")%":
            after = tokens[end] if end < len(tokens) else ("word", "")
            found = tokens[:end] if all(kind != "word" for kind, _ in tokens[:end]) else []
            if found and after[0] == "word" and compute(found) is not None:
                return found
    return []


def _bare(tokens: list[Token]) -> list[Token]:
    """The tokens without unit words, which may only follow a number or a bracket; [] where that is no sum.

    A word of one letter is an unknown, not a unit.
    """
    kept: list[Token] = []
    for kind, token in tokens:
        if kind == "word":
            if len(token) == 1 or token.lower() in JOINING or not kept or kept[-1][1] in "+-*/(^":
                return []
        elif kind == "other":
            return []
        else:
            kept.append((kind, token))
    return kept if compute(kept) is not None else []


def _agree(left: list[Token], right: list[Token]) -> bool:
    """Whether two sums come to the same; `50%` may stand for 50 or a half, and a decimal or quotient for its rounding."""
    slack = _slack(left, right)
    return any(abs(one - other) <= slack for one in readings(left) for other in readings(right))


def _slack(left: list[Token], right: list[Token]) -> Fraction:
    """How far a rounded figure may be off: one in the last decimal place that is written anywhere; 0 for whole numbers."""
    places = [len(token.partition(".")[2]) for side in (left, right) for kind, token in side if kind == "number"]
    decimals = [place for place in places if place]
    return Fraction(1, 10 ** min(decimals)) if decimals else Fraction(0)

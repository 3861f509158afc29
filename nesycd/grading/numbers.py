"""Numbers as people write them: reading them, with their units and the words that follow, and comparing them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from nesycd.grading.wording import balanced, clean, same_text

DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_QUANTITY = re.compile(
    rf"^(?P<sign>[-+]?)\s*(?P<before>[$£€¥]?)\s*(?P<sign2>-?)(?:(?P<whole>\d+)\s+(?=\d+\s*/))?(?P<number>{DIGITS})"
    rf"(?:\s*/\s*(?P<divisor>{DIGITS}))?\s*(?P<after>[$£€¥]?)(?:%|\s*percent\b)?\s*(?P<unit>/?[^\W\d][^\d]*)?$"
)
_MULTIPLES = (
    r"(?:hundred|thousand|million|billion|trillion|dozen)s?|score|half|halves|quarters?"
    r"|(?:third|(?:fif|six|seven|eigh|nin|ten|twelf|hundred|thousand|million)th)s?"
)
# "5 dozen" and "5k" are not 5, "5 or more" is no number at all, and "5 below zero" may be -5.
_NOT_UNIT = re.compile(
    r"and|or|not|to|than|more|less|at|least|most|times|a|an|plus|minus|about|if|unless|but|is|below|negative|squared|cubed|factorial|too"
    rf"|{_MULTIPLES}|mil|bn|[kxyzieπ]"
)
_NUMBER_WORDS = frozenset(
    """zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty thirty forty fifty sixty seventy eighty ninety""".split()  # noqa: SIM905 - a list of words is read more easily as a text
)
_UNIT_WORD = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+)*")
LONGEST = 300
"""Characters of what is still read as a number or a formula: Python refuses to convert thousands of digits, which a student may
stutter."""


@dataclass(frozen=True)
class Quantity:
    """A number with its currency sign and unit words ("" where it has none); a per cent sign is dropped."""

    value: Fraction
    currency: str
    unit: str


def quantity(text: str) -> Quantity | None:
    """Read `18.0`, `1,000`, `-3`, `$5`, `5%`, `1/2`, `2 1/2`, `6 feet`, `x = 5`, `1.5 \\times 10^3` or `\\frac{1}{2}`.

    Returns:
        None where the text is not one number.
    """
    if len(text) > 4 * LONGEST:
        return None
    text = _without_latex(clean(text))
    if len(text) > LONGEST:
        return None
    power = _POWER_OF_TEN.match(text)
    if power:
        return Quantity(Fraction(power["number"]) * Fraction(10) ** int(power["power"]), "", "")
    match = _QUANTITY.match(text)
    if match is None:
        return None
    unit = " ".join((match["unit"] or "").lower().split())
    if not is_unit(unit):
        return None
    value = Fraction(match["number"].replace(",", ""))
    if match["divisor"]:
        divisor = Fraction(match["divisor"].replace(",", ""))
        if divisor == 0:
            return None
        value /= divisor
    value += int(match["whole"] or 0)
    negative = "-" in (match["sign"] + match["sign2"])
    return Quantity(-value if negative else value, match["before"] or match["after"], unit)


_POWER_OF_TEN = re.compile(
    r"^(?P<number>[-+]?\d+(?:\.\d+)?)(?:\s*(?:\\times|\\cdot|[x×*])\s*10\s*\^\s*\{?|e)\s*(?P<power>[-+]?\d{1,2})\}?$",
    re.IGNORECASE,
)


def _without_latex(text: str) -> str:
    """A number as people type it: LaTeX's fractions, blanks, degrees and powers of units, and a `x =` before it."""
    text = re.sub(r"\\[()]", " ", text.replace("\\$", "$").replace("\\%", "%")).strip()
    text = re.sub(r"^[A-Za-z]\s*=\s*(?=\S)", "", text)
    text = re.sub(r"(?<=\d)\s*\{?,\}?\s*\\[!,]|(?<=\d)\{,\}", ",", text)
    text = re.sub(r"(?<=\d)\\[,!;: ](?=\d)", "", text)
    text = re.sub(r"(?<=\d)\\[,;: ]\s*(?=[^\W\d])", " ", text)
    text = re.sub(r"(?<=\d)\s*\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}", r" \1/\2", text)
    text = re.sub(r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}", r"\1/\2", text)
    text = re.sub(r"\\[dt]?frac\s*(\d)\s*(\d)(?!\d)", r"\1/\2", text)
    text = re.sub(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|°)", " degrees", text)
    return re.sub(r"(?<=[a-z])\s*\^\s*\{?([23])\}?$", lambda power: "²³"[int(power[1]) - 2], text)


def is_unit(text: str) -> bool:
    """Whether words after a number, up to three, leave it what it is: "eggs", "km/h", "dollars an hour", "times", "p.m"."""
    words = re.sub(r"^times$|/|(?:^|(?<= ))an? (?=\S)", " ", text).split()
    return len(words) <= 3 and all(
        word[0].isalpha() and _UNIT_WORD.fullmatch(word) and not _NOT_UNIT.fullmatch(word) and word not in _NUMBER_WORDS
        for word in words
    )


def same_answer(answer: str, gold: str) -> bool:
    """Whether two open answers are equal: as numbers where the gold is one, else as text without regard to case.

    An answer may add unit or currency to a bare gold number, but never differ from one that the gold has.
    """
    wanted = quantity(gold)
    if wanted is None:
        return same_text(answer, gold)
    given = quantity(answer)
    return given is not None and given.value == wanted.value and fits(given, wanted)


def fits(given: Quantity, wanted: Quantity) -> bool:
    """Whether currency and unit of a number fit the gold one's, which may lack either."""
    currency_fits = given.currency == wanted.currency or not (given.currency and wanted.currency)
    if wanted.currency and re.match(r"(?:cents?|pence|pennies)\b", given.unit):
        return False
    return currency_fits and (wanted.unit in ("", given.unit) or given.unit.startswith(f"{wanted.unit} "))


# --- a number and what is said of it ---------------------------------------------------------------------------------

_TAG = re.compile(r"</?[a-z_]+>")
_HOUR = re.compile(r"(?P<hour>\d{1,2}):00(?::00)?(?:\s*(?:[ap]\.?m\.?|o'clock))?", re.IGNORECASE)
_NOTE = re.compile(r"\s*\(([^()]*)\)")
_REASON = re.compile(r"\s*[,;-]?\s+(?:because|since)\b|,?\s+as\s+(?=[\d$(])", re.IGNORECASE)
_IS_RIGHT = re.compile(r"\s+is (?:the )?(?:correct|right)(?: (?:answer|number|result))?", re.IGNORECASE)
_LEADING = re.compile(
    rf"(?P<number>[-+]?\s*[$£€¥]?\s*-?(?:{DIGITS})\s*[$£€¥]?\s*%?)(?P<phrase>(?:\s+|(?<=%)|(?<=\d))[^\W\d_][^\W_]*.*)"
)
_BEFORE_NUMBER = frozenset({"in", "after", "for", "within", "over", "during", "on"})
"""Words after which a second number is only said of the first: "240 crates in 4 weeks"."""
_CHANGES = re.compile(
    r"or|no|not|never|than|more|less|fewer|plus|minus|times|about|approximately|roughly|around|but|unless|if|except|without"
    r"|too|instead|rather|wrong|incorrect|below|under|short|negative|squared|cubed|factorial|either|between|unknown|unclear"
    rf"|[a-z]+n't|{_MULTIPLES}"
)
"""Words that make the number before them another one, or take it back, wherever they follow."""
_AND_MORE = frozenset({"a", "an", "another", "one", "some", "several", "few"})
_WORD = re.compile(r"[^\W\d_]+(?:[-.'/][^\W\d_]+)*\.?")
_ASKED = re.compile(r"\bhow (?:many|much) ([a-z]+)")


def stated_number(answer: str, question: str = "") -> Quantity | None:
    """The number that an answer states, whatever is said of it: `870 herons on the lake`, `5 (2 pears and 3 plums)`, `4:00 pm`.

    A word that changes a number ("dozen", "more") may follow it only where the question asks in it ("how many dozens").

    Returns:
        The number, with all that follows it as its unit; None where there is none, or more than one could be meant.
    """
    if len(answer) > 4 * LONGEST or not re.search(r"\d", answer):
        return None
    text = " ".join(balanced(_TAG.sub(" ", clean(answer)).strip("<> ")).split())
    if answer.lstrip(" $\\(*").startswith("<") and not _TAG.match(answer.lstrip(" $\\(*")):
        return None  # "<1200" is a bound
    found = quantity(answer) or quantity(text)
    if found is not None or len(text) > LONGEST:
        return found
    if (hour := _HOUR.fullmatch(text)) and int(hour["hour"]) <= 24:
        return Quantity(Fraction(int(hour["hour"])), "", "")
    bare = _without_remarks(_without_latex(text))
    if bare is None:
        return None
    if (found := quantity(bare)) is not None:
        return found
    match = _LEADING.fullmatch(bare)
    number = quantity(match["number"]) if match else None
    if match is None or number is None or not _says_of_it(match["phrase"], bool(number.currency), question):
        return None
    return replace(number, unit=" ".join(match["phrase"].lower().split()))


def _without_remarks(text: str) -> str | None:
    """The text without notes in brackets, a reason, and that it "is correct"; None where one of them may change the number."""
    first = re.search(DIGITS, text)
    for note in _NOTE.findall(text):
        words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", note.lower())
        numbers = re.findall(DIGITS, note)
        if any(_CHANGES.fullmatch(word) for word in words) or re.fullmatch(
            r"[xk]|and\b.*|to\b.*", note.strip().lower()
        ):
            return None
        if not words and numbers and (first is None or numbers != [first[0]]):
            return None
    if first is not None and _NOTE.search(text):
        text = text[: first.end()] + _NOTE.sub("", text[first.end() :])
    if reason := _REASON.search(text):
        if re.search(r"\b(?:wrong|incorrect|not|or)\b", text[reason.end() :]):
            return None
        text = text[: reason.start()]
    if right := _IS_RIGHT.search(text):
        text = text[: right.start()] + text[right.end() :]
    return text.strip()


def _says_of_it(phrase: str, has_unit: bool, question: str) -> bool:
    """Whether the words after a number leave it what it is."""
    words = phrase.replace("*", " ").lower().split()
    asked = set(_ASKED.findall(question.lower()))
    asked |= {word.removesuffix("s") for word in asked} | {f"{word}s" for word in asked}
    comparing = bool(asked & {"more", "less", "fewer"})
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        bare = word.rstrip(",")
        if bare in _NUMBER_WORDS or re.fullmatch(rf"[$£€¥]?(?:{DIGITS})%?", bare):
            if before not in _BEFORE_NUMBER or (place == 1 and not has_unit):
                return False
            continue
        if not _WORD.fullmatch(bare) or not bare[0].isalpha():
            return False
        if (place == 0 and bare in asked) or (bare == "than" and comparing):
            continue
        if any(_CHANGES.fullmatch(part) for part in re.split(r"[-/]", bare)):
            return False
        if place == 0 and (_NOT_UNIT.fullmatch(bare) or before in _AND_MORE):
            return False
        if before == "and" and bare in _AND_MORE:
            return False
    return True

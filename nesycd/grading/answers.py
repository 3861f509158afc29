"""Finding the answer in a response and comparing it with the gold one, where nothing more is known of its form.

Finding and comparing are apart, so that stored responses can be graded again. Nothing here guesses: an answer that is
not stated in a closing phrase (or after `####`, or in a `\\boxed{}`) is no answer, and one that could mean two things
is wrong. No algebra: `2x` and `x + x` differ here (see `forms` for that).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from nesycd.core.records import Example

CLOSING = "Therefore, the answer is"
"""The phrase that ends every rationale (released code of NesyCD)."""

Source = Literal["closing", "answer_is", "hashes", "boxed", "none"]
"""Where an answer was found: in a closing sentence ("So the answer is X."), which is what is asked for; or, as a fallback
that a report counts, after the last "answer is" elsewhere, after `####`, in `\\boxed{}`. The list is closed."""

_ANSWER_IS = re.compile(r"\banswer\s+is\b[ \t]*[:=]?", re.IGNORECASE)
# Each run of blanks is read from one place only, and possessively, so that a text of nothing else costs no time.
_CLOSING_SENTENCE = re.compile(
    r"(?:^\s*+|(?<=[.!?:;)\]\"'])\s++|\n[^\S\n]*+)[*_]*(?:(?:so|therefore|thus|hence|then|finally)\b,?\s+)?"
    r"the\s+(?:final\s+|correct\s+)?answer\s+is\b",
    re.IGNORECASE,
)
# Braces in braces, four deep; possessive, so that unbalanced ones cost no time.
_IN_BRACES = r"[^{}]*+"
for _ in range(4):
    _IN_BRACES = rf"(?:[^{{}}]|\{{{_IN_BRACES}\}})*+"
_BOXED = re.compile(rf"\\boxed\s*\{{({_IN_BRACES})\}}")
_SENTENCE_END = re.compile(r"[.!?](?=\s)")
_ABBREVIATION = re.compile(r"mr|mrs|ms|dr|prof|st|jr|sr|inc|co|ltd|corp|vs|etc|approx|cf|ca")
_MONTH = re.compile(r"jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec")
_SAME_CHARACTER = str.maketrans({"−": "-", "–": "-", "“": '"', "”": '"', "‘": "'", "’": "'", "\u00a0": " "})
_OPENING = " \t\n\"'`*_"
_TRAILING = " \t\n\"'`*_.,;:!?。"


@dataclass(frozen=True)
class Found:
    """An answer as it stands in a text ("" = none) and where it was found."""

    text: str
    source: Source


def closing(answer: str) -> str:
    """The closing sentence for an answer: `Therefore, the answer is X.`"""
    answer = answer.strip()
    return f"{CLOSING} {answer}" if answer.endswith(".") else f"{CLOSING} {answer}."


def find_answer(text: str) -> Found:
    """The answer that a text states and where: after its last "answer is", else after `####`, else in `\\boxed{}`.

    The last "answer is" counts even where nothing follows it (a response cut off there has no answer).
    """
    line, source = _answer_line(text)
    found = clean(_first_sentence(line))
    return Found(found, source if found else "none")


def stated_rest(text: str) -> str:
    """All that follows the last "answer is" (else `####`), over as many lines as there are; "" where neither stands."""
    closings = list(_ANSWER_IS.finditer(text))
    if closings:
        return text[closings[-1].end() :].strip()
    return text.rsplit("####", 1)[1].strip() if "####" in text else ""


def closing_answer(text: str) -> str:
    """The text of the stated answer, without quotes and final punctuation; "" where none is stated."""
    return find_answer(text).text


def split_closing(text: str) -> tuple[str, str]:
    """Split a text into its working and the answer of its last sentence, where that is a closing one.

    Only a sentence of its own ("So the answer is X.") that ends the text is taken off.

    Returns:
        The working and the answer, or the whole text and "".
    """
    closings = list(_CLOSING_SENTENCE.finditer(text))
    if not closings:
        return text.strip(), ""
    last = closings[-1]
    line = text[last.end() :].strip().lstrip(":").strip()
    sentence = _first_sentence(line)
    if not clean(sentence) or line[len(sentence) :].strip(_TRAILING):
        return text.strip(), ""
    return text[: last.start()].strip(), clean(sentence)


def extract(response: str, example: Example) -> str:
    """The answer in a response: "(B)" for a choice, else the text as stated; "" where there is none."""
    found = closing_answer(response)
    if not example.options:
        return found
    # An option's text may hold a full stop, so the whole line is tried where its first sentence fits no option.
    return option_letter(found, example.options) or option_letter(_answer_line(response)[0], example.options) or found


def grade(answer: str, example: Example) -> bool:
    """Whether an answer equals the example's gold one: as option, as yes/no word, as number, or as text."""
    if not answer.strip():
        return False
    if example.options:
        letter = option_letter(answer, example.options)
        return bool(letter) and letter == option_letter(example.answer, example.options)
    if _polarity(example.answer):
        return _polarity(answer) == _polarity(example.answer)
    return same_answer(answer, example.answer)


def clean(text: str) -> str:
    """An answer without markup, surrounding quotes and final punctuation; brackets stay (they may be the answer)."""
    text = text.translate(_SAME_CHARACTER)
    text = _BOXED.sub(lambda match: match.group(1), text)
    text = re.sub(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"^\s*(?:\\[(\[]|\$(?=.*\$))\s*(.*?)\s*(?:\\[)\]]|\$)[\s.]*$", r"\1", text)
    return text.lstrip(_OPENING).rstrip(_TRAILING)


def _answer_line(text: str) -> tuple[str, Source]:
    closings = list(_ANSWER_IS.finditer(text))
    boxes = _BOXED.findall(text)
    if closings:
        rest, source = text[closings[-1].end() :], _closing_kind(text, closings[-1].start())
    elif "####" in text:
        rest, source = text.rsplit("####", 1)[1], "hashes"
    elif boxes:
        rest, source = boxes[-1], "boxed"
    else:
        return "", "none"
    lines = [line.strip() for line in rest.splitlines() if not is_markup(line)]
    return (lines[0], source) if lines else ("", "none")  # type: ignore[return-value]


def is_markup(line: str) -> bool:
    """Whether a line says nothing: blanks, or what opens or closes bold text, displayed mathematics or a block of code."""
    return bool(re.fullmatch(r"[\s:*_]*|\s*(?:\\[\[\]]|\$\$|```[a-z]*)\s*", line))


def _closing_kind(text: str, start: int) -> str:
    """Whether the "answer is" at `start` belongs to a sentence that opens with it, as a closing one does."""
    sentences = _CLOSING_SENTENCE.finditer(text)
    return "closing" if any(sentence.start() <= start < sentence.end() for sentence in sentences) else "answer_is"


def _first_sentence(line: str) -> str:
    """The line up to its first full stop before a blank.

    One after an abbreviation, between initials or before "and" or "or" ends nothing.
    """
    for end in _SENTENCE_END.finditer(line):
        before, after = line[: end.start()], line[end.end() :]
        word = before.rsplit(None, 1)[-1].lower() if before.strip() else ""
        initial = re.fullmatch(r"[a-z]", word) and re.match(r"\s+[A-Z]\.\s", after)
        month = _MONTH.fullmatch(word) and re.match(r"\s+\d", after)
        goes_on = re.match(r"\s+(?:and|or)\b", after)
        last_initial = re.search(r"(?:^|\s)[A-Z]\.\s+[A-Z]$", before)
        if line[end.start()] == "." and (_ABBREVIATION.fullmatch(word) or initial or month or last_initial or goes_on):
            continue
        return before
    return line


# --- options and words -----------------------------------------------------------------------------------------------

_REASON = re.compile(r"(?:because|since)\b", re.IGNORECASE)
_AFTER_LETTER = rf"(?:[.:)]\s*|\s*[,—-]\s*(?=\S)|\s+(?={_REASON.pattern})|$)"
_LETTER = re.compile(
    r"^(?:(?:option|choice)\s+)?[(\[]\s*(?P<bracketed>[A-Za-z])\s*[)\]]\s*[.:,—-]?\s*(?P<rest1>.*)$"
    rf"|^(?:option|choice)\s+(?P<named>[A-Za-z]){_AFTER_LETTER}(?P<rest2>.*)$"
    rf"|^(?P<bare>[A-Za-z]){_AFTER_LETTER}(?P<rest3>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_LONE_LETTER = re.compile(r"\(([A-Za-z])\)")
_POLAR = (("yes", "no"), ("valid", "invalid"), ("true", "false"))


def letter(index: int) -> str:
    """ "(A)" for 0, "(B)" for 1, ..., up to 25."""
    return f"({chr(ord('A') + index)})"


def option_letter(answer: str, options: tuple[str, ...]) -> str:
    """The option that an answer names, as "(B)": by letter, or by the text of exactly one option.

    A letter followed by something that is neither the text of its own option nor a reason names nothing.

    Returns:
        "" where the answer names no option or might name two.
    """
    answer = clean(answer)
    lone = _LONE_LETTER.fullmatch(answer)
    if lone and ord(lone[1].upper()) - ord("A") < len(options):
        return f"({lone[1].upper()})"
    by_text = [index for index, option in enumerate(options) if same_answer(answer, option)]
    if len(by_text) > 1:  # "Ww" and "WW" are equal but for their case: the very same text tells them apart
        by_text = [index for index in by_text if clean(options[index]) == answer] or by_text
    match = _LETTER.match(answer)
    if match is None:
        return letter(by_text[0]) if len(by_text) == 1 else ""
    named = match["bracketed"] or match["named"] or match["bare"]
    rest = match["rest1"] or match["rest2"] or match["rest3"] or ""
    rest = "" if _REASON.match(rest) else rest
    index = ord(named.upper()) - ord("A")
    if index >= len(options) or (rest and not _begins(options[index], rest)):
        return letter(by_text[0]) if len(by_text) == 1 else ""
    if not match["bracketed"] and any(other != index for other in by_text):
        return ""  # "A" may be the letter of one option and the text of another
    return letter(index)


def _begins(option: str, text: str) -> bool:
    """Whether `text` is the option's text, or its first sentence (the rest may have been cut)."""
    return same_answer(text, option) or same_answer(text, _first_sentence(option))


def _polarity(answer: str) -> str:
    """The yes/no, valid/invalid or true/false word that an answer is, or opens with before a comma or dash; else ""."""
    text = clean(answer).lower()
    for pair in _POLAR:
        for word, opposite in (pair, pair[::-1]):
            opening = re.match(rf"{word}\s*(?:$|[,;:(—]|-\s)", text)
            if opening and not re.search(rf"\b{opposite}\b", text):
                return word
    return ""


# --- numbers and texts -----------------------------------------------------------------------------------------------

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_QUANTITY = re.compile(
    rf"^(?P<sign>[-+]?)\s*(?P<before>[$£€¥]?)\s*(?P<sign2>-?)(?:(?P<whole>\d+)\s+(?=\d+\s*/))?(?P<number>{_DIGITS})"
    rf"(?:\s*/\s*(?P<divisor>{_DIGITS}))?\s*(?P<after>[$£€¥]?)(?:%|\s*percent\b)?\s*(?P<unit>/?[^\W\d][^\d]*)?$"
)
# "5 dozen" and "5k" are not 5, "5 or more" is no number at all, and "5 below zero" may be -5.
_NOT_UNIT = re.compile(
    r"and|or|not|to|than|more|less|at|least|most|times|a|an|plus|minus|about|if|unless|but|is|below|negative|squared|cubed|factorial"
    r"|(?:hundred|thousand|million|billion|trillion|dozen)s?|score|half|halves|quarters?"
    r"|(?:third|(?:fif|six|seven|eigh|nin|ten|twelf|hundred|thousand|million)th)s?|mil|bn|[kxyzieπ]"
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
        word[0].isalpha() and _UNIT_WORD.fullmatch(word) and not _NOT_UNIT.fullmatch(word) for word in words
    )


def same_answer(answer: str, gold: str) -> bool:
    """Whether two open answers are equal: as numbers where the gold is one, else as text without regard to case.

    An answer may add unit or currency to a bare gold number, but never differ from one that the gold has.
    """
    wanted = quantity(gold)
    if wanted is None:
        return same_text(answer, gold)
    given = quantity(answer)
    if given is None or given.value != wanted.value:
        return False
    currency_fits = given.currency == wanted.currency or not (given.currency and wanted.currency)
    return currency_fits and wanted.unit in ("", given.unit)


def same_text(answer: str, gold: str) -> bool:
    """Whether two answers are the same text, without regard to case, white space and markup."""
    return _plain(answer) == _plain(gold)


def _plain(text: str) -> str:
    return " ".join(clean(text).casefold().split())

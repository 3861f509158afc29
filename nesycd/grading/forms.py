"""Comparing answers whose gold has a form of its own: each form is one function, named in `FORMS`.

A form only ever makes more spellings of the gold equal to it. What is not there, or could mean two things, stays wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Literal

from nesycd.core.reasoning import without_reasoning
from nesycd.core.records import Example
from nesycd.grading import answers, latex
from nesycd.grading.numbers import quantity, stated_number
from nesycd.grading.options import gold_letter, letter, option_letter
from nesycd.grading.wording import LONGEST_LINE, clean, is_markup, same_text

Form = Literal["plain", "number", "words", "brackets", "date", "letters", "math"]
"""How an answer is compared with the gold one; see `FORMS`."""


def extract(response: str, example: Example, form: Form = "plain") -> str:
    """The answer in a response: "(B)" for a choice, else the text as stated; "" where there is none.

    With the form `words` a list may go on over several lines; with `letters` a choice may be "(A), (C)"; with `date` an
    option may be named by its date in words.
    """
    if form == "words":
        lines = _listed_lines(answers.stated_rest(response))
        return ", ".join(lines) if lines else answers.closing_answer(response)
    if form == "math" and not example.options:
        stated = answers.find_answer(response, formula=True)
        return stated.text if stated.source not in ("none", "whole", "sentence") else _whole_formula(response)
    found = answers.extract(response, example)
    if form == "letters" and example.options:
        return ", ".join(_letters(found, example.options)) or found
    if form == "date" and example.options:
        return _dated_option(found, example.options) or found
    return found


def grade(answer: str, example: Example, form: Form = "plain") -> bool:
    """Whether an answer equals the example's gold one, which has this form."""
    if len(answer) > LONGEST_LINE:
        return same_text(answer, example.answer)
    if form == "math" and not example.options:
        return bool(answer.strip()) and _math(answer, example)
    return bool(answer.strip()) and (answers.grade(answer, example) or FORMS[form](answer, example))


def _plain(answer: str, example: Example) -> bool:
    """As an option by letter or text, as yes/no, valid/invalid or true/false, as a number, or as text."""
    return False  # `answers.grade` has said all


# --- numbers ---------------------------------------------------------------------------------------------------------

_UNANSWERABLE = re.compile(
    r"(?:that )?(?:the answer is |it is |it )?(?:none|unknown|undetermined|indeterminate|unanswerable|undeterminable"
    r"|not enough information(?: given| provided)?|(?:there is )?insufficient information"
    r"|(?:not possible|impossible) to (?:determine|tell|say|know|answer|calculate)"
    r"|(?:cannot|can not|can't|could not) be (?:determined|known|answered|calculated|found))"
)


def _number(answer: str, example: Example) -> bool:
    """As plain; besides, a gold number that was rounded equals what it was rounded from, and the gold "None" what says so.

    Rounded is taken to be what has two decimals or more and three digits that count: 4.33 equals 13/3, 0.5 only itself.
    """
    gold = clean(example.answer)
    if gold.lower() == "none":
        return bool(_UNANSWERABLE.fullmatch(clean(answer).lower().replace("’", "'")))
    decimals = len(gold.partition(".")[2]) if re.fullmatch(r"-?\d*\.\d+", gold) else 0
    wanted, given = quantity(gold), stated_number(answer, example.question)
    if decimals < 2 or len(gold.replace(".", "").lstrip("-0")) < 3 or wanted is None or given is None:
        return False
    return abs(given.value - wanted.value) <= Fraction(1, 2 * 10**decimals)


# --- lists and brackets ----------------------------------------------------------------------------------------------

_MARKED = re.compile(r"^(?:\d{1,2}[.)]|\(\d{1,2}\)|[-*•])\s+(\S.*)$")


def _listed_lines(text: str) -> list[str]:
    """The items of a list with a mark on each line ("1. x", "- x"), from the first line on; none where it is no such list."""
    items: list[str] = []
    for line in text.splitlines():
        mark = _MARKED.match(line.strip())
        if mark is not None:
            items.append(clean(mark[1]))
        elif not is_markup(line):
            break
    return items


def _words(answer: str, example: Example) -> bool:
    """As an ordered list: the same words in the same order, whatever stands between them (blanks, commas, "<", numbers)."""
    return _word_list(answer) == _word_list(example.answer) != []


def _word_list(text: str) -> list[str]:
    text = clean(text).strip("[](){}").casefold()
    text = re.sub(r"(?:^|(?<=[\s,;]))(?:\d{1,2}[.)]|\(\d{1,2}\))\s+", " ", text)
    parts = re.split(r"[\s,;<>|→]+|->", text)
    words = [part.strip("\"'`*_.") for part in parts]
    if "and" in words[:-1] and words.index("and") == len(words) - 2 and re.search(r",\s*and\s", text):
        words.remove("and")  # "a, b, and c"
    return [word for word in words if word]


def _brackets(answer: str, example: Example) -> bool:
    """As a sequence of brackets, whatever blanks stand between them; any other sign makes it wrong."""
    given, gold = ("".join(clean(text).split()) for text in (answer, example.answer))
    return bool(re.fullmatch(r"[\[\](){}<>]+", gold)) and given == gold


# --- dates -----------------------------------------------------------------------------------------------------------

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?"
_DATES = (
    re.compile(rf"{_WEEKDAY}(?P<month>\d{{1,2}})[/-](?P<day>\d{{1,2}})[/-](?P<year>\d{{4}})"),
    re.compile(rf"{_WEEKDAY}(?P<year>\d{{4}})-(?P<month>\d{{1,2}})-(?P<day>\d{{1,2}})"),
    re.compile(rf"{_WEEKDAY}(?P<month>[a-z]{{3,9}})\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})"),
    re.compile(rf"{_WEEKDAY}(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?\s+(?P<month>[a-z]{{3,9}})\.?,?\s+(?P<year>\d{{4}})"),
)  # fmt: skip


def read_date(text: str) -> date | None:
    """A date as `05/01/2021` (month first), `2021-05-01`, `May 1, 2021` or `1 May 2021`; None where it is none."""
    text = " ".join(clean(text).lower().split())
    for form in _DATES:
        match = form.fullmatch(text)
        if match is None:
            continue
        month = _month(match["month"])
        try:
            return date(int(match["year"]), month, int(match["day"]))
        except ValueError:
            return None
    return None


def _month(text: str) -> int:
    """1 to 12; 0 for what is no month."""
    if text.isdigit():
        return int(text)
    named = [number for number, month in enumerate(_MONTHS, 1) if month.startswith(text) or text == "sept" == month[:4]]
    return named[0] if len(named) == 1 else 0


def _dated_option(answer: str, options: tuple[str, ...]) -> str:
    given = read_date(answer)
    same = [index for index, option in enumerate(options) if given is not None and read_date(option) == given]
    return letter(same[0]) if len(same) == 1 else ""


def _date(answer: str, example: Example) -> bool:
    """As a date, numeric with the month first (as BBH asks for it) or in words; an option may be named by its date."""
    if example.options:
        named = _dated_option(answer, example.options)
        return bool(named) and named == gold_letter(example.answer, example.options)
    given = read_date(answer)
    return given is not None and given == read_date(example.answer)


# --- several options -------------------------------------------------------------------------------------------------


def _letters(answer: str, options: tuple[str, ...]) -> list[str]:
    """The options that an answer names, in the options' order, each once; none where a part of it names no option."""
    whole = option_letter(answer, options)
    if whole:
        return [whole]
    text = clean(answer)
    if re.fullmatch(r"[A-Z]{2,}", text) and len(set(text)) == len(text):
        parts = list(text)
    else:
        parts = [part for part in re.split(r"\s*(?:[,;&]|\band\b)\s*|(?<=\))\s*(?=\()", text) if part]
    if len(parts) > 2 * len(options):
        return []
    named = [option_letter(part, options) for part in parts]
    return sorted(set(named)) if all(named) else []


def _several(answer: str, example: Example) -> bool:
    """As a set of options, each by letter or by text: all of the gold ones and no other."""
    given = _letters(answer, example.options)
    return bool(given) and given == _letters(example.answer, example.options)


# --- mathematics -----------------------------------------------------------------------------------------------------


def _math(answer: str, example: Example) -> bool:
    """As text, else as mathematics by math-verify: equal by algebra, in LaTeX or as typed (extra `math`)."""
    return same_text(answer, example.answer, formula=True) or latex.same(answer, example.answer)


def _whole_formula(response: str) -> str:
    """A response that is as a whole one formula on one line, without words."""
    text = clean(without_reasoning(response)[: 4 * LONGEST_LINE], formula=True)
    is_formula = "answer" not in text and "####" not in text and latex.is_formula(text)
    return text if is_formula else ""


FORMS: dict[Form, Callable[[str, Example], bool]] = {
    "plain": _plain,
    "number": _number,
    "words": _words,
    "brackets": _brackets,
    "date": _date,
    "letters": _several,
    "math": _math,
}
"""What is equal to the gold of each form, besides what is equal to it as plain."""

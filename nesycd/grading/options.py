"""Options: which one an answer or a gold answer names, by letter or by text."""

from __future__ import annotations

import re

from nesycd.grading.numbers import quantity, same_answer
from nesycd.grading.wording import LONGEST_LINE, balanced, clean, first_sentence, plain

_REASON = re.compile(r"(?:because|since)\b", re.IGNORECASE)
_IS_RIGHT = re.compile(
    r"(?:(?:is|it is|it's)(?: (?:the )?(?:correct|right)(?: (?:answer|option|choice))?)?)$", re.IGNORECASE
)
_QUOTE = r"[\"'`]?"
_LETTER = re.compile(
    rf"^(?:(?:option|choice)\s+)?{_QUOTE}[(\[]\s*(?P<bracketed>[A-Za-z])\s*[)\]]{_QUOTE}(?P<rest1>.*)$"
    rf"|^(?:option|choice)\s+{_QUOTE}(?P<named>[A-Za-z])\b{_QUOTE}(?P<rest2>.*)$"
    rf"|^{_QUOTE}(?P<bare>[A-Za-z])\b{_QUOTE}(?P<rest3>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_LONE_LETTER = re.compile(r"\(([A-Za-z])\)")
_GOLD_LETTER = re.compile(r"[(\[]?([A-Z])[)\].:]?|[(\[]([a-z])[)\]]")
_BEFORE_LETTER = re.compile(r"^(?:-\s+|\.{2,}\s*|…\s*)+")


def letter(index: int) -> str:
    """ "(A)" for 0, "(B)" for 1, ..., up to 25."""
    return f"({chr(ord('A') + index)})"


def gold_letter(gold: str, options: tuple[str, ...]) -> str:
    """The option that a gold answer names, as "(B)": a letter comes first, even where another option's text is that letter.

    Returns:
        "" where the gold names no option or might name two.
    """
    alone = _GOLD_LETTER.fullmatch(gold.strip())
    index = ord((alone[1] or alone[2]).upper()) - ord("A") if alone else len(options)
    return letter(index) if index < len(options) else option_letter(gold, options)


def option_letter(answer: str, options: tuple[str, ...]) -> str:
    """The option that an answer names, as "(B)": by letter, or by the text of exactly one option.

    A letter followed by something that is neither the text of its own option nor a reason names nothing; nor does an answer
    that speaks of a second option, be it to deny it.

    Returns:
        "" where the answer names no option or might name two.
    """
    if len(answer) > LONGEST_LINE:
        return ""
    answer = _BEFORE_LETTER.sub("", balanced(clean(answer)))
    lone = _LONE_LETTER.fullmatch(answer)
    if lone and ord(lone[1].upper()) - ord("A") < len(options):
        return f"({lone[1].upper()})"
    by_text = [index for index, option in enumerate(options) if same_answer(answer, option)]
    if len(by_text) > 1:  # "Ww" and "WW" are equal but for their case: the very same text tells them apart
        by_text = [index for index in by_text if clean(options[index]) == answer] or by_text
    named = _named_by_letter(answer, options, by_text)
    if named is None:
        return letter(by_text[0]) if len(by_text) == 1 else ""
    return named


def _named_by_letter(answer: str, options: tuple[str, ...], by_text: list[int]) -> str | None:
    """The option whose letter an answer opens with; None where it opens with none that fits what follows."""
    match = _LETTER.match(answer)
    if match is None:
        return None
    named = match["bracketed"] or match["named"] or match["bare"]
    index = ord(named.upper()) - ord("A")
    rest = match["rest1"] or match["rest2"] or match["rest3"] or ""
    if index >= len(options) or not _may_follow(rest, index, options, bare=match["bare"] is not None):
        return None
    if not match["bracketed"] and any(other != index for other in by_text):
        return ""  # "A" may be the letter of one option and the text of another
    return letter(index)


def _may_follow(rest: str, index: int, options: tuple[str, ...], *, bare: bool) -> bool:
    """Whether what follows an option's letter is nothing, a reason, that it is right, or the option's own text."""
    said = rest.strip()
    if not said:
        return True
    signs = re.match(r"\s*(?:[.:,)—]|-(?=\s|[^\W\d]))", rest)
    after = rest[signs.end() :].strip() if signs else said
    if not after:
        return not said.startswith(("-", ","))
    if _REASON.match(after) or _IS_RIGHT.fullmatch(said):
        return True
    if bare and not signs and not rest[0].isspace() and rest[0] != "(":
        return False
    # "- 1" may be a dash or a minus: it must not be another option's text when read as the other.
    readings = {after, re.sub(r"^-\s+", "-", said)} if said.startswith("-") else {after}
    if any(same_answer(text, option) for text in readings for place, option in enumerate(options) if place != index):
        return any(plain(text) == plain(options[index]) for text in readings)
    return any(_begins(options[index], text) or _opens_with(text, index, options) for text in readings)


def _begins(option: str, text: str) -> bool:
    """Whether `text` is the option's text, its first sentence (the rest may have been cut), or its number without the unit."""
    inner = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    if same_answer(text, option) or same_answer(inner, option) or same_answer(text, first_sentence(option)):
        return True
    given, wanted = quantity(inner), quantity(option)
    return given is not None and wanted is not None and given.value == wanted.value and not given.unit


def _opens_with(text: str, index: int, options: tuple[str, ...]) -> bool:
    """Whether `text` is the option's text and a remark after it that names no other option: `no, the gene is not inherited`."""
    said = plain(text)
    own = plain(options[index])
    if not own or not re.match(r"\s*[,;:(—]\s*\S|\.\s|\s-\s|\s+(?:because|since)\b", said.removeprefix(own)):
        return False
    if not said.startswith(own) or re.match(r"\W*(?:or|and|but|not|nor)\b", said[len(own) :]):
        return False
    if any(place != index and said.startswith(other) and len(other) > len(own) for place, other in _texts(options)):
        return False
    return not re.search(r"\([a-z]\)|\b(?:option|choice) [a-z]\b", said[len(own) :])


def _texts(options: tuple[str, ...]) -> list[tuple[int, str]]:
    return [(place, plain(option)) for place, option in enumerate(options)]

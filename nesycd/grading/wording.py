"""The text of an answer: without markup, quotes and final punctuation, and cut at the end of its sentence."""

from __future__ import annotations

import re

LONGEST_LINE = 2_000
"""Characters of what is still read as an answer: a response may repeat itself without end, and no gold answer is as long."""

# Braces in braces, four deep; possessive, so that unbalanced ones cost no time.
_IN_BRACES = r"[^{}]*+"
for _ in range(4):
    _IN_BRACES = rf"(?:[^{{}}]|\{{{_IN_BRACES}\}})*+"
BOXED = re.compile(rf"\\boxed\s*\{{({_IN_BRACES})\}}")
_SENTENCE_END = re.compile(r"[.!?](?=(?:\*\*?|__?)?\s)")
_ABBREVIATION = re.compile(r"mr|mrs|ms|dr|prof|st|jr|sr|inc|co|ltd|corp|vs|etc|approx|cf|ca")
_MONTH = re.compile(r"jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec")
_SAME_CHARACTER = str.maketrans({"−": "-", "–": "-", "“": '"', "”": '"', "‘": "'", "’": "'", "\u00a0": " "})
# Bold or slanted words within a line; signs between numbers are powers or products.
_EMPHASIS = re.compile(r"(?<![\w*)])(\*{1,3}|_{1,3})(?=[^\s*_])([^*_\n]*)(?<=\S)\1(?![\w*(])")
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_MATH_OPENING = re.compile(r"\\[(\[]|\$(?=.*\$)")
_MATH_CLOSING = re.compile(r"(?:\\[)\]]|\$)[\s.]*+$")
_OPENING = " \t\n\"'`*_#"
_TRAILING = " \t\n\"'`*_.,;:!?。"
_CLOSED_BY = {")": "(", "]": "[", "}": "{", ">": "<"}


def clean(text: str, *, formula: bool = False) -> str:
    """An answer without markup, surrounding quotes and final punctuation; brackets stay (they may be the answer).

    Args:
        text: the answer.
        formula: it is mathematics, where `!` after a number, letter or bracket is a factorial.
    """
    text = text.translate(_SAME_CHARACTER)
    text = BOXED.sub(lambda match: match.group(1), text)
    text = _TEXT_COMMAND.sub(r" \1" if formula else r"\1", text)
    text = _EMPHASIS.sub(r"\2", text)
    opened = text.lstrip()
    if (opening := _MATH_OPENING.match(opened)) and (closing := _MATH_CLOSING.search(opened, opening.end())):
        text = opened[opening.end() : closing.start()].strip()
    text = text.lstrip(_OPENING)
    if not formula:
        return text.rstrip(_TRAILING)
    kept = text.rstrip(_TRAILING)
    return f"{kept}!" if re.match(r"!(?!\w)", text[len(kept) :]) and re.search(r"[\w)}\]]$", kept) else kept


def balanced(text: str) -> str:
    """A text without the brackets at its end that nothing opens, left over from a tag or from brackets around a sentence."""
    while text and (opening := _CLOSED_BY.get(text[-1])) and text.count(opening) < text.count(text[-1]):
        text = text[:-1].rstrip(_TRAILING)
    return text


def is_markup(line: str) -> bool:
    """Whether a line says nothing: blanks, or what opens or closes bold text, displayed mathematics or a block of code."""
    return bool(re.fullmatch(r"[\s:*_]*|\s*(?:\\[\[\]]|\$\$|```[a-z]*)\s*", line))


def first_sentence(line: str, *, formula: bool = False) -> str:
    """The line up to its first full stop before a blank.

    One after an abbreviation, between initials or before "and" or "or" ends nothing, nor does the `!` of a factorial.
    """
    for end in _SENTENCE_END.finditer(line):
        before, after = line[max(0, end.start() - 40) : end.start()], line[end.end() : end.end() + 40]
        word = before.rsplit(None, 1)[-1].lower().lstrip("*_") if before.strip() else ""
        initial = re.fullmatch(r"[a-z]", word) and re.match(r"\s+[A-Z]\.\s", after)
        month = _MONTH.fullmatch(word) and re.match(r"\s+\d", after)
        goes_on = re.match(r"\s+(?:and|or)\b", after)
        last_initial = re.search(r"(?:^|\s)[A-Z]\.\s+[A-Z]$", before)
        if line[end.start()] == "." and (_ABBREVIATION.fullmatch(word) or initial or month or last_initial or goes_on):
            continue
        if formula and line[end.start()] == "!" and re.match(r"\s*(?:[-+*/=^]|\\[a-z])", after):
            continue
        return line[: end.end() if formula and line[end.start()] == "!" else end.start()]
    return line


def plain(text: str, *, formula: bool = False) -> str:
    """A text as it is compared where only its words count: cleaned, without case and runs of blanks."""
    return " ".join(clean(text, formula=formula).casefold().split())


def same_text(answer: str, gold: str, *, formula: bool = False) -> bool:
    """Whether two answers are the same text, without regard to case, white space and markup."""
    return plain(answer, formula=formula) == plain(gold, formula=formula)

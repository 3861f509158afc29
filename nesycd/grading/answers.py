"""Finding the answer in a response and comparing it with the gold one, where nothing more is known of its form.

Finding and comparing are apart, so that stored responses can be graded again. Nothing here guesses: an answer that is
not stated in one of the ways of `Source` is no answer, and one that could mean two things is wrong. No algebra: `2x` and
`x + x` differ here (see `forms` for that).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from nesycd.core.reasoning import without_reasoning
from nesycd.core.records import Example
from nesycd.grading.numbers import DIGITS, fits, quantity, same_answer, stated_number
from nesycd.grading.options import gold_letter, option_letter
from nesycd.grading.wording import BOXED, LONGEST_LINE, clean, first_sentence, is_markup, same_text

CLOSING = "Therefore, the answer is"
"""The phrase that ends every rationale (released code of NesyCD)."""

Source = Literal["closing", "answer_is", "hashes", "boxed", "field", "whole", "sentence", "none"]
"""Where an answer was found: in a closing sentence ("So the answer is X."), which is what is asked for; or, as a fallback
that a report counts, after the last "answer is" elsewhere, after `####`, in `\\boxed{}`, in an answer field (JSON, or
`<answer>`), the response as a whole (an option by its letter, a formula), or the only number of the last sentence. The list
is closed."""

_ANSWER_IS = re.compile(r"\banswer\s+is\b[ \t]*[:=]?", re.IGNORECASE)
# Each run of blanks is read from one place only, and possessively, so that a text of nothing else costs no time.
_CLOSING_SENTENCE = re.compile(
    r"(?:^\s*+|(?<=[.!?:;)\]\"'>])\s++|\n[^\S\n]*+)(?:[*_]*|\\text(?:bf|it)?\s*\{)"
    r"(?:(?:so|therefore|thus|hence|then|finally)\b,?\s+)?the\s+(?:final\s+|correct\s+)?answer\s+is\b",
    re.IGNORECASE,
)
_JUDGEMENT = re.compile(
    r"(?:very |also |indeed |of help and )*(?:correct|right|accurate|helpful|useful|clear|good|fine|ok|okay|above|satisfactory)"
    r"(?: (?:to|for) you)?",
    re.IGNORECASE,
)
_LAST_SAYINGS = 8
"""So many mentions of the answer at the end are looked at: what comes before them is no last word."""
_TAG = re.compile(r"<answer>", re.IGNORECASE)
_FENCE = re.compile(r"```(?:json[5c]?)?\s*(?=\{)", re.IGNORECASE)
_FIELDS = ("answer", "final_answer", "final answer", "finalanswer")
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


def source_of(response: str, extracted: str) -> Source:
    """Where the answer that was extracted from a response stood."""
    if not extracted:
        return "none"
    source = find_answer(response).source
    return "whole" if source == "none" else source


def find_answer(text: str, *, formula: bool = False) -> Found:
    """The answer that a text states and where, in the order of `Source`; an answer field comes first.

    The last "answer is" counts even where nothing follows it (a response cut off there has no answer), unless it only
    praises the answer that a closing sentence gave before ("I hope my answer is helpful"). What stands in `<think>` is no answer.

    Args:
        text: the response.
        formula: the answer is mathematics, see `clean`.
    """
    line, source = _answer_line(without_reasoning(text))
    found = clean(first_sentence(line, formula=formula), formula=formula)
    return Found(found, source if found else "none")


def stated_rest(text: str) -> str:
    """All that follows the last "answer is" (else `####`), over as many lines as there are; "" where neither stands."""
    text = without_reasoning(text)
    closings = list(_ANSWER_IS.finditer(text))
    if closings:
        return text[closings[-1].end() :].strip()
    return text.rsplit("####", 1)[1].strip() if "####" in text else ""


def closing_answer(text: str) -> str:
    """The text of the stated answer, without quotes and final punctuation; "" where no words or marks state one."""
    found = find_answer(text)
    return "" if found.source in ("whole", "sentence") else found.text


def split_closing(text: str) -> tuple[str, str]:
    """Split a text into its working and the answer of its last sentence, where that is a closing one.

    Only a sentence of its own ("So the answer is X.") that ends the text is taken off.

    Returns:
        The working and the answer, or the whole text and "".
    """
    text = without_reasoning(text)
    closings = list(_CLOSING_SENTENCE.finditer(text))
    if not closings:
        return text.strip(), ""
    last = closings[-1]
    line = text[last.end() :].strip().lstrip(":").strip()
    sentence = first_sentence(line)
    if not clean(sentence) or line[len(sentence) :].strip(_TRAILING):
        return text.strip(), ""
    return text[: last.start()].strip(), clean(sentence)


def extract(response: str, example: Example) -> str:
    """The answer in a response: "(B)" for a choice, else the text as stated; "" where there is none."""
    found = find_answer(response)
    if not example.options:
        fits = found.source != "sentence" or _may_be_result(found.text, example)
        return found.text if fits and found.source != "whole" else ""
    # An option's text may hold a full stop, so the whole line is tried where its first sentence fits no option.
    line = _answer_line(without_reasoning(response))[0]
    named = option_letter(found.text, example.options) or option_letter(line, example.options)
    return named if named or found.source in ("whole", "sentence") else found.text


def _may_be_result(number: str, example: Example) -> bool:
    """Whether the number of a last sentence may be the result: one that the question gives may only be repeated from it."""
    given = {found.group().replace(",", "") for found in re.finditer(DIGITS, example.question)}
    bare = re.sub(r"[-$£€¥,%]", "", number)
    return quantity(example.answer) is not None and bare not in given


def grade(answer: str, example: Example) -> bool:
    """Whether an answer equals the example's gold one: as option, as yes/no word, as number, or as text."""
    if not answer.strip():
        return False
    if len(answer) > LONGEST_LINE:
        return same_text(answer, example.answer)
    if example.options:
        letter = option_letter(answer, example.options)
        return bool(letter) and letter == gold_letter(example.answer, example.options)
    if polarity(example.answer):
        return polarity(answer) == polarity(example.answer)
    return same_answer(answer, example.answer) or _says_number(answer, example)


def _says_number(answer: str, example: Example) -> bool:
    wanted = quantity(example.answer)
    given = stated_number(answer, example.question) if wanted else None
    return wanted is not None and given is not None and given.value == wanted.value and fits(given, wanted)


# --- where an answer stands ------------------------------------------------------------------------------------------


def _answer_line(text: str) -> tuple[str, Source]:
    """The line that states the answer, up to `LONGEST_LINE` characters, and what says that it does."""
    field = _field(text)
    if field is not None:
        return _line(field), "field"
    closings = list(_ANSWER_IS.finditer(text))
    if closings:
        return _said(text, closings)
    if "####" in text:
        return _line(text.rsplit("####", 1)[1]), "hashes"
    if boxes := BOXED.findall(text):
        return _line(boxes[-1]), "boxed"
    if whole := _whole(text):
        return whole, "whole"
    return _last_sentence(text), "sentence"


def _line(text: str) -> str:
    """The first line that says something."""
    text = text.lstrip()[:LONGEST_LINE]
    line = next((line.strip() for line in text.splitlines() if not is_markup(line)), "")
    return re.sub(r"^(?:\.{2,}|…)\s*", "", line)


def _said(text: str, closings: list[re.Match[str]]) -> tuple[str, Source]:
    """What the last "answer is" states; one that only praises the answer is passed over where a closing sentence came before."""
    sentences = {sentence.end() for sentence in _CLOSING_SENTENCE.finditer(text)}

    def source(saying: re.Match[str]) -> Source:
        return "closing" if _phrase_end(saying) in sentences else "answer_is"

    last = _line(text[closings[-1].end() :])
    if _praises(last):
        for saying in reversed(closings[-_LAST_SAYINGS:-1]):
            line = _line(text[saying.end() :])
            if source(saying) == "closing" and not _praises(line) and clean(first_sentence(line)):
                return line, "closing"
            if not _praises(line):
                break
    return last, source(closings[-1])


def _phrase_end(saying: re.Match[str]) -> int:
    """Where "answer is" itself ends, without the blanks and the colon after it."""
    return saying.start() + len(saying.group().rstrip(" \t:="))


def _praises(line: str) -> bool:
    return bool(_JUDGEMENT.fullmatch(clean(first_sentence(line))))


def _whole(text: str) -> str:
    """A response of one line that opens with an option's letter, marked as one: `(b) no, because ...`, `option D`, `C it is`."""
    text = text.strip()
    one_line = len(text) <= LONGEST_LINE and "\n" not in text
    return text if one_line and _OPENS_WITH_LETTER.match(text) else ""


_OPENS_WITH_LETTER = re.compile(
    r"[*_]*(?:(?:option|choice)\s+[*_]*[\"'(\[]?[A-Z](?![\w'])|[(\[][A-Za-z][)\]]|[A-Z]\s+it\s+is\b)"
    r"|[*_]*(?i:option|choice)\s+[*_]*[\"'(\[]?[A-Z]\b"
)

# --- an answer field -------------------------------------------------------------------------------------------------


def _field(text: str) -> str | None:
    """What the answer field of a response in JSON says, or its last `<answer>`; None where there is none."""
    if "{" in text and '"' in text:
        for candidate in _objects(text):
            if (said := _answer_of(candidate)) is not None:
                return said
    if "<" in text and not _ANSWER_IS.search(text) and (tags := list(_TAG.finditer(text))):
        return text[tags[-1].end() :][:LONGEST_LINE].partition("</")[0]
    return None


def _objects(text: str) -> Iterator[str]:
    """Where a response may hold its object: in its last fence, or from its first brace on; it must end the response."""
    ending = text.rstrip(" \t\n`")
    if not ending.endswith("}"):
        return
    if fences := list(_FENCE.finditer(ending)):
        yield ending[fences[-1].end() :]
    yield ending[ending.index("{") :]


def _answer_of(text: str) -> str | None:
    try:
        read = json.loads(text, strict=False, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(read, dict):
        return None
    named = {key.strip().lower(): value for key, value in read.items()}
    said: Any = next((named[key] for key in _FIELDS if key in named), None)
    if isinstance(said, list) and all(isinstance(one, str) for one in said):
        said = ", ".join(said)
    if isinstance(said, bool):
        said = str(said)
    if not isinstance(said, str):
        return None
    closings = list(_ANSWER_IS.finditer(said))
    return said[closings[-1].end() :] if closings else said


# --- the last sentence -----------------------------------------------------------------------------------------------

_ENDS = re.compile(r"(?<=[.!?])[*_\"')]*\s+")
_NUMBERS = re.compile(rf"(?<![\w.,/:^=*+-])-?[$£€¥]?(?:{DIGITS})(?:/\d+)?%?(?![\w/:^=*+]|[.,]\d|-\w)")
_UNSURE = re.compile(
    r"[=<>≤≥≈?]|\b(?:or|if|let|first|next|then|step|need|needs|must|should|would|could|may|might|can|assume|suppose|try|maybe"
    r"|perhaps|approximately|about|around|roughly|almost|nearly|over|under|between|more|less|fewer|than|least|most|times|twice"
    r"|half|double|not|no|never|cannot|each|every|per|another|dozen|hundred|thousand|million|billion|percent|two|three|four"
    r"|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+n't)\b",
    re.IGNORECASE,
)
"""What a sentence may say besides its number that leaves it open whether that is the result."""


_CONCLUDES = re.compile(
    r"^(?:so|therefore|thus|hence|finally|overall|altogether|in (?:total|all|the end))\b"
    r"|\b(?:total|altogether|final|result|left)\b",
    re.IGNORECASE,
)


def _last_sentence(text: str) -> str:
    """The only number of the last sentence, where that concludes (or is all there is), is whole and hedges nothing; else ""."""
    line = text.rstrip()[-LONGEST_LINE:].rpartition("\n")[2]
    if not line.rstrip("*_\"')").endswith((".", "!")):
        return ""
    sentence = _ENDS.split(line.strip())[-1]
    if sentence != text.strip() and not _CONCLUDES.search(sentence):
        return ""
    numbers = list(_NUMBERS.finditer(sentence))
    words = re.findall(r"[^\W\d_]+", sentence)
    if (
        len(numbers) != 1
        or len(re.findall(r"\d+(?:[.,]\d+)*", sentence)) != 1
        or len(words) < 2
        or _UNSURE.search(sentence)
    ):
        return ""
    return numbers[0].group() if numbers[0].start() > 0 else ""


# --- words -----------------------------------------------------------------------------------------------------------

POLAR = (("yes", "no"), ("valid", "invalid"), ("true", "false"))


def polarity(answer: str) -> str:
    """The yes/no, valid/invalid or true/false word that an answer is, or opens with before a comma, dash or reason; else ""."""
    text = clean(answer).lower()
    for pair in POLAR:
        for word, opposite in (pair, pair[::-1]):
            opening = re.match(rf"{word}\s*(?:$|[,;:(—]|-\s|(?<=\s)(?:because|since)\b)", text)
            if opening and not re.search(rf"\b{opposite}\b", text):
                return word
    return ""

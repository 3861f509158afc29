"""Where a wrong answer first departs from an accepted rationale, as far as the two texts tell.

Three signs, the surest first: the teacher's cause quotes a sentence of the answer; a number or name stands in neither the
question nor the rationale; another word does not. Where none applies, nothing is marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nesycd.core.text import normal, sentences

_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*")
_NAME = re.compile(r"(?<=[\w,;:] )[^\W\d_a-z][^\W\d_]+")
"""Capitalised, and not the first word of a sentence."""
_WORD = re.compile(r"[^\W\d_]{4,}")
_QUOTED = re.compile(r"(?<!\w)['\"‘“](.{4,}?)['\"’”](?=[\s,.;:)]|$)")
_CLOSING = re.compile(r"\b(?:therefore|thus|so|hence|the (?:final )?answer is|answer:)", re.I)


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer or rationale; `marked` where it is the first break, or a step that the answer lacks."""

    text: str
    marked: bool = False


@dataclass(frozen=True)
class Broken:
    """An answer's sentences, of which at most one is marked, and what shows it; `why` says so too where nothing does."""

    sentences: tuple[Sentence, ...]
    why: str

    @property
    def is_found(self) -> bool:
        """Whether a break is marked."""
        return any(one.marked for one in self.sentences)


def first_break(answer: str, question: str, rationale: str, cause: str = "") -> Broken:
    """The first sentence of a wrong answer that departs from an accepted rationale.

    >>> found = first_break("2 x 7 = 14. So it is 14.", "How many kabs are 2 seahs and 7 kabs?", "2 x 6 = 12. 12 + 7 = 19.")
    >>> [one.text for one in found.sentences if one.marked], found.why
    (['2 x 7 = 14.'], '14 is neither in the question nor in the accepted rationale')
    """
    parts = sentences(answer)
    if not parts:
        return Broken((), "the answer is empty")
    quoted = {normal(found).rstrip(".") for found in _QUOTED.findall(cause)}
    for place, part in enumerate(parts):
        if normal(part).rstrip(".") in quoted:
            return _marked(parts, place, "the teacher quotes this sentence as the first error")
    if not rationale.strip():
        return _marked(parts, None, "there is no accepted rationale to compare with")
    known, steps = f"{question} {rationale}", {normal(step) for step in sentences(rationale)}
    numbers, words = set(_NUMBER.findall(known)), set(re.findall(r"[^\W\d_]+", normal(known)))
    neither = "is neither in the question nor in the accepted rationale"
    new = [(place, part) for place, part in enumerate(parts) if normal(part) not in steps]
    for place, part in new:
        names = [name for name in _NAME.findall(part) if name[0].isupper() and normal(name) not in words]
        unknown = [number for number in _NUMBER.findall(part) if number not in numbers]
        if unknown or names:
            return _marked(parts, place, f"{(unknown or names)[0]} {neither}")
    for place, part in new:
        strange = next((word for word in _WORD.findall(normal(part)) if word not in words), "")
        if strange and not _CLOSING.search(part) and not _NUMBER.search(part):
            return _marked(parts, place, f"“{strange}” {neither}")
    return _marked(parts, None, "it cannot be told from the two texts where the answer goes wrong")


def lacking(rationale: str, answer: str) -> tuple[Sentence, ...]:
    """The rationale's sentences; marked are those that the answer does not state in these words."""
    said = {normal(part) for part in sentences(answer)}
    return tuple(Sentence(part, normal(part) not in said) for part in sentences(rationale))


def _marked(parts: Iterable[str], place: int | None, why: str) -> Broken:
    return Broken(tuple(Sentence(part, number == place) for number, part in enumerate(parts)), why)

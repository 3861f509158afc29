"""What a finished text's calls find: the tests' check of what was generated, annotated or written by hand."""

from __future__ import annotations

from nesycd.core.answers import Call
from nesycd.core.protocols import Tools
from nesycd.core.segments import Segment


def replay(text: str, tools: Tools | None, question: str) -> tuple[tuple[Segment, ...], tuple[Call, ...]]:
    """A finished text as a student with these tools would have written it: what would have been supplied, marked as such.

    Whatever is not supplied stays the student's own; a text whose sums are false keeps them.
    """
    if tools is None:
        return ((Segment(text=text),) if text else ()), ()
    segments: list[Segment] = []
    trace: list[Call] = []
    done = 0
    place = 0
    while place < len(text):
        ends = [at + len(end) for end in tools.ends if (at := text.find(end, place)) >= 0]
        if not ends:
            break
        place = min(ends)
        made = tools.supply(text[:place], question, trace)
        if made is not None and text.startswith(made.text, place) and _ends_word(text, place + len(made.text)):
            segments += [Segment(text=text[done:place]), Segment(text=made.text, source="supplied")]
            trace.append(made.call)
            place = done = place + len(made.text)
    if done < len(text):
        segments.append(Segment(text=text[done:]))
    return tuple(segments), tuple(trace)


def _ends_word(text: str, place: int) -> bool:
    """Whether no word or number goes on at a place."""
    rest = text[place : place + 2]
    return not rest[:1].isalnum() and not (rest[:1] in ".," and rest[1:].isdigit())

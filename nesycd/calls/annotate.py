"""Rationales with calls: where a text states the object of a fact after its subject, that place becomes a call.

`Kaph is number 11.` becomes `[kaf | place] 11.`, with the name as the question has it: to turn it into the base's own name is
knowledge, which a small student makes up. A place is kept only if the call, made again, gives back what the text says, or has it
among several values that the base states.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from nesycd.calls import notation
from nesycd.calls.lookup import LookUp, said_way
from nesycd.calls.tools import question_of
from nesycd.core.records import Annotation, CallPlace, Example, Fact
from nesycd.core.segments import Segment
from nesycd.core.text import normal
from nesycd.retrieval.words import content_stems, spans

_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")
_CLAUSE = re.compile(r"[^.,;:!?]*")
_FOLLOWED = re.compile(r"\s*(?:[.,;:!?)]|$)")


class _Stated(NamedTuple):
    start: int
    end: int
    fact: Fact
    sure: bool


def annotate(example: Example, rationale: str, base: LookUp, *, given: bool = False) -> Annotation:
    """Find the places of a rationale that can become look-ups.

    Args:
        example: the question that it answers.
        rationale: the chain of thought.
        base: whose facts it may state.
        given: the facts of `base` are known to be those that it states (a derivation's): no other sign is needed.
    """
    text, question = rationale.strip(), question_of(example)
    places: list[CallPlace] = []
    skipped: Counter[Literal["name", "relation", "replay"]] = Counter()
    known: list[str] = []
    end = 0
    for stated in _statements(text, base, given):
        fact = stated.fact
        if stated.start < end:
            continue
        if not stated.sure:
            skipped["relation"] += 1
            continue
        name = _on_the_way(fact, question, places, base) or _name(fact, question, known, base)
        if not name:
            skipped["name"] += 1
            continue
        found = base.find(name, fact.relation, question, known)
        states = notation.one_line(fact.object)
        if not found.says(states):
            skipped["replay"] += 1
            continue
        said = states if found.disputed else found.found
        place = {"name": name, "relation": fact.relation, "object": said, "fact": fact.id}
        places.append(CallPlace(start=stated.start, end=stated.end, **place))
        known.append(found.found)
        end = stated.end
    return Annotation(example=example.uid, places=tuple(places), skipped=dict(skipped))


def with_calls(
    example: Example,
    rationale: str,
    annotation: Annotation,
    base: LookUp,
    leave_empty: Callable[[], bool] = lambda: False,
) -> tuple[Segment, ...]:
    """A rationale with its look-ups, as the student is trained to write it; what the base supplies is marked and has no loss.

    Where the base does not have a fact of a name in the question, which the prompt then does not offer, the rationale stays as it
    is, as where the base has another one. Where it lacks the fact of a name that is found on the way, or has other values beside
    this one, the result says so and the student learns to go on by itself.

    Args:
        example, rationale: see `annotate`.
        annotation: of this rationale.
        base: what is looked up in.
        leave_empty: called for each look-up that finds its fact; True lets it come back empty all the same.
    """
    text, question = rationale.strip(), question_of(example)
    segments: list[Segment] = []
    written, done = "", 0
    before: list[str] = []
    for number, place in enumerate(annotation.places):
        looked = base.find(place.name, place.relation, question, before)
        found, is_said = looked.found, looked.says(place.object)
        leads_on = any(normal(other.name) == normal(place.object) for other in annotation.places[number + 1 :])
        if found == notation.NOT_FOUND and place.name in question and not leads_on:
            # The prompt does not offer it: nothing is asked.
            continue
        if found == notation.NOT_FOUND or (is_said and not looked.disputed and leave_empty()):
            result, after = notation.NOT_FOUND, f" {place.object}"
        elif is_said:
            result, after = found, f" {place.object}" if looked.disputed else ""
        else:
            continue
        before.append(result)
        asked = notation.write(place.name, place.relation)
        segments += [Segment(text=f"{written}{notation.escaped(text[done : place.start])}{asked}")]
        segments += [Segment(text=f" {result}", source="supplied")]
        written, done = after, place.end
    last = f"{written}{notation.escaped(text[done:])}"
    return (*segments, Segment(text=last)) if last else tuple(segments)


def _statements(text: str, base: LookUp, given: bool) -> Iterator[_Stated]:
    """Places that state a fact of the base, left to right; of two that overlap the shorter comes first."""
    found: list[_Stated] = []
    start = 0
    for end in [*(match.start() for match in _SENTENCE_END.finditer(text)), len(text)]:
        sentence = text[start:end]
        lead = len(sentence) - len(sentence.lstrip())
        found += _in_sentence(sentence.lstrip(), start + lead, base, given)
        start = end
    found.sort(key=lambda one: (one.start, not one.sure, one.end))
    yield from found


def _in_sentence(sentence: str, offset: int, base: LookUp, given: bool) -> list[_Stated]:
    made: list[_Stated] = []
    at = spans(sentence)
    for mention in base.linker.link(sentence):
        begin, after = at[mention.start][0], at[mention.end - 1][1]
        near: dict[tuple[int, int], list[Fact]] = {}
        for candidate in mention.candidates:
            for fact in base.about(candidate.entity):
                if (place := _object_after(fact.object, sentence, after)) is not None:
                    near.setdefault(place, []).append(fact)
        for (first, last), facts in near.items():
            signs = [_signs(fact, sentence, after, first, last) for fact in facts]
            told = [fact for fact, sign in zip(facts, signs, strict=True) if sign == max(signs)]
            sure = len(told) == 1 and (given or max(signs) > 0)
            made.append(_Stated(offset + begin, offset + last, told[0], sure))
    return made


def _object_after(name: str, sentence: str, after: int) -> tuple[int, int] | None:
    """The first place after a character at which a sentence has an object, whole."""
    match = re.compile(rf"(?<!\w){re.escape(notation.one_line(name))}(?!\w)", re.IGNORECASE).search(sentence, after)
    return None if match is None else match.span()


def _signs(fact: Fact, sentence: str, after: int, first: int, last: int) -> int:
    """How clearly a sentence says this of the subject, and not something else that happens to have the same words.

    3: its clause has a word of the relation; 2: a word of the fact's text stands between subject and object; 1: nothing speaks
    against it; 0: the object is a bare number with more words behind it ("Gallium has 13 isotopes" does not tell its group).
    """
    clause = sentence[: last + len(_CLAUSE.match(sentence[last:]).group())]  # type: ignore[union-attr]
    if set(content_stems(clause)) & set(content_stems(fact.relation)):
        return 3
    names = content_stems(" ".join((fact.subject, *fact.aliases, fact.object)))
    if set(content_stems(sentence[after:first])) & (set(content_stems(fact.text)) - set(names)):
        return 2
    return int(not fact.object.isdigit() or _FOLLOWED.match(sentence, last) is not None)


def _on_the_way(fact: Fact, question: str, places: Sequence[CallPlace], base: LookUp) -> str:
    """A subject that was found before, as a way that the question spells out: `Ann's mother`; "" where it spells out none."""
    node = base.node(fact.subject)
    for place in reversed(places):
        if base.node(place.object) == node and (way := said_way(question, place.name, place.relation)):
            return way
    return ""


def _name(fact: Fact, question: str, known: Sequence[str], base: LookUp) -> str:
    """A fact's subject in the words of the question, else in those of an earlier result; "" where neither names it."""
    node = base.node(fact.subject)
    for text in (question, *reversed(known)):
        for mention in base.linker.link(text):
            if any(candidate.entity == node for candidate in mention.candidates):
                at = spans(text)
                return text[at[mention.start][0] : at[mention.end - 1][1]]
    # An object that is no subject of the base yet has been found under its own name.
    return next((one for one in reversed(known) if base.node(one) == node), "")

"""Continuous integration for what a small model knows: expected answers, asked for again where a change can touch them.

A suite is a user's JSONL of questions; its *pins* are what a run answered last time, with a hash of what the student read.
Decoding is greedy: where the student reads the same, the answer is the same and is not generated again. A change is *intended*
where the new answer is the one the suite expects, a *regression* where the pinned one was, and *drift* where neither is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from nesycd.core.protocols import Generation
from nesycd.core.records import Example
from nesycd.methods.answering import Answerer, Asked, prompt_hash

Verdict = Literal["intended", "regression", "drift"]


class Pin(BaseModel):
    """What was answered to one question: the draft with its signals, and the answer with the hash of its prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    question: str
    """Hash of the question: one that was reworded has no pin."""
    draft: str
    margin: float
    least_margin: float
    prompt: str
    routed: bool
    response: str
    answer: str


class Pins(BaseModel):
    """All pins of a suite, and the students that they are of."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    schema_: Literal["pins/1"] = "pins/1"
    students: str
    """Hash of the two adapters, the prompts and the answer's limit: of other students no pin holds."""
    pins: dict[str, Pin]


@dataclass(frozen=True)
class Change:
    """A question that is answered otherwise than it was."""

    example: Example
    before: str
    after: str
    verdict: Verdict
    shown: tuple[str, ...]
    """Texts of the items that the student reads now."""


@dataclass(frozen=True)
class Outcome:
    """A suite's test.

    Attributes:
        questions: of the suite; `asked` of them were answered anew, `new` had no pin.
        wrong: questions whose answer now is not the expected one.
        changes: see `Change`, in the order of the suite.
        pins: what is answered now, to be pinned.
    """

    questions: int
    asked: int
    new: int
    wrong: tuple[Example, ...]
    changes: tuple[Change, ...]
    pins: Pins

    def count(self, verdict: Verdict) -> int:
        """How many changes are of this sort."""
        return sum(change.verdict == verdict for change in self.changes)


def run_suite(answerer: Answerer, examples: Sequence[Example], pinned: Pins | None, students: str) -> Outcome:
    """Ask what may be answered otherwise than pinned.

    Args:
        answerer: the run with its knowledge base as it is now.
        examples: the suite.
        pinned: what was answered before; None where the suite was never asked.
        students: see `Pins.students`.
    """
    old = pinned.pins if pinned is not None and pinned.students == students else {}
    known = {e.uid: old[e.uid] for e in examples if e.uid in old and old[e.uid].question == _question(e)}
    asked = answerer.ask(examples, _drafts(answerer, examples, known))
    stale = [one for one in asked if one.example.uid not in known or known[one.example.uid].prompt != prompt_hash(one)]
    replies = dict(zip([one.example.uid for one in stale], answerer.answer(stale), strict=True))
    pins: dict[str, Pin] = {}
    changes: list[Change] = []
    wrong: list[Example] = []
    for one in asked:
        example = one.example
        reply, before = replies.get(example.uid), known.get(example.uid)
        pins[example.uid] = now = _pin(one, reply.response, reply.answer) if reply else known[example.uid]
        right = _right(answerer, now.answer, example)
        if not right:
            wrong.append(example)
        if before is not None and not _same(answerer, before.answer, now.answer, example):
            was_right = _right(answerer, before.answer, example)
            verdict: Verdict = "intended" if right else "regression" if was_right else "drift"
            shown = tuple(hit.item.text for hit in one.hits) if one.routed else ()
            changes.append(Change(example, before.answer, now.answer, verdict, shown))
    return Outcome(
        questions=len(examples),
        asked=len(stale),
        new=len(examples) - len(known),
        wrong=tuple(wrong),
        changes=tuple(changes),
        pins=Pins(students=students, pins=pins),
    )


def _drafts(answerer: Answerer, examples: Sequence[Example], known: Mapping[str, Pin]) -> list[Generation]:
    """Drafts hang on no knowledge, so those that are pinned hold."""
    missing = [example for example in examples if example.uid not in known]
    made = dict(zip([example.uid for example in missing], answerer.draft(missing), strict=True))
    return [made[e.uid] if e.uid in made else _pinned(known[e.uid]) for e in examples]


def _pinned(pin: Pin) -> Generation:
    return Generation(pin.draft, pin.margin, pin.least_margin, 0, 0, "stop")


def _pin(asked: Asked, response: str, answer: str) -> Pin:
    return Pin(
        question=_question(asked.example),
        draft=asked.draft.text,
        margin=asked.draft.margin,
        least_margin=asked.draft.least_margin,
        prompt=prompt_hash(asked),
        routed=asked.routed,
        response=response,
        answer=answer,
    )


def _question(example: Example) -> str:
    return example.model_copy(update={"answer": "", "uid": "q", "rationale": None, "split": ""}).id


def _right(answerer: Answerer, answer: str, example: Example) -> bool:
    return bool(answer) and answerer.task.grade(answer, example)


def _same(answerer: Answerer, before: str, after: str, example: Example) -> bool:
    """Whether two answers are the same by the task's own grading, so that 18 and 18.0 are no change."""
    if before == after:
        return True
    return bool(before and after) and answerer.task.grade(after, example.model_copy(update={"answer": before}))

"""Regression tests of a student's knowledge: expected answers, asked for again where a change can affect them.

A suite is a user's JSONL of questions; its *pins* are a run's last answers, with the predictions they are made of. Predictions
are cached, so only questions whose prompt, or a result of whose look-ups, changed cost time. A change is *intended*
where the new answer is the one the suite expects, a *regression* where the pinned one was, and *drift* where neither is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from nesycd.calls import SUM
from nesycd.core.answers import Prediction
from nesycd.core.protocols import Task
from nesycd.core.records import Example
from nesycd.methods.predict import Predictor, Responded
from nesycd.runs.predictions import Predictions

ChangeKind = Literal["intended", "regression", "drift"]


class Pin(BaseModel):
    """The pinned answer to one question."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    question: str
    """Hash of the question: a reworded question has no pin."""
    answer: str


class Pins(BaseModel):
    """All pins of a suite, the identity of the students, and their predictions."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    schema_: Literal["pins/2"] = "pins/2"
    students: str
    """Hash of the students, their prompts and limits (`OpenRun.identity`): pins of other students are not valid."""
    pins: dict[str, Pin]
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True)
class Change:
    """A question whose answer differs from the pinned one."""

    example: Example
    before: str
    after: str
    verdict: ChangeKind
    shown: tuple[str, ...]
    """Texts of the items in the present prompt, and look-ups that found something, with what they found."""


@dataclass(frozen=True)
class Outcome:
    """A suite's test.

    Attributes:
        questions: of the suite; for `asked` of them a student was asked something new, `new` had no pin.
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

    def count(self, verdict: ChangeKind) -> int:
        """How many changes are of this kind."""
        return sum(change.verdict == verdict for change in self.changes)


def pinned_predictor(predictor: Predictor, pinned: Pins | None, students: str) -> Predictor:
    """A predictor whose cache holds the pinned predictions, where these are of the same students."""
    known = Predictions()
    if pinned is not None and pinned.students == students:
        known.add(pinned.predictions)
    return Predictor(predictor.student, known)


def run_suite(
    task: Task,
    respond: Callable[[Sequence[Example]], Iterable[Responded]],
    examples: Sequence[Example],
    pinned: Pins | None,
    students: str,
) -> Outcome:
    """Ask a suite, and compare its answers with the pins.

    Args:
        task: grades.
        respond: answers questions, by a predictor that holds the pins (`pinned_predictor`).
        examples: the suite.
        pinned: the pins; None where the suite was never asked.
        students: see `Pins.students`.
    """
    old = pinned if pinned is not None and pinned.students == students else None
    known = (
        {} if old is None else {e.uid: p for e in examples if (p := old.pins.get(e.uid)) and p.question == _question(e)}
    )
    before = set() if old is None else {one.id for one in old.predictions}
    made = {one.example.uid: one for one in respond(examples)}
    pins: dict[str, Pin] = {}
    kept: dict[str, Prediction] = {}
    changes: list[Change] = []
    wrong: list[Example] = []
    asked = 0
    for example in examples:
        one = made[example.uid]
        kept |= {prediction.id: prediction for prediction in one.predictions}
        asked += example.uid not in known or any(prediction.id not in before for prediction in one.predictions)
        answer = task.extract(one.response, example)
        pins[example.uid] = Pin(question=_question(example), answer=answer)
        if not is_right(task, answer, example):
            wrong.append(example)
        pin = known.get(example.uid)
        if pin is not None and not is_same_answer(task, pin.answer, answer, example):
            right, was_right = is_right(task, answer, example), is_right(task, pin.answer, example)
            verdict: ChangeKind = "intended" if right else "regression" if was_right else "drift"
            looked = [call for call in one.predictions[-1].trace if call.name != SUM and call.items]
            shown = [*(item.text for item in one.asks[-1].items), *(f"{call.asked} {call.found}" for call in looked)]
            changes.append(Change(example, pin.answer, answer, verdict, tuple(shown)))
    return Outcome(
        questions=len(examples),
        asked=asked,
        new=len(examples) - len(known),
        wrong=tuple(wrong),
        changes=tuple(changes),
        pins=Pins(students=students, pins=pins, predictions=tuple(kept.values())),
    )


def _question(example: Example) -> str:
    return example.model_copy(update={"answer": "", "uid": "q", "rationale": None, "split": ""}).id


def is_right(task: Task, answer: str, example: Example) -> bool:
    """Whether an extracted answer is the gold one; none is wrong."""
    return bool(answer) and task.grade(answer, example)


def is_same_answer(task: Task, before: str, after: str, example: Example) -> bool:
    """Whether two answers are the same by the task's own grading, so that 18 and 18.0 are no change."""
    if before == after:
        return True
    return bool(before and after) and task.grade(after, example.model_copy(update={"answer": before}))

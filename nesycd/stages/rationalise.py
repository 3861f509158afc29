"""Step 1a: the teacher writes a rationale for each training question; those with a right answer,
and with right sums where these were checked, are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nesycd.core.protocols import Task, Teacher
from nesycd.core.records import Example, Rationale


def rationalise(examples: Sequence[Example], teacher: Teacher, task: Task) -> Iterable[Rationale]:
    """Ask the teacher and grade each answer; one rationale is yielded for every example, as it arrives."""
    by_uid = {example.uid: example for example in examples}
    for rationale in teacher.rationales(examples):
        sound = not rationale.failure and not rationale.flaw
        right = sound and task.grade(rationale.answer, by_uid[rationale.example])
        yield rationale.model_copy(update={"correct": right})


def kept(rationales: Iterable[Rationale]) -> dict[str, Rationale]:
    """The right ones, by `Example.uid`."""
    return {rationale.example: rationale for rationale in rationales if rationale.correct}


def counts(rationales: Sequence[Rationale]) -> dict[str, int]:
    """How many were asked for, kept, wrong, and failed; and how many of the kept ones used a hint."""
    failed = sum(bool(rationale.failure) for rationale in rationales)
    right = sum(rationale.correct for rationale in rationales)
    hinted = sum(rationale.correct and rationale.hinted for rationale in rationales)
    wrong = len(rationales) - right - failed
    return {"asked": len(rationales), "kept": right, "wrong": wrong, "failed": failed, "hinted": hinted}

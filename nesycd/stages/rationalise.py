"""Step 1a: the teacher writes a working for each training question; those whose answer is right are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nesycd.protocols import Task, Teacher
from nesycd.records import Example, Rationale


def rationalise(examples: Sequence[Example], teacher: Teacher, task: Task) -> Iterable[Rationale]:
    """Ask the teacher and grade each answer; a rationale comes for every example, in order, as soon as it is there."""
    for example, rationale in zip(examples, teacher.rationales(examples), strict=True):
        right = not rationale.failure and task.grade(rationale.answer, example)
        yield rationale.model_copy(update={"correct": right})


def kept(rationales: Iterable[Rationale]) -> dict[str, Rationale]:
    """The right ones, by `Example.uid`."""
    return {rationale.example: rationale for rationale in rationales if rationale.correct}


def counts(rationales: Sequence[Rationale]) -> dict[str, int]:
    """How many were asked for, kept, wrong, and failed."""
    failed = sum(bool(rationale.failure) for rationale in rationales)
    right = sum(rationale.correct for rationale in rationales)
    return {"asked": len(rationales), "kept": right, "wrong": len(rationales) - right - failed, "failed": failed}

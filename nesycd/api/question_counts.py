"""Counts of a benchmark's questions: by task, form of answer and split; repeated and contradicting ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from nesycd import grading
from nesycd.core.files import question_key
from nesycd.core.protocols import Task
from nesycd.core.records import Example
from nesycd.tasks.base import find_conflicts

_YES_NO = frozenset({"yes", "no", "true", "false"})
_SHORT = 40
"""Characters up to which an answer is compared as a word or name rather than a text."""


@dataclass(frozen=True)
class QuestionCounts:
    """What there is to train on and to test with.

    Attributes:
        sizes: questions of each split.
        by_task: questions by (task, form of answer) and split.
        repeated: questions whose text, options and task occur before.
        contradicting: groups of equal questions with different answers, a sentence each.
        rationales: training questions with a rationale of their own.
    """

    sizes: dict[str, int]
    by_task: dict[tuple[str, str], dict[str, int]]
    repeated: int
    contradicting: tuple[str, ...]
    rationales: int


def count_questions(task: Task) -> QuestionCounts:
    """Count all splits of a benchmark."""
    splits = {split: task.load(split) for split in task.splits()}
    everything = [example for examples in splits.values() for example in examples]
    by_task: dict[tuple[str, str], Counter[str]] = {}
    for split, examples in splits.items():
        for example in examples:
            by_task.setdefault((example.task, form_of(example)), Counter())[split] += 1
    texts = Counter(question_key(one.task, one.question, one.options) for one in everything)
    return QuestionCounts(
        {split: len(examples) for split, examples in splits.items()},
        {key: dict(found) for key, found in sorted(by_task.items())},
        sum(texts.values()) - len(texts),
        tuple(str(conflict) for conflict in find_conflicts(everything, task.grade)),
        sum(bool(example.rationale) for example in splits.get("train", ())),
    )


def form_of(example: Example) -> str:
    """The form of a question's answer: `choice`, `yes or no`, `number`, `short text` or `text`."""
    if example.options:
        return "choice"
    if example.answer.strip().lower() in _YES_NO:
        return "yes or no"
    if grading.quantity(example.answer) is not None:
        return "number"
    return "short text" if len(example.answer) <= _SHORT else "text"

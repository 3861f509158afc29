"""Grades a finished run's stored responses again with the present grader; the run itself is not changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nesycd import grading
from nesycd.api.finished import OpenRun
from nesycd.calls import as_read
from nesycd.core.answers import Attempt
from nesycd.core.records import Example
from nesycd.reports.folder import read_run


def regraded(folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each response of each method and split, as `nesycd grade` writes them; `recorded` is the run's verdict.

    Raises:
        RunError: no results yet, a damaged file, or a recipe that this version cannot read.
        DataError: the benchmark's files are no longer there.
    """
    run, opened = read_run(folder), OpenRun(folder)
    task = opened.task
    for (method, split), attempts in run.attempts.items():
        for example in run.examples[split].values():
            if example.uid in attempts:
                attempt = attempts[example.uid]
                response = as_read(attempt.response, attempt.calls)
                extracted = task.extract(response, example)
                correct = bool(extracted) and task.grade(extracted, example)
                verdicts = correct, grading.lenient_verdict(correct, response, example, task.grade)
                yield _row(method, split, example, attempt, response, extracted, verdicts)


def _row(
    method: str,
    split: str,
    example: Example,
    attempt: Attempt,
    response: str,
    extracted: str,
    verdicts: tuple[bool, bool],
) -> dict[str, Any]:
    correct, lenient = verdicts
    return {
        "id": example.uid,
        "method": method,
        "split": split,
        "task": example.task,
        "question": example.question,
        "options": list(example.options) or None,
        "answer": example.answer,
        "response": response,
        "recorded": attempt.correct,
        "extracted": extracted,
        "correct": correct,
        "lenient": lenient,
        "how": grading.source_of(response, extracted),
    }

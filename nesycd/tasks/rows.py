"""Grading somebody else's rows (`question`, `answer`, `response`, and `task` and `options` where there are any) as a benchmark
grades. The benchmark's own files are not needed.
"""

from __future__ import annotations

from typing import Any

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean
from nesycd.core.records import Example
from nesycd.tasks.base import always_fits, always_plain, as_it_is, is_missing, unlettered
from nesycd.tasks.registry import card, grader

ADDED = {"extracted", "correct", "lenient", "how"}
"""What a graded row has more."""


class RowGrader:
    """A benchmark's grading.

    Args:
        benchmark: its name.

    Raises:
        ConfigError: an unknown name.
    """

    def __init__(self, benchmark: str) -> None:
        said = card(benchmark)
        self.benchmark = benchmark
        self._tasks = tuple(said.sizes) if said and said.by_task else ()
        self._form = said.form if said else always_plain
        self._gold = said.gold if said else as_it_is
        self._refused = said.refused if said else always_fits
        self._grade = grader(benchmark)

    def graded(self, number: int, row: dict[str, Any], where: str) -> dict[str, Any]:
        """The row with `extracted`, `correct`, `lenient` and `how`; keys of these names that we did not write become `given_...`.

        Raises:
            DataError: a key that is missing or of a wrong type, a task that the benchmark does not have, or a gold answer that
                is none of the options.
        """
        response = row.get("response")
        if not isinstance(response, str):
            raise DataError(f"{where}: response must be a text{' and is missing' if 'response' not in row else ''}")
        task = self._task(row, where)
        golds = _golds(row, where)
        examples = [_lettered(self._gold(_example(task, number, row, gold, where))) for gold in golds]
        form = self._form(task)
        for gold, example in zip(golds, examples, strict=True):
            if not example.answer.strip():
                raise DataError(f"{where}: no gold answer can be read from {gold!r}")
            if problem := self._refused(example.answer):
                raise DataError(f"{where}: answer {gold!r} {problem}, as the gold answers of {self.benchmark} are")
            if example.options and not self._grade(example.answer, example, form):
                raise DataError(f"{where}: answer {gold!r} names none of the {len(example.options)} options")
        extracted = grading.extract(response, examples[0], form)
        correct = any(self._grade(extracted, example, form) for example in examples)
        ours = row.keys() >= ADDED
        return {
            **{f"given_{key}" if key in ADDED and not ours else key: value for key, value in row.items()},
            "extracted": extracted,
            "correct": correct,
            "lenient": any(
                grading.lenient_verdict(correct, response, one, lambda said, one: self._grade(said, one, form))
                for one in examples
            ),
            "how": grading.source_of(response, extracted),
        }

    def _task(self, row: dict[str, Any], where: str) -> str:
        name, task = self.benchmark, row.get("task")
        if not isinstance(task, str | None):
            raise DataError(f"{where}: task must be a text")
        if not task or task == name:
            return name
        part = task.removeprefix(f"{name}/")
        if self._tasks and part not in self._tasks:
            raise DataError(f"{where}: {name} has no task {part!r}{did_you_mean(part, self._tasks)}")
        return f"{name}/{part}"


def _lettered(example: Example) -> Example:
    """The example with the letter of the option that its gold names, where it names one."""
    letter = grading.gold_letter(example.answer, example.options) if example.options else ""
    return example.model_copy(update={"answer": letter}) if letter else example


def _golds(row: dict[str, Any], where: str) -> list[str]:
    answer = row.get("answer")
    golds = answer if isinstance(answer, list) else [answer]
    usable = [str(gold).strip() for gold in golds if isinstance(gold, str | int | float) and not is_missing(gold)]
    if not golds or len(usable) != len(golds) or not all(usable):
        raise DataError(f"{where}: answer must be a text or a number that is not empty (or a list), but is {answer!r}")
    return usable


def _example(task: str, number: int, row: dict[str, Any], gold: str, where: str) -> Example:
    question, options = row.get("question"), row.get("options")
    if not isinstance(question, str) or not question.strip():
        raise DataError(f"{where}: question must be a text that is not empty")
    options = [] if options is None else options
    if not isinstance(options, list) or not all(isinstance(option, str) and option.strip() for option in options):
        raise DataError(f"{where}: options must be a list of texts")
    return Example(uid=f"row-{number}", task=task, question=question, answer=gold, options=unlettered(options))

"""Our extraction and grading for a task of the harness: each benchmark's name is a function for its `process_results`.

In a task's YAML: `process_results: !function nesycd.harness.grading.gsm8k`. Needs no run and works with any model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from nesycd.tasks.registry import task_names
from nesycd.tasks.rows import RowGrader

ProcessResults = Callable[[Mapping[str, Any], Sequence[str]], dict[str, float]]


@cache
def graded_by(benchmark: str) -> ProcessResults:
    """A function for `process_results`: a row and the responses to it (the first counts) to the metrics of `nesycd grade`.

    These are `acc`, whether the answer is right, and `answered`, whether there is one; each 0 or 1. A row has `question`,
    `answer`, and `task` and `options` where it has any.

    Raises:
        ConfigError: no such benchmark.
        DataError: from the function: a row that cannot be graded.
    """
    grader = RowGrader(benchmark)

    def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
        graded = grader.graded(
            0, {**doc, "response": results[0]}, f"{benchmark}: row {doc.get('id', doc.get('question'))!r}"
        )
        return {"acc": float(graded["correct"]), "answered": float(bool(graded["extracted"]))}

    return process_results


def __getattr__(name: str) -> ProcessResults:
    if name in task_names():
        return graded_by(name)
    raise AttributeError(f"no benchmark {name!r}; there are {', '.join(task_names())}")

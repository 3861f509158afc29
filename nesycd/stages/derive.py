"""What the rules answer by themselves, without the student: the arm `rules_alone`. The gold answer only grades."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nesycd.core.errors import KnowledgeError
from nesycd.core.protocols import Task
from nesycd.core.records import Attempt, Example
from nesycd.grading import closing
from nesycd.knowledge import Derived

ARM = "rules_alone"


def rules_alone(
    examples: Sequence[Example], task: Task, find: Callable[[Example], Derived | None]
) -> Iterator[Attempt]:
    """An attempt for each question: the derived fact that it asks for, and its object as the answer.

    Where none is asked for there is no answer, as where the engine was stopped (`finish` is then `error`).
    """
    for example in examples:
        try:
            derived = find(example)
        except KnowledgeError as error:
            yield Attempt(example=example.uid, solver=ARM, response=str(error), routed=True, finish="error")
            continue
        if derived is None:
            yield Attempt(example=example.uid, solver=ARM, response="", routed=True)
            continue
        response = f"{derived.fact.text} {closing(derived.fact.object)}"
        answer = task.extract(response, example)
        yield Attempt(
            example=example.uid,
            solver=ARM,
            response=response,
            answer=answer,
            correct=bool(answer) and task.grade(answer, example),
            knowledge=tuple(fact.id for fact in derived.rests_on),
            routed=True,
        )

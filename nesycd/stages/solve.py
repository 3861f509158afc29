"""Answering questions with a student: one piece of code for collection, evaluation and serving."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nesycd.core.protocols import Prompt, Student, Task
from nesycd.core.records import Attempt, Example, Item, Passage, content_hash
from nesycd.prompts import Prompts, item_line

Knowledge = Callable[[Example], Sequence[Item | Passage]]
"""Gives the items that go into a question's prompt, in order."""


@dataclass(frozen=True)
class Solver:
    """A student with an adapter (or none), a way to get knowledge (or none), and a prompt style.

    Attributes:
        name: the arm or fold, as it stands in `Attempt.solver`.
        adapter: adapter folder; None is the untrained student.
        knowledge: None means that retrieval is not asked.
        max_new_tokens: limit of an answer, in tokens.
        stop: strings that end an answer.
        asks: the whole prompt of a question, where it is another than `style` and `knowledge` make.
        before: what stands in the response before what is generated, such as the working that the prompt ends with.
    """

    name: str
    student: Student
    task: Task
    prompts: Prompts
    adapter: Path | None
    knowledge: Knowledge | None = None
    style: Literal["closed_book", "zero_shot", "few_shot"] = "closed_book"
    max_new_tokens: int = 96
    stop: tuple[str, ...] = ()
    asks: Callable[[Example], str] | None = None
    before: Callable[[Example], str] | None = None

    def items(self, example: Example) -> Sequence[Item | Passage]:
        """The knowledge for one question."""
        return self.knowledge(example) if self.knowledge is not None else ()

    def prompt(self, example: Example) -> Prompt:
        """What the student reads."""
        if self.asks is not None:
            return Prompt(example.uid, self.asks(example))
        if self.style == "zero_shot":
            return Prompt(example.uid, self.prompts.zero_shot(example))
        if self.style == "few_shot":
            # Only benchmarks whose publisher wrote such prompts have them; who builds the solver has seen to that.
            return Prompt(example.uid, self.task.few_shot(example))  # type: ignore[attr-defined]
        return Prompt(example.uid, self.prompts.with_knowledge(example, self.items(example)))

    def plan(self, examples: Sequence[Example]) -> list[list[str]]:
        """Generation batches as lists of `Example.uid`."""
        batches = self.student.plan([self.prompt(example) for example in examples])
        return [[examples[index].uid for index in batch] for batch in batches]

    def answer(self, examples: Sequence[Example]) -> list[Attempt]:
        """Answer one planned batch; an attempt for each example, in order. `seconds` is the batch's time shared out."""
        started = time.monotonic()
        generations = self.student.generate(
            [self.prompt(example) for example in examples],
            adapter=self.adapter,
            max_new_tokens=self.max_new_tokens,
            stop=self.stop,
        )
        seconds = (time.monotonic() - started) / max(1, len(examples))
        attempts = []
        for example, made in zip(examples, generations, strict=True):
            items = self.items(example)
            lines = sum(self.student.count_tokens([item_line(item) for item in items])) if items else 0
            response = made.text if self.before is None else self.before(example) + made.text
            answer = self.task.extract(response, example)
            attempts.append(
                Attempt(
                    example=example.uid,
                    solver=self.name,
                    response=response,
                    answer=answer,
                    correct=bool(answer) and self.task.grade(answer, example),
                    margin=round(made.margin, 6),
                    least_margin=round(made.least_margin, 6),
                    prompt_tokens=made.prompt_tokens,
                    completion_tokens=made.completion_tokens,
                    knowledge=tuple(item.id for item in items),
                    knowledge_tokens=lines,
                    routed=self.knowledge is not None,
                    finish=made.finish,  # type: ignore[arg-type]
                    seconds=seconds,
                )
            )
        return attempts

    def prompts_hash(self, examples: Sequence[Example]) -> str:
        """Hash of all that the student reads: two solvers that agree in it and in the adapter answer alike."""
        return content_hash([self.prompt(example).text for example in examples])

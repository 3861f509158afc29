"""Several benchmarks as one: which split of each becomes which split here (the paper's training mixture is such a one).

A part is a benchmark with its settings, `use = {its split = "split here"}`, and where wanted `count = {"split here" = N}`,
a seeded sample stratified by task. Splits named `ood_...` are scored as out of domain. Each question is graded by the
benchmark it comes from, and keeps that one's task name.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nesycd.core.errors import DataError
from nesycd.core.protocols import Task
from nesycd.core.records import Example, Rationale, content_hash
from nesycd.tasks.base import in_split

NAME = "mixture"


class Part(BaseModel):
    """One benchmark of the mixture."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    name: str
    """Its name in recipes."""
    use: dict[str, str] = Field(min_length=1)
    """Which of its splits becomes which split here, as `{test = "ood_arc"}`."""
    count: dict[str, Annotated[int, Field(ge=1)]] = {}
    """At most so many of its questions in a split here, as `{train = 3500}`: a seeded sample, stratified by task."""
    settings: dict[str, Any] = {}
    """Its own settings."""

    @model_validator(mode="after")
    def _counts_what_is_used(self) -> Part:
        if unused := sorted(self.count.keys() - set(self.use.values())):
            there = ", ".join(self.use.values())
            raise ValueError(f"count: no split here is called {unused[0]!r} ({self.name} fills {there})")
        return self


class MixtureSettings(BaseModel):
    """Several benchmarks as one."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    parts: tuple[Part, ...] = Field(min_length=1)
    """The benchmarks, in the order in which their questions stand: `[[task.settings.parts]]`, with the keys below."""
    seed: int = 0
    """The seed of each part that is given none of its own; not given: the recipe's `seed`."""


class Mixture:
    """The mixture: `protocols.Task`, each question in the hands of its own benchmark.

    Raises:
        DataError: a split that a part does not have, an empty one, or two questions with one uid.
        ConfigError: an unknown benchmark or setting.
    """

    def __init__(self, settings: MixtureSettings) -> None:
        # Here, since the registry knows all benchmarks, this one among them.
        from nesycd.tasks.registry import build_task, limited, settings_class

        self.name = NAME
        self._examples: dict[str, list[Example]] = {}
        self._owner: dict[str, Task] = {}
        self._notes: list[str] = []
        prints = []
        for place, part in enumerate(settings.parts):
            has_seed = "seed" in settings_class(part.name).model_fields
            given = {"seed": settings.seed, **part.settings} if has_seed else part.settings
            task = build_task(part.name, given)
            self._notes += getattr(task, "warnings", list)()
            prints.append(task.fingerprint)
            for split, here in part.use.items():
                if split not in task.splits():
                    known = ", ".join(task.splits())
                    raise DataError(f"mixture: part {place} ({part.name}) has no split {split!r} (known: {known})")
                count = part.count.get(here)
                examples = limited(task, count, settings.seed).load(split) if count else task.load(split)
                self._add(task, here, examples)
        self.fingerprint = content_hash(prints)

    def __repr__(self) -> str:
        """Its name, and the sizes of its splits."""
        return f"<task {self.name}: {', '.join(f'{name} {len(found)}' for name, found in self._examples.items())}>"

    def _add(self, task: Task, split: str, examples: list[Example]) -> None:
        for example in examples:
            if example.uid in self._owner:
                raise DataError(
                    f"mixture: two questions are called {example.uid}; give a part's jsonl a name of its own"
                )
            self._owner[example.uid] = task
        members = self._examples.setdefault(split, [])
        members += in_split(split, examples)

    def splits(self) -> tuple[str, ...]:
        """The splits that the parts fill, in the order in which they do."""
        return tuple(self._examples)

    def load(self, split: str) -> list[Example]:
        """All examples of a split, part by part.

        Raises:
            DataError: no such split.
        """
        if split not in self._examples:
            raise DataError(f"{self.name}: no split {split!r} (known: {', '.join(self._examples)})")
        return list(self._examples[split])

    def kind(self, task: str) -> str:
        """ "": a mixture does not say."""
        return ""

    def extract(self, response: str, example: Example) -> str:
        """As the question's own benchmark does."""
        return self._of(example).extract(response, example)

    def grade(self, answer: str, example: Example) -> bool:
        """As the question's own benchmark does."""
        return self._of(example).grade(answer, example)

    def few_shot(self, example: Example) -> str:
        """As the question's own benchmark does.

        Raises:
            DataError: it has no few-shot prompts.
        """
        make = getattr(self._of(example), "few_shot", None)
        if make is None:
            raise DataError(f"{example.task}: this benchmark has no few-shot prompts")
        return str(make(example))

    def program(self, example: Example, rationale: Rationale) -> str:
        """As the question's own benchmark does; "" where it converts no rationales itself."""
        make = getattr(self._of(example), "program", None)
        return "" if make is None else str(make(example, rationale))

    def warnings(self) -> list[str]:
        """What the parts' readers should know."""
        return list(self._notes)

    def _of(self, example: Example) -> Task:
        if example.uid not in self._owner:
            raise DataError(f"{example.uid}: not a question of this mixture")
        return self._owner[example.uid]

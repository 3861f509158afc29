"""What a method is handed: a run folder, the recipe, the parts that were built from it, and who is told of progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nesycd.core.config import Recipe
from nesycd.core.places import without_paths
from nesycd.core.protocols import TRAINING, Student, Task, Teacher, TrainSettings
from nesycd.core.records import Attempt, Example, TrainingText
from nesycd.prompts import Prompts
from nesycd.rules import Engine
from nesycd.runs.run import Run
from nesycd.runs.stage import Artifact, StageRecords
from nesycd.stages.solve import Solver


def no_progress(stage: str, state: dict[str, Any]) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Parts:
    """Everything a method works with.

    Attributes:
        engine: runs the rules' clauses, where the recipe asks for that; starts when first asked.
        training: told (stage, state) while the student is fine-tuned; state is what `Student.train` tells.
    """

    run: Run
    recipe: Recipe
    task: Task
    teacher: Teacher
    student: Student
    prompts: Prompts
    engine: Engine
    training: Callable[[str, dict[str, Any]], None] = no_progress

    def examples(self, split: str) -> StageRecords[Example]:
        """A split's questions, written into the run once."""
        recipe = self.recipe.task
        inputs = {
            "task": recipe.name,
            # Files count by what they say, which the benchmark's fingerprint holds, not by where they lie.
            "settings": without_paths(recipe.settings),
            "data": self.task.fingerprint,
            "limit": recipe.limit,
            "size": recipe.sizes.get(split),
            # Splits and samples are drawn by it where the benchmark's settings give no other.
            "seed": self.recipe.seed,
        }
        return self.run.computed(f"examples-{split}", Example, inputs, lambda: self.task.load(split))

    def settings(self, **changes: Any) -> TrainSettings:
        """The recipe's hyperparameters, with changes."""
        given = self.recipe.training
        names = ("learning_rate", "epochs", "batch_tokens", "max_tokens", "warmup", "rank", "alpha", "dropout")
        return TrainSettings(**{**{name: getattr(given, name) for name in names}, **changes})

    def attempts(self, name: str, solver: Solver, examples: Sequence[Example], depends: Any) -> StageRecords[Attempt]:
        """Answer all examples in planned batches; `depends` holds what decides the answers besides the solver's parts."""
        by_uid = {example.uid: example for example in examples}
        inputs = {
            "student": self.student.fingerprint,
            "prompts": self.prompts.fingerprint,
            "examples": examples,
            "style": solver.style,
            "max_new_tokens": solver.max_new_tokens,
            "depends": depends,
        }
        if self.student.decoding:
            inputs["decoding"] = self.student.decoding
        return self.run.batches(
            name,
            Attempt,
            inputs,
            plan=lambda: solver.plan(examples),
            produce=lambda uids: solver.answer([by_uid[uid] for uid in uids]),
            keys=[example.uid for example in examples],
        )

    def fine_tune(
        self,
        name: str,
        texts: Sequence[TrainingText],
        init: Artifact | None = None,
        remember: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Artifact:
        """Train an adapter as a stage of the run: what it is told of it are counts, and what is to be remembered.

        Args:
            name: the stage's.
            texts: what to train on.
            init: an adapter to start from; None: the base model.
            remember: kept beside the counts.
            changes: to the recipe's hyperparameters.
        """
        settings = self.settings(**changes)

        def make(folder: Path) -> Mapping[str, Any]:
            report = self.student.train(
                texts,
                settings,
                folder,
                seed=self.recipe.seed,
                init=init.path if init is not None else None,
                progress=lambda state: self.training(name, state),
            )
            return {
                "steps": report.steps,
                "tokens": report.tokens,
                "completion_tokens": report.completion_tokens,
                "loss": report.loss,
                "dropped": report.dropped,
                **(remember or {}),
            }

        depends = {
            "texts": list(texts),
            "student": self.student.fingerprint,
            "settings": settings,
            "seed": self.recipe.seed,
            "init": init.fingerprint if init is not None else "",
        }
        return self.run.artifact(name, depends, make, TRAINING)

    def solver(self, name: str, adapter: Any, **options: Any) -> Solver:
        """A solver with the recipe's limits."""
        limit = self.recipe.student.max_new_tokens
        return Solver(name, self.student, self.task, self.prompts, adapter, max_new_tokens=limit, **options)

"""Answers that students sample to the training questions, and training on those that are right (rejection sampling)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from nesycd.core.answers import Attempt
from nesycd.core.protocols import Tools
from nesycd.core.records import Example, Retrieval, TrainingText
from nesycd.core.segments import Segment
from nesycd.methods import mixing, table
from nesycd.methods.method import CallSource, Method
from nesycd.methods.predict import Adapter, Resources, Turn, Way, way_of
from nesycd.methods.training import PREFIX, Texts, budget, texts_of
from nesycd.prompts import Shown

if TYPE_CHECKING:
    # As in `methods.training`.
    from nesycd.methods.context import Context
    from nesycd.runs.stage import Artifact

TEMPERATURE = 0.7
"""Of answers of which the right ones are kept: as Yuan et al. 2023 (RFT)."""


@dataclass(frozen=True)
class Sampled:
    """An answer that a student sampled to a training question.

    Attributes:
        example: the question.
        attempt: the answer with its verdict.
        prompt: what was asked; of several prompts the last.
        segments: what was written and supplied; empty where the prompt did not fit.
        stated: what the student said before that the question states.
    """

    example: Example
    attempt: Attempt
    prompt: str
    segments: tuple[Segment, ...]
    stated: tuple[str, ...]

    def text(self, task: Literal["direct", "augmented"]) -> TrainingText:
        """It as a training text: supplied tokens carry no loss."""
        return TrainingText(example=self.example.uid, task=task, prompt=self.prompt, segments=self.segments)


@dataclass(frozen=True)
class Sampler:
    """Lets students answer training questions; prompts and calls are those of inference.

    From a knowledge base nothing is retrieved that comes from the question alone, as in training.

    Attributes:
        context: of the run.
        method: how it is prompted; its name names the stages.
        temperature: above 0.
    """

    context: Context
    method: Method
    temperature: float

    def answers(self, adapter: Adapter, examples: Sequence[Example], number: int) -> list[Sampled]:
        """The answers of an adapter's student to some questions, each once, as stages of the run.

        `number`: names them; others give other samples.
        """
        context = self.context
        way = way_of(self.method, self._resources(adapter, number))
        attempts = context.answered(f"sample-{self.method.name}.{number}", way, examples)
        return [self._sampled(way, example, one) for example, one in zip(examples, attempts, strict=True)]

    def _sampled(self, way: Way, example: Example, attempt: Attempt) -> Sampled:
        turn = Turn.begun(example, way)
        while turn.now:
            found = [self.context.predictor.find(ask) for ask in turn.now]
            turn = turn.answered([one for one in found if one is not None], way)
        segments = tuple(one for one in turn.made[-1].segments if one.text)
        return Sampled(example, attempt, turn.asks[-1].prompt, segments, turn.asks[-1].stated)

    def _resources(self, adapter: Adapter, number: int) -> Resources:
        context, method = self.context, self.method
        tools: dict[CallSource, Tools | None] = {
            source: context.tools(source, context.knowledge, context.train) for source in ("", method.calls)
        }
        return Resources(
            task=context.task,
            prompts=context.prompts,
            baseline_prompts=context.baseline_prompts,
            limit=context.recipe.student.max_new_tokens,
            adapter=lambda student: adapter,
            knowledge={method.source: self._shown} if method.source else {},
            tools=lambda source: tools[source],
            by=context.recipe.calls.read,
            temperature=self.temperature,
            seed=1000 * context.recipe.seed + number,
        )

    def _shown(self, example: Example) -> Sequence[Shown]:
        if self.method.source == "corpus":
            return self.context.find(self.method, example, self.context.knowledge.query(example))
        found = self._retrieved[example.uid]
        return found.read if self.method.source == "read" else found.items

    @cached_property
    def _retrieved(self) -> dict[str, Retrieval]:
        context = self.context
        found = mixing.retrieved_in_training(context, context.distilled.entries, context.knowledge)
        return {one.example: one for one in found}


def train(context: Context, method: Method, texts: Texts) -> Artifact:
    """One round of rejection sampling (RFT, Yuan et al. 2023, arXiv 2308.01825).

    The student of `Method.like` samples `compare.samples` answers to each training question; of those that are right, and neither
    cut off nor what the question is trained on already, each is added once to that method's texts. On all these the base model is
    trained for as many completion tokens as all methods.

    Args:
        context: of the run.
        method: a row of the table.
        texts: of the method that it is like.
    """
    method = table.as_trained(method, context.recipe)
    of = table.METHODS[method.like]
    assert of.train is not None
    adapter, sampler = of.train(context, of), Sampler(context, method, TEMPERATURE)
    numbers = range(context.recipe.compare.samples)
    answers = [one for number in numbers for one in sampler.answers(adapter, context.train, number)]

    def made() -> list[TrainingText]:
        before = texts(context, method)
        new = right_and_new(answers, before)
        context.run.notify(
            f"{method.name}: {sum(one.attempt.correct for one in answers)} of {len(answers)} sampled answers are right, "
            f"{len(new)} of them are new texts beside {len(before)}"
        )
        return [*before, *new]

    mixed = texts_of(context, method, made, {"answers": [[one.attempt, one.prompt] for one in answers]})
    return context.fine_tune(
        f"{PREFIX}{method.name}",
        mixed,
        remember={"sampled_tokens": sum(one.attempt.completion_tokens for one in answers)},
        learning_rate=rate_of(context, method),
        completion_token_budget=budget(context, method, mixed),
    )


def right_and_new(answers: Sequence[Sampled], before: Sequence[TrainingText]) -> list[TrainingText]:
    """The answers to be trained on, each text once for a question; blanks do not count."""
    seen = {(text.example, _words(text.completion)) for text in before}
    made = []
    for one in answers:
        if not (one.attempt.correct and one.attempt.finish == "stop" and one.segments):
            continue
        text = one.text("augmented" if one.attempt.knowledge else "direct")
        if (key := (text.example, _words(text.completion))) not in seen:
            seen.add(key)
            made.append(text)
    return made


def rate_of(context: Context, method: Method) -> float:
    """The learning rate of the method that it shares its texts with."""
    recipe = context.recipe
    return recipe.augmented.learning_rate if method.like == table.MAIN else recipe.training.learning_rate


def _words(text: str) -> str:
    return " ".join(text.split())

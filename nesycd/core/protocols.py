"""What the parts are to each other. Stages get these handed in and never build one.

Failures of a single question are records; an exception from here means that nothing more can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from nesycd.core.records import Attempt, Derivation, Diagnosis, Example, Fact, Hit, Rationale, TrainingText

Progress = Callable[[int], None]
"""Called with the number of units just finished."""


@runtime_checkable
class Task(Protocol):
    """One benchmark: its questions, how to ask them and how to grade an answer."""

    name: str
    """Name in recipes, results and `Example.task` prefix."""

    def splits(self) -> tuple[str, ...]:
        """The names of its splits: `train` and `test` at least; `valid` and `ood_*` where it has them."""
        ...

    def load(self, split: str) -> list[Example]:
        """All examples of a split, in a fixed order."""
        ...

    def kind(self, task: str) -> str:
        """`special` (needs sparse knowledge), `general`, or "" where the benchmark does not say.

        For reports only: no method may read it.
        """
        ...

    def extract(self, response: str, example: Example) -> str:
        """The answer in a response, normalised; "" where there is none (never a guess)."""
        ...

    def grade(self, answer: str, example: Example) -> bool:
        """Whether an extracted answer equals the gold one."""
        ...


@dataclass(frozen=True)
class ErrorCase:
    """What a teacher sees when it diagnoses: question, gold answer, an accepted rationale, the wrong response."""

    example: Example
    rationale: str | None
    attempt: Attempt


@runtime_checkable
class Teacher(Protocol):
    """Whoever knows: a program, a recording, an LLM API. Answers in batches, a record for each input, in any order.

    Results are yielded as they come so that each can be written at once; a question that failed yields a record whose
    `failure` says why. `usage` fields of the records carry tokens and seconds.
    """

    name: str
    fingerprint: str
    """Hash of all that decides its answers (model, prompts, settings, files)."""

    def rationales(self, examples: Sequence[Example]) -> Iterable[Rationale]:
        """Write a working for each question. `correct` is left False: the stage grades."""
        ...

    def diagnoses(self, cases: Sequence[ErrorCase]) -> Iterable[Diagnosis]:
        """Turn each error into proposed knowledge."""
        ...


@dataclass(frozen=True)
class Prompt:
    """One thing to generate from: the user turn as text. `key` names it in progress and errors."""

    key: str
    text: str


@dataclass(frozen=True)
class Generation:
    """A greedy continuation with its router signals and its sizes in tokens."""

    text: str
    margin: float
    """Mean over the generated tokens of p1 - p2, in [0, 1]."""
    least_margin: float
    """Mean of the `LEAST` smallest of them."""
    prompt_tokens: int
    completion_tokens: int
    finish: str
    """`stop` (end token or stop string), `length` (limit reached) or `too_long` (prompt did not fit; nothing done)."""
    entropy: float | None = None
    """Mean over the generated tokens of the entropy (nats) of what each was chosen from; None: not measured, or no tokens."""
    largest_entropy: float | None = None
    """Mean of the `LEAST` largest of them."""

    @staticmethod
    def signals(margins: Sequence[float]) -> tuple[float, float]:
        """`margin` and `least_margin` of an answer's token margins; 0 and 0 for an empty answer."""
        least = sorted(margins)[:LEAST]
        return (sum(margins) / len(margins), sum(least) / len(least)) if margins else (0.0, 0.0)

    @staticmethod
    def entropies(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
        """`entropy` and `largest_entropy` of an answer's token entropies; None and None for an empty answer."""
        largest = sorted(values, reverse=True)[:LEAST]
        return (sum(values) / len(values), sum(largest) / len(largest)) if values else (None, None)


LEAST = 3
"""How many of an answer's least margins make its `least_margin`: a guessed fact shows in one to three tokens."""


class Draft(Protocol):
    """What a router looks at: an attempt or a generation."""

    @property
    def margin(self) -> float:
        """See `Generation`."""
        ...

    @property
    def least_margin(self) -> float:
        """See `Generation`."""
        ...

    @property
    def entropy(self) -> float | None:
        """See `Generation`."""
        ...

    @property
    def largest_entropy(self) -> float | None:
        """See `Generation`."""
        ...


TRAINING = 3
"""Part of the fingerprint of what is trained: grows when the same texts and settings would give another student."""


@dataclass(frozen=True)
class TrainSettings:
    """Hyperparameters of one fine-tuning; sizes in tokens, `learning_rate` at its peak."""

    learning_rate: float = 1e-3
    epochs: float = 3.0
    """Passes over the texts; of the last one a share where it is a fraction."""
    batch_tokens: int = 1024
    max_tokens: int = 1024
    warmup: float = 0.1
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    checkpoint_seconds: float = 60.0
    completion_token_budget: int | None = None
    """Train until so many completion tokens were seen, whatever `epochs` says."""


@dataclass(frozen=True)
class TrainReport:
    """What a fine-tuning did: steps, tokens seen (completion tokens carry loss), final mean loss, texts dropped."""

    steps: int
    tokens: int
    completion_tokens: int
    loss: float
    dropped: int
    """Texts longer than `max_tokens`, left out and counted."""
    seconds: float


@runtime_checkable
class Student(Protocol):
    """The small model: fine-tuned into an adapter folder, loaded with or without one, and asked in batches."""

    name: str
    decoding: str
    """What has a hand in its answers besides, with a version; "" where nothing has."""

    @property
    def fingerprint(self) -> str:
        """Hash of the base model's files or commit, and of its template."""
        ...

    def train(
        self,
        texts: Sequence[TrainingText],
        settings: TrainSettings,
        folder: Path,
        *,
        seed: int,
        init: Path | None = None,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> TrainReport:
        """Fine-tune an adapter into `folder` (resuming from its checkpoint where one lies there).

        `init` is an adapter folder to start from. `progress` gets `{"step", "steps", "loss", "tokens_per_second"}`,
        and `{"step", "steps", "note"}` while something else is waited for.
        """
        ...

    def plan(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Split prompts (by index) into generation batches of like length, deterministically."""
        ...

    def generate(
        self, prompts: Sequence[Prompt], *, adapter: Path | None, max_new_tokens: int, stop: Sequence[str] = ()
    ) -> list[Generation]:
        """Answer one planned batch greedily."""
        ...

    def least_likely(
        self, prompts: Sequence[Prompt], completions: Sequence[str], *, adapter: Path | None
    ) -> list[float]:
        """How likely each completion is after its prompt where it is least so: mean log-probability (nats) of the `LEAST` least
        likely of its tokens, the end included.

        No generation: one pass over the texts. Minus infinity for what does not fit into the model's context.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in the student's tokens, without template."""
        ...


@runtime_checkable
class Retriever(Protocol):
    """Finds knowledge for a question."""

    @property
    def fingerprint(self) -> str:
        """Hash of the items and of all that decides what is found."""
        ...

    def retrieve(self, question: str, *, hide: frozenset[str] = frozenset(), task: str = "") -> list[Hit]:
        """Items for the prompt, best first, within the token budget. `hide`: ids of items that must not be returned."""
        ...


@runtime_checkable
class Router(Protocol):
    """Decides whether the student is given knowledge for a question."""

    def route(self, draft: Draft, question: str, hits: Sequence[Hit]) -> bool:
        """True where the student should be given knowledge.

        Args:
            draft: its answer without.
            question: what was asked.
            hits: what was found for it, best first. Looking takes milliseconds; a second answer takes seconds.
        """
        ...


@runtime_checkable
class KnowsTruth(Protocol):
    """A benchmark that knows which facts its questions need, and so more about its own splits."""

    def train_frequency(self, example: Example) -> int:
        """In how many training questions the rarest of the needed facts occurs (0 where none is needed)."""
        ...

    def missing_facts(self, split: str) -> list[Fact]:
        """Facts that a split needs and training never shows, to be imported by hand without retraining."""
        ...

    def derive(self, example: Example, edited: Iterable[Fact] = ()) -> Derivation:
        """Derive the answer from the true facts, with `edited` ones in place of those of their subject and relation.

        Raises:
            DataError: not an example of this benchmark, or the edited facts give no answer.
        """
        ...

    def counterfactual(self, fact: Fact, seed: int = 0) -> Fact:
        """A true fact with a false object of the same sort, in text and triple.

        Raises:
            DataError: the fact is not a true one.
        """
        ...


@runtime_checkable
class FactSource(Protocol):
    """All true facts of a benchmark's world, where it has one (longtail): the expert teacher is handed it."""

    def facts_about(self, entity: str) -> list[Fact]:
        """Every true fact whose subject is `entity`."""
        ...

"""The protocols of the parts: task, teacher, student, retriever, router. Stages take them as arguments and never build one.

An exception from one of them means that no further question can be asked, or (`Unanswered`, raised last) that some questions are
still unanswered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from nesycd.core.answers import Attempt, Call, Finish
from nesycd.core.records import (
    Derivation,
    Diagnosis,
    Example,
    Fact,
    Hit,
    Induction,
    Item,
    Rationale,
    Targets,
    TrainingText,
    content_hash,
)
from nesycd.core.segments import Segment, text_of

Progress = Callable[[int], None]
"""Called with the number of units just finished."""


@runtime_checkable
class Task(Protocol):
    """One benchmark: its questions, how to ask them and how to grade an answer."""

    name: str
    """Name in recipes, results and `Example.task` prefix."""
    fingerprint: str
    """Hash of all that its questions and gold answers depend on: the content of files (not their paths), or a hub commit."""

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
        """The answer in a response, normalised; "" where there is none; never guessed."""
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


@dataclass(frozen=True)
class ErrorCluster:
    """Several errors of one kind, made by one student."""

    cases: tuple[ErrorCase, ...]

    @cached_property
    def key(self) -> str:
        """Content hash of the errors."""
        return content_hash([[one.example.id, one.attempt.response, one.rationale or ""] for one in self.cases])

    def induction(self, teacher: str, items: Iterable[Item], failure: str = "", **cost: Any) -> Induction:
        """The record of what a teacher proposes for the cluster; `cost`: see `Induction`."""
        return Induction(
            cluster=self.key,
            examples=tuple(case.example.uid for case in self.cases),
            attempts=tuple(case.attempt.prediction for case in self.cases),
            teacher=teacher,
            items=tuple(items),
            failure=failure,
            **cost,
        )


@runtime_checkable
class Teacher(Protocol):
    """The teacher: a program, a recording or an LLM API. Answers in batches, one record per input, in any order.

    Results are yielded as they arrive, so that each can be written at once. An unusable answer gives a record whose `failure`
    says why; it is not asked again. A question that was not answered at all (server overloaded, budget used up) gives no
    record: after all others were yielded, `Unanswered` is raised, and the question may be asked again.
    `usage` fields of the records carry tokens and seconds.
    """

    name: str
    fingerprint: str
    """Hash of all that its answers depend on (model, prompts, settings, files)."""

    def rationales(self, examples: Sequence[Example]) -> Iterable[Rationale]:
        """Write a rationale for each question. `correct` is left False: the stage grades."""
        ...

    def diagnoses(self, cases: Sequence[ErrorCase]) -> Iterable[Diagnosis]:
        """Turn each error into proposed knowledge."""
        ...


@runtime_checkable
class Inducer(Protocol):
    """A teacher that can also be asked for what holds for all errors of a cluster. Answers as `Teacher` says."""

    def inductions(self, clusters: Sequence[ErrorCluster]) -> Iterable[Induction]:
        """Turn each cluster of errors into general knowledge: a procedure or a rule for all questions of the kind."""
        ...


@dataclass(frozen=True)
class Supply:
    """Text to be inserted after what a student has written so far, and the call that it answers."""

    text: str
    call: Call


class Tools(Protocol):
    """What a student may call while it writes. Any text may be passed: whether it ends in a call is decided here.

    Nothing that a result depends on changes while an object of this class lives, so that an answer sees one state only.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The tools with their versions, such as `sum/2`; part of what identifies a prediction."""
        ...

    @property
    def state(self) -> str:
        """Hash of the knowledge behind them; "" where results depend on none."""
        ...

    @property
    def ends(self) -> tuple[str, ...]:
        """Strings one of which ends every call: nothing need be asked after other tokens."""
        ...

    def offers(self, question: str) -> Sequence[str]:
        """Calls that a question's names allow, as the student would write them: shown in its prompt, without their results."""
        ...

    def supply(self, text: str, question: str, trace: Sequence[Call]) -> Supply | None:
        """What comes next after `text`; None where it ends in no call, or in one whose result is not sure.

        Args:
            text: what the student has written so far, supplied text included.
            question: see `Prompt`.
            trace: the calls that it has made so far.
        """
        ...

    def allowed(self, text: str, question: str, trace: Sequence[Call]) -> Callable[[str], bool] | None:
        """Within a call that `text` has begun: tells whether a continuation is one that can be called; None: anything may follow.

        Students that can choose among tokens keep to it; the others are told afterwards, by the result.
        """
        ...

    def agrees(self, question: str, trace: Sequence[Call]) -> bool:
        """Whether every call of an earlier answer would have the same result now."""
        ...


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    Attributes:
        key: names it in progress and errors.
        text: the user turn.
        tools: what the student may call while it answers; None: nothing. Prompts of one batch may have different ones.
        question: the part of the text that calls may read.
    """

    key: str
    text: str
    tools: Tools | None = None
    question: str = ""


@dataclass(frozen=True)
class Decoding:
    """How an answer is decoded: greedily, or sampled.

    Attributes:
        limit: most tokens of an answer, supplied ones included.
        stop: strings that end an answer; supplied text does not.
        temperature: of sampling from the whole vocabulary; 0: greedily.
        seed: of what is sampled; with the prompt it decides the answer, whatever else is in the batch (but for rounding).
    """

    limit: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Generation:
    """A greedy continuation with its router signals and its sizes in tokens."""

    segments: tuple[Segment, ...]
    """The student's own text, and text supplied during generation; empty for an empty answer."""
    margin: float
    """Mean over the generated tokens of p1 - p2, in [0, 1]."""
    least_margin: float
    """Mean of the `LEAST` smallest margins."""
    prompt_tokens: int
    completion_tokens: int
    finish: Finish
    """`stop` (end token or stop string), `length` (limit reached) or `too_long` (prompt did not fit; nothing generated)."""
    trace: tuple[Call, ...] = ()
    """The calls made during generation, in order."""

    @classmethod
    def too_long(cls, prompt_tokens: int) -> Self:
        """The result for a prompt that does not fit into the context."""
        return cls((), 0.0, 0.0, prompt_tokens, 0, "too_long")

    @property
    def text(self) -> str:
        """The text of all segments."""
        return text_of(self.segments)

    @staticmethod
    def signals(margins: Sequence[float]) -> tuple[float, float]:
        """`margin` and `least_margin` of an answer's token margins; 0 and 0 for an empty answer."""
        least = sorted(margins)[:LEAST]
        return (sum(margins) / len(margins), sum(least) / len(least)) if margins else (0.0, 0.0)


LEAST = 3
"""Number of smallest token margins that `least_margin` averages: a guessed fact shows in one to three tokens."""


class Draft(Protocol):
    """The input of a router: the closed-book answer, as an attempt or a generation."""

    @property
    def margin(self) -> float:
        """See `Generation`."""
        ...

    @property
    def least_margin(self) -> float:
        """See `Generation`."""
        ...


TRAINING = 4
"""Part of the fingerprint of trained adapters: raised when the same texts and settings would give another student."""


@dataclass(frozen=True)
class TrainSettings:
    """Hyperparameters of one fine-tuning; sizes in tokens; `learning_rate` is the peak."""

    learning_rate: float = 1e-3
    epochs: float = 3.0
    """Passes over the texts; a fraction means that the last pass is partial."""
    batch_tokens: int = 256
    """Completion tokens with loss of one optimiser step, at most (one text at least)."""
    max_tokens: int = 1024
    warmup: float = 0.1
    rank: int = 16
    alpha: int = 32
    adapted_layers: float = 1.0
    """Share of the layers that get an adapter, from the top (at least one layer)."""
    dropout: float = 0.0
    checkpoint_seconds: float = 60.0
    completion_token_budget: int | None = None
    """Train on this number of completion tokens; overrides `epochs`."""


@dataclass(frozen=True)
class TrainReport:
    """Result of a fine-tuning: steps, tokens seen (completion tokens carry loss), final mean loss, texts dropped."""

    steps: int
    tokens: int
    completion_tokens: int
    loss: float
    dropped: int
    """Texts longer than `max_tokens`, left out and counted."""
    seconds: float


@runtime_checkable
class Student(Protocol):
    """The small model: fine-tuned into an adapter folder, loaded with or without an adapter, prompted in batches."""

    name: str

    @property
    def decoding(self) -> str:
        """Names and versions of what answers depend on besides model and prompt: decoding add-ons (repetition stop), and a server
        that writes them; "" for plain greedy decoding here."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of the base model's files or commit, and of its template."""
        ...

    def load(self) -> None:
        """Load tokenizer and weights once, so that a student that cannot be loaded is known before others are asked or paid.

        Raises:
            ModelError: it cannot be loaded.
        """
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
        and `{"step", "steps", "note"}` during other work, such as compiling.
        """
        ...

    def plan(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Split prompts (by index) into generation batches of like length, deterministically."""
        ...

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        adapter: Path | None,
        decoding: Decoding,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Generation]:
        """Answer one planned batch; text that a prompt's tools supply is marked as such, and its calls are traced.

        `progress` gets the tokens that each unfinished answer has so far, and the most that it may have.
        """
        ...

    def least_likely(
        self, prompts: Sequence[Prompt], completions: Sequence[str], *, adapter: Path | None
    ) -> list[float]:
        """For each completion, after its prompt, the mean log-probability (nats) of its `LEAST` least likely tokens, the end
        token included.

        One forward pass, without generation. Minus infinity for texts that do not fit into the model's context.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in the student's tokens, without template."""
        ...


@runtime_checkable
class ScoringStudent(Protocol):
    """A student that can say which tokens it would have written where another text stands, as a teacher of its like."""

    def likeliest(
        self, prompts: Sequence[str], completions: Sequence[Sequence[Segment]], *, adapter: Path | None, count: int
    ) -> list[Targets]:
        """For each completion, after its prompt, the likeliest tokens at each of its own tokens, the end token included.

        One forward pass, without generation. A completion that does not fit into the model's context has no targets (`()`).

        Args:
            prompts: user turns as text.
            completions: each in segments; supplied tokens are read, and get no targets.
            adapter: its folder; None: the untrained model.
            count: how many tokens at each place; the one that stands there comes on top where it is not among them.
        """
        ...


class Session(Protocol):
    """Answers by one adapter that are written together; each may be begun and dropped at any time (continuous batching).

    Answers are named by `Prompt.key`. Used by one thread at a time.
    """

    def begin(self, prompts: Sequence[Prompt], decodings: Sequence[Decoding]) -> None:
        """Begin to answer some prompts, each with its own decoding."""
        ...

    def step(self) -> dict[str, str | Generation]:
        """Go on with all unfinished answers: what each has written so far (a text that only grows), or, of one that is done, the
        whole."""
        ...

    def drop(self, key: str) -> None:
        """Give up an answer; nothing more is said of it. It may be done, or unknown."""
        ...


@runtime_checkable
class SessionStudent(Protocol):
    """A student that can answer in sessions."""

    def session(self, adapter: Path | None) -> Session:
        """Load the adapter's weights, to answer with them. Several sessions, with other adapters too, may be open.

        Raises:
            ModelError: the weights cannot be loaded.
        """
        ...


@dataclass(frozen=True)
class Pace:
    """A student's speed on this machine, tokens a second: of training texts with their prompts, and of answers."""

    trained: float
    answered: float


@runtime_checkable
class PacedStudent(Protocol):
    """A student whose speed can be measured in some seconds, before it is trained."""

    def pace(self, settings: TrainSettings, question: int, written: int) -> Pace:
        """Measure it on made-up texts.

        Args:
            settings: of the training.
            question: tokens of a question.
            written: tokens of an answer.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Student.count_tokens`."""
        ...


@runtime_checkable
class Retriever(Protocol):
    """Finds knowledge for a question."""

    @property
    def fingerprint(self) -> str:
        """Hash of the items and of all that retrieval depends on."""
        ...

    def retrieve(self, question: str, *, hide: frozenset[str] = frozenset(), task: str = "") -> list[Hit]:
        """Items for the prompt, best first, within the token budget. `hide`: ids of items that must not be returned."""
        ...


@runtime_checkable
class Router(Protocol):
    """Decides whether the student is given knowledge for a question."""

    def route(self, draft: Draft, found: bool) -> bool:
        """True where the student should be given knowledge.

        Args:
            draft: its closed-book answer.
            found: whether anything was retrieved. Retrieval takes milliseconds; a second answer takes seconds.
        """
        ...


class Parses(Protocol):
    """A benchmark with a parser of its own, which nobody trained: what a programmer's afternoon gives."""

    def parse(self, example: Example) -> tuple[tuple[str, ...], str] | None:
        """What a question states, and the goal that it asks for, in the notation of `docs/calls.md`; None where it reads none."""
        ...


@runtime_checkable
class KnowsTruth(Protocol):
    """A benchmark that knows which facts its questions need."""

    def train_frequency(self, example: Example) -> int:
        """Number of training questions with the rarest of the needed facts (0 where none is needed)."""
        ...

    def missing_facts(self, split: str) -> list[Fact]:
        """Facts that a split needs and no training question needs, to be imported without retraining."""
        ...

    def derive(self, example: Example, edited: Iterable[Fact] = ()) -> Derivation:
        """Derive the answer from the true facts, where `edited` facts replace those with their subject and relation.

        Raises:
            DataError: not an example of this benchmark, or the edited facts give no answer.
        """
        ...

    def counterfactual(self, fact: Fact, seed: int = 0) -> Fact:
        """A true fact with a false object of the same kind, in text and triple.

        Raises:
            DataError: the fact is not true in this benchmark.
        """
        ...


@runtime_checkable
class FactSource(Protocol):
    """All true facts of a benchmark's world, where it has one (longtail): input of the expert teacher."""

    def facts_about(self, entity: str) -> list[Fact]:
        """Every true fact whose subject is `entity`."""
        ...

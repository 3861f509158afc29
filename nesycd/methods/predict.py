"""The predictor through which all prompts to students go, from collection to serving.

An `Ask` is one prompt for one student; a `Way` is how a method prompts for a question, in one step or two (a closed-book answer
and, where the router asks for it, a knowledge-augmented one; or a rationale and then the answer). Predictions are cached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from nesycd.calls import LOOK_UP, as_read, question_of
from nesycd.core.answers import Answer, Prediction
from nesycd.core.errors import ConfigError
from nesycd.core.protocols import Decoding, Generation, Prompt, Router, Student, Task, Tools
from nesycd.core.records import Example, content_hash
from nesycd.core.segments import Segment, text_of
from nesycd.grading import CLOSING
from nesycd.methods.method import CallSource, Method, Source
from nesycd.prompts import BaselinePrompts, Prompts, Shown, item_line
from nesycd.routing import AlwaysRouter
from nesycd.runs.predictions import Predictions
from nesycd.stages import baselines

Writing = Callable[[int, int, int], None]
"""Called with (rows of a batch, tokens that each unfinished row has so far, most tokens) while the batch is generated."""
FEW_SHOT_STOP = ("\nQ:",)
"""After a few-shot prompt a student tends to go on with a next question."""


class Adapter(Protocol):
    """A fine-tuned adapter: its folder, and the hash of what it was trained with."""

    @property
    def path(self) -> Path:
        """The folder."""
        ...

    @property
    def fingerprint(self) -> str:
        """The hash."""
        ...


@dataclass(frozen=True)
class Ask:
    """One prompt for one student.

    Attributes:
        prompt: the user turn as text.
        adapter: None: the untrained student.
        decoding: how the answer is decoded.
        items: the knowledge in the prompt, in order.
        with_knowledge: whether knowledge was asked for, even where nothing was found.
        joint: see `Answer.joint`.
        tools: what the student may call; None: nothing.
        question: the part of the prompt that calls may read.
    """

    prompt: str
    adapter: Adapter | None
    decoding: Decoding
    items: tuple[Shown, ...] = ()
    with_knowledge: bool = False
    joint: str | None = None
    tools: Tools | None = None
    question: str = ""

    @property
    def student(self) -> str:
        """See `Prediction.student`."""
        return self.adapter.fingerprint if self.adapter is not None else ""


class Predictor:
    """A student with a cache of predictions, by the hash of what was asked."""

    def __init__(self, student: Student, predictions: Predictions | None = None) -> None:
        """`predictions`: the cache; None: in memory only."""
        self.student = student
        self.predictions = Predictions() if predictions is None else predictions

    def key(self, ask: Ask) -> str:
        """Hash of all that is asked: student, adapter, prompt and decoding; not of what calls find (see `find`)."""
        told = [self.student.fingerprint, self.student.decoding, ask.student, ask.prompt]
        tools = ask.tools
        called = [*tools.names, ask.question] if tools is not None and tools.state else [*tools.names] if tools else []
        return content_hash([*told, ask.decoding.limit, list(ask.decoding.stop), called])

    def find(self, ask: Ask, key: str = "") -> Prediction | None:
        """The cached prediction whose calls would have the same results now; None where there is none.

        An edit of the knowledge base thus asks only those questions again whose trace it touches.
        """
        variants, tools = self.predictions.variants(key or self.key(ask)), ask.tools
        return next((one for one in variants if tools is None or tools.agrees(ask.question, one.trace)), None)

    def plan(self, asks: Sequence[Ask]) -> list[list[int]]:
        """Batches of indices into `asks`, as the student plans them; cached and repeated prompts form the last batch."""
        known: list[int] = []
        new: list[int] = []
        seen: set[tuple[str, str]] = set()
        for place, ask in enumerate(asks):
            key, state = self.key(ask), _state(ask)
            (known if (key, state) in seen or self.find(ask, key) is not None else new).append(place)
            seen.add((key, state))
        planned = [[new[index] for index in batch] for batch in self._batches([asks[place] for place in new])]
        return [*planned, known] if known else planned

    def predict(self, asks: Sequence[Ask], writing: Writing | None = None) -> list[Prediction]:
        """The predictions of one planned batch, in order.

        Where one is missing the whole batch is generated again: in bf16 an answer may depend on the other prompts of its batch.
        Predictions that were cached before are kept. `writing` is told how far those are that are generated.
        """
        keys = [self.key(ask) for ask in asks]
        found = [self.find(ask, key) for ask, key in zip(asks, keys, strict=True)]
        if None in found:
            missing = {(key, _state(ask)): ask for key, ask in zip(keys, asks, strict=True)}
            # Planning a planned batch gives the same batch; more than one only where cached predictions have since been lost.
            for batch in self._batches([*missing.values()]):
                self._generate([key for key, _ in missing], [*missing.values()], batch, writing)
            found = [self.find(ask, key) for ask, key in zip(asks, keys, strict=True)]
        made = [one for one in found if one is not None]
        assert len(made) == len(asks), "tools gave one call two results"
        return made

    def _batches(self, asks: Sequence[Ask]) -> list[list[int]]:
        """Indices into `asks`, in the student's batches; all prompts of a batch share adapter and decoding."""
        groups: dict[tuple[str, Decoding], list[int]] = {}
        for place, ask in enumerate(asks):
            groups.setdefault((ask.student, ask.decoding), []).append(place)
        return [
            [places[index] for index in batch]
            for places in groups.values()
            for batch in self.student.plan([Prompt(str(place), asks[place].prompt) for place in places])
        ]

    def _generate(
        self, keys: Sequence[str], asks: Sequence[Ask], batch: Sequence[int], writing: Writing | None
    ) -> None:
        first = asks[batch[0]]
        started = time.monotonic()
        made = self.student.generate(
            [Prompt(keys[place], asks[place].prompt, asks[place].tools, asks[place].question) for place in batch],
            adapter=first.adapter.path if first.adapter is not None else None,
            decoding=first.decoding,
            progress=None if writing is None else partial(writing, len(batch)),
        )
        seconds = (time.monotonic() - started) / len(batch)
        self.predictions.add(
            prediction_of(keys[place], first.student, one, seconds) for place, one in zip(batch, made, strict=True)
        )

    def knowledge_tokens(self, ask: Ask) -> int:
        """Size of the knowledge in a prompt, in the student's tokens."""
        return sum(self.student.count_tokens([item_line(item) for item in ask.items])) if ask.items else 0

    def answer(self, method: str, example: Example, asks: Sequence[Ask], predictions: Sequence[Prediction]) -> Answer:
        """The answer made of the predictions for its prompts."""
        last = asks[-1]
        return Answer(
            example=example.uid,
            method=method,
            predictions=tuple(one.id for one in predictions),
            joint=last.joint,
            knowledge=tuple(item.id for item in last.items),
            knowledge_tokens=self.knowledge_tokens(last),
            routed=last.with_knowledge,
        )


def prediction_of(key: str, student: str, made: Generation, seconds: float) -> Prediction:
    """A generation as it is recorded; see `Prediction`."""
    return Prediction(
        key=key,
        student=student,
        segments=made.segments,
        trace=made.trace,
        margin=round(made.margin, 6),
        least_margin=round(made.least_margin, 6),
        prompt_tokens=made.prompt_tokens,
        completion_tokens=made.completion_tokens,
        finish=made.finish,
        seconds=seconds,
    )


def _state(ask: Ask) -> str:
    """The knowledge behind a prompt's tools: one prompt may be asked with several in one batch, such as with several edits."""
    return "" if ask.tools is None else ask.tools.state


@dataclass(frozen=True)
class Way:
    """How a method prompts for a question, in one or two steps.

    Attributes:
        method: its name, as in `Answer.method`.
        first: the first prompt for a question.
        then: the second prompt, given the first prediction, or None where that is the answer. None: there is no second step.
    """

    method: str
    first: Callable[[Example], Ask]
    then: Callable[[Example, Prediction], Ask | None] | None = None


@dataclass(frozen=True)
class Responded:
    """A question with its answer, its prompts and their predictions, in order."""

    example: Example
    answer: Answer
    asks: tuple[Ask, ...]
    predictions: tuple[Prediction, ...]

    @property
    def response(self) -> str:
        """The response as graders read it: without its look-ups, whose results stay."""
        return as_read(text_of(self.segments), (call for one in self.predictions for call in one.trace))

    @property
    def looked_up(self) -> bool:
        """Whether the student looked facts up."""
        return any(call.name == LOOK_UP for one in self.predictions for call in one.trace)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """See `Answer.segments`."""
        return self.answer.segments({one.id: one for one in self.predictions})


def respond(
    predictor: Predictor, way: Way, examples: Sequence[Example], writing: Writing | None = None
) -> Iterator[Responded]:
    """Answer questions outside of a run folder, yielding each when done: first those with one prediction, then the others.

    `writing`: see `Predictor.predict`.
    """
    later: list[tuple[Example, Ask, Prediction, Ask]] = []
    first = [way.first(example) for example in examples]
    for batch in predictor.plan(first):
        for place, made in zip(batch, predictor.predict([first[place] for place in batch], writing), strict=True):
            example, ask = examples[place], first[place]
            second = None if way.then is None else way.then(example, made)
            if second is None:
                yield _responded(predictor, way, example, [ask], [made])
            else:
                later.append((example, ask, made, second))
    # In the order of the questions, as a run plans them.
    order = {example.uid: place for place, example in enumerate(examples)}
    later.sort(key=lambda one: order[one[0].uid])
    for batch in predictor.plan([second for *_, second in later]):
        for place, last in zip(batch, predictor.predict([later[place][3] for place in batch], writing), strict=True):
            example, ask, made, second = later[place]
            yield _responded(predictor, way, example, [ask, second], [made, last])


def stored_response(predictor: Predictor, way: Way, example: Example) -> Responded | None:
    """What `respond` would give where that needs no student; None where a prompt has no prediction that still holds."""
    ask = way.first(example)
    if (made := predictor.find(ask)) is None:
        return None
    second = None if way.then is None else way.then(example, made)
    if second is None:
        return _responded(predictor, way, example, [ask], [made])
    last = predictor.find(second)
    return None if last is None else _responded(predictor, way, example, [ask, second], [made, last])


def _responded(
    predictor: Predictor, way: Way, example: Example, asks: Sequence[Ask], made: Sequence[Prediction]
) -> Responded:
    return Responded(example, predictor.answer(way.method, example, asks, made), tuple(asks), tuple(made))


# --- from a method to its way ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Resources:
    """What methods need to answer questions, in a run in progress or a finished one.

    Attributes:
        limit: most tokens of an answer.
        adapter: the adapter of a method's student, by that method's name (`Method.student`).
        knowledge: source -> what it gives for a question; methods with another source cannot be used.
        tools: source of look-ups -> what a method with that source calls; "": what all others do (sums, or nothing).
        router: for methods with a router.
        drafts: the adapter of the student that gives the closed-book answers which the router reads.
        shots: a question's few-shot prompt where the benchmark has none of its own; None: there are no training questions.
    """

    task: Task
    prompts: Prompts
    baseline_prompts: BaselinePrompts
    limit: int
    adapter: Callable[[str], Adapter | None]
    knowledge: Mapping[Source, Callable[[Example], Sequence[Shown]]] = field(default_factory=dict)
    tools: Callable[[CallSource], Tools | None] = lambda source: None
    router: Router | None = None
    drafts: Callable[[], Adapter] | None = None
    shots: Callable[[Example], str] | None = None

    def decoding(self, method: Method) -> Decoding:
        """How a method's answers are decoded."""
        return Decoding(self.limit, FEW_SHOT_STOP if method.prompt == "few_shot" else ())


def way_of(method: Method, given: Resources) -> Way:
    """How a method prompts for a question.

    Raises:
        ConfigError: it needs a source that is missing, such as a corpus.
    """
    if method.source and method.source not in given.knowledge:
        raise ConfigError(f"{method.name}: there is no knowledge of the kind that it reads ({method.source})")
    adapter, decoding = given.adapter(method.student) if method.student else None, given.decoding(method)
    find = given.knowledge.get(method.source, _nothing)
    tools = given.tools(method.calls)

    def ask(example: Example) -> Ask:
        items = tuple(find(example))
        items = items[: method.passages] if method.source == "corpus" else items
        text = prompt_of(method, example, items, given)
        shown = method.shows_knowledge
        return Ask(text, adapter, decoding, items, shown, tools=tools, question=question_of(example))

    if method.prompt == "two_stage":

        def answer(example: Example, rationale: Prediction) -> Ask:
            text = baselines.after_rationale(example, rationale.text, given.baseline_prompts)
            return Ask(text, adapter, decoding, joint=f" {CLOSING} ", tools=tools, question=question_of(example))

        return Way(method.name, ask, answer)
    if method.router and not isinstance(given.router, AlwaysRouter):
        router = given.router
        assert router is not None and given.drafts is not None
        drafts = given.drafts()

        def draft(example: Example) -> Ask:
            return Ask(
                prompt_of(method, example, (), given), drafts, decoding, tools=tools, question=question_of(example)
            )

        def informed(example: Example, made: Prediction) -> Ask | None:
            again = ask(example)
            return again if router.route(made, bool(again.items)) else None

        return Way(method.name, draft, informed)
    return Way(method.name, ask)


def _nothing(example: Example) -> Sequence[Shown]:
    return ()


def prompt_of(method: Method, example: Example, items: Sequence[Shown], given: Resources) -> str:
    """The (first) prompt of a method.

    Raises:
        ConfigError: a few-shot prompt without worked examples of the benchmark and without training questions.
    """
    if method.prompt == "zero_shot":
        extra = given.baseline_prompts
        return extra.fill("zero_shot_with_knowledge", example, items) if items else given.prompts.zero_shot(example)
    if method.prompt == "few_shot":
        make = getattr(given.task, "few_shot", None) or given.shots
        if make is None:
            raise ConfigError(f"{method.name}: no worked examples: neither the benchmark's own nor training questions")
        return str(make(example))
    if method.prompt == "answer_only":
        return baselines.bare_prompt(example, items, given.prompts, given.baseline_prompts)
    tools = given.tools(method.calls) if method.calls else None
    return offering(given.prompts, tools).with_knowledge(example, items)


def offering(prompts: Prompts, tools: Tools | None) -> Prompts:
    """The prompts with the look-ups that these tools offer for a question."""
    return prompts if tools is None else prompts.offering(lambda example: tools.offers(question_of(example)))

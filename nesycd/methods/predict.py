"""The predictor through which all prompts to students go, from collection to serving.

An `Ask` is one prompt for one student; a `Way` is how a method prompts for a question, in one or more steps (the question is read
unit by unit, then answered; a closed-book answer and, where the router asks for it, a knowledge-augmented one; a rationale
and then the answer). Predictions are cached.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from nesycd.calls import SUM, Calls, as_read, question_of
from nesycd.core.answers import Answer, Prediction
from nesycd.core.errors import ConfigError
from nesycd.core.protocols import Decoding, Generation, Prompt, Router, Student, Task, Tools
from nesycd.core.records import Example, content_hash
from nesycd.core.segments import Segment, text_of
from nesycd.grading import CLOSING
from nesycd.knowledge.goals import MAX_STATED
from nesycd.methods.method import CallSource, Method, Source
from nesycd.prompts import BaselinePrompts, Prompts, Shown, item_line
from nesycd.routing import AlwaysRouter
from nesycd.rules.statements import By, read_back, units
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
        reads: whether it reads a unit of the question, and answers with statements.
        stated: what the student said before that the question states.
    """

    prompt: str
    adapter: Adapter | None
    decoding: Decoding
    items: tuple[Shown, ...] = ()
    with_knowledge: bool = False
    joint: str | None = None
    tools: Tools | None = None
    question: str = ""
    reads: bool = False
    stated: tuple[str, ...] = ()

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
        given = ask.decoding
        sampled = [given.temperature, given.seed] if given.temperature else []
        return content_hash([*told, given.limit, list(given.stop), called, *sampled])

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

    def lacking(self, batches: Iterable[Sequence[Sequence[tuple[str, Ask]]]], whole: bool) -> list[list[str]]:
        """What `predict` will have to generate where it is given one batch after the other: batches of the prompts' names.

        Args:
            batches: of questions, each with its named prompts.
            whole: whether a batch is one for the student too; else its prompts are planned, as by `plan`.
        """
        seen: set[tuple[str, str]] = set()
        made: list[list[str]] = []
        for batch in batches:
            own: list[tuple[str, Ask]] = []
            for name, ask in itertools.chain.from_iterable(batch):
                if (told := (self.key(ask), _state(ask))) not in seen:
                    seen.add(told)
                    own.append((name, ask))
            new = [(name, ask) for name, ask in own if self.find(ask) is None]
            if new and whole:
                made.append([name for name, _ in own])
            elif new:
                made += [[new[place][0] for place in planned] for planned in self._batches([ask for _, ask in new])]
        return made

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
            read=sum(one.reads for one in asks),
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


Step = Callable[[Example, Sequence[Prediction]], Sequence[Ask]]
"""The prompts of a step, given the predictions of those before, in order; none where the step is not needed."""


@dataclass(frozen=True)
class Way:
    """How a method prompts for a question, step by step. The last prediction is the answer.

    Attributes:
        method: its name, as in `Answer.method`.
        steps: the first has at least one prompt for each question; only a step that reads has several.
    """

    method: str
    steps: tuple[Step, ...]

    def first(self, example: Example) -> Ask:
        """The first prompt for a question."""
        return self.after(example, (), 0)[1][0]

    def after(self, example: Example, made: Sequence[Prediction], step: int) -> tuple[int, tuple[Ask, ...]]:
        """The prompts that come next, and the number of the step after theirs; no prompts: all is answered.

        Args:
            example: the question.
            made: the predictions so far.
            step: the first step to look at.
        """
        for number in range(step, len(self.steps)):
            if asks := tuple(self.steps[number](example, made)):
                return number + 1, asks
        return len(self.steps), ()


@dataclass(frozen=True)
class Turn:
    """A question with the prompts that are asked `now`, those `asks` that were before, and the predictions `made` for these.

    `step`: the number of the step after the present one.
    """

    example: Example
    step: int
    now: tuple[Ask, ...]
    asks: tuple[Ask, ...] = ()
    made: tuple[Prediction, ...] = ()

    @classmethod
    def begun(cls, example: Example, way: Way) -> Turn:
        """The first turn of a question."""
        return cls(example, *way.after(example, (), 0))

    def answered(self, predictions: Sequence[Prediction], way: Way) -> Turn:
        """The turn after these predictions; it asks nothing where all is answered."""
        made = (*self.made, *predictions)
        step, now = way.after(self.example, made, self.step)
        return Turn(self.example, step, now, (*self.asks, *self.now), made)


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
        """Whether the student looked facts up, or asked rules."""
        return any(call.name != SUM for one in self.predictions for call in one.trace)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """See `Answer.segments`."""
        return self.answer.segments({one.id: one for one in self.predictions})


def respond(
    predictor: Predictor, way: Way, examples: Sequence[Example], writing: Writing | None = None
) -> Iterator[Responded]:
    """Answer questions outside of a run folder, yielding each when done: those with fewer steps first.

    `writing`: see `Predictor.predict`.
    """
    waiting = [Turn.begun(example, way) for example in examples]
    while waiting:
        later: list[tuple[int, Turn]] = []
        # Within a step in the order of the questions, as a run plans them.
        asked = [(place, number) for place, turn in enumerate(waiting) for number in range(len(turn.now))]
        made: dict[tuple[int, int], Prediction] = {}
        left = [len(turn.now) for turn in waiting]
        for batch in predictor.plan([waiting[place].now[number] for place, number in asked]):
            asks = [waiting[place].now[number] for place, number in (asked[one] for one in batch)]
            for one, prediction in zip(batch, predictor.predict(asks, writing), strict=True):
                place, number = asked[one]
                made[place, number] = prediction
                left[place] -= 1
                if not left[place]:
                    turn = waiting[place].answered([made[place, n] for n in range(len(waiting[place].now))], way)
                    if turn.now:
                        later.append((place, turn))
                    else:
                        yield _responded(predictor, way, turn.example, turn.asks, turn.made)
        waiting = [turn for _, turn in sorted(later, key=lambda one: one[0])]


def stored_response(predictor: Predictor, way: Way, example: Example) -> Responded | None:
    """What `respond` would give where that needs no student; None where a prompt has no prediction that still holds."""
    turn = Turn.begun(example, way)
    while turn.now:
        found = [one for ask in turn.now if (one := predictor.find(ask)) is not None]
        if len(found) < len(turn.now):
            return None
        turn = turn.answered(found, way)
    return _responded(predictor, way, example, turn.asks, turn.made)


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
        temperature, seed: of the answers, where they are sampled; what is read of a question never is.
        adapter: the adapter of a method's student, by that method's name (`Method.student`).
        knowledge: source -> what it gives for a question; methods with another source cannot be used.
        tools: source of look-ups -> what a method with that source calls; "": what all others do (sums, or nothing).
        router: for methods with a router.
        drafts: the adapter of the student that gives the closed-book answers which the router reads.
        by: the units in which questions are read, for methods that ask rules.
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
    by: By = "sentences"
    shots: Callable[[Example], str] | None = None
    temperature: float = 0.0
    seed: int = 0

    def decoding(self, method: Method) -> Decoding:
        """How a method's answers are decoded."""
        stop = FEW_SHOT_STOP if method.prompt == "few_shot" else ()
        return Decoding(self.limit, stop, self.temperature, self.seed)


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

    def ask(example: Example, stated: Sequence[str] = ()) -> Ask:
        items = tuple(find(example))
        items = items[: method.passages] if method.source == "corpus" else items
        text = prompt_of(method, example, items, given, stated)
        called = about(tools, example, stated)
        return Ask(text, adapter, decoding, items, method.shows_knowledge, tools=called, question=question_of(example),
                   stated=tuple(stated))  # fmt: skip

    if method.prompt == "two_stage":

        def rationale(example: Example, made: Sequence[Prediction]) -> Sequence[Ask]:
            return (ask(example),)

        def answer(example: Example, made: Sequence[Prediction]) -> Sequence[Ask]:
            text = baselines.after_rationale(example, made[-1].text, given.baseline_prompts)
            return (Ask(text, adapter, decoding, joint=f" {CLOSING} ", tools=tools, question=question_of(example)),)

        return Way(method.name, (rationale, answer))
    read = [reading(given.prompts, adapter, given.by, given.limit)] if asks_rules(tools) else []
    if method.router and not isinstance(given.router, AlwaysRouter):
        router = given.router
        assert router is not None and given.drafts is not None
        drafts = given.drafts()

        def draft(example: Example, made: Sequence[Prediction]) -> Sequence[Ask]:
            stated = statements_of(made) if read else ()
            text = prompt_of(method, example, (), given, stated)
            called = about(tools, example, stated)
            return (Ask(text, drafts, decoding, tools=called, question=question_of(example), stated=tuple(stated)),)

        def informed(example: Example, made: Sequence[Prediction]) -> Sequence[Ask]:
            again = ask(example, statements_of(made[:-1]) if read else ())
            return (again,) if router.route(made[-1], bool(again.items)) else ()

        return Way(method.name, (*read, draft, informed))
    return Way(method.name, (*read, lambda example, made: (ask(example, statements_of(made) if read else ()),)))


READING_LIMIT = 96
"""Most tokens of the statements of one unit."""


def asks_rules(tools: Tools | None) -> bool:
    """Whether these tools have rules to be asked, for which a question is read first."""
    return isinstance(tools, Calls) and tools.rules is not None


def about(tools: Tools | None, example: Example, stated: Sequence[str]) -> Tools | None:
    """The tools for one question, with what the student said that it states."""
    return tools.about(stated, example.task) if isinstance(tools, Calls) and tools.rules is not None else tools


def reading(prompts: Prompts, adapter: Adapter | None, by: By, limit: int) -> Step:
    """The step in which the student says, unit by unit, what a question states; its options are not read.

    `limit`: most tokens of an answer, of which a question as a whole may take all, and a sentence or line `READING_LIMIT`.
    """
    decoding = Decoding(limit if by == "question" else min(limit, READING_LIMIT))

    def read(example: Example, made: Sequence[Prediction]) -> Sequence[Ask]:
        return [Ask(prompts.read(unit.text, unit.before), adapter, decoding, reads=True)
                for unit in units(example.question, by)]  # fmt: skip

    return read


def statements_of(made: Sequence[Prediction]) -> tuple[str, ...]:
    """What the predictions of a reading state, each once, at most as many as a goal takes."""
    return tuple(dict.fromkeys(one for prediction in made for one in read_back(prediction.text)))[:MAX_STATED]


def _nothing(example: Example) -> Sequence[Shown]:
    return ()


def prompt_of(
    method: Method, example: Example, items: Sequence[Shown], given: Resources, stated: Sequence[str] = ()
) -> str:
    """The prompt of a method, or the first one where it has two.

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
    return offering(given.prompts, tools).with_knowledge(example, items, stated)


def offering(prompts: Prompts, tools: Tools | None) -> Prompts:
    """The prompts with the look-ups that these tools offer for a question."""
    return prompts if tools is None else prompts.offering(lambda example: tools.offers(question_of(example)))

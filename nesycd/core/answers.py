"""Records of answering: what was predicted, which predictions answer a question, and the verdict on them.

A `Prediction` is what one student wrote for one prompt, independent of the question; an `Answer` names the predictions that
answer a question by a method; a `Verdict` is the grader's result. They are stored apart so that methods with the same prompt
share a prediction, and a new grader version grades again without generation. `Attempt` joins the three for reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from nesycd.core.records import Record, without_empty
from nesycd.core.segments import Segment, text_of

Finish = Literal["stop", "length", "too_long", "error"]
"""`stop` (end token or stop string), `length` (limit reached), `too_long` (the prompt did not fit: nothing was generated),
`error` (rules that could not be run)."""


class Call(BaseModel):
    """One call in a prediction's trace: what the student asked for during generation, and the result."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(min_length=1)
    """What was called: `sum`, `look_up`, `derive`, `program`."""
    asked: str
    """The call as the student wrote it."""
    found: str
    """The result; "" where nothing was found."""
    items: tuple[str, ...] = ()
    """Ids of the items that the result is based on."""
    how: str = ""
    """How it was found, such as the proof of a derived fact."""
    kind: Literal["value", "note"] = "value"
    """`note`: the result is a remark, such as that nothing was found, and no value."""
    given: tuple[str, ...] = ()
    """For a goal: what the student had said that the question states."""

    @model_serializer(mode="wrap")
    def _without_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_empty(handler(self), "given")


class Trace(tuple[Call, ...]):
    """The calls of an answer, in order; notebooks show them as a table."""

    def _repr_html_(self) -> str:
        from nesycd.core.cards import trace_table
        from nesycd.core.notebook import shown

        return shown(trace_table(self))


class Prediction(Record):
    """What one student wrote for one prompt. `key` is the hash of student, adapter, prompt and decoding."""

    schema_name = "prediction/1"
    volatile = frozenset({"seconds"})
    key: str
    student: str
    """Fingerprint of the adapter; "" for the untrained student, and for rules."""
    segments: tuple[Segment, ...] = ()
    trace: tuple[Call, ...] = ()
    margin: float = 0.0
    """Mean over generated tokens of p1 - p2, in [0, 1]."""
    least_margin: float = 0.0
    """Mean of the three smallest margins: the router's signal."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Including supplied tokens."""
    finish: Finish = "stop"
    seconds: float = 0.0
    """The batch's time divided by its size."""

    @property
    def text(self) -> str:
        """The text of all segments."""
        return text_of(self.segments)


class Answer(Record):
    """How a method answered a question: by which predictions, with which knowledge in the prompt."""

    schema_name = "answer/1"
    example: str
    method: str
    """A method's name, or that of another answering student, e.g. `fold-0`."""
    predictions: tuple[str, ...]
    """`Prediction.id` of each prompt's prediction, in order; the last one is graded."""
    read: int = 0
    """How many of them, the first ones, read the question and state what it says."""
    joint: str | None = None
    """Text between the last two predictions where the response is both (CasCoD); None: the response is the last prediction."""
    knowledge: tuple[str, ...] = ()
    """Ids of the items in the last prompt, in order."""
    knowledge_tokens: int = 0
    routed: bool = False
    """Whether knowledge was asked for."""

    @model_serializer(mode="wrap")
    def _without_read(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_empty(handler(self), "read")

    def segments(self, predictions: Mapping[str, Prediction]) -> tuple[Segment, ...]:
        """The response: the last prediction, after the one before where there is a `joint`."""
        *before, last = (predictions[one] for one in self.predictions)
        if self.joint is None:
            return last.segments
        return (*before[-1].segments, Segment(text=self.joint, source="supplied"), *last.segments)


class Verdict(Record):
    """The grader's result on an answer; graded again by a new grader version."""

    schema_name = "verdict/1"
    example: str
    prediction: str
    """`Prediction.id` of the last prediction of the answer."""
    answer: str
    """What was extracted; "" where no answer was found."""
    correct: bool
    grader: int
    """`grading.VERSION`."""


class Attempt(Record):
    """An answer joined with its predictions and its verdict, as steps, measurements and reports read it. Never stored."""

    schema_name = "attempt/4"
    volatile = frozenset({"seconds"})
    example: str
    solver: str
    """`Answer.method`."""
    response: str
    prediction: str = ""
    """`Prediction.id` of the graded prediction; "" for responses from elsewhere."""
    answer: str = ""
    correct: bool = False
    margin: float = 0.0
    """Of the first prediction that is no reading, the closed-book answer where a method has two; see `Prediction`."""
    least_margin: float = 0.0
    prompt_tokens: int = 0
    """Of all predictions, as are `completion_tokens` and `seconds`."""
    completion_tokens: int = 0
    knowledge: tuple[str, ...] = ()
    knowledge_tokens: int = 0
    routed: bool = False
    calls: tuple[Call, ...] = ()
    """Of all predictions, in order."""
    finish: Finish = "stop"
    seconds: float = 0.0

    @classmethod
    def of(cls, answer: Answer, predictions: Mapping[str, Prediction], verdict: Verdict) -> Attempt:
        """The three joined."""
        asked = [predictions[one] for one in answer.predictions]
        return cls(
            example=answer.example,
            solver=answer.method,
            response=text_of(answer.segments(predictions)),
            prediction=asked[-1].id,
            answer=verdict.answer,
            correct=verdict.correct,
            margin=asked[answer.read].margin,
            least_margin=asked[answer.read].least_margin,
            prompt_tokens=sum(one.prompt_tokens for one in asked),
            completion_tokens=sum(one.completion_tokens for one in asked),
            knowledge=answer.knowledge,
            knowledge_tokens=answer.knowledge_tokens,
            routed=answer.routed,
            calls=tuple(call for one in asked for call in one.trace),
            finish=asked[-1].finish,
            seconds=sum(one.seconds for one in asked),
        )


def verdict_on(
    answer: Answer, response: str, extract: Callable[[str], str], grade: Callable[[str], bool], grader: int
) -> Verdict:
    """The verdict on an answer with this response; a response without an extracted answer is wrong."""
    found = extract(response)
    return Verdict(
        example=answer.example,
        prediction=answer.predictions[-1],
        answer=found,
        correct=bool(found) and grade(found),
        grader=grader,
    )

"""Answers derived by the rules alone, without the student."""

from __future__ import annotations

from collections.abc import Callable

from nesycd.core.answers import Call, Prediction
from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Example, content_hash
from nesycd.core.segments import Segment
from nesycd.grading import closing
from nesycd.knowledge import Derived


def by_rules(example: Example, find: Callable[[Example], Derived | None]) -> Prediction:
    """The derived fact that a question asks for, and its object as the answer: as supplied text, with the proof in the trace.

    The text is empty where no derived fact is asked for, or the engine was stopped (`finish` is then `error`).
    """
    try:
        derived = find(example)
    except KnowledgeError as error:
        return _prediction(str(error), (), "error")
    if derived is None:
        return _prediction("", (), "stop")
    text = f"{derived.fact.text} {closing(derived.fact.object)}"
    call = Call(
        name="derive",
        asked=example.question,
        found=derived.fact.text,
        items=tuple(fact.id for fact in derived.rests_on),
        how="\n".join(derived.told),
    )
    return _prediction(text, (call,), "stop")


def _prediction(text: str, trace: tuple[Call, ...], finish: str) -> Prediction:
    segments = (Segment(text=text, source="supplied"),) if text else ()
    key = content_hash(["rules", text, [call.model_dump(mode="json") for call in trace], finish])
    return Prediction(key=key, student="", segments=segments, trace=trace, finish=finish)  # type: ignore[arg-type]

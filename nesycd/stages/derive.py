"""Answers derived by the rules, without the student: from what a question names, or from what somebody says that it states."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nesycd.calls import DERIVE
from nesycd.calls.deriving import Rules, replayed
from nesycd.calls.notation import is_note, write_goal
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
        name=DERIVE,
        asked=example.question,
        found=derived.fact.text,
        items=tuple(fact.id for fact in derived.rests_on),
        how="\n".join(derived.told),
    )
    return _prediction(text, (call,), "stop")


def by_statements(example: Example, stated: Sequence[str], goal: str, rules: Rules) -> Prediction:
    """What rules derive for a goal from what a question is said to state, as the answer, with the proof in the trace.

    The text is empty where there is no goal or nothing follows.
    """
    if not goal:
        return _prediction("", (), "stop")
    made = replayed(goal, stated, rules, example.task)
    note = is_note(made.found)
    call = Call(
        name=DERIVE,
        asked=write_goal(goal),
        found=made.found,
        items=made.items,
        how=made.how,
        kind="note" if note else "value",
        given=tuple(stated),
    )
    return _prediction("" if note else closing(made.found), (call,), "stop")


def _prediction(text: str, trace: tuple[Call, ...], finish: str) -> Prediction:
    segments = (Segment(text=text, source="supplied"),) if text else ()
    key = content_hash(["rules", text, [call.model_dump(mode="json") for call in trace], finish])
    return Prediction(key=key, student="", segments=segments, trace=trace, finish=finish)  # type: ignore[arg-type]

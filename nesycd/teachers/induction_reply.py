"""Parses a language model's answer about a cluster of errors: a procedure in steps becomes a lesson, besides if-then rules.

As lenient as the reading of diagnoses (`diagnosis_reply`): nothing is guessed, and what was copied from the prompt is dropped.
Facts are not taken: what holds for a kind of questions is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nesycd.core.files import squeeze
from nesycd.core.records import Fact, Lesson
from nesycd.teachers.diagnosis_reply import LONGEST, TEXT, Reading, list_of, object_of, read_diagnosis, text_of
from nesycd.teachers.lenient_json import find_values

SCHEMA = object_of(when=TEXT, steps=list_of(TEXT), rules=list_of(object_of(**{"if": TEXT, "then": TEXT})))
"""JSON schema of an induction."""
_WHEN = ("when", "for", "kind", "questions", "condition")
_STEPS = ("steps", "procedure", "instructions")
_STEP = ("step", "text", "instruction", "description")
_NUMBER = re.compile(r"^(?:step\s*)?\(?\d{1,2}[.):]\s*", re.IGNORECASE)
_APART = re.compile(r"\n+|\s+(?=\(?\d{1,2}[.)]\s)")


def read_induction(text: str, shown: str = "") -> Reading:
    """Read one answer. Steps and rules that stand in `shown` (the prompt) were copied and are dropped."""
    reading = read_diagnosis(text, shown)
    reading.items = [item for item in reading.items if not isinstance(item, Fact)]
    copied = squeeze(shown).casefold()
    for value in find_values(text):
        for when, steps in _procedures(value):
            own = [step for step in steps if step.casefold() not in copied]
            reading.problem = "" if not steps else reading.problem
            if len(own) < 2:
                reading.dropped += bool(steps)
                continue
            lesson = Lesson(text=_worded("" if when.casefold() in copied else when, own))
            if len(lesson.text) > LONGEST:
                reading.problem = f"its steps have {len(lesson.text)} characters, and at most {LONGEST} are taken"
                return reading
            reading.problem = ""
            reading.items.append(lesson)
    reading.items = list({item.id: item for item in reading.items}.values())
    if not reading.items and reading.dropped:
        reading.problem = "it has no two steps of its own"
    return reading


def _worded(when: str, steps: list[str]) -> str:
    """The procedure as a lesson, `When ...: ...`; its steps have no numbers, which would be taken for those of a question."""
    told = " ".join(f"{step.rstrip(' .;')}." for step in steps)
    condition = re.sub(r"^(?:when|if)\s+", "", when, flags=re.IGNORECASE).rstrip(" .:,")
    return f"When {condition}: {told}" if condition else told


def _procedures(value: Any) -> Iterator[tuple[str, list[str]]]:
    """Each (when, steps) in a value, wrapped or not."""
    if isinstance(value, list):
        for inner in value:
            yield from _procedures(inner)
    elif isinstance(value, dict):
        keys = {str(key).strip().casefold(): inner for key, inner in value.items()}
        found = next((keys[name] for name in _STEPS if isinstance(keys.get(name), list | str)), None)
        if found is not None:
            yield next((said for name in _WHEN if (said := text_of(keys.get(name)))), ""), list(_steps(found))
        else:
            for inner in keys.values():
                yield from _procedures(inner)


def _steps(value: list[Any] | str) -> Iterator[str]:
    """The steps of a list, or of a text that has them in lines or numbered, without their numbers."""
    for one in _APART.split(value) if isinstance(value, str) else value:
        if isinstance(one, dict):
            keys = {str(key).strip().casefold(): inner for key, inner in one.items()}
            one = next((keys[name] for name in _STEP if text_of(keys.get(name))), None)
        if step := _NUMBER.sub("", text_of(one)):
            yield step

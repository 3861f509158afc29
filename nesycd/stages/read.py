"""Training texts of a student that reads a question unit by unit and asks rules: what each unit states, and the goal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nesycd.calls import notation
from nesycd.core.records import Example, Rationale, TrainingText
from nesycd.core.segments import Segment, own
from nesycd.prompts import Prompts
from nesycd.rules.statements import By, by_unit, units, written


@dataclass(frozen=True)
class Reads:
    """How a student is trained to read a question and to ask rules.

    Attributes:
        prompts: of the student.
        by: the units that it reads.
        derive: what the rules of its base say to a rationale's goal; a note where they say nothing, or what is not its answer.
    """

    prompts: Prompts
    by: By
    derive: Callable[[Example, Rationale], str]

    def trusts(self, example: Example, rationale: Rationale) -> bool:
        """Whether a rationale's statements are trained on: a derivation's, and else those from which the base's rules come to its
        answer."""
        if not rationale.goal:
            return False
        derived = example.truth is not None and example.truth.stated == rationale.stated
        return derived or not notation.is_note(self.derive(example, rationale))

    def stated(self, rationale: Rationale) -> tuple[str, ...]:
        """What the teacher read in the question, each once."""
        return tuple(dict.fromkeys(one.text for one in rationale.stated))

    def texts(self, example: Example, rationale: Rationale, weight: float) -> list[TrainingText]:
        """Each unit of the question as a prompt, with what is stated in it."""
        read = units(example.question, self.by)
        return [
            TrainingText(
                example=example.uid,
                task="reading",
                prompt=self.prompts.read(unit.text, unit.before),
                segments=own(written(stated)),
                weight=weight,
            )
            for unit, stated in zip(read, by_unit(rationale.stated, read), strict=True)
        ]

    def asked(self, example: Example, rationale: Rationale, leave_empty: Callable[[], bool]) -> tuple[Segment, ...]:
        """The goal and what the rules say to it; where that is nothing, the rationale as the teacher wrote it comes after."""
        found = self.derive(example, rationale)
        is_empty = notation.is_note(found) or leave_empty()
        said = notation.NOTHING_FOLLOWS if is_empty else found
        after = f" {notation.escaped(rationale.text.strip())}" if is_empty else "."
        asked = Segment(text=notation.write_goal(rationale.goal))
        return (asked, Segment(text=f" {said}", source="supplied"), *own(after))

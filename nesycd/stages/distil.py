"""Step 1b, general distillation: the student is fine-tuned on rationale and answer, L_GD = -sum log p(r, y | x)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nesycd.core.records import Example, Rationale, TrainingText
from nesycd.core.segments import own
from nesycd.prompts import Prompts, completion_text


def direct_text(example: Example, rationale: Rationale, prompts: Prompts, weight: float = 1.0) -> TrainingText:
    """Closed-book: the question as prompt, rationale and answer as completion."""
    return TrainingText(
        example=example.uid,
        task="direct",
        prompt=prompts.closed_book(example),
        segments=own(completion_text(rationale.text, rationale.answer)),
        weight=weight,
    )


def general_texts(
    examples: Iterable[Example], rationales: Mapping[str, Rationale], prompts: Prompts
) -> list[TrainingText]:
    """One text for each example that has a kept rationale."""
    return [direct_text(e, rationales[e.uid], prompts) for e in examples if e.uid in rationales]

"""Segments of predictions and training completions: the student's own text, and text supplied during generation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Segment(BaseModel):
    """A piece of a prediction, or of a completion to train on: the student's own, or supplied from outside.

    Supplied text (a computed sum, a fact that was looked up) carries no loss in training, so that the student does not
    memorise it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    text: str
    source: Literal["student", "supplied"] = "student"


def text_of(segments: Iterable[Segment]) -> str:
    """The concatenated texts of the segments."""
    return "".join(segment.text for segment in segments)


def own(text: str) -> tuple[Segment, ...]:
    """A text as one segment of the student's own."""
    return (Segment(text=text),)

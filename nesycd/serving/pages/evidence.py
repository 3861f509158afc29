"""What a run's folder tells of its items: questions, wrong answers with their break, causes, measured effects.

Read once, at the first need; a folder that lacks a file, or has a damaged one, lacks only what is in it.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from nesycd.core.answers import Prediction
from nesycd.core.errors import NesycdError
from nesycd.core.records import Annotation, Diagnosis, Evidence, Example, Rationale
from nesycd.core.text import normal
from nesycd.knowledge.priority import Background
from nesycd.retrieval.linker import named_in
from nesycd.runs.predictions import FILE, Predictions
from nesycd.runs.run import read_records
from nesycd.serving.pages.breaks import Broken, Sentence, first_break, lacking
from nesycd.stages.rationalise import kept

EFFECT = "effect.json"
T = TypeVar("T")


@dataclass(frozen=True)
class Case:
    """One piece of evidence as people read it; empty texts and None where the run does not have them."""

    source: str
    example: str
    task: str = ""
    question: str = ""
    options: tuple[str, ...] = ()
    right: str = ""
    broken: Broken | None = None
    rationale: tuple[Sentence, ...] = ()
    cause: str = ""


@dataclass(frozen=True)
class Effect:
    """An item's measured effect on right answers (`nesycd kb effect`), in nats; `harm` is the probability that it is below 0."""

    n: int
    shrunk: float
    sd: float
    harm: float
    is_proposed: bool
    """Whether the measurement proposes to retire it."""

    @property
    def verdict(self) -> str:
        """In words."""
        if self.harm >= 0.9:
            return "probably does harm"
        return "probably helps" if self.harm <= 0.1 else "no clear effect"


class RunEvidence:
    """Reads a run's folder; safe to use from several threads. Without a folder there is nothing to tell."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._lock = threading.RLock()

    def cases(self, evidence: Iterable[Evidence], text: str = "") -> list[Case]:
        """What is known of pieces of evidence, those first whose cause names the `text`, those without a question last."""
        with self._lock:
            found = [self._case(piece) for piece in evidence]
        return sorted(found, key=lambda case: (not case.question, normal(text) not in normal(case.cause)))

    @property
    def background(self) -> Background:
        """What counts for the order of review: which questions need or name an item, and its measured effect."""
        with self._lock:
            harm = {item_id: effect.harm for item_id, effect in self._effects.items()}
            return Background(self._stated, harm, self._naming if self._examples else None)

    def _naming(self, names: Mapping[str, Collection[str]], asked: Collection[str]) -> Mapping[str, Collection[str]]:
        with self._lock:
            texts = {uid: _whole(self._examples[uid]) for uid in asked if uid in self._examples}
        return named_in(names, texts)

    @property
    def effects(self) -> dict[str, Effect]:
        """Measured effects by item id; empty where none was measured."""
        with self._lock:
            return self._effects

    def load(self) -> None:
        """Read everything now, for a thread that has nothing better to do."""
        self.cases([Evidence(example="-", attempt="-", source="-")])

    def _case(self, piece: Evidence) -> Case:
        example = self._examples.get(piece.example)
        if example is None:
            return Case(piece.source, piece.example)
        rationale = self._rationales.get(piece.example)
        text = f"{rationale.text} Therefore, the answer is {rationale.answer}." if rationale else ""
        cause = self._causes.get((piece.example, piece.attempt), "")
        answer = self._answers.get(piece.attempt)
        return Case(
            source=piece.source,
            example=piece.example,
            task=example.task,
            question=example.question,
            options=example.options,
            right=" or ".join([example.answer, *example.accepted]),
            broken=None if answer is None else first_break(answer, _whole(example), text, cause),
            rationale=lacking(rationale.text if rationale else "", answer or ""),
            cause=cause,
        )

    @cached_property
    def _examples(self) -> dict[str, Example]:
        found: list[Example] = self._read(lambda folder: read_records(folder, "examples-train", Example), [])
        return {one.uid: one for one in found}

    @cached_property
    def _rationales(self) -> dict[str, Rationale]:
        return kept(self._read(lambda folder: read_records(folder, "rationales", Rationale), []))

    @cached_property
    def _causes(self) -> dict[tuple[str, str], str]:
        found: list[Diagnosis] = self._read(lambda folder: read_records(folder, "diagnoses", Diagnosis), [])
        return {(one.example, one.attempt): one.cause for one in found}

    @cached_property
    def _answers(self) -> dict[str, str]:
        """Texts of the diagnosed answers by id: a run has many others, which are not kept in memory."""
        wanted = {attempt for _, attempt in self._causes}
        known: Mapping[str, Prediction] = self._read(lambda folder: Predictions(folder / FILE).by_id, {})
        return {one: known[one].text for one in wanted if one in known}

    @cached_property
    def _stated(self) -> dict[str, set[str]]:
        found: defaultdict[str, set[str]] = defaultdict(set)
        read: list[Annotation] = self._read(lambda folder: read_records(folder, "annotate", Annotation), [])
        for one in read:
            for place in one.places:
                found[place.fact].add(one.example)
        return dict(found)

    @cached_property
    def _effects(self) -> dict[str, Effect]:
        content: Any = self._read(lambda folder: json.loads((folder / EFFECT).read_text(encoding="utf-8")), {})
        try:
            proposed = set(content.get("proposed", ()))
            return {
                row["id"]: Effect(
                    int(row["all"]["n"]),
                    float(row["all"]["shrunk"]),
                    float(row["all"]["sd"]),
                    float(row["all"]["harm"]),
                    row["id"] in proposed,
                )
                for row in content.get("items", ())
                if "all" in row
            }
        except (AttributeError, KeyError, TypeError, ValueError):
            return {}

    def _read(self, read: Callable[[Path], T], nothing: T) -> T:
        try:
            return nothing if self.folder is None else read(self.folder)
        except (NesycdError, OSError, ValueError):
            return nothing


def _whole(example: Example) -> str:
    return " ".join([example.question, *example.options])

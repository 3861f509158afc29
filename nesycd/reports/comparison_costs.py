"""What each method of a comparison costs: teacher, training and answering."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nesycd.core.records import Diagnosis, Example, Rationale
from nesycd.methods.method import Method
from nesycd.methods.table import MAIN, checkpoint_of
from nesycd.methods.training import TEACHER
from nesycd.reports.folder import Material, Row
from nesycd.reports.results import Part
from nesycd.runs.manifest import read_recipe
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states
from nesycd.stages.baselines import SHOTS, shown_to
from nesycd.stages.costs import usd_of
from nesycd.stages.rationalise import kept as kept_of
from nesycd.tasks.registry import has_few_shot


class Cost(Part):
    """What a method costs, a mean over seeds: what was paid for once, and what each test question takes."""

    teacher_tokens: float
    usd: float | None
    trained_tokens: float
    """Read in all trainings that the method needs, those of the students whose errors are diagnosed among them."""
    completion_tokens: float
    """With a loss, over the lineage of the student that answers: what methods have in common."""
    sampled_tokens: float = 0.0
    """Written by students in answers to training questions that are trained on, or chosen from."""
    train_seconds: float
    prompt_tokens_each: float
    answer_tokens_each: float
    seconds_each: float


def cost(material: Material, row: Row, split: str) -> Cost:
    """What a method costs, as a mean over seeds."""
    each = [_cost(material, row, seed, split) for seed in material.seeds]
    usd = [one.usd for one in each]
    return Cost(
        usd=None if None in usd else float(np.mean([one or 0.0 for one in usd])),
        **{key: float(np.mean([getattr(one, key) for one in each])) for key in Cost.model_fields if key != "usd"},
    )


def _cost(material: Material, row: Row, seed: int, split: str) -> Cost:
    folder = row.folders[seed]
    answers = list(material.attempts[row.name, seed, split].values())
    n = max(1, len(answers))
    states = read_states(folder)
    own, needed = _trainings(row, states, _continues(folder))
    needs_base = _needs_base(row.method)
    asked: list[Rationale | Diagnosis] = []
    if needed or needs_base:
        asked += read_records(folder, "rationales", Rationale)
    elif row.method.prompt == "few_shot":
        asked += _shown(folder, material.examples[seed, split].values())
    if needs_base:
        asked += read_records(folder, "diagnoses", Diagnosis)
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in asked)
    return Cost(
        teacher_tokens=tokens,
        usd=usd_of(asked),
        trained_tokens=sum(states[name]["metadata"]["tokens"] for name in needed),
        completion_tokens=sum(states[name]["metadata"]["completion_tokens"] for name in own),
        sampled_tokens=sum(states[name]["metadata"].get("sampled_tokens", 0) for name in own),
        train_seconds=sum(states[name]["seconds"] for name in needed),
        prompt_tokens_each=sum(one.prompt_tokens for one in answers) / n,
        answer_tokens_each=sum(one.completion_tokens for one in answers) / n,
        seconds_each=sum(one.seconds for one in answers) / n,
    )


def _shown(folder: Path, questions: Iterable[Example]) -> list[Rationale]:
    """The rationales that few-shot prompts show: no others are needed for them, and none for a benchmark's own prompts."""
    recipe = read_recipe(folder)
    if has_few_shot(recipe.task.name):
        return []
    train = read_records(folder, "examples-train", Example)
    kept = kept_of(read_records(folder, "rationales", Rationale))
    # All questions of a task are shown the same, but for a training question, which is not shown itself.
    each = {question.task: question for question in questions}.values()
    shown = {r.example: r for question in each for _, r in shown_to(question, train, kept, SHOTS, recipe.seed)}
    return [*shown.values()]


def _continues(folder: Path) -> bool:
    """Whether S_E was trained on from S_P."""
    return read_recipe(folder).augmented.init == "general"


def _needs_base(method: Method) -> bool:
    """Whether a method needs the knowledge base, and so the diagnoses and the students whose errors were diagnosed."""
    return method.reads_base or method.source in ("kb", "all", "distracting", "rules")


def _trainings(row: Row, states: Mapping[str, Any], started: bool) -> tuple[list[str], list[str]]:
    """The stages that trained the answering student's lineage, and all trainings that the method needs."""
    folds = [name for name in states if name.startswith("fold-")]
    method = row.method
    own = _lineage(method.student, states, started) if method.student else []
    # Without rounds it learns from answers of the student that it is like.
    asked = _lineage(method.like, states, started) if method.like and not method.rounds else []
    asked += [name for name in (f"{TEACHER}{method.student}",) if name in states]
    base = ["general", *folds] if _needs_base(method) else []
    return own, list(dict.fromkeys([*own, *asked, *base]))


def _lineage(student: str, states: Mapping[str, Any], started: bool) -> list[str]:
    """The stages that trained a method's student one after the other."""
    last = checkpoint_of(student, states)
    if started and student == MAIN and last != "general":
        return ["general", last]  # S_E was trained on from S_P
    rounds = sorted((name for name in states if re.fullmatch(rf"{re.escape(last)}\.\d+", name)), key=_number)
    return [*rounds, last]


def _number(stage: str) -> int:
    return int(stage.rpartition(".")[2])

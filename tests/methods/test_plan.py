"""The plan of a run: its stages, in order, with the seconds that the student's pace makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nesycd.api import plan as planning
from nesycd.api.plan import LOADED, OFFERED, plan
from nesycd.core.config import load_recipe
from nesycd.core.protocols import Pace, TrainSettings
from nesycd.methods.context import Context
from nesycd.methods.distil import distil
from nesycd.prompts import BaselinePrompts, Prompts
from nesycd.rules import Engine
from nesycd.runs.run import Run
from nesycd.students.table import TableStudent
from nesycd.tasks.longtail import LongTail, LongTailSettings
from nesycd.teachers.expert import ExpertTeacher

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"


class Timed(TableStudent):
    """Trains a hundred tokens a second, and writes ten."""

    asked: tuple[int, int] = (0, 0)

    def pace(self, settings: TrainSettings, question: int, written: int) -> Pace:
        self.asked = (question, written)
        return Pace(100.0, 10.0)


def opened(folder: Path, student: Any, engine: Engine) -> tuple[Any, Any]:
    methods = 'evaluation.methods=["std_cot", "raft_kb", "nesycd_no_kb", "nesycd"]'
    recipe = load_recipe(LONGTAIL, ["student.model=table", methods, 'evaluation.splits=["test"]'])
    task = LongTail(LongTailSettings(train_special=4, train_general=2, valid=2, test_special=3, test_general=3))
    run = Run.open(folder, recipe.model_dump(mode="json"))
    given = Prompts.load(), BaselinePrompts.load()
    return run, lambda held: Context(held, recipe, task, ExpertTeacher(task.derive), student, *given, engine)


def test_a_plan_names_the_stages_that_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student = Timed()
    monkeypatch.setattr(planning, "SHORT", 0)
    with Engine() as engine:
        run, context_of = opened(tmp_path / "r", student, engine)
        with run as held:
            context = context_of(held)
            made = plan(context)
            assert list(made) == [
                *("general", "fold-0", "collect-fold-0", "fold-1", "collect-fold-1", "augmented"),
                *("valid-general", "valid-augmented", "valid-informed", "train-raft_kb"),
                *(f"eval-test-{name}" for name in ("std_cot", "raft_kb", "nesycd_no_kb", "nesycd")),
            ]
            train, valid, test = (len(context.examples(split)) for split in ("train", "valid", "test"))
            question, written = student.asked
            assert 10 < question < 80 and 10 < written < 80
            epochs = context.recipe.training.epochs
            near = pytest.approx
            assert made["general"] == near(LOADED + train * (question + written) * epochs / 100, rel=0.02)
            assert made["fold-0"] == near(LOADED + train / 2 * (question + written) / 100, rel=0.02)
            assert made["augmented"] - made["general"] == near(train * OFFERED * epochs / 100)
            assert made["valid-general"] == near(LOADED + valid * written / 10, rel=0.02)
            assert made["eval-test-nesycd"] == near(LOADED + test * written / 10, rel=0.02)
            distil(context, until="collect")
            assert next(iter(plan(context))) == "augmented", "what is done is not planned again"


def test_no_plan_where_the_student_has_no_pace_or_little_is_to_do(tmp_path: Path) -> None:
    with Engine() as engine:
        for name, student in (("table", TableStudent()), ("timed", Timed())):
            run, context_of = opened(tmp_path / name, student, engine)
            with run as held:
                assert plan(context_of(held)) == {}

"""How long a recipe's run will probably take, by an earlier run of the same student on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nesycd.core.config import Recipe
from nesycd.core.errors import NesycdError
from nesycd.methods import table
from nesycd.methods.method import Method
from nesycd.runs.folders import list_runs
from nesycd.runs.manifest import machine, read_manifest, read_recipe
from nesycd.runs.stage import read_states

_TRAINED = ("general", "fold-", "augmented", "std-cot", "train-")
_TEACHER = ("rationales", "diagnoses")
_SAME = ("cpu", "cores")


@dataclass(frozen=True)
class Work:
    """The work of a run, in units that its time grows with.

    Attributes:
        trained: questions times passes, over all trainings.
        answered: answers of the student.
    """

    trained: float
    answered: float


@dataclass(frozen=True)
class Forecast:
    """Seconds of the student's work (the teacher's left aside), and the run that they were scaled from."""

    seconds: float
    by: str


def forecast(recipe: Recipe, sizes: dict[str, int], methods: Sequence[Method], root: Path) -> Forecast | None:
    """The time of the student's trainings and answers, scaled from the newest finished run that compares.

    Args:
        recipe: of the run.
        sizes: questions of each split.
        methods: those that will be evaluated.
        root: the folder with the runs.

    Returns:
        None where no run of this student and device was finished on this machine.
    """
    here = machine()
    comparable = []
    for run in list_runs(root, compared=True):
        try:
            manifest, earlier = read_manifest(run.folder), read_recipe(run.folder)
        except NesycdError:
            continue
        same = manifest is not None and all(manifest["machine"].get(key) == here[key] for key in _SAME)
        student = _place(earlier) == _place(recipe)
        if run.status == "finished" and same and student:
            comparable.append((earlier.task.name == recipe.task.name, run.folder, earlier))
    # Questions of the same benchmark are of like length.
    for _, folder, earlier in sorted(comparable, key=lambda one: not one[0]):
        if (seconds := _scaled(folder, earlier, work_of(recipe, sizes, methods))) is not None:
            return Forecast(seconds, folder.name)
    return None


def _place(recipe: Recipe) -> tuple[str, str, str]:
    """What a student's pace depends on: the model, and where it is trained and answers."""
    return recipe.student.model, recipe.student.device, recipe.student.server.base_url


def work_of(recipe: Recipe, sizes: dict[str, int], methods: Sequence[Method]) -> Work:
    """The work of a recipe with these questions: general distillation, folds, augmented distillation, and all answers."""
    train = sizes.get("train", 0)
    passes = 2 * recipe.training.epochs
    if recipe.collection.mode == "out_of_fold":
        passes += (recipe.collection.folds - 1) * (recipe.collection.epochs or recipe.training.epochs)
    wanted = recipe.evaluation.splits or tuple(one for one in sizes if one == "test" or one.startswith("ood_"))
    scored = sum(sizes.get(split, 0) for split in wanted)
    return Work(train * passes, train + 2 * sizes.get("valid", 0) + scored * len(methods))


def _scaled(folder: Path, earlier: Recipe, work: Work) -> float | None:
    """Seconds for some work at a finished run's pace; None where the run does not tell it."""
    try:
        methods = table.of_recipe(earlier)
        states = read_states(folder)
    except NesycdError:
        return None
    sizes = {
        name.removeprefix("examples-"): int(state["metadata"].get("records", 0))
        for name, state in states.items()
        if name.startswith("examples-")
    }
    done = work_of(earlier, sizes, methods)
    if not done.trained or not done.answered:
        return None
    seconds = {name: float(state["seconds"]) for name, state in states.items() if not name.startswith(_TEACHER)}
    trained = sum(time for name, time in seconds.items() if name.startswith(_TRAINED))
    answered = sum(seconds.values()) - trained
    return trained / done.trained * work.trained + answered / done.answered * work.answered

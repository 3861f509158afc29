"""The stages that a run has before it, and how long each will take: from its sizes, and the student's pace on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nesycd.core.protocols import Pace, PacedStudent
from nesycd.core.records import Example
from nesycd.methods import table
from nesycd.methods.context import Context
from nesycd.methods.evaluate import splits_of
from nesycd.methods.training import PREFIX
from nesycd.runs.stage import read_states

OFFERED = 25
"""Tokens that the prompt of a look-up or a context is longer by, roughly."""
WRITTEN = 60
"""Tokens of an answer, where no training question has a rationale to go by."""
SHORT = 20_000
"""Tokens to train on and to write up to which no plan is made: measuring would take as long as much of it."""
LOADED = 3.0
"""Seconds until a student is trained or answers: weights are read, an adapter is merged."""


def plan(context: Context) -> dict[str, float]:
    """Seconds that each unfinished stage of the student's will take; the teacher's are not known.

    The machine is measured for some seconds. Empty where little is left to do, or the student cannot be measured.
    """
    student = context.student
    if not isinstance(student, PacedStudent) or context.recipe.training.shard:
        return {}  # a model that this process alone could not hold
    done = read_states(context.run.folder)
    splits = {split: context.examples(split) for split in ("train", "valid", *splits_of(context.task, context.recipe))}
    if all(stage in done for stage, _, _ in _work(context, splits, 1.0, 1.0)):
        return {}  # the student is not even loaded
    train = splits["train"]
    questions = sum(student.count_tokens([context.prompts.closed_book(one) for one in train])) / max(1, len(train))
    rationales = [one.rationale for one in train if one.rationale]
    written = sum(student.count_tokens(rationales)) / len(rationales) if rationales else WRITTEN
    stages = [one for one in _work(context, splits, questions + written, written) if one[0] not in done]
    if sum(trained + answered for _, trained, answered in stages) < SHORT:
        return {}
    pace = student.pace(context.settings(), round(questions), round(written))
    return {stage: _seconds(pace, trained, answered) for stage, trained, answered in stages}


def _seconds(pace: Pace, trained: float, answered: float) -> float:
    return LOADED + trained / pace.trained + answered / pace.answered


def _work(
    context: Context, splits: Mapping[str, Sequence[Example]], text: float, written: float
) -> Iterator[tuple[str, float, float]]:
    """Stages in order, each with the tokens to train on and the tokens to write.

    Args:
        context: of the run.
        splits: questions by split.
        text: tokens of a training text, question and rationale.
        written: tokens of an answer.
    """
    recipe = context.recipe
    train, valid = len(splits["train"]), len(splits["valid"])
    whole = train * text * recipe.training.epochs
    longer = whole + train * OFFERED * recipe.training.epochs
    yield "general", whole, 0
    if recipe.collection.mode == "in_sample":
        yield "collect", 0, train * written
    else:
        folds = recipe.collection.folds
        passes = (recipe.collection.epochs or recipe.training.epochs) * (folds - 1) / folds
        for fold in range(folds):
            yield f"fold-{fold}", train * text * passes, 0
            yield f"collect-fold-{fold}", 0, train / folds * written
    yield "augmented", longer, 0
    methods = table.of_recipe(recipe)
    if valid:
        for way in ("general", "augmented", "informed"):
            yield f"valid-{way}", 0, valid * written
    shared = {table.BASELINE, table.MAIN}
    # A student is trained by the first of its methods that answers.
    trained = dict.fromkeys(method.student for method in methods if method.student and method.student not in shared)
    of_own = [name for name in trained if (made := table.METHODS.get(name)) and made.train]
    for name in of_own:
        yield f"{PREFIX}{name}", longer, 0
    for split, examples in splits.items():
        if split not in ("train", "valid"):
            for method in methods:
                yield f"eval-{split}-{method.name}", 0, len(examples) * written

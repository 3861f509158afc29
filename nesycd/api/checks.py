"""Checks of a comparison before anything is run or stored, so that mistakes are reported at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from nesycd.api.build import Parts, data_root, task_of
from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError
from nesycd.core.paths import locate_data
from nesycd.methods.evaluate import lacking, splits_of
from nesycd.methods.method import BY_RULES

if TYPE_CHECKING:
    from nesycd.core.protocols import Task
    from nesycd.methods.method import Method
    from nesycd.retrieval import PassageIndex


def possible(methods: Sequence[Method], task: Task, scored: Sequence[str]) -> list[Method]:
    """The methods, without those that need what the benchmark does not have, such as which facts its questions need."""
    return [method for method in methods if not any(lacking(method, task, task.load(split)) for split in scored)]


def check(
    methods: Sequence[Method],
    parts: Parts,
    scored: Sequence[str],
    changed: Callable[[Sequence[str]], Recipe],
) -> None:
    """Check that these methods can be run, and that the primary endpoint can be computed.

    Args:
        methods: the methods asked for.
        parts: of the comparison.
        scored: splits that all methods answer.
        changed: gives the recipe with further settings.

    Raises:
        ModuleNotFoundError: a library that a method needs is not installed; its name tells the extra.
        ConfigError: a method that this benchmark does not allow, an ablation that changes nothing, a variant with a wrong
            setting or with other questions, a kind of question that does not occur, or no valid split to tune on.
    """
    recipe, task = parts.recipe, parts.task
    primary = recipe.compare.primary
    kinds = {task.kind(example.task) for example in task.load(primary.split)}
    if primary.kind != "all" and primary.kind not in kinds:
        where = recipe.where("compare.primary.kind")
        raise ConfigError(f"{where}: no question of {primary.split} is {primary.kind}")
    if primary.left == primary.right:
        raise ConfigError(f"{recipe.where('compare.primary')}: {primary.left} cannot be held against itself")
    if recipe.compare.learning_rates and not ("valid" in task.splits() and task.load("valid")):
        raise ConfigError(
            f"{recipe.where('compare.learning_rates')}: the best is chosen on valid, and the benchmark has no such "
            "questions"
        )
    check_sources(methods, parts.corpus)
    for library in libraries_of(methods):
        if find_spec(library) is None:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)
    for method in methods:
        for split in scored:
            if lacks := lacking(method, task, task.load(split)):
                raise ConfigError(f"{method.name} cannot answer {split}, since {lacks}: leave it out")
        if method.changes is not None:
            _check_changes(method.name, method.changes(recipe), recipe, task, scored, changed)


def libraries_of(methods: Sequence[Method]) -> list[str]:
    """The libraries of extras that methods need, to ask rules or to run programs."""
    rules = ["clingo"] * any(method.source in BY_RULES for method in methods)
    return rules + ["pydantic_monty"] * any(method.calls == "programs" for method in methods)


def check_sources(methods: Sequence[Method], corpus: PassageIndex | None) -> None:
    """Check that there is a corpus where a method needs one.

    Raises:
        ConfigError: a method retrieves from a corpus, and there is none.
    """
    for method in methods:
        if method.source == "corpus" and corpus is None:
            raise ConfigError(
                f"{method.name} retrieves passages from a corpus, and this benchmark has none of its own: name a JSONL "
                "file with a text in each row in compare.corpus, or leave the method out"
            )


def _check_changes(
    name: str,
    changes: Sequence[str],
    recipe: Recipe,
    task: Task,
    scored: Sequence[str],
    changed: Callable[[Sequence[str]], Recipe],
) -> None:
    try:
        other = locate_data(changed(changes), data_root())
        if other == recipe:
            raise ConfigError(f"{', '.join(changes)} is what the recipe says already: leave it out")
        if other.task == recipe.task and other.seed == recipe.seed and other.evaluation == recipe.evaluation:
            return
        questions = task_of(other)
        splits = splits_of(questions, other)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    for split in scored:
        if split not in splits or _uids(questions, split) != _uids(task, split):
            raise ConfigError(
                f"{name}: {', '.join(changes)} changes the questions of {split}, "
                "but all methods must answer the same ones"
            )


def _uids(task: Task, split: str) -> list[str]:
    return [example.uid for example in task.load(split)]

"""What `nesycd compare` checks before anything is run or remembered: a mistake must not be told after hours, nor kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nesycd.cli.build import data_root, task_of
from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError, DataError
from nesycd.core.files import read_jsonl
from nesycd.core.places import locate_data
from nesycd.methods import rivals
from nesycd.methods.evaluate import ORACLE_ARMS, splits_of, tells_facts
from nesycd.retrieval import passages_of

if TYPE_CHECKING:
    from nesycd.core.protocols import Task
    from nesycd.core.records import Passage
    from nesycd.methods.comparison import Method


def possible(arms: Sequence[str], task: Task, scored: Sequence[str]) -> list[str]:
    """The arms without those that the benchmark cannot have: oracles, where its questions do not say what they need."""
    return [arm for arm in arms if arm not in ORACLE_ARMS or _knows_needs(task, scored)]


def check(
    methods: Sequence[Method],
    recipe: Recipe,
    task: Task,
    scored: Sequence[str],
    changed: Callable[[Sequence[str]], Recipe],
) -> None:
    """Whether these methods can be run, and the primary endpoint be read.

    Args:
        methods: what is asked for now.
        recipe: the comparison's, with data located.
        task: its benchmark.
        scored: splits that all methods answer.
        changed: the recipe with further settings.

    Raises:
        ConfigError: a method that this benchmark cannot have, an ablation that changes nothing, a variant's wrong setting
            or other questions, a kind of question that is not there, or nothing to tune on.
        DataError: from the corpus.
    """
    primary = recipe.compare.primary
    kinds = {task.kind(example.task) for example in task.load(primary.split)}
    if primary.kind != "all" and primary.kind not in kinds:
        raise ConfigError(f"compare.primary.kind: no question of {primary.split} is {primary.kind}")
    if primary.left == primary.right:
        raise ConfigError(f"compare.primary: {primary.left} cannot be held against itself")
    if recipe.compare.learning_rates and not ("valid" in task.splits() and task.load("valid")):
        raise ConfigError(
            "compare.learning_rates: the best is chosen on valid, and the benchmark has no such questions"
        )
    for method in methods:
        if method.name in ORACLE_ARMS and not _knows_needs(task, scored):
            raise ConfigError(
                f"{method.name} is given exactly the needed facts, but these questions do not say which they need: "
                "leave it out"
            )
        if method.changes:
            _check_changes(method, recipe, task, scored, changed)
    names = [method.name for method in methods if method.sort == "rival"]
    rivals.check(names, rivals.corpus_of(task, passages_named(recipe)))


def _knows_needs(task: Task, scored: Sequence[str]) -> bool:
    return all(tells_facts(task.load(split)) for split in scored)


def _check_changes(
    method: Method, recipe: Recipe, task: Task, scored: Sequence[str], changed: Callable[[Sequence[str]], Recipe]
) -> None:
    try:
        other = locate_data(changed(method.changes), data_root())
        if other == recipe:
            raise ConfigError(f"{', '.join(method.changes)} is what the recipe says already: leave it out")
        if other.task == recipe.task and other.seed == recipe.seed and other.evaluation == recipe.evaluation:
            return
        questions = task_of(other)
        splits = splits_of(questions, other)
    except ConfigError as error:
        raise ConfigError(f"{method.name}: {error}") from None
    for split in scored:
        if split not in splits or _uids(questions, split) != _uids(task, split):
            raise ConfigError(
                f"{method.name}: {', '.join(method.changes)} changes the questions of {split}, "
                "but all methods must answer the same ones"
            )


def _uids(task: Task, split: str) -> list[str]:
    return [example.uid for example in task.load(split)]


def passages_named(recipe: Recipe) -> list[Passage]:
    """The passages of `compare.corpus`; none where it names no file.

    Raises:
        DataError: a row without a text, or none at all.
    """
    path = recipe.compare.corpus
    if path is None:
        return []
    texts = []
    for where, line in read_jsonl(path):
        text = line.get("text")
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{where}: a passage needs a text that is not empty")
        title = line.get("title")
        texts.append(f"{title}. {text}" if isinstance(title, str) and title.strip() else text)
    if not texts:
        raise DataError(f"{path}: no passages")
    return passages_of(texts)

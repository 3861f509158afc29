"""`nesycd.run`, `nesycd.compare` and `nesycd.distil`: from a recipe, or from questions alone, to a finished run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from nesycd.api.build import data_root
from nesycd.api.comparing import run_comparison
from nesycd.api.dealing import done_by
from nesycd.api.finished import OpenRun
from nesycd.api.questions import Questions
from nesycd.api.running import complete, opened
from nesycd.core.config import Recipe, load_recipe, recipe_of
from nesycd.core.errors import ConfigError, DataError, RunError
from nesycd.core.paths import locate_settings
from nesycd.core.protocols import Task
from nesycd.core.toml_text import toml_string
from nesycd.methods.method import Method
from nesycd.methods.table import METHODS, named
from nesycd.reports.comparison import Comparison
from nesycd.runs.consent import Consent
from nesycd.runs.folders import named_folder
from nesycd.tasks.registry import build_task

RecipeLike = Recipe | str | os.PathLike[str] | Mapping[str, Any]
"""A recipe, its TOML file, or its tables as a mapping (`task` and `teacher` may be a name, `student` a model)."""


def run(
    recipe: RecipeLike,
    *,
    name: str = "",
    root: str | os.PathLike[str] = "runs",
    limit: int | None = None,
    progress: bool = True,
    redo: bool = False,
    **settings: Any,
) -> OpenRun:
    """Run a recipe, or continue its run: finished stages are not repeated.

    Args:
        recipe: see `RecipeLike`.
        name: of the run's folder; by default the recipe's name.
        root: the folder with the runs.
        limit: greatest number of questions of each split.
        progress: whether notes and a progress bar are shown.
        redo: whether finished stages of this run may be redone or removed because settings changed; otherwise that is an error.
        settings: changes to the recipe, sections as mappings: `run("recipe.toml", seed=1, training={"epochs": 2})`. A
            string may stand for the name of `task`, `teacher` and `engine`, and for the model of `student`: `student="table"`.

    Returns:
        The finished run, opened.

    Raises:
        NesycdError: a mistake of the user, in one sentence.
    """
    wanted = as_recipe(recipe, settings, limit)
    folder = named_folder(Path(root), name or wanted.name, "name")

    def work(console: Console | None) -> None:
        with opened(wanted, folder, console, _unless(redo)) as context:
            complete(context)

    done_by(wanted.engine, Console() if progress else None, work)
    return OpenRun(folder)


def compare(
    recipe: RecipeLike,
    methods: Sequence[str] = (),
    seeds: Sequence[int] = (),
    *,
    kb: str | os.PathLike[str] = "",
    name: str = "",
    root: str | os.PathLike[str] = "runs",
    limit: int | None = None,
    progress: bool = True,
    redo: bool = False,
    **settings: Any,
) -> Comparison:
    """Compare methods over seeds; see `nesycd compare --help`.

    Args:
        recipe, root, limit, progress, redo, settings: see `run`.
        methods: names (`nesycd.list_methods()` lists all); none: those of the recipe, and those asked for before.
        seeds: none: likewise.
        kb: a reviewed base (`kb.sqlite`) in place of the ones that runs build from errors; the same as `knowledge.base`.
        name: of the comparison's folder; by default `compare-` and the recipe's name.

    Returns:
        The comparison over the seeds that have answers of all methods.

    Raises:
        NesycdError: a mistake of the user, in one sentence; or no seed has answers of all methods asked for so far.
    """
    given = [f"knowledge.base={toml_string(os.fspath(kb))}"] if kb else []
    wanted = as_recipe(recipe, settings, limit, given)
    folder = named_folder(Path(root), name or comparison_name(wanted), "name")
    if isinstance(methods, str):
        raise ConfigError(f"methods: must be a list of names, but is {methods!r}")
    named(methods, wanted, "methods")
    if wrong := [seed for seed in seeds if seed < 0]:
        raise ConfigError(f"seeds: must be at least 0, but there is {wrong[0]}")

    def varied(changes: Sequence[str]) -> Recipe:
        return as_recipe(recipe, settings, limit, [*given, *changes])

    made = run_comparison(
        wanted, varied, folder, Console() if progress else None, methods, seeds, consent=_unless(redo)
    )
    if made is None:
        raise RunError(
            f"{folder}: no seed has answers of all methods that were asked for here; name them all, or another folder"
        )
    return made


def _unless(redo: bool) -> Consent:
    def ask(told: str) -> None:
        if not redo:
            raise RunError(f"{told}; pass redo=True if that is wanted, or another name for a run of its own")

    return ask


def comparison_name(recipe: Recipe) -> str:
    """The default name of a comparison's folder."""
    return recipe.name if recipe.name.startswith("compare") else f"compare-{recipe.name}"


def distil(
    questions: Iterable[Mapping[str, Any]],
    *,
    teacher: str | Mapping[str, Any] = "scripted",
    student: str | Mapping[str, Any] = "smollm2-135m",
    name: str = "distilled",
    root: str | os.PathLike[str] = "runs",
    progress: bool = True,
    redo: bool = False,
    **settings: Any,
) -> OpenRun:
    """Distil a teacher into a student on questions of your own.

    Called again with the same questions, it continues its run or reads it back; with other questions, the stages that depend on
    them are redone.

    Without `split`, a seeded draw takes a tenth of the questions for valid (where the router is calibrated) and a fifth for test,
    at least one each; at least two must be left for training, so at least four different questions are needed. For meaningful
    figures use more: with a hundred test questions an accuracy is known to within ten points.

    Args:
        questions: mappings with `question` and `answer`, and, if you have them, `options`, `rationale`, `id`, `task` and `split`
            (`train`, `valid` or `test`, for all of them or none). Values that are None or NaN are ignored.
        teacher: `scripted` (the questions' own rationales: questions without one are left out of training; knowledge is mined
            from the rationales, `teacher.diagnose = "mine"`), or the table of the recipe's `teacher` section, such as
            `{"name": "api", "api": {"model": "...", "base_url": "http://localhost:8000/v1"}}`.
        student: a model's name, id or folder, or the table of the recipe's `student` section.
        name: of the run's folder; the questions are stored beside it.
        root, progress, redo, settings: see `run`.

    Example:
        >>> import nesycd
        >>> questions = [{"question": "What is 2 + 3?", "answer": "5", "rationale": "2 + 3 = 5."}, ...]  # doctest: +SKIP
        >>> run = nesycd.distil(questions, teacher="scripted", student="smollm2-135m")                  # doctest: +SKIP
        >>> run.ask("What is 4 + 3?").answer                                                            # doctest: +SKIP

    Raises:
        NesycdError: a mistake of the user, in one sentence; `questions[3]` is the fourth.
    """
    asked, folder = Questions(questions), Path(root).absolute() / name
    tables = {
        "name": name,
        "task": {"name": "jsonl", "settings": {key: str(path) for key, path in asked.files(folder).items()}},
        "teacher": {"name": teacher, "diagnose": "mine"} if teacher == "scripted" else teacher,
        "student": student,
    }
    recipe = as_recipe(tables, settings)
    if recipe.teacher.name == "scripted" and not asked.rationales:
        raise DataError(
            "questions: none that is trained on has a rationale, and the scripted teacher knows no other; give some, or name a "
            "teacher that can be asked"
        )
    asked.write(folder)
    return run(recipe, root=root, progress=progress, redo=redo)


def as_recipe(
    recipe: RecipeLike, settings: Mapping[str, Any], limit: int | None = None, overrides: Sequence[str] = ()
) -> Recipe:
    """A recipe with changes.

    Args:
        recipe: see `RecipeLike`.
        settings: sections as mappings, which are merged into the recipe's; see `run`.
        limit: see `load_recipe`.
        overrides: `a.b=value` each.

    Raises:
        ConfigError: see `load_recipe`.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: must be at least 1, but is {limit}")
    changes = _in_full(settings)
    if isinstance(recipe, Recipe):
        # What the recipe leaves open stays open: a comparison asks which endpoint it names.
        return recipe_of(recipe.model_dump(mode="json", exclude_unset=True), overrides, limit, changes)
    if isinstance(recipe, Mapping):
        return recipe_of(_in_full(recipe), overrides, limit, changes)
    return load_recipe(Path(recipe), overrides, limit, changes)


_SHORT = {"task": "name", "teacher": "name", "student": "model", "engine": "name"}
"""Sections that may be given as a string -> the key whose value it is."""


def _in_full(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: {_SHORT[key]: value} if key in _SHORT and isinstance(value, str) else value
        for key, value in tables.items()
    }


def load_task(name: str, **settings: Any) -> Task:
    """A benchmark by its name, to read its questions or to grade answers.

    Args:
        name: see `nesycd tasks`.
        settings: the benchmark's own, such as `path="questions.jsonl"` (`nesycd tasks show NAME --help`).

    Example:
        >>> import nesycd
        >>> nesycd.load_task("longtail").load("test")[0].answer != ""
        True

    Raises:
        ConfigError: no such benchmark, or a wrong setting.
        DataError: from the benchmark's files.
    """
    return build_task(name, locate_settings(settings, data_root()))


def list_methods() -> list[Method]:
    """All methods, in the order in which reports show them: what `nesycd compare --list` prints."""
    return [*METHODS.values()]

"""What the measurements share: a copy of a finished run to work in, answers under several contexts, figures and tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.table import Table

from nesycd.api.build import build_parts
from nesycd.api.running import opened
from nesycd.calls import Calls, Sums
from nesycd.core.answers import Attempt
from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.overrides import apply_override
from nesycd.core.protocols import Tools
from nesycd.core.records import Entry, Example, Item
from nesycd.core.storage import write_json_atomic
from nesycd.methods.context import Context
from nesycd.methods.distil import distil
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.predict import offering
from nesycd.methods.table import MAIN, METHODS, as_trained
from nesycd.reports import accuracy_interval, paired_difference
from nesycd.reports.results import Estimate, Score
from nesycd.reports.stats import Design, Interval
from nesycd.reports.terminal import accuracy_cell, estimate_cell
from nesycd.runs.manifest import read_config, read_manifest
from nesycd.runs.stage import Artifact

SPECIAL, ALL = "special", "all"
_LEFT = ("lock", "*.html", "results.json", "edits.json")
"""Of a run what says nothing of a copy that goes on otherwise."""
Contexts = Mapping[str, Sequence[Item]]
"""`Example.uid` to the knowledge in its prompt."""


def recipe_of(source: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that a finished run was made by, with changes as for `--set`.

    Raises:
        RunError: not a finished run, or made with another teacher than its recipe builds (its knowledge would be made anew).
        ConfigError: an override that cannot be used.
    """
    stored = read_manifest(source) if (source / "results.json").is_file() else None
    if stored is None:
        raise RunError(f"{source}: not a finished run (no results.json); finish it by: nesycd run RECIPE")
    config = read_config(source)
    keys = [apply_override(config, override) for override in overrides]
    try:
        recipe = Recipe.model_validate_json(json.dumps(config))
    except ValidationError as error:
        raise ConfigError(f"--set {', '.join(keys)}: {error.errors()[0]['msg']}") from None
    teacher = build_parts(recipe).teacher.fingerprint
    if stored["hashes"].get("teacher", teacher) != teacher:
        raise RunError(
            f"{source}: made with another teacher than its recipe's (a lying one?); name the run it was copied from"
        )
    return recipe


@contextmanager
def copied(source: Path, work: Path, recipe: Recipe, console: Console) -> Iterator[Context]:
    """A recipe's context in a copy of a run, which is made first where there is none; the run itself is only read."""
    if not work.exists():
        part = work.with_name(f".{work.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part, ignore=shutil.ignore_patterns(*_LEFT))
        part.rename(work)
    with opened(recipe, work, console) as context:
        yield context


def after_steps(context: Context) -> Context:
    """The context after all steps up to the students; what is finished is read back."""
    steps = distil(context)
    assert steps is not None  # it is None only where `until` is given
    return context.after(steps)


def contexts_of(context: Context, name: str, entries: Sequence[Entry], examples: Sequence[Example]) -> Contexts:
    """What is retrieved from these entries as the recipe says; a stage of that name."""
    found = Knowledge.of(context, entries).retrieved(context.run, name, examples)
    return {one.example: one.items for one in found}


def read_of(context: Context, name: str, entries: Sequence[Entry], examples: Sequence[Example]) -> Contexts:
    """What S_E reads of it: all, or, where it looks facts up, what it would not ask for."""
    found = Knowledge.of(context, entries).retrieved(context.run, name, examples)
    looks_up = as_trained(METHODS[MAIN], context.recipe).calls
    return {one.example: one.read if looks_up else one.items for one in found}


def answers(
    context: Context,
    name: str,
    examples: Sequence[Example],
    variants: Mapping[str, Contexts],
    bases: Mapping[str, Sequence[Entry]],
    *,
    student: Artifact | None = None,
    calls: bool | None = None,
) -> dict[str, list[Attempt]]:
    """Answers of S_E, or of another student, in each variant, in the order of the examples; a stage of that name.

    Equal prompts with equal bases are answered once. What the run has answered keeps its answer; all else is answered in the
    same planned batches, so that the company of a prompt makes no difference between variants.

    Args:
        context, name, examples: as said.
        variants: what is read in each variant.
        bases: the entries of each variant, in which facts are looked up.
        student: another student in its place.
        calls: whether it looks facts up; None: where the recipe trains S_E to.
    """
    if calls is None:
        calls = bool(as_trained(METHODS[MAIN], context.recipe).calls)
    known = {variant: Calls(Knowledge.of(context, bases[variant]).look_up, Sums()) for variant in variants if calls}
    asked: dict[str, tuple[Example, Sequence[Item], Tools | None]] = {}
    keys: dict[tuple[str, str], str] = {}
    first: dict[tuple[str, str, str], str] = {}
    for variant, contexts in variants.items():
        tools = known.get(variant)
        for example in examples:
            items = contexts[example.uid]
            prompt = offering(context.prompts, tools).with_knowledge(example, items)
            state = "" if tools is None else tools.state
            key = first.setdefault((example.uid, prompt, state), f"{variant}/{example.uid}")
            asked.setdefault(key, (example, items, tools))
            keys[variant, example.uid] = key
    copies = [example.model_copy(update={"uid": key}) for key, (example, _, _) in asked.items()]
    way = context.reading(
        MAIN,
        student or context.distilled.augmented,
        lambda example: asked[example.uid][1],
        (lambda example: asked[example.uid][2]) if calls else None,
    )
    made = {one.example: one for one in context.answered(name, way, copies)}
    return {variant: [made[keys[variant, example.uid]] for example in examples] for variant in variants}


# --- figures ---------------------------------------------------------------------------------------------------------


def groups(context: Context, examples: Sequence[Example], by_task: bool = False) -> dict[str, list[int]]:
    """Places of the special questions and of all; with `by_task` of each special task too."""
    kinds = [context.task.kind(example.task) for example in examples]
    found: dict[str, list[int]] = {}
    for place, (example, kind) in enumerate(zip(examples, kinds, strict=True)):
        if kind == SPECIAL:
            found.setdefault(SPECIAL, []).append(place)
            if by_task:
                found.setdefault(example.task, []).append(place)
    return {**found, ALL: [*range(len(examples))]}


def _design(context: Context, examples: Sequence[Example]) -> Design:
    tasks, templates = [e.task for e in examples], [e.template for e in examples]
    return Design(tasks, templates, context.recipe.evaluation.bootstrap, context.recipe.seed)


def scores(
    context: Context, examples: Sequence[Example], attempts: Sequence[Attempt], by_task: bool = False
) -> dict[str, dict[str, Any]]:
    """Accuracy with its interval of each group of questions."""
    made = {}
    for name, places in groups(context, examples, by_task).items():
        right = [attempts[place].correct for place in places]
        found = accuracy_interval(right, _design(context, [examples[place] for place in places]))
        edges = _edges(found)
        made[name] = {"n": found.n, "correct": sum(right), "accuracy": found.value, **edges}
    return made


def changes(
    context: Context,
    examples: Sequence[Example],
    after: Sequence[Attempt],
    before: Sequence[Attempt],
    by_task: bool = False,
) -> dict[str, dict[str, Any]]:
    """Accuracy after minus before, paired, with its interval, of each group of questions."""
    made = {}
    for name, places in groups(context, examples, by_task).items():
        sides = [[side[place].correct for place in places] for side in (after, before)]
        found = paired_difference(*sides, _design(context, [examples[place] for place in places]))
        made[name] = {"n": found.n, "value": found.value, **_edges(found)}
    return made


def _edges(found: Interval) -> dict[str, Any]:
    return {"low": found.low, "high": found.high, "interval": found.method}


def not_worse(change: Mapping[str, Any], margin: float) -> bool:
    """Whether the whole interval of a difference lies above minus the margin (a fraction)."""
    return change["low"] is not None and change["low"] > -margin


# --- telling ---------------------------------------------------------------------------------------------------------


def table_of(
    title: str, rows: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any] | None]], columns: Sequence[str]
) -> Table:
    """Accuracy in percent and, below it, the difference to the first row in points; a column for each group."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name, (score, change) in rows.items():
        table.add_row(name, *(accuracy_cell(Score(**score[column])) if column in score else "" for column in columns))
        if change is not None:
            cells = [estimate_cell(Estimate(**change[column])) if column in change else "" for column in columns]
            table.add_row("  difference", *cells)
    return table


def write(path: Path, content: dict[str, Any], console: Console) -> None:
    """Write the figures and say where they lie."""
    write_json_atomic(path, content)
    console.print(f"All figures: {path}", markup=False, highlight=False, soft_wrap=True)

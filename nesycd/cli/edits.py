"""`nesycd edits`: how well a run's student follows edits of its knowledge base."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nesycd.cli.run import Limit, Name, Overrides, RecipeFile, Root, complete, finish, opened
from nesycd.core.config import Recipe, load_recipe

if TYPE_CHECKING:
    from nesycd.measure.edits import Measurement, Outcome
    from nesycd.methods.context import Parts

app = typer.Typer()

SCHEMA = "edits/1"
SAMPLES = 3
"""Answers shown of each sort."""


@app.command()
def edits(
    recipe: RecipeFile,
    count: Annotated[int, typer.Option("--count", min=1, help="How many facts to edit, one at a time.")] = 50,
    overrides: Overrides = None,
    limit: Limit = None,
    name: Name = "",
    root: Root = Path("runs"),
) -> None:
    """Measure how well answers follow edits of the knowledge base.

    Replaces facts by false ones in a copy of the run's knowledge base, one at a time, asks the test questions again and
    compares with the answers that follow from the edited facts. A run that is not finished is completed first. Give
    --set, --limit and --name as for the run. The results are written into the run's folder, as edits.json.

    Example:

        nesycd edits recipes/quickstart.toml --count 50
    """
    settings = load_recipe(recipe, overrides or [], limit)
    execute(settings, root / (name or settings.name), Console(), count)


def execute(settings: Recipe, folder: Path, console: Console, count: int = 50) -> None:
    """Complete a recipe's run, measure edits in it, write `edits.json` and print a table."""
    from nesycd.core.storage import write_json_atomic
    from nesycd.measure.edits import ARM, SPLIT, check, measure

    with opened(settings, folder, console) as parts:
        check(parts)
        trained, scored = complete(parts)
        measured = measure(parts, trained, scored.attempts[ARM, SPLIT], count)
        finish(parts)
        if len(measured.edits) < count:
            parts.run.notify(f"only {len(measured.edits)} facts are needed by test questions and retrieved for them")
        content = edits_json(parts, measured)
        write_json_atomic(folder / "edits.json", content)
    console.print(rates_table(content))
    console.print(samples_table(measured.outcomes))
    console.print(f"All answers: {folder / 'edits.json'}", markup=False, highlight=False)


def edits_json(parts: Parts, measured: Measurement) -> dict[str, Any]:
    """The content of `edits.json` (see `docs/results.md`)."""
    from nesycd.knowledge import KnowledgeBase
    from nesycd.measure.edits import ARM, SPLIT

    with KnowledgeBase.open(parts.run.kb_path) as kb:
        version = kb.version
    affected = [outcome for outcome in measured.outcomes if outcome.case.affected]
    others = [outcome for outcome in measured.outcomes if not outcome.case.affected]
    untouched = [
        (True, edit.changed.id)
        for edit, number in zip(measured.edits, measured.untouched, strict=True)
        for _ in range(number)
    ]
    rate = _rates(parts)
    right = [outcome for outcome in affected if outcome.before.correct]
    tasks = sorted({outcome.case.example.task for outcome in affected})
    return {
        "schema": SCHEMA,
        "arm": ARM,
        "split": SPLIT,
        "seed": parts.recipe.seed,
        "questions": measured.questions,
        "edits": len(measured.edits),
        "candidates": measured.candidates,
        "knowledge": version,
        "affected": {
            "all": rate(_marks(affected)),
            "right_before": rate(_marks(right)),
            "right_before_delivered": rate(_marks(outcome for outcome in right if outcome.case.delivered)),
            "by_task": {
                task: {
                    "all": rate(_marks(o for o in affected if o.case.example.task == task)),
                    "right_before": rate(_marks(o for o in right if o.case.example.task == task)),
                }
                for task in tasks
            },
        },
        "others": {"all": rate([*_marks(others), *untouched]), "prompt_changed": rate(_marks(others))},
        "without_answer": measured.without_answer,
        "same_prompt": rate([(same, "") for same in measured.noise]),
        "cases": [_case(outcome) for outcome in measured.outcomes],
    }


Marks = list[tuple[bool, str]]
"""For each answer whether it is as wanted, and the edit it was given under ("" = none)."""


def _marks(outcomes: Iterable[Outcome]) -> Marks:
    return [(outcome.as_wanted, outcome.case.edit.changed.id) for outcome in outcomes]


def _rates(parts: Parts) -> Callable[[Marks], dict[str, Any]]:
    """Shares with their intervals, for which edits are drawn: the answers under one edit stand or fall together."""
    from nesycd.reports import accuracy_interval
    from nesycd.reports.stats import Design

    def rate(marks: Marks) -> dict[str, Any]:
        design = Design([""] * len(marks), [edit for _, edit in marks], seed=parts.recipe.seed)
        found = asdict(accuracy_interval([good for good, _ in marks], design))
        n, share, low, high, method = (found[key] for key in ("n", "value", "low", "high", "method"))
        good = sum(good for good, _ in marks)
        return {"n": n, "count": good, "share": share, "low": low, "high": high, "interval": method}

    return rate


def _case(outcome: Outcome) -> dict[str, Any]:
    case = outcome.case
    return {
        "fact": case.edit.fact.id,
        "from": case.edit.fact.text,
        "to": case.edit.changed.text,
        "example": case.example.uid,
        "question": case.example.question,
        "affected": case.affected,
        "prompt_changed": case.prompt_changed,
        "delivered": case.delivered,
        "gold": case.example.answer,
        "expected": case.expected,
        "before": outcome.before.answer,
        "after": outcome.after.answer,
        "response": outcome.after.response,
        "right_before": outcome.before.correct,
        "as_wanted": outcome.as_wanted,
    }


def rates_table(content: dict[str, Any]) -> Table:
    """The shares with their intervals, in percent."""
    title = f"{content['edits']} edits, {content['questions']} {content['split']} questions each; % (95 % interval)"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=0)
    for heading in ("answers", "do", "of", "%", ""):
        table.add_column(heading, justify="left" if heading == "answers" else "right", no_wrap=True)
    affected, others = content["affected"], content["others"]
    for label, rate in (
        ("affected, right before the edit: follow it", affected["right_before"]),
        ("  of these with all facts in the prompt", affected["right_before_delivered"]),
        ("affected, all: follow it", affected["all"]),
        ("others, prompt changed: stay", others["prompt_changed"]),
        ("others, all: stay", others["all"]),
        ("no edit, same prompt in other batches: stay", content["same_prompt"]),
    ):
        if rate["share"] is None:
            table.add_row(label, "0", "0", "–", "")
            continue
        interval = f"({100 * rate['low']:.1f}–{100 * rate['high']:.1f})"
        share = f"{100 * rate['share']:.1f}"
        table.add_row(label, f"{rate['count']:,}", f"{rate['n']:,}", share, Text(interval, style="dim"))
    return table


def samples_table(outcomes: Iterable[Outcome]) -> Table:
    """A few answers of each sort, of different tasks: that follow, that do not, and others that did not stay."""
    told = list(outcomes)
    table = Table(box=box.SIMPLE_HEAD, title="Samples", title_justify="left", padding=(0, 1, 0, 0))
    for heading in ("", "question", "edit", "before", "after", "expected"):
        table.add_column(heading)
    for label, style, sort in (
        ("follows", "green", [o for o in told if o.case.affected and o.before.correct and o.as_wanted]),
        ("fails", "red", [o for o in told if o.case.affected and o.before.correct and not o.as_wanted]),
        ("moves", "red", [o for o in told if not o.case.affected and not o.as_wanted]),
    ):
        by_task = {outcome.case.example.task: outcome for outcome in sort}
        for outcome in list(by_task.values())[:SAMPLES]:
            case = outcome.case
            cells = [case.example.question, f"{case.edit.fact.object} → {case.edit.changed.text}"]
            expected = case.expected if case.affected else outcome.before.answer
            cells += [outcome.before.answer or "none", outcome.after.answer or "none", expected or "none"]
            table.add_row(Text(label, style=style), *map(Text, cells))
    return table

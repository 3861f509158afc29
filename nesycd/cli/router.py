"""`nesycd router`: ways to decide when knowledge is retrieved, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from nesycd.cli.run import Limit, Name, Overrides, RecipeFile, Root, complete, finish, opened
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import DataError

if TYPE_CHECKING:
    from nesycd.core.records import Example
    from nesycd.methods.context import Parts
    from nesycd.routing import Case, Judged

router_app = typer.Typer(no_args_is_help=True)

SCHEMA = "router-calibration/1"
FILE, PAGE = "router.json", "router.html"
COMPARED = (("margin", "found"), ("margin", "mean margin"))
"""Whose differences are told with their intervals."""
SPLIT = "valid"


@router_app.callback()
def router() -> None:
    """Compare ways to decide when knowledge is retrieved.

    Example:

        nesycd router calibrate recipes/quickstart.toml
    """


@router_app.command()
def calibrate(
    recipe: RecipeFile,
    test: Annotated[
        bool,
        typer.Option("--test", help="Report on the test questions too. Each time is counted: choose nothing by it."),
    ] = False,
    overrides: Overrides = None,
    limit: Limit = None,
    name: Name = "",
    root: Root = Path("runs"),
) -> None:
    """Draw accuracy against retrieved tokens for every router.

    On the validation questions, which no student was trained on, each router is chosen on four fifths of the templates and
    judged on the fifth: never, always, found (wherever something was found), and the margins of the draft's three least sure
    tokens and of all its tokens. Nothing is generated, but a run that is not finished is completed first. A table is printed;
    router.json and router.html are written into the run's folder.

    Example:

        nesycd router calibrate recipes/quickstart.toml
    """
    settings = load_recipe(recipe, overrides or [], limit)
    execute(settings, root / (name or settings.name), Console(), test)


def execute(settings: Recipe, folder: Path, console: Console, test: bool = False) -> None:
    """Complete a recipe's run, compare routers on it, write `router.json` and `router.html`, and print tables."""
    from nesycd.core.storage import write_json_atomic
    from nesycd.methods.evaluate import cases_on
    from nesycd.reports.router_page import write_router_page
    from nesycd.routing import ROUTERS, judge

    with opened(settings, folder, console) as parts:
        trained, scored = complete(parts)
        cases = trained.routing.held_out
        if not cases:
            raise DataError(f"routers are compared on {SPLIT} questions, and the benchmark has none")
        judged = [judge(router, cases) for router in ROUTERS]
        uses = _uses(folder / FILE) + test
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "mode": settings.router.mode,
            "draft": trained.closed_book,
            "held_out": _held_out(parts, parts.examples(SPLIT), cases, judged),
            "test": None,
            "test_uses": uses,
        }
        if test:
            asked = cases_on(trained, scored, "test")
            content["test"] = _tested(parts, scored.examples["test"], asked, judged)
        finish(parts)
        write_json_atomic(folder / FILE, content)
    write_router_page(folder / PAGE, folder.name, content)
    for split, part in ((SPLIT, content["held_out"]), ("test", content["test"])):
        if part is not None:
            _print(console, split, part)
    if test:
        console.print(
            f"The test questions have been looked at {uses} times in this way." if uses > 1 else "First look at test."
        )
    console.print(f"All figures: {folder / FILE}   plot: {folder / PAGE}", markup=False, highlight=False)


def _uses(path: Path) -> int:
    """How often test was looked at before."""
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["test_uses"])
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{path}: not what `nesycd router calibrate` wrote; move it away") from None


def _held_out(
    parts: Parts, examples: Sequence[Example], cases: Sequence[Case], judged: Sequence[Judged]
) -> dict[str, Any]:
    from nesycd.reports.stats import choice_interval
    from nesycd.routing import outcomes, sweep

    content = _judged(parts, examples, cases, {one.name: one.routed for one in judged})
    content["templates"] = len({case.group for case in cases})
    for one in judged:
        if one.curve:
            options, right = outcomes(cases, one)
            told = choice_interval(options, right, _design(parts, examples))
            row = {"threshold": one.threshold, "low": told.low, "high": told.high}
            content["routers"][one.name] |= row | {"curve": [*map(list, sweep(cases, one))]}
    return content


def _tested(
    parts: Parts, examples: Sequence[Example], cases: Sequence[Case], judged: Sequence[Judged]
) -> dict[str, Any]:
    from nesycd.routing import routes

    return _judged(parts, examples, cases, {one.name: routes(one.router, cases) for one in judged})


def _judged(
    parts: Parts, examples: Sequence[Example], cases: Sequence[Case], routed: dict[str, Sequence[bool]]
) -> dict[str, Any]:
    """What each router comes to by kind of question and by task, and the differences between some of them."""
    from nesycd.reports import accuracy_interval, paired_difference
    from nesycd.routing import right, tokens

    kind_of = [parts.task.kind(example.task) for example in examples]
    groups = {"all": [*range(len(examples))]}
    groups |= {
        kind: [n for n, one in enumerate(kind_of) if one == kind] for kind in ("special", "general") if kind in kind_of
    }
    tasks = {task: [n for n, e in enumerate(examples) if e.task == task] for task in sorted({e.task for e in examples})}
    answers = {name: right(cases, decisions) for name, decisions in routed.items()}
    designs = {group: _design(parts, [examples[n] for n in places]) for group, places in groups.items()}
    rows: dict[str, dict[str, Any]] = {
        name: {
            "accuracy": {
                group: asdict(accuracy_interval([answers[name][n] for n in places], designs[group]))
                for group, places in groups.items()
            },
            "by_task": {task: sum(answers[name][n] for n in places) / len(places) for task, places in tasks.items()},
            "routed": sum(decisions) / len(decisions),
            "tokens": tokens(cases, decisions),
            "threshold": None,
            "low": None,
            "high": None,
            "curve": [],
        }
        for name, decisions in routed.items()
    }
    differences = {
        f"{left} - {other}": {
            group: asdict(
                paired_difference(
                    [answers[left][n] for n in places], [answers[other][n] for n in places], designs[group]
                )
            )
            for group, places in groups.items()
        }
        for left, other in COMPARED
    }
    found = sum(case.found for case in cases)
    return {"n": len(cases), "found": found, "routers": rows, "differences": differences}


def _design(parts: Parts, examples: Sequence[Example]) -> Any:
    from nesycd.reports.stats import Design

    tasks, templates = [example.task for example in examples], [example.template for example in examples]
    return Design(tasks, templates, parts.recipe.evaluation.bootstrap, parts.recipe.seed)


def _print(console: Console, split: str, part: dict[str, Any]) -> None:
    from nesycd.reports.router_page import percent

    kinds = [*next(iter(part["routers"].values()))["accuracy"]]
    out_of = "chosen on other templates" if split == SPLIT else "chosen on the validation questions"
    title = f"{split}: {part['n']} questions, something found for {part['found']}; routers {out_of}; % (95 %)"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    heads = ["router", *kinds, "routed", "tokens", *(["threshold (95 %)"] if split == SPLIT else [])]
    for heading in heads:
        table.add_column(heading, justify="left" if heading == "router" else "right", no_wrap=True)
    for name, row in part["routers"].items():
        cells = [name, *(percent(row["accuracy"][kind]) for kind in kinds)]
        table.add_row(
            *cells, f"{100 * row['routed']:.0f}", f"{row['tokens']:.1f}", *([_threshold(row)] if split == SPLIT else [])
        )
    console.print(table)
    for pair, groups in part["differences"].items():
        told = ", ".join(f"{kind} {_points(estimate)}" for kind, estimate in groups.items())
        console.print(f"{pair}: {told} points", markup=False, highlight=False)


def _threshold(row: dict[str, Any]) -> str:
    if row["threshold"] is None:
        return "–"
    edges = "" if row["low"] is None else f" ({row['low']:.2f}–{row['high']:.2f})"
    return f"{row['threshold']:.2f}{edges}"


def _points(estimate: dict[str, Any]) -> str:
    if estimate["value"] is None or estimate["low"] is None:
        return "–"
    return f"{100 * estimate['value']:+.1f} ({100 * estimate['low']:+.1f} to {100 * estimate['high']:+.1f})"

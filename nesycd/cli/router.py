"""`nesycd router`: compares routers, which decide when knowledge is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nesycd.cli.run import Limit, Name, Overrides, RecipeFile, Root, Yes, consent
from nesycd.cli.tables import Column, print_table
from nesycd.core.config import load_recipe
from nesycd.runs.folders import named_folder

router_app = typer.Typer(no_args_is_help=True)

SPLIT = "valid"
"""On which routers are chosen; the thresholds told are of it."""


@router_app.callback()
def router() -> None:
    """Compare routers, which decide when knowledge is used.

    Example:

        nesycd router calibrate recipes/longtail.toml
    """


@router_app.command()
def calibrate(
    recipe: RecipeFile,
    test: Annotated[
        bool,
        typer.Option(
            "--test", help="Report on the test questions too. Each use is counted: do not choose a router by it."
        ),
    ] = False,
    overrides: Overrides = None,
    limit: Limit = None,
    name: Name = "",
    root: Root = Path("runs"),
    yes: Yes = False,
) -> None:
    """Draw accuracy against retrieved tokens for every router.

    On the validation questions, which no student was trained on, each router is cross-validated over templates
    (five folds): never, always, found (wherever something was found), and the mean margin of the draft's three least certain
    tokens and of all its tokens. Nothing is generated, but a run that is not finished is completed first. A table is printed;
    router.json and router.html are written into the run's folder.

    Example:

        nesycd router calibrate recipes/longtail.toml
    """
    from nesycd.api.measuring import HELD_OUT_SPLIT, ROUTER_FILE, ROUTER_PAGE, compare_routers

    settings, console = load_recipe(recipe, overrides or [], limit), Console()
    folder = named_folder(root, name or settings.name)
    content = compare_routers(settings, folder, console, test, consent(yes))
    for split, part in ((HELD_OUT_SPLIT, content["held_out"]), ("test", content["test"])):
        if part is not None:
            _print(console, split, part)
    if test:
        uses = content["test_uses"]
        console.print(
            f"The test questions have been looked at {uses} times in this way." if uses > 1 else "First look at test."
        )
    console.print(f"All figures: {folder / ROUTER_FILE}   plot: {folder / ROUTER_PAGE}", markup=False, highlight=False)


def _print(console: Console, split: str, part: dict[str, Any]) -> None:
    from nesycd.api.measuring import ROUTER_FILE
    from nesycd.reports.router_page import percent

    kinds = [*next(iter(part["routers"].values()))["accuracy"]]
    out_of = "chosen on other templates" if split == SPLIT else "chosen on the validation questions"
    title = f"{split}: {part['n']} questions, something found for {part['found']}; routers {out_of}; % (95 %)"
    columns = [
        Column("router", wraps=True),
        *(Column(kind, right=True, rank=0 if kind == "all" else 3) for kind in kinds),
    ]
    columns += [Column("routed", right=True, rank=1), Column("tokens", right=True)]
    columns += [Column("threshold (95 %)", right=True, rank=2)] if split == SPLIT else []
    rows = []
    for name, row in part["routers"].items():
        cells = [name, *(percent(row["accuracy"][kind]) for kind in kinds)]
        cells += [f"{100 * row['routed']:.0f}", f"{row['tokens']:.1f}", *([_threshold(row)] if split == SPLIT else [])]
        rows.append(cells)
    print_table(console, columns, rows, title=title, rules=True, elsewhere=ROUTER_FILE)
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

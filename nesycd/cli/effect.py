"""`nesycd kb effect`: the effect of each item of a run's knowledge base on its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from nesycd.cli.run import Limit, Name, Overrides, RecipeFile, Root, Yes, consent
from nesycd.cli.tables import Column, print_table
from nesycd.core.config import load_recipe
from nesycd.runs.folders import named_folder

_SHOWN = 8
"""Items in the table from either end."""


def effect(
    recipe: RecipeFile,
    masks: Annotated[
        int, typer.Option("--masks", min=4, help="Maximum number of masked contexts to score for a question.")
    ] = 8,
    rate: Annotated[float, typer.Option("--fdr", min=0.001, max=0.5, help="Maximum false discovery rate.")] = 0.1,
    retire: Annotated[bool, typer.Option("--retire", help="Retire what is proposed, as reviewer 'effect'.")] = False,
    overrides: Overrides = None,
    limit: Limit = None,
    name: Name = "",
    root: Root = Path("runs"),
    yes: Yes = False,
) -> None:
    """Measure the effect of each item on the answers, and propose harmful items for retirement.

    On training questions (with the fold's student that has not seen them) and validation questions items are masked at random and
    correct answers are scored again (no generation). On one half of the questions harmful items are selected, on the other the
    answers are given without them. A run that is not finished is completed first. The results are written into the run's
    folder, as effect.json; nothing is changed unless --retire is given.

    Example:

        nesycd kb effect recipes/quickstart.toml
    """
    from nesycd.api.measuring import EFFECT_FILE, measure_effect

    settings, console = load_recipe(recipe, overrides or [], limit), Console()
    folder = named_folder(root, name or settings.name)
    content, measured = measure_effect(settings, folder, console, masks, rate, retire, consent(yes))
    print_effects(content, console, EFFECT_FILE)
    for line in summary(content):
        console.print(line, markup=False, highlight=False)
    if retire and measured.proposed:
        console.print(f"Retired: {len(measured.proposed)}. Run the recipe again to train and answer without them.")
        console.print(f"In {folder / 'kb.sqlite'}", markup=False, highlight=False)
    elif measured.proposed:
        console.print("Retire them with the same command and --retire, or one by one: nesycd kb retire ID --by NAME")
    console.print(f"All items: {folder / EFFECT_FILE}", markup=False, highlight=False)


def print_effects(content: dict[str, Any], console: Console, file: str) -> None:
    """Print the worst and the best items, in nats; `file` has all of them."""
    columns = [Column("effect", right=True), Column("±", right=True, rank=2), Column("n", right=True, rank=3)]
    columns += [Column("harms", right=True, rank=1), Column("item", wraps=True)]
    rows: list[list[Text]] = []
    known = [row for row in content["items"] if "all" in row]
    shown = known if len(known) <= 2 * _SHOWN else [*known[:_SHOWN], None, *known[-_SHOWN:]]
    for row in shown:
        if row is None:
            rows.append([Text("…"), *(Text() for _ in columns[1:])])
            continue
        seen = row["all"]
        style = "red" if row["id"] in content["proposed"] else ""
        cells = (f"{seen['shrunk']:+.2f}", f"{seen['sd']:.2f}", str(seen["n"]), f"{100 * seen['harm']:.0f} %")
        rows.append([Text(cell, style=style) for cell in (*cells, f"{row['text']}  {row['id']}")])
    title = "Effect on the least likely tokens of right answers, nats"
    print_table(console, columns, rows, title=title, rules=True, elsewhere=file)


def summary(content: dict[str, Any]) -> list[str]:
    """The measurement in a few lines."""
    confirmed = content["confirmation"]
    lines = [
        f"{content['measured']} of {content['approved']} approved items measured on {content['scored']} of "
        f"{content['questions']} questions; noise of an unchanged rerun {content['noise']:.3f} nats",
        f"{len(content['selected'])} selected as harmful on one half (false discovery rate "
        f"{content['false_discovery_rate']:g}), {len(content['proposed'])} proposed for retirement after the other half",
    ]
    if confirmed["questions"]:
        lines.append(
            f"answers there that show a selected item: {confirmed['right_with']} of {confirmed['questions']} right with it, "
            f"{confirmed['right_without']} without"
        )
    return lines

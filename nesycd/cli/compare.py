"""`nesycd compare`: methods, baselines and ablations compared over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nesycd.cli.run import Limit, Overrides, RecipeFile, Root, Yes, consent
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import ConfigError
from nesycd.core.toml_text import toml_string
from nesycd.runs.folders import named_folder

app = typer.Typer()

Names = Annotated[
    str,
    typer.Option(
        "--methods",
        help="Names with commas between; not given: compare.methods of the recipe (or evaluation.methods), and what was asked.",
    ),
]
Numbers = Annotated[
    str,
    typer.Option(
        "--seeds",
        help="Numbers with commas between; not given: compare.seeds of the recipe (or its seed), and what was asked before.",
    ),
]
Folder = Annotated[
    str, typer.Option("--name", help="Name of the comparison's folder; not given: compare- and the recipe's name.")
]


def _list_methods(wanted: bool) -> None:
    if not wanted:
        return
    from nesycd.methods.table import METHODS, NUMBERED

    listed: dict[str, dict[str, str]] = {"Methods": {}, "Published baselines": {}, "Ablations": {}}
    for method in METHODS.values():
        title = {"rival": "Published baselines", "ablation": "Ablations"}.get(method.role, "Methods")
        listed[title][method.name] = method.about
    listed["Ablations"] |= {f"{name}_N": text.format("N") for name, (text, _) in NUMBERED.items()}
    width = max(len(name) for names in listed.values() for name in names)
    for title, names in listed.items():
        typer.echo(f"{title}:")
        for name, text in names.items():
            typer.echo(f"  {name:<{width}} {text}")
    raise typer.Exit


@app.command()
def compare(
    recipe: RecipeFile,
    methods: Names = "",
    seeds: Numbers = "",
    overrides: Overrides = None,
    limit: Limit = None,
    name: Folder = "",
    root: Root = Path("runs"),
    kb: Annotated[
        Path | None,
        typer.Option("--kb", help="A reviewed base (kb.sqlite) in place of the ones that runs build from errors."),
    ] = None,
    yes: Yes = False,
    table: Annotated[
        bool, typer.Option("--table", help="Run nothing: report what is finished, also while other processes run.")
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", is_eager=True, callback=_list_methods, help="List the methods and exit.")
    ] = False,
) -> None:
    """Compare methods, baselines and ablations over seeds.

    Every published baseline is trained on the same rationales, for as many completion tokens as NesyCD's student.
    Each seed is an ordinary run in the comparison's folder; baselines are further stages of it, ablations separate runs that
    start from its finished stages. Finished work is never repeated: call it with more methods or seeds and these are
    added to the folder; after an interruption (Ctrl-C) the same command resumes. Several processes may work on
    different seeds of one comparison, and seeds run on another machine are included when their folders are copied into the
    comparison's. Writes comparison.json and report.html.

    Examples:

        nesycd compare recipes/compare-longtail.toml

        nesycd compare recipes/quickstart.toml --methods std_cot,kard_kb,nesycd --seeds 0,1,2 --name trio

        nesycd compare recipes/quickstart.toml --kb runs/quickstart/kb.sqlite --name reviewed

        nesycd compare recipes/compare-longtail.toml --table

        nesycd compare --list
    """
    from nesycd.api.comparing import run_comparison
    from nesycd.api.front import comparison_name
    from nesycd.reports.comparison_page import print_comparison

    given_base = [] if kb is None else [f"knowledge.base={toml_string(str(kb))}"]

    def varied(changes: Sequence[str]) -> Recipe:
        return load_recipe(recipe, [*(overrides or []), *given_base, *changes], limit)

    settings, console = varied(()), Console()
    folder = named_folder(root, name or comparison_name(settings))
    given = [one.strip() for one in methods.split(",") if one.strip()]
    made = run_comparison(settings, varied, folder, console, given, _numbers(seeds), not table, consent(yes))
    if made is not None:
        print_comparison(made, console)
        console.print(f"Report: {folder / 'report.html'}", markup=False, highlight=False)


def _numbers(text: str) -> list[int]:
    words = [one.strip() for one in text.split(",") if one.strip()]
    if wrong := [word for word in words if not word.isdecimal()]:
        raise ConfigError(f"--seeds {text}: {wrong[0]!r} is not a seed (0, 1, 2, ...)")
    return [int(word) for word in words]

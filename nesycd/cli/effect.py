"""`nesycd kb effect`: what each item of a run's knowledge base does for its answers."""

from __future__ import annotations

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
    from nesycd.knowledge import KnowledgeBase
    from nesycd.measure.effect import Measurement

SCHEMA = "effect/1"
FILE = "effect.json"
REVIEWER = "effect"
"""Who retires items with `--retire`."""
_SHOWN = 8
"""Items in the table from either end."""


def effect(
    recipe: RecipeFile,
    masks: Annotated[int, typer.Option("--masks", min=4, help="Blocks to score for a question, at most.")] = 8,
    rate: Annotated[
        float, typer.Option("--fdr", min=0.001, max=0.5, help="Share of wrong ones among those named, at most.")
    ] = 0.1,
    retire: Annotated[bool, typer.Option("--retire", help="Retire what is proposed, as reviewer 'effect'.")] = False,
    overrides: Overrides = None,
    limit: Limit = None,
    name: Name = "",
    root: Root = Path("runs"),
) -> None:
    """Measure what each item does for the answers, and propose the harmful ones for retirement.

    On training questions (with the fold's student that has not seen them) and validation questions items are masked at random and
    right answers are scored again (no generation). On one half of the questions harmful items are selected, on the other the
    answers are given without them. A run that is not finished is completed first. The results are written into the run's
    folder, as effect.json; nothing is changed unless --retire is given.

    Example:

        nesycd kb effect recipes/quickstart.toml
    """
    settings = load_recipe(recipe, overrides or [], limit)
    execute(settings, root / (name or settings.name), Console(), masks, rate, retire)


def execute(
    settings: Recipe, folder: Path, console: Console, masks: int = 8, rate: float = 0.1, retire: bool = False
) -> None:
    """Complete a recipe's run, measure effects in it, write `effect.json` and print a table."""
    from nesycd.core.storage import write_json_atomic
    from nesycd.knowledge import KnowledgeBase
    from nesycd.measure.effect import measure

    with opened(settings, folder, console) as parts:
        trained, _ = complete(parts)
        measured = measure(parts, trained, masks, rate)
        finish(parts)
        with KnowledgeBase.open(parts.run.kb_path) as kb:
            content = effect_json(kb, measured)
            write_json_atomic(folder / FILE, content)
            for item in measured.proposed if retire else ():
                kb.retire(item, REVIEWER)
    console.print(table(content))
    for line in summary(content):
        console.print(line, markup=False, highlight=False)
    if retire and measured.proposed:
        console.print(f"Retired: {len(measured.proposed)}. Run the recipe again to train and answer without them.")
    elif measured.proposed:
        console.print("Retire them with the same command and --retire, or one by one: nesycd kb retire ID --by NAME")
    console.print(f"All items: {folder / FILE}", markup=False, highlight=False)


def effect_json(kb: KnowledgeBase, measured: Measurement) -> dict[str, Any]:
    """The content of `effect.json` (see `docs/results.md`)."""
    from nesycd.core.records import Status

    items = {entry.item_id: entry.item for entry in kb.entries(status=Status.APPROVED)}
    halves = {"all": measured.all, "selection": measured.selection, "confirmation": measured.confirmation}
    rows: list[dict[str, Any]] = []
    for item_id, item in items.items():
        seen: Any = {name: asdict(half[item_id]) for name, half in halves.items() if item_id in half}
        rows.append({"id": item_id, "kind": item.kind, "text": item.text, **seen})
    rows.sort(key=lambda row: (row.get("all", {}).get("shrunk", 0.0), row["id"]))
    return {
        "schema": SCHEMA,
        "knowledge": kb.version,
        "questions": measured.questions,
        "scored": measured.scored,
        "approved": len(items),
        "measured": len(measured.all),
        "noise": measured.noise,
        "false_discovery_rate": measured.rate,
        "selected": list(measured.selected),
        "proposed": list(measured.proposed),
        "confirmation": {"questions": measured.asked, "right_with": measured.before, "right_without": measured.after},
        "items": rows,
    }


def table(content: dict[str, Any]) -> Table:
    """The worst and the best items, in nats."""
    made = Table(
        box=box.SIMPLE_HEAD, title="Effect on the least likely tokens of right answers, nats", title_justify="left"
    )
    for heading in ("effect", "±", "n", "harms", "item"):
        made.add_column(heading, justify="left" if heading == "item" else "right", no_wrap=heading != "item")
    known = [row for row in content["items"] if "all" in row]
    shown = known if len(known) <= 2 * _SHOWN else [*known[:_SHOWN], None, *known[-_SHOWN:]]
    for row in shown:
        if row is None:
            made.add_row("…", "", "", "", "")
            continue
        seen = row["all"]
        style = "red" if row["id"] in content["proposed"] else ""
        cells = (f"{seen['shrunk']:+.2f}", f"{seen['sd']:.2f}", str(seen["n"]), f"{100 * seen['harm']:.0f} %")
        made.add_row(*cells, Text(f"{row['text']}  {row['id']}"), style=style)
    return made


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

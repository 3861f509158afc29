"""`nesycd kb refused`: which proposed items a run kept out of its knowledge base, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from nesycd.cli.kb_common import Limit, Root, RunName, tell_more


def refused(
    words: Annotated[str, typer.Argument(metavar="[TEXT]", help="Only items with this text; all if not given.")] = "",
    limit: Limit = 50,
    run: RunName = "",
    root: Root = Path("runs"),
) -> None:
    """List the proposed items that a run kept out of its knowledge base, with the filter and the reason.

    Items pass three filters in this order: leak (they restate a question with its answer, or carry a test question),
    ill-formed (they could be knowledge nowhere) and instance-specific (they tell the course of one question). The first
    that refuses decides. Without --run it is the newest run's.

    Examples:

        nesycd kb refused --run quickstart

        nesycd kb refused "the answer" --run quickstart
    """
    from nesycd.core.records import Refusal
    from nesycd.runs.folders import find_run, newest_run
    from nesycd.runs.run import read_records

    folder = find_run(root, run) if run else newest_run(root, "stages/refused.jsonl")
    all_refused = read_records(folder, "refused", Refusal)
    found = [one for one in all_refused if words.casefold() in one.item.text.casefold()]
    console = Console()
    for one in found[:limit]:
        console.print(f"[bold]{one.filter}[/bold] {escape(one.item.kind)}: {escape(one.item.text)}", highlight=False)
        console.print(
            f"  {escape(one.reason)}  [dim]({escape(one.evidence.example or one.evidence.source)})[/dim]",
            highlight=False,
        )
    tell_more(len(found), limit)
    console.print(f"{len(found)} of {len(all_refused)} refused items of {folder}", markup=False, highlight=False)

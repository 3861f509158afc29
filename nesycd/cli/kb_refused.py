"""`nesycd kb refused` and `nesycd kb leaks`: what a run kept out of its base and why, and what in a base gives questions away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nesycd.cli.kb_common import MOST_SHOWN, Kb, Limit, Root, RunName, open_base, shown, tell_more
from nesycd.core.errors import RunError


def refused(
    words: Annotated[str, typer.Argument(metavar="[TEXT]", help="Only items with this text; all if not given.")] = "",
    limit: Limit = 50,
    run: RunName = "",
    root: Root = Path("runs"),
) -> None:
    """List the proposed items that a run kept out of its knowledge base, with the filter, the reason and the question.

    Items pass three filters in this order: leak (they restate a question with its answer, or carry a test question),
    ill-formed (they could be knowledge nowhere) and instance-specific (they tell the course of one question). The first
    that refuses decides. Without --run it is the newest run's. What is in a base: nesycd kb leaks.

    Examples:

        nesycd kb refused --run quickstart

        nesycd kb refused "the answer" --run quickstart
    """
    from nesycd.core.judgements import Refusal
    from nesycd.runs.folders import find_run, newest_run
    from nesycd.runs.run import read_records

    folder = find_run(root, run) if run else newest_run(root, "stages/refused.jsonl")
    all_refused = read_records(folder, "refused", Refusal)
    found = [one for one in all_refused if words.casefold() in one.item.text.casefold()]
    console = Console()
    for one in found[:limit]:
        console.print(f"[bold]{one.filter}[/bold] {one.item.kind}: {shown(one.item.text)}", highlight=False)
        source = one.evidence.example or one.evidence.source
        _tell_why(console, f"{shown(one.reason)}  [dim]({shown(source)})[/dim]", one.question)
    tell_more(len(found), limit)
    console.print(f"{len(found)} of {len(all_refused)} refused items of {folder}", markup=False, highlight=False)


def leaks(kb: Kb = None, run: RunName = "", root: Root = Path("runs")) -> None:
    """List the approved and proposed items of a base that give a run's questions away, each with its question.

    A run refuses such items; a person may have approved, written or edited one. Without --run it is the newest run's questions.
    The base is the run's, unless --kb names another one, such as one that was reviewed for a run with other splits. The exit
    code is 1 where an approved item leaks.

    Examples:

        nesycd kb leaks --run quickstart

        nesycd kb leaks --run compare-longtail/seed-1 --kb reviewed.sqlite
    """
    from nesycd.core.records import Example, Status
    from nesycd.knowledge import LeakFilter
    from nesycd.runs.folders import find_run, newest_run
    from nesycd.runs.run import read_records

    folder = find_run(root, run) if run else newest_run(root, "stages/examples-train.jsonl")
    train = read_records(folder, "examples-train", Example)
    if not train:
        raise RunError(f"{folder}: has no training questions yet to check items against; run its recipe first")
    with open_base(kb if kb is not None else str(folder / "kb.sqlite")) as base:
        place = base.place
        entries = [one for status in (Status.APPROVED, Status.PROPOSED) for one in base.entries(status=status)]
    check = LeakFilter(train, _held_out(folder))
    console = Console()
    counts = dict.fromkeys((Status.APPROVED, Status.PROPOSED), 0)
    for entry in entries:
        leak = check.leak(entry.item, entry.evidence)
        if leak is None:
            continue
        counts[entry.status] += 1
        told = (
            f"[bold]{entry.item_id[:8]}[/bold] {entry.status} {entry.item.kind}: {shown(entry.item.text, MOST_SHOWN)}"
        )
        console.print(told, highlight=False)
        _tell_why(console, shown(leak.reason), leak.question)
    found = " and ".join(f"{count} {status}" for status, count in counts.items())
    summary = f"{found} of {len(entries)} items of {place} give questions of {folder} away"
    console.print(summary, markup=False, highlight=False)
    if counts[Status.APPROVED]:
        raise typer.Exit(1)


def _tell_why(console: Console, reason: str, question: str) -> None:
    console.print(f"  {reason}", highlight=False)
    if question:
        console.print(f"  [dim]question[/dim] {shown(' '.join(question.split()), MOST_SHOWN)}", highlight=False)


def _held_out(folder: Path) -> Iterator[Any]:
    """A run's questions outside the training split; the run loaded them for its own check."""
    from nesycd.core.records import Example
    from nesycd.runs.run import read_records

    for path in sorted((folder / "stages").glob("examples-*.jsonl")):
        if path.stem != "examples-train":
            yield from read_records(folder, path.stem, Example)

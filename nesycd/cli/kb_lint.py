"""`nesycd kb lint`: what is wrong with a knowledge base by its own lights."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from nesycd.cli.kb_common import Kb, open_base, shown


def lint(
    kb: Kb = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Findings of each sort to show.")] = 20,
) -> None:
    """Name items that contradict each other, doubles, lessons that say less than others, and what is no knowledge.

    Approved and proposed items are looked at, and nothing is changed. Declare relations to have contradictions found for sure:
    nesycd kb relations FILE. The command ends with 1 where there are contradictions, so that a Git hook or CI stops there.

    Example:

        nesycd kb lint --kb runs/quickstart/kb.sqlite
    """
    from rich.console import Console

    from nesycd.knowledge import read_entities
    from nesycd.knowledge.lint import lint as findings_of

    with open_base(kb) as base:
        entries, entities = base.entries(), read_entities(base)
    findings = findings_of(entries, entities)
    counts = Counter(finding.sort for finding in findings)
    console = Console()
    told: Counter[str] = Counter()
    for finding in findings:
        told[finding.sort] += 1
        if told[finding.sort] > limit:
            continue
        console.print(f"[bold]{finding.sort}[/bold]: {shown(finding.why)}")
        for entry in finding.entries:
            by = f"{len(entry.evidence)} evidence" if entry.evidence else "no evidence"
            console.print(f"  {entry.item_id[:8]} {entry.status:<9} {shown(entry.item.text)} [dim]({by})[/dim]")
    for sort, count in counts.items():
        if count > limit:
            typer.echo(f"{sort}: {count - limit} more; show them by --limit {count}")
    summed = ", ".join(f"{count} {sort}" for sort, count in counts.items()) or "nothing found"
    typer.echo(f"{len(entries)} items: {summed}")
    if counts["contradiction"] or counts["suspected contradiction"]:
        raise typer.Exit(1)

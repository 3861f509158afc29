"""`nesycd kb lint` and `kb queue`: conflicts and duplicates in a knowledge base, and the review queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from rich.console import Console

from nesycd.cli.kb_common import MOST_SHOWN, By, Kb, Limit, Why, changed_base, open_base, plain, shown, tell_more, user
from nesycd.cli.kb_evidence import background_of


def lint(
    queue: Annotated[bool, typer.Option("--queue", help="Put the findings into the review queue.")] = False,
    limit: Limit = 20,
    kb: Kb = None,
    by: By = "",
    why: Why = "",
) -> None:
    """Report contradictions, several values, near-duplicates, subsumed lessons and rules, and ill-formed items.

    Approved and proposed items are checked, with all facts derived by their rules, and nothing is changed. Declare relations
    to have contradictions found with certainty: nesycd kb relations FILE. With --queue the items found are listed for review
    in nesycd kb queue; approved ones stay approved until then. The exit code is 1 where there are contradictions, for Git
    hooks and CI. --limit is of the findings of each kind.

    Example:

        nesycd kb lint --kb runs/quickstart/kb.sqlite
    """
    from nesycd.knowledge import read_entities
    from nesycd.knowledge.conflicts import LIMITS, Conflicts, conflicts
    from nesycd.knowledge.lint import lint as findings_of
    from nesycd.knowledge.queue import enqueue, reasons_of
    from nesycd.rules import Engine, EngineError

    with changed_base(kb, dry_run=not queue) as base:
        entries, entities = base.entries(), read_entities(base)
        try:
            with Engine(LIMITS) as engine:
                conflicting = conflicts(entries, engine, entities)
        except EngineError as error:
            conflicting = Conflicts()
            typer.echo(f"note: contradictions through rules were not looked for: {plain(str(error))}", err=True)
        findings = findings_of(entries, entities, _embed(), conflicting.found)
        queued = enqueue(base, reasons_of(findings), user(by), why) if queue else 0
    counts = _tell(findings, limit)
    for item_id, fault in conflicting.faults.items():
        typer.echo(plain(f"note: rule {item_id[:8]} cannot run and was left out: {fault}"), err=True)
    if conflicting.left:
        typer.echo(f"note: {conflicting.left} more contradictions through rules were not looked into", err=True)
    summed = ", ".join(f"{count} {sort}" for sort, count in counts.items()) or "nothing found"
    typer.echo(f"{len(entries)} items: {summed}")
    if queue:
        typer.echo(f"{queued} items queued; see: nesycd kb queue")
    if counts["contradiction"] or counts["suspected contradiction"] or conflicting.left:
        raise typer.Exit(1)


def queue(limit: Limit = 50, kb: Kb = None) -> None:
    """List the review queue, in the order of nesycd review: what is not proven first, and by what hangs on each.

    An item leaves the queue by nesycd kb approve (it stays, or becomes, approved), reject, retire or edit.

    Example:

        nesycd kb lint --queue; nesycd kb queue; nesycd kb retire 3fa9
    """
    from nesycd.knowledge.queue import waiting

    with open_base(kb) as base:
        found = waiting(base, background_of(base.place))
    console = Console()
    for one in found[:limit]:
        entry = one.entry
        console.print(
            f"{entry.item_id[:8]} {entry.item.kind:<6} {entry.status:<9} {shown(entry.item.text, MOST_SHOWN)}"
        )
        for reason in one.reasons:
            console.print(f"    {shown(reason, MOST_SHOWN)}", highlight=False)
    tell_more(len(found), limit)
    reasoned = sum(bool(one.reasons) for one in found)
    typer.echo(f"{len(found)} items wait, {reasoned} of them with a reason")


def _tell(findings: Sequence[Any], limit: int) -> Counter[str]:
    """Show the findings of each kind up to the limit; returns how many there are of each."""
    counts = Counter(finding.kind for finding in findings)
    console = Console()
    told: Counter[str] = Counter()
    for finding in findings:
        told[finding.kind] += 1
        if told[finding.kind] > limit:
            continue
        console.print(f"[bold]{finding.kind}[/bold]: {shown(finding.why)}")
        for entry in finding.entries:
            by = f"{len(entry.evidence)} evidence" if entry.evidence else "no evidence"
            console.print(f"  {entry.item_id[:8]} {entry.status:<9} {shown(entry.item.text)} [dim]({by})[/dim]")
    for sort, count in counts.items():
        if count > limit:
            typer.echo(f"{sort}: {count - limit} more; show them by --limit {count}")
    return counts


def _embed() -> Callable[[Sequence[str]], Any] | None:
    """What makes vectors of texts, where the extra `dense` is there; loaded when it is first asked."""
    if find_spec("wordllama") is None:
        return None

    @cache
    def model() -> Any:
        from nesycd.retrieval.dense import WordLlamaEmbedder

        return WordLlamaEmbedder()

    return lambda texts: model().embed(texts)

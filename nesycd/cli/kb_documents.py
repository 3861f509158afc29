"""`nesycd kb read-documents`: what documents state, proposed into a base, and queued there when a document changes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nesycd.cli.kb_common import (
    MOST_SHOWN,
    By,
    Kb,
    Limit,
    Root,
    RunName,
    Why,
    changed_base,
    plain,
    print_differences,
    shown,
    tell_more,
    user,
)
from nesycd.core.errors import KnowledgeError


def read_documents(
    files: Annotated[
        list[Path],
        typer.Argument(help="Documents (.md, .txt, .csv, .tsv, .xlsx), or folders of them.", show_default=False),
    ],
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="TABLE=COLUMN", help="Which column names a table's rows; repeat it for several."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    limit: Limit = 20,
    kb: Kb = None,
    by: By = "",
    why: Why = "",
    run: RunName = "",
    root: Root = Path("runs"),
) -> None:
    """Propose what documents state, each item with its line or row; when a document has changed, queue what came from it.

    Tables give a fact for each cell beside the key; lists of terms and sentences of known forms give facts; conditions, limits
    and duties become rules, numbered lists lessons, all as text. What is not understood gives nothing, and is counted. No model
    is asked, and a base that is not there yet is begun:

        nesycd kb read-documents handbook.md fees.csv --kb policy.sqlite --dry-run

        nesycd kb read-documents handbook.md fees.csv --kb policy.sqlite

    Read again, only what is new or changed is proposed. What people approved or edited stays as it is; where its document states
    it no more it is in the queue, first, with the old statement and the new one. Proposals that nobody has looked at go.

    The key of a table is the first column with another text in each row, unless --key says otherwise:

        nesycd kb read-documents prices.xlsx --key "prices.xlsx#Rates=Plan" --key "prices.xlsx#Rates=Region"

    Of a base in a run's folder, or with --run, what gives the run's questions away is not proposed. Recipes read documents by
    knowledge.documents.
    """
    from nesycd.cli.kb_evidence import folder_of
    from nesycd.documents import read_documents as read
    from nesycd.documents import refusals
    from nesycd.knowledge.source_changes import take_up

    readings = read(files, _keys(key or ()))
    console = Console()
    for reading in readings:
        console.print(f"[bold]{shown(reading.document)}[/bold]: {shown(str(reading))}", highlight=False)
        for note in reading.notes:
            typer.echo(plain(f"note: {note}"), err=True)
    proposals = [proposal for reading in readings for proposal in reading.proposals]
    with changed_base(kb, create=True, dry_run=dry_run) as base:
        folder = folder_of(base.place, run, root)
        refused = refusals(readings, _questions(folder))
        documents = {reading.document for reading in readings}
        but = {one.item.id for one in refused}
        done = take_up(base, proposals, documents, user(by), why, but, dry_run)
    _tell(console, done, refused, limit)
    did = "nothing was changed; would be" if dry_run else "now"
    typer.echo(
        f"{did}: {len(done.new)} new, {len(done.queued)} queued because their source changed, {len(done.withdrawn)} withdrawn, "
        f"{done.stand} as they were{f' ({done.moved} at another place)' if done.moved else ''}"
    )
    if folder is None:
        typer.echo(
            "note: not checked for what gives questions away, as no run is named: nesycd kb leaks --run RUN --kb BASE"
        )
    if done.new and not dry_run:
        typer.echo("what is new waits for approval: nesycd kb queue, nesycd review, or nesycd kb approve all")


def _keys(given: Any) -> dict[str, tuple[str, ...]]:
    """What `--key` says, by table."""
    keys: dict[str, tuple[str, ...]] = {}
    for one in given:
        table, sign, column = one.partition("=")
        if not (sign and table.strip() and column.strip()):
            raise KnowledgeError(f'--key {one}: write TABLE=COLUMN, such as --key "fees.csv=Plan"')
        keys[table.strip()] = (*keys.get(table.strip(), ()), column.strip())
    return keys


def _questions(folder: Path | None) -> dict[str, list[Any]]:
    """A run's questions by their split; none where there is no run."""
    from nesycd.core.records import Example
    from nesycd.runs.run import read_records

    if folder is None:
        return {}
    stems = [path.stem for path in sorted((folder / "stages").glob("examples-*.jsonl"))]
    return {stem.removeprefix("examples-"): read_records(folder, stem, Example) for stem in stems}


def _tell(console: Console, done: Any, refused: Any, limit: int) -> None:
    """Show what was done, up to the limit of each kind."""
    from nesycd.knowledge import Difference

    print_differences([Difference(None, entry) for entry in done.new], limit)
    for entry, reason in done.queued[:limit]:
        console.print(
            f"? {entry.item_id[:8]} {entry.item.kind} {entry.status}: {shown(reason, MOST_SHOWN)}", highlight=False
        )
    tell_more(len(done.queued), limit)
    for entry in done.withdrawn[:limit]:
        console.print(f"- {entry.item_id[:8]} {entry.item.kind}: {shown(entry.item.text, MOST_SHOWN)}", highlight=False)
    tell_more(len(done.withdrawn), limit)
    for name, count in Counter(one.filter for one in refused).items():
        first = next(one for one in refused if one.filter == name)
        told = f"refused by the {name.replace('_', '-')} filter: {count}, such as {shown(first.item.text, MOST_SHOWN)}"
        console.print(f"{told} ({shown(first.reason)})", highlight=False)

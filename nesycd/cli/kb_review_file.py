"""`nesycd kb review-file` and `import-decisions`: review by somebody who has no access to the base, in one HTML file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from nesycd.cli import kb_evidence
from nesycd.cli.kb_common import (
    By,
    Kb,
    Kind,
    Limit,
    Root,
    RunName,
    Why,
    changed_base,
    kind_of,
    open_base,
    plain,
    print_differences,
    user,
)
from nesycd.core.errors import KnowledgeError, RunError

CASES = 3


def review_file(
    file: Annotated[Path, typer.Argument(help="The HTML file to write.", show_default=False)],
    cases: Annotated[
        int, typer.Option("--cases", min=0, help="Questions with a wrong answer to show of an item, at most.")
    ] = CASES,
    kind: Kind = None,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Also the items in use that no person has looked at, as in nesycd review.")
    ] = False,
    limit: Limit = 10_000,
    kb: Kb = None,
    run: RunName = "",
    root: Root = Path("runs"),
) -> None:
    """Write the items that wait for review as one HTML file, for an expert without access to the base.

    It works in any browser, also on a phone and without a network, and sends nothing: the expert approves, edits, rejects and
    comments, downloads a file of decisions and sends it back. nesycd kb import-decisions applies it.

    Proposed and queued items wait; where items are approved automatically (knowledge.review = "auto"), --unseen takes in those
    that are in use and that nobody has looked at. Questions and answers are those of the run whose base it is; of a base that
    lies in no run, --run names it. They are in the file, as are the items: give it to those only who may read them.

    Examples:

        nesycd kb review-file review.html --run quickstart --unseen

        nesycd kb review-file review.html --kb units.sqlite --kind rule

        nesycd kb import-decisions decisions-quickstart.json --kb runs/quickstart/kb.sqlite --dry-run
    """
    from nesycd.core.records import Status
    from nesycd.core.storage import write_atomic
    from nesycd.knowledge.decisions import identity_of
    from nesycd.knowledge.queue import waiting
    from nesycd.reports.review_file import item_of, render_review_file

    if file.suffix.lower() not in (".html", ".htm"):
        raise KnowledgeError(f"{file}: a review file is an HTML file; give it the ending .html")
    wanted = kind_of(kind)
    with open_base(kb, run, root) as base:
        # The revision first: what is changed meanwhile is found out when the decisions are imported.
        revision, identity, place = base.revision, identity_of(base), base.place
        background = kb_evidence.background_of(place, run, root)
        every = waiting(base, background, unseen=True)
    asked = [one for one in every if wanted is None or one.entry.item.kind == wanted]
    found = asked if unseen else [one for one in asked if one.reasons or one.entry.status is Status.PROPOSED]
    unlooked = len(asked) - len(found)
    left = f"--unseen takes in {unlooked:,} more that are in use and nobody has looked at" if unlooked else ""
    if not found:
        told = f"; {left}" if left else ", so there is nothing to decide on"
        raise KnowledgeError(f"{plain(place)}: no {kind or 'item'} waits for review{told}")
    folder = kb_evidence.folder_of(place, run, root)
    told_of = None
    try:
        told_of = kb_evidence.behind(folder) if folder is not None else None
    except RunError as error:
        typer.echo(f"note: what stands behind the evidence cannot be read: {plain(str(error))}", err=True)
    title = folder.resolve().name if folder is not None else "knowledge base"
    items = [item_of(one, told_of, cases) for one in found[:limit]]
    write_atomic(file, render_review_file(title, identity, revision, items))
    count = f"{len(items):,} item{'' if len(items) == 1 else 's'}"
    typer.echo(f"wrote {plain(str(file))}: {count}, {file.stat().st_size / 1e6:.1f} MB")
    if left:
        typer.echo(f"note: {left}")
    if len(found) > limit:
        typer.echo(f"{len(found) - limit:,} more wait; take them in by --limit {len(found)}")
    if folder is None and any(piece.example for one in found for piece in one.entry.evidence):
        typer.echo("note: the questions and answers are in the run's folder; name it by --run")
    typer.echo(f"what comes back is applied by: nesycd kb import-decisions FILE --kb {plain(shlex.quote(place))}")


def import_decisions(
    file: Annotated[Path, typer.Argument(help="What the page of kb review-file gave back.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    skip_changed: Annotated[
        bool, typer.Option("--skip-changed", help="Leave out items that changed since the review file was written.")
    ] = False,
    limit: Limit = 50,
    kb: Kb = None,
    by: By = "",
    why: Why = "",
) -> None:
    """Apply the decisions of a review file (nesycd kb review-file) as one revision: all of them, or none.

    Without --by the reviewer is who is named on the page. Items that somebody changed since are named, and nothing is changed;
    --skip-changed leaves them as they are and applies the rest. To import a file again changes nothing. What was "not sure", and
    what was only commented on, goes into the queue (nesycd kb queue) with the comment. nesycd kb revert takes all of it back.

    Example:

        nesycd kb import-decisions decisions-quickstart.json --by Ann --dry-run
    """
    from nesycd.knowledge.decisions import apply_decisions, read_decisions

    made = read_decisions(file)
    with changed_base(kb, dry_run=dry_run) as base:
        who = user(by or made.by.strip())
        reason = why or f"decisions of {file.name}"
        done = apply_decisions(base, made, who, reason, skip_changed=skip_changed, dry_run=dry_run)
        print_differences(done.differences, limit)
        for note in done.notes:
            typer.echo(f"note: {plain(note)}")
        if done.skipped:
            ids = " ".join(item[:8] for item in done.skipped)
            typer.echo(f"left as they are, since they changed: {ids}")
        counted = ", ".join(f"{count} {what}" for what, count in done.counts.items() if count) or "nothing"
        same = f"; {done.same} were so already" if done.same else ""
        did = "nothing was changed; would be" if dry_run else "applied"
        typer.echo(f"{did}, by {plain(who)}: {counted}{same}")

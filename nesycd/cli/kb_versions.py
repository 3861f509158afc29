"""`nesycd kb`: the log, named versions, differences, reverting; and what keeps a base sound."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from nesycd.cli.kb_common import (
    By,
    Kb,
    Limit,
    Why,
    Yes,
    changed_base,
    open_base,
    plain,
    print_differences,
    tell_more,
    user,
)
from nesycd.cli.tables import Column, print_table
from nesycd.core.errors import KnowledgeError

REVISION_COLUMNS = (
    Column("revision", right=True),
    Column("at", rank=2),
    Column("by", wraps=True, rank=1),
    Column("what"),
    Column("items", right=True, rank=3),
    Column("why", wraps=True),
)
ITEM_COLUMNS = (
    Column("revision", right=True),
    Column("at", rank=3),
    Column("by", wraps=True, rank=2),
    Column("what"),
    Column("status", rank=1),
    Column("text", wraps=True),
    Column("why", wraps=True, rank=4),
)
VERSION_HELP = "A revision's number, a version's name, or now."


def log(
    item: Annotated[str, typer.Argument(help="Only what happened to this item.", show_default=False)] = "",
    limit: Limit = 50,
    kb: Kb = None,
) -> None:
    """Show who changed what, when and why, newest first; the numbers are those of the revisions.

    Example:

        nesycd kb log; nesycd kb log 3fa9
    """
    with open_base(kb) as base:
        revisions = base.revisions(None if item else limit + 1)
        lines = base.history(item) if item else []
        count = base.revision
    why = {revision.number: revision.why for revision in revisions}
    columns: tuple[Column, ...]
    rows: list[tuple[str, ...]]
    if item:
        columns, count = ITEM_COLUMNS, len(lines)
        rows = [
            (str(one.revision), one.at[:19], one.actor, one.action, *_state(one), why.get(one.revision, ""))
            for one in reversed(lines[-limit:])
        ]
    else:
        columns = REVISION_COLUMNS
        rows = [
            (str(one.number), one.at[:19], one.actor, one.action, str(one.entries), _reason(one))
            for one in revisions[:limit]
        ]
    print_table(Console(), columns, [[plain(text, 200) for text in row] for row in rows])
    tell_more(count, limit)


def _state(line: Any) -> tuple[str, str]:
    return str(line.status or "gone"), line.item.text


def _reason(revision: Any) -> str:
    return "".join([*(f"[{name}] " for name in revision.versions), revision.why])


def tag(
    name: Annotated[str, typer.Argument(help="Such as v1 or before-review.", show_default=False)],
    kb: Kb = None,
    by: By = "",
    why: Why = "",
) -> None:
    """Name the base as it is now, for good; `kb diff` and `kb revert --to` take the name."""
    with changed_base(kb) as base:
        revision = base.tag(name, user(by), why)
        typer.echo(f"{name} is revision {revision}, version {base.version}")


def diff(
    before: Annotated[str, typer.Argument(help=VERSION_HELP, show_default=False)],
    after: Annotated[str, typer.Argument(help=VERSION_HELP)] = "now",
    limit: Limit = 50,
    kb: Kb = None,
) -> None:
    """Show what differs between two versions: + new, - gone, ~ changed.

    Example:

        nesycd kb diff v1; nesycd kb diff 12 15
    """
    with open_base(kb) as base:
        found = base.diff(before, after)
    print_differences(found, limit)
    if not found:
        typer.echo(f"{plain(before)} and {plain(after)} are alike")


def revert(
    revision: Annotated[
        int | None, typer.Argument(help="What this revision did is taken back.", show_default=False)
    ] = None,
    to: Annotated[str, typer.Option("--to", help="Go back to this version: a revision's number or a name.")] = "",
    kb: Kb = None,
    by: By = "",
    why: Why = "",
) -> None:
    """Take back one revision, or go back to a version, by a new revision: nothing is lost, and this can be reverted too.

    Example:

        nesycd kb revert 12 --why "the book says 6 feet"

        nesycd kb revert --to v1
    """
    if (revision is None) == (not to):
        raise KnowledgeError("say which revision to take back, or which version to go back --to")
    with changed_base(kb) as base:
        count = base.revert(revision, user(by), why) if revision is not None else base.revert_to(to, user(by), why)
        typer.echo(f"{count} items changed by revision {base.revision}" if count else "nothing to change")


def verify(kb: Kb = None) -> None:
    """Check that the file is sound and that the history accounts for every item; exits with 1 where not."""
    with open_base(kb) as base:
        problems = base.problems()
        count = base.revision
    for problem in problems:
        typer.echo(plain(problem))
    if problems:
        raise typer.Exit(1)
    typer.echo(f"sound: every item is what {count} revisions made of it")


def migrate(yes: Yes = False, kb: Kb = None) -> None:
    """Bring a base of an older nesycd up to date.

    A file needs no such command: it is backed up next to itself and brought up to date when it is opened. A database on a
    server is only changed by this, and its backup is yours to make (pg_dump); --yes says that there is one.
    """
    with open_base(kb, is_backed_up=yes) as base:
        typer.echo(f"{base.place} is up to date")

"""What the commands of `nesycd kb` share: options, opening a base, and showing texts that come from anywhere."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from nesycd.cli.tables import Column, print_table
from nesycd.core.errors import KnowledgeError

Kb = Annotated[
    str | None,
    typer.Option(
        "--kb", envvar="NESYCD_KB", help="A kb.sqlite, or a database's URL; the newest run's base if not given."
    ),
]
ItemId = Annotated[str, typer.Argument(help="An item's id, or its first characters (4 at least).", show_default=False)]
Items = Annotated[list[str], typer.Argument(help="Their ids, or first characters (4 at least).", show_default=False)]
By = Annotated[str, typer.Option("--by", help="Who decides; your user name if not given.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the log.")]
Kind = Annotated[str | None, typer.Option("--kind", help="lesson, fact or rule.")]
State = Annotated[str | None, typer.Option("--status", help="proposed, approved, rejected or retired.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many to show at most.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Agree to what is otherwise refused; see above.")]
RunName = Annotated[str, typer.Option("--run", help="A run's name, or its folder.", show_default=False)]
Root = Annotated[Path, typer.Option("--root", help="The folder with the runs.")]

ENTRY_COLUMNS = (
    Column("id"),
    Column("kind", rank=1),
    Column("status", rank=2),
    Column("by", rank=3, wraps=True),
    Column("evidence", right=True, rank=4),
    Column("text", wraps=True, least=30),
)
WHY_COLUMN = Column("waits for review, since", wraps=True, least=30, rank=5)
MOST_SHOWN = 300
"""Characters of a text in a listing."""


def open_base(
    place: str | None, run: str = "", root: Path = Path("runs"), *, is_backed_up: bool = False, create: bool = False
) -> Any:
    """The base given, else that of the run given, else of the newest run; it must exist. Approved rules must pass their tests."""
    from nesycd.knowledge import KnowledgeBase
    from nesycd.rules import Engine, RuleGate
    from nesycd.runs.folders import find_run, newest_run

    found: str | Path | None = place
    if found is None:
        found = (find_run(root, run) if run else newest_run(root, "kb.sqlite")) / "kb.sqlite"
    return KnowledgeBase.open(
        found,
        create=create,
        is_backed_up=is_backed_up,
        notify=lambda told: typer.echo(told, err=True),
        gate=RuleGate(Engine()),
    )


@contextmanager
def changed_base(place: str | None, *, create: bool = False, dry_run: bool = False) -> Iterator[Any]:
    """`open_base` for a command that changes the base, which says at the end which base that was.

    With `create` a base is begun where the one given does not exist; with `dry_run` nothing is made, and nothing said.
    """
    from nesycd.core.errors import RunError
    from nesycd.knowledge import FORMATS
    from nesycd.knowledge.urls import is_url

    path = None if place is None or is_url(place) else Path(place)
    is_new = create and path is not None and not path.exists()
    if is_new and path and any(path.suffix.lower() in form.suffixes for form in FORMATS.values()):
        raise KnowledgeError(f"--kb {path}: a base is a database such as kb.sqlite, not a file to import or export")
    try:
        base = open_base(":memory:" if is_new and dry_run else place, create=create and (is_new or not dry_run))
    except RunError as error:
        raise KnowledgeError(f"{error}, or give a base: --kb kb.sqlite{' (new or not)' if create else ''}") from None
    unused = False
    try:
        with base:
            try:
                yield base
            finally:
                revision = base.revision
                unused = is_new and not revision
    finally:
        if unused:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
    if not dry_run and not unused:
        typer.echo(f"{'began' if is_new else 'in'} {plain(base.place)}, now at revision {revision}")


def user(by: str) -> str:
    """Who acts.

    Raises:
        KnowledgeError: not given, and this account has no name (as in some containers).
    """
    try:
        return by or getpass.getuser()
    except (KeyError, OSError):
        raise KnowledgeError("this account has no user name: say who acts by --by NAME") from None


def status_of(name: str | None) -> Any:
    """A status given on the command line."""
    from nesycd.core.records import Status

    try:
        return None if name is None else Status(name)
    except ValueError:
        raise KnowledgeError(f"--status {name}: use proposed, approved, rejected or retired") from None


def kind_of(name: str | None) -> str | None:
    """A kind given on the command line."""
    from nesycd.core.config import KINDS

    if name is not None and name not in KINDS:
        raise KnowledgeError(f"--kind {name}: use {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    return name


def plain(text: str, most: int = 0) -> str:
    """A text as a terminal may get it, cut to `most` characters where that is given."""
    from nesycd.core.text import printable

    return printable(text if not most or len(text) <= most else f"{text[:most]}… ({len(text):,} characters)")


def shown(text: str, most: int = 0) -> str:
    """`plain`, for rich: what looks like markup stays text."""
    return escape(plain(text, most))


def print_entries(entries: list[Any], limit: int, reasons: Mapping[str, Sequence[str]]) -> None:
    """A table of entries, as many as `limit`; `reasons`: why they wait for review, by item id."""
    rows, waits = [], False
    for entry in entries[:limit]:
        columns = [entry.item_id[:8], entry.item.kind, str(entry.status), entry.reviewer, str(len(entry.evidence))]
        why = "; ".join(reasons.get(entry.item_id, ()))
        waits = waits or bool(why)
        rows.append([plain(text, MOST_SHOWN) for text in (*columns, entry.item.text, why)])
    shown_columns = (*ENTRY_COLUMNS, WHY_COLUMN) if waits else ENTRY_COLUMNS
    rows = [row[: len(shown_columns)] for row in rows]
    print_table(Console(), shown_columns, rows, elsewhere="nesycd kb show ID")
    tell_more(len(entries), limit)


def print_differences(found: list[Any], limit: int) -> None:
    """What differs between two states, a line for each entry."""
    for one in found[:limit]:
        entry = one.entry
        typer.echo(
            f"{one.sign} {entry.item_id[:8]} {entry.item.kind} {entry.status}: {plain(entry.item.text, MOST_SHOWN)}"
        )
        for key, (old, new) in one.changes.items():
            if key == "evidence":
                told = [f"-{_evidence(e)}" for e in old] + [f"+{_evidence(e)}" for e in new]
                typer.echo(f"    evidence: {plain(', '.join(told), MOST_SHOWN)}")
            else:
                typer.echo(f"    {key}: {plain(_value(old), MOST_SHOWN)} -> {plain(_value(new), MOST_SHOWN)}")
    tell_more(len(found), limit)


def tell_more(count: int, limit: int) -> None:
    """Say how much a listing leaves out."""
    if count > limit:
        typer.echo(f"{count - limit} more; show them by --limit {count}")


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "none" if value in (None, "") else str(value)


def _evidence(piece: Any) -> str:
    return " ".join(part for part in (piece.source, piece.example, piece.attempt) if part)

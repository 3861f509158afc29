"""`nesycd kb`: reading, editing, reviewing and exchanging a knowledge base."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nesycd.cli import kb_graph
from nesycd.errors import KnowledgeError

kb_app = typer.Typer(no_args_is_help=True)

Kb = Annotated[Path | None, typer.Option("--kb", help="A kb.sqlite; that of the newest run if not given.")]
ItemId = Annotated[str, typer.Argument(help="An item's id, or its first characters (4 at least).", show_default=False)]
By = Annotated[str, typer.Option("--by", help="Who decides; your user name if not given.")]
Kind = Annotated[str | None, typer.Option("--kind", help="lesson, fact or rule.")]
State = Annotated[str | None, typer.Option("--status", help="proposed, approved, rejected or retired.")]


@kb_app.callback()
def kb() -> None:
    """Read, edit, review and exchange a knowledge base.

    A run with knowledge.review = "human" stops where its items wait: list them, approve or reject them, run again.
    After an edit, run the recipe again: what depends on the base is redone, nothing else.

    Examples:

        nesycd kb list --status proposed

        nesycd kb edit 3fa9 --text "A fathom is 6 feet." --object "6 feet"

        nesycd kb reject 3fa9 81c0 --by Ann

        nesycd kb graph fathom --hops 2

        nesycd kb export kb.yaml; nesycd kb import kb.yaml --kb other.sqlite
    """


def open_kb(path: Path | None) -> Any:
    """The KB at a path, that of the newest run where none is given."""
    from nesycd.knowledge import KnowledgeBase
    from nesycd.run_folders import newest_run

    found = path if path is not None else newest_run(Path("runs"), "kb.sqlite") / "kb.sqlite"
    return KnowledgeBase.open(found, create=False)


def _status(name: str | None) -> Any:
    from nesycd.records import Status

    try:
        return None if name is None else Status(name)
    except ValueError:
        raise KnowledgeError(f"--status {name}: use proposed, approved, rejected or retired") from None


def _shown(text: str) -> str:
    from nesycd.knowledge import printable

    return escape(printable(text))


def _print_entries(entries: list[Any], limit: int) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "kind", "status", "by", "evidence", "text"):
        table.add_column(heading, justify="right" if heading == "evidence" else "left", no_wrap=heading != "text")
    for entry in entries[:limit]:
        columns = [entry.item_id[:8], entry.item.kind, str(entry.status), entry.reviewer, str(len(entry.evidence))]
        table.add_row(*map(_shown, columns), _shown(entry.item.text))
    Console().print(table)
    if len(entries) > limit:
        typer.echo(f"{len(entries) - limit} more; show them by --limit {len(entries)}")


@kb_app.command("list")
def list_entries(
    kb: Kb = None, status: State = None, kind: Kind = None, limit: Annotated[int, typer.Option(min=1)] = 50
) -> None:
    """List items."""
    with open_kb(kb) as base:
        _print_entries(base.entries(status=_status(status), kind=kind), limit)


@kb_app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="All of them must occur.", show_default=False)],
    kb: Kb = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
) -> None:
    """List the items that contain all the words given, in text or triple: nesycd kb search fathom feet."""
    with open_kb(kb) as base:
        _print_entries(base.entries(search=" ".join(words)), limit)


@kb_app.command()
def show(item: ItemId, kb: Kb = None) -> None:
    """Show one item with its evidence and history."""
    with open_kb(kb) as base:
        entry = base.get(item)
        history = base.history(entry.item_id)
    console = Console()
    for key, value in entry.item.model_dump(mode="json").items():
        if value:
            console.print(
                f"[bold]{key:10}[/bold] {_shown(', '.join(value) if isinstance(value, list) else str(value))}"
            )
    console.print(f"[bold]status    [/bold] {entry.status} {_shown(entry.reviewer)}")
    for evidence in entry.evidence:
        console.print(f"[bold]evidence  [/bold] {_shown(f'{evidence.example} {evidence.attempt} ({evidence.source})')}")
    for revision in history:
        console.print(f"[bold]history   [/bold] {_shown(f'{revision.at} {revision.actor}: {revision.action}')}")


@kb_app.command()
def stats(kb: Kb = None) -> None:
    """Count the items by kind, status and source."""
    from nesycd.knowledge import printable

    with open_kb(kb) as base:
        for key, value in base.stats().items():
            shown = ", ".join(f"{name} {count}" for name, count in value.items()) if isinstance(value, dict) else value
            typer.echo(f"{key}: {printable(str(shown))}")
        typer.echo(f"version: {base.version}")


@kb_app.command()
def add(
    text: Annotated[str, typer.Argument(help="The item's text.", show_default=False)],
    kind: Annotated[str, typer.Option("--kind", help="lesson, fact or rule.")] = "lesson",
    subject: Annotated[str, typer.Option(help="Of a fact: what it is about.")] = "",
    relation: Annotated[str, typer.Option(help="Of a fact: which property.")] = "",
    object_: Annotated[str, typer.Option("--object", help="Of a fact: its value.")] = "",
    alias: Annotated[list[str] | None, typer.Option(help="Of a fact: another name of the subject.")] = None,
    clause: Annotated[str | None, typer.Option(help="Of a rule: its Horn clause.")] = None,
    kb: Kb = None,
    by: By = "",
) -> None:
    """Add an item of your own, approved by you.

    Examples:

        nesycd kb add "Count each kind before you add." --kind lesson

        nesycd kb add "A fathom is 6 feet." --kind fact --subject fathom --relation length --object "6 feet"
    """
    from pydantic import ValidationError

    from nesycd.records import Evidence, Fact, Lesson, Rule, Status

    who = by or getpass.getuser()
    try:
        if kind == "fact":
            made: Any = Fact(text=text, subject=subject, relation=relation, object=object_, aliases=tuple(alias or ()))
        elif kind == "rule":
            made = Rule(text=text, clause=clause)
        elif kind == "lesson":
            made = Lesson(text=text)
        else:
            raise KnowledgeError(f"--kind {kind}: use lesson, fact or rule")
    except ValidationError as error:
        first = error.errors()[0]
        raise KnowledgeError(
            f"{first['loc'][0]}: {first['msg']} (a fact needs --subject, --relation, --object)"
        ) from None
    with open_kb(kb) as base:
        base.add([(made, Evidence(example="", source=who))], status=Status.APPROVED, reviewer=who)
        entry = base.get(made.id)
    typer.echo(f"added {entry.item_id[:8]}")
    if entry.status is not Status.APPROVED:
        typer.echo(f"it was there already, {entry.status}; to change that: nesycd kb approve {entry.item_id[:8]}")


@kb_app.command()
def edit(
    item: ItemId,
    text: Annotated[str | None, typer.Option(help="New text.")] = None,
    subject: Annotated[str | None, typer.Option(help="New subject of a fact.")] = None,
    relation: Annotated[str | None, typer.Option(help="New relation of a fact.")] = None,
    object_: Annotated[str | None, typer.Option("--object", help="New value of a fact.")] = None,
    alias: Annotated[list[str] | None, typer.Option(help="New names of a fact's subject, instead of the old.")] = None,
    clause: Annotated[str | None, typer.Option(help="New clause of a rule.")] = None,
    kb: Kb = None,
    by: By = "",
) -> None:
    """Change an item; the old content stays in its history.

    The student reads a fact's text, the graph its subject, relation and object: change both together.
    """
    from nesycd.knowledge import printable

    given: dict[str, Any] = {
        "text": text,
        "subject": subject,
        "relation": relation,
        "object": object_,
        "clause": clause,
    }
    given |= {"aliases": tuple(alias) if alias else None}
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise KnowledgeError("nothing to change was given; see: nesycd kb edit --help")
    with open_kb(kb) as base:
        entry = base.edit(item, changes, by or getpass.getuser())
    typer.echo(f"{entry.item_id[:8]} now reads: {printable(entry.item.text)}")
    if object_ is not None and object_.casefold() not in entry.item.text.casefold():
        typer.echo("note: the text does not say the new object; the student reads only the text (--text)", err=True)


@kb_app.command()
def approve(items: list[str], kb: Kb = None, by: By = "") -> None:
    """Approve items: from the next run on they are retrieved. `all` stands for everything that is proposed."""
    with open_kb(kb) as base:
        if items == ["all"]:
            typer.echo(f"approved {base.approve_all(by or getpass.getuser())}")
            return
        for item in items:
            typer.echo(f"approved {base.approve(item, by or getpass.getuser()).item_id[:8]}")


@kb_app.command()
def reject(items: list[str], kb: Kb = None, by: By = "") -> None:
    """Reject items: they are kept, but never retrieved."""
    with open_kb(kb) as base:
        for item in items:
            typer.echo(f"rejected {base.reject(item, by or getpass.getuser()).item_id[:8]}")


@kb_app.command()
def retire(items: list[str], kb: Kb = None, by: By = "") -> None:
    """Retire items that were good once: they are kept, but no longer retrieved."""
    with open_kb(kb) as base:
        for item in items:
            typer.echo(f"retired {base.retire(item, by or getpass.getuser()).item_id[:8]}")


@kb_app.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(help="Where to; - for standard output.", show_default=False)], kb: Kb = None
) -> None:
    """Write the whole base as readable YAML: sorted, the same text for the same content."""
    from nesycd.knowledge import export_text, export_yaml

    with open_kb(kb) as base:
        if str(file) == "-":
            typer.echo(export_text(base), nl=False)
            return
        export_yaml(base, file)
    typer.echo(f"wrote {file}")


@kb_app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="YAML as export writes it, or by hand.", show_default=False)],
    approve_them: Annotated[
        bool, typer.Option("--approve", help="Approve the items whose status the file does not give.")
    ] = False,
    kb: Kb = None,
    by: By = "",
) -> None:
    """Add the items of a YAML file, all or none; equal ones merge.

    A file by hand needs only what an item consists of:

        - {kind: lesson, text: Count each kind before you add.}

        - {kind: fact, text: A fathom is 6 feet., subject: fathom, relation: length, object: 6 feet}

    Content changed under the id of an exported item is an edit of that item; a status given in the file holds.
    """
    from nesycd.knowledge import import_yaml
    from nesycd.records import Status

    status = Status.APPROVED if approve_them else Status.PROPOSED
    who = by or getpass.getuser()
    with open_kb(kb) as base:
        counts = import_yaml(base, file, status=status, reviewer=who)
    typer.echo(f"imported from {file}: {counts.added} new, {counts.merged} changed, {counts.unchanged} as they were")


kb_graph.add_to(kb_app)

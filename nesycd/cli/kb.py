"""`nesycd kb`: reading, editing, reviewing and exchanging a knowledge base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nesycd.cli import kb_evidence, kb_exchange, kb_graph, kb_lint, kb_refused, kb_rules, kb_test, kb_versions
from nesycd.cli.effect import effect
from nesycd.cli.kb_common import (
    MOST_SHOWN,
    By,
    ItemId,
    Kb,
    Kind,
    Limit,
    State,
    Why,
    changed_base,
    kind_of,
    open_base,
    plain,
    print_entries,
    shown,
    status_of,
    user,
)
from nesycd.cli.kb_rules import RuleTests, tests_of
from nesycd.core.errors import KnowledgeError, RunError

kb_app = typer.Typer(no_args_is_help=True)
kb_app.command("effect")(effect)
kb_app.command("lint")(kb_lint.lint)
kb_app.command("queue")(kb_lint.queue)
kb_app.command("test")(kb_test.test)
kb_app.command("refused")(kb_refused.refused)


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

        nesycd kb log; nesycd kb diff v1; nesycd kb revert 12

        nesycd kb export kb.yaml; nesycd kb import kb.yaml --kb other.sqlite

    A base may also lie in PostgreSQL: --kb postgresql+psycopg://USER@HOST/NAME, or NESYCD_KB in the environment.
    """


@kb_app.command("list")
def list_entries(kb: Kb = None, status: State = None, kind: Kind = None, limit: Limit = 50) -> None:
    """List items."""
    with open_base(kb) as base:
        print_entries(base.entries(status=status_of(status), kind=kind_of(kind)), limit)


@kb_app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="All of them must occur.", show_default=False)],
    kb: Kb = None,
    limit: Limit = 50,
) -> None:
    """List the items that contain all the words given, in text or triple: nesycd kb search fathom feet."""
    with open_base(kb) as base:
        print_entries(base.entries(search=" ".join(words)), limit)


@kb_app.command()
def show(
    item: ItemId,
    kb: Kb = None,
    run: Annotated[str, typer.Option("--run", help="A run's name or folder, where the base lies in none.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Pieces of evidence to show in full.")] = 3,
) -> None:
    """Show one item with its evidence (question, the student's wrong answer, what the teacher said of it) and history."""
    with open_base(kb) as base:
        entry, place = base.get(item), base.place
        history = base.history(entry.item_id)
    console = Console()
    for key, value in entry.item.model_dump(mode="json").items():
        for one in value if key in ("exceptions", "tests") else [value] if value else []:
            told = "; ".join(f"{k}: {v}" for k, v in one.items() if v) if isinstance(one, dict) else one
            console.print(f"[bold]{key:10}[/bold] {shown(', '.join(told) if isinstance(told, list) else str(told))}")
    console.print(f"[bold]status    [/bold] {entry.status} {shown(entry.reviewer)}")
    _show_evidence(console, entry.evidence, kb_evidence.folder_of(place, run), limit)
    for line in history:
        told = f"{line.at} {line.actor}: {line.action} (revision {line.revision})"
        console.print(f"[bold]history   [/bold] {shown(told)}")


def _show_evidence(console: Console, evidence: Sequence[Any], folder: Path | None, limit: int) -> None:
    asked = [piece for piece in evidence if piece.example]
    try:
        told_of = kb_evidence.behind(folder) if folder is not None and asked else None
    except RunError as error:
        told_of = None
        typer.echo(f"note: what stands behind the evidence cannot be read: {plain(str(error))}", err=True)
    for number, piece in enumerate(evidence):
        console.print(f"[bold]evidence  [/bold] {shown(f'{piece.example} {piece.attempt} ({piece.source})')}")
        for what, said in told_of(piece) if told_of and number < limit else ():
            console.print(f"  [bold]{what:8}[/bold] {shown(said)}", highlight=False)
    if asked and folder is None:
        typer.echo("note: the questions and answers are in the run's folder; name it by --run")
    elif told_of and len(evidence) > limit:
        typer.echo(f"note: show the questions and answers of all evidence by --limit {len(evidence)}")


@kb_app.command()
def stats(kb: Kb = None) -> None:
    """Count the items by kind, status and source."""
    with open_base(kb) as base:
        for key, value in base.stats().items():
            told = ", ".join(f"{name} {count}" for name, count in value.items()) if isinstance(value, dict) else value
            typer.echo(f"{key}: {plain(str(told))}")
        typer.echo(f"version: {base.version} (revision {base.revision})")


@kb_app.command()
def add(
    text: Annotated[str, typer.Argument(help="The item's text.", show_default=False)],
    kind: Annotated[str, typer.Option("--kind", help="lesson, fact or rule.")] = "lesson",
    subject: Annotated[str, typer.Option(help="Of a fact: what it is about.")] = "",
    relation: Annotated[str, typer.Option(help="Of a fact: which property.")] = "",
    object_: Annotated[str, typer.Option("--object", help="Of a fact: its value.")] = "",
    alias: Annotated[list[str] | None, typer.Option(help="Of a fact: another name of the subject.")] = None,
    clause: Annotated[str | None, typer.Option(help="Of a rule: its Horn clauses.")] = None,
    says: Annotated[str, typer.Option(help="Of a rule: its conclusion as 'subject | relation | object'.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="Of a rule: a task it runs for.")] = None,
    exception: Annotated[list[str] | None, typer.Option(help="Of a rule: when it does not hold.")] = None,
    test: RuleTests = None,
    kb: Kb = None,
    by: By = "",
    why: Why = "",
) -> None:
    """Add an item of your own, approved by you; a base that is not there yet is begun.

    Examples:

        nesycd kb add "Count each kind before you add." --kind lesson

        nesycd kb add "A fathom is 6 feet." --kind fact --subject fathom --relation length --object "6 feet"

        nesycd kb add "A father's father is a grandfather." --kind rule
        --clause "grandfather(X, Z) :- father(X, Y), father(Y, Z)."
        --test "father(a, b). father(b, c). => grandfather(a, c)."
    """
    from pydantic import ValidationError

    from nesycd.core.records import Evidence, Fact, Lesson, Rule, Status

    who = user(by)
    if not text.strip():
        raise KnowledgeError("the item's text is empty")
    try:
        if kind == "fact":
            made: Any = Fact(text=text, subject=subject, relation=relation, object=object_, aliases=tuple(alias or ()))
        elif kind == "rule":
            made = Rule(
                text=text,
                clause=clause,
                says=says,
                scope=tuple(scope or ()),
                exceptions=tuple(exception or ()),
                tests=tests_of(test) or (),
            )
        elif kind == "lesson":
            made = Lesson(text=text)
        else:
            raise KnowledgeError(f"--kind {kind}: use lesson, fact or rule")
    except ValidationError as error:
        first = error.errors()[0]
        raise KnowledgeError(
            f"{first['loc'][0]}: {first['msg']} (a fact needs --subject, --relation, --object)"
        ) from None
    with changed_base(kb, create=True) as base:
        base.add([(made, Evidence(example="", source=who))], status=Status.APPROVED, reviewer=who, why=why)
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
    clause: Annotated[str | None, typer.Option(help="New clauses of a rule.")] = None,
    says: Annotated[str | None, typer.Option(help="New reading of a rule's conclusion.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="New tasks of a rule, instead of the old.")] = None,
    exception: Annotated[list[str] | None, typer.Option(help="New exceptions of a rule, instead of the old.")] = None,
    test: RuleTests = None,
    text_only: Annotated[
        bool, typer.Option("--text-only", help="The text may say another thing than the triple, which stays.")
    ] = False,
    kb: Kb = None,
    by: By = "",
    why: Why = "",
) -> None:
    """Change an item; the old content stays in its history.

    The student reads a fact's text, look-ups and the graph its subject, relation and object: change both together. A text that
    does not say the object is refused where the triple is to stay, unless --text-only says that it is meant.
    """
    given: dict[str, Any] = {
        "text": text,
        "subject": subject,
        "relation": relation,
        "object": object_,
        "clause": clause,
    }
    given |= {"aliases": tuple(alias) if alias else None, "says": says, "tests": tests_of(test)}
    given |= {"scope": tuple(scope) if scope else None, "exceptions": tuple(exception) if exception else None}
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise KnowledgeError("nothing to change was given; see: nesycd kb edit --help")
    with changed_base(kb) as base:
        if text is not None and not text_only and not {"subject", "relation", "object"} & set(changes):
            _refuse_to_leave_behind(base.get(item).item, text)
        entry = base.edit(item, changes, user(by), why)
        typer.echo(f"{entry.item_id[:8]} now reads: {plain(entry.item.text, MOST_SHOWN)}")
        if object_ is not None and object_.casefold() not in entry.item.text.casefold():
            typer.echo("note: the text does not say the new object; the student reads only the text (--text)", err=True)


def _refuse_to_leave_behind(item: Any, text: str) -> None:
    """A fact's new text must say its triple."""
    from nesycd.knowledge.wording import left_behind

    if parts := left_behind(item, item.model_copy(update={"text": text})):
        told = plain(" and ".join(f"the {part} {getattr(item, part)!r}" for part in parts))
        options = " and ".join(f"--{part}" for part in parts)
        raise KnowledgeError(
            f"the new text does not say {told}: give {options} too, or --text-only to leave the triple as it is; "
            "nothing was changed"
        )


@kb_app.command()
def approve(items: list[str], kb: Kb = None, by: By = "", why: Why = "") -> None:
    """Approve items: from the next run on they are retrieved. `all` stands for everything that is proposed.

    All are one revision, or nothing is changed: where an id is unknown, a rule's clause cannot run, or a test of it fails.
    """
    if items == ["all"]:
        with changed_base(kb) as base:
            typer.echo(f"approved {base.approve_all(user(by), why)}")
    else:
        _decide(items, "approved", kb, user(by), why)


@kb_app.command()
def reject(items: list[str], kb: Kb = None, by: By = "", why: Why = "") -> None:
    """Reject items: they are kept, but never retrieved. All are one revision; where an id is unknown, nothing is changed."""
    _decide(items, "rejected", kb, user(by), why)


@kb_app.command()
def retire(items: list[str], kb: Kb = None, by: By = "", why: Why = "") -> None:
    """Retire items that were good once: they are kept, but no longer retrieved.

    All are one revision; where an id is unknown, nothing is changed.
    """
    _decide(items, "retired", kb, user(by), why)


def _decide(items: Sequence[str], status: str, kb: str | None, who: str, why: str) -> None:
    """Set the status of items as one revision, and say of which."""
    with changed_base(kb) as base:
        for entry in base.decide(items, status_of(status), who, why):
            typer.echo(f"{status} {entry.item_id[:8]}")


# After the commands above, so that the help lists reading and review first.
kb_app.add_typer(kb_versions.app)
kb_app.add_typer(kb_exchange.app)
kb_app.add_typer(kb_rules.app)


kb_graph.add_to(kb_app)

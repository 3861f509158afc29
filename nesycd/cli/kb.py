"""`nesycd kb`: reading, editing, reviewing and exchanging a knowledge base."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from nesycd.cli import kb_exchange, kb_graph, kb_lint, kb_refused, kb_rules, kb_test, kb_versions
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
    open_base,
    plain,
    print_entries,
    shown,
    status_of,
    user,
)
from nesycd.cli.kb_rules import RuleTests, tests_of
from nesycd.core.errors import KnowledgeError

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
        print_entries(base.entries(status=status_of(status), kind=kind), limit)


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
def show(item: ItemId, kb: Kb = None) -> None:
    """Show one item with its evidence and history."""
    with open_base(kb) as base:
        entry = base.get(item)
        history = base.history(entry.item_id)
    console = Console()
    for key, value in entry.item.model_dump(mode="json").items():
        for one in value if key in ("exceptions", "tests") else [value] if value else []:
            told = "; ".join(f"{k}: {v}" for k, v in one.items() if v) if isinstance(one, dict) else one
            console.print(f"[bold]{key:10}[/bold] {shown(', '.join(told) if isinstance(told, list) else str(told))}")
    console.print(f"[bold]status    [/bold] {entry.status} {shown(entry.reviewer)}")
    for evidence in entry.evidence:
        console.print(f"[bold]evidence  [/bold] {shown(f'{evidence.example} {evidence.attempt} ({evidence.source})')}")
    for line in history:
        told = f"{line.at} {line.actor}: {line.action} (revision {line.revision})"
        console.print(f"[bold]history   [/bold] {shown(told)}")


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
    """Add an item of your own, approved by you.

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
    with open_base(kb) as base:
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
    kb: Kb = None,
    by: By = "",
    why: Why = "",
) -> None:
    """Change an item; the old content stays in its history.

    The student reads a fact's text, the graph its subject, relation and object: change both together.
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
    with open_base(kb) as base:
        entry = base.edit(item, changes, user(by), why)
    typer.echo(f"{entry.item_id[:8]} now reads: {plain(entry.item.text, MOST_SHOWN)}")
    if object_ is not None and object_.casefold() not in entry.item.text.casefold():
        typer.echo("note: the text does not say the new object; the student reads only the text (--text)", err=True)


@kb_app.command()
def approve(items: list[str], kb: Kb = None, by: By = "", why: Why = "") -> None:
    """Approve items: from the next run on they are retrieved. `all` stands for everything that is proposed.

    A rule whose clause cannot run, or with a test that fails, is not approved: nothing of the call then is.
    """
    with open_base(kb) as base:
        if items == ["all"]:
            typer.echo(f"approved {base.approve_all(user(by), why)}")
            return
        for entry in base.approve_these(items, user(by), why):
            typer.echo(f"approved {entry.item_id[:8]}")


@kb_app.command()
def reject(items: list[str], kb: Kb = None, by: By = "", why: Why = "") -> None:
    """Reject items: they are kept, but never retrieved."""
    with open_base(kb) as base:
        for item in items:
            typer.echo(f"rejected {base.reject(item, user(by), why).item_id[:8]}")


@kb_app.command()
def retire(items: list[str], kb: Kb = None, by: By = "", why: Why = "") -> None:
    """Retire items that were good once: they are kept, but no longer retrieved."""
    with open_base(kb) as base:
        for item in items:
            typer.echo(f"retired {base.retire(item, user(by), why).item_id[:8]}")


# After the commands above, so that the help lists reading and review first.
kb_app.add_typer(kb_versions.app)
kb_app.add_typer(kb_exchange.app)
kb_app.add_typer(kb_rules.app)


kb_graph.add_to(kb_app)

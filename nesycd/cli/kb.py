"""`nesycd kb`: reading, editing, reviewing and exchanging a knowledge base."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nesycd.errors import KnowledgeError

kb_app = typer.Typer(no_args_is_help=True)

Kb = Annotated[Path | None, typer.Option("--kb", help="A kb.sqlite; that of the newest run if not given.")]
ItemId = Annotated[str, typer.Argument(help="An item's id, or its first characters (4 at least).", show_default=False)]
By = Annotated[str, typer.Option("--by", help="Who decides; your user name if not given.")]
Kind = Annotated[str | None, typer.Option("--kind", help="lesson, fact or rule.")]
RuleTests = Annotated[
    list[str] | None,
    typer.Option("--test", help="Of a rule: 'GIVEN => EXPECTED', or 'GIVEN =/> UNEXPECTED', facts on both sides."),
]
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

        nesycd kb export kb.yaml; nesycd kb import kb.yaml --kb other.sqlite
    """


def _open(path: Path | None) -> Any:
    from nesycd.knowledge import Engine, KnowledgeBase, RuleGate
    from nesycd.run_folders import newest_run

    found = path if path is not None else newest_run(Path("runs"), "kb.sqlite") / "kb.sqlite"
    return KnowledgeBase.open(found, create=False, gate=RuleGate(Engine()))


def _tests(given: list[str] | None) -> tuple[Any, ...] | None:
    from nesycd.records import RuleTest

    if not given:
        return None
    made = []
    for text in given:
        for sign, field in (("=>", "expect"), ("=/>", "expect_not")):
            before, found, after = text.partition(sign)
            if found:
                made.append(RuleTest.model_validate({"given": before.strip(), field: after.strip()}))
                break
        else:
            raise KnowledgeError(f"--test {text}: write it as 'father(a, b). => parent(a, b).'")
    return tuple(made)


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
    with _open(kb) as base:
        _print_entries(base.entries(status=_status(status), kind=kind), limit)


@kb_app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="All of them must occur.", show_default=False)],
    kb: Kb = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
) -> None:
    """List the items that contain all the words given, in text or triple: nesycd kb search fathom feet."""
    with _open(kb) as base:
        _print_entries(base.entries(search=" ".join(words)), limit)


@kb_app.command()
def show(item: ItemId, kb: Kb = None) -> None:
    """Show one item with its evidence and history."""
    with _open(kb) as base:
        entry = base.get(item)
        history = base.history(entry.item_id)
    console = Console()
    for key, value in entry.item.model_dump(mode="json").items():
        for one in value if key in ("exceptions", "tests") else [value] if value else []:
            told = "; ".join(f"{k}: {v}" for k, v in one.items() if v) if isinstance(one, dict) else one
            console.print(f"[bold]{key:10}[/bold] {_shown(', '.join(told) if isinstance(told, list) else str(told))}")
    console.print(f"[bold]status    [/bold] {entry.status} {_shown(entry.reviewer)}")
    for evidence in entry.evidence:
        console.print(f"[bold]evidence  [/bold] {_shown(f'{evidence.example} {evidence.attempt} ({evidence.source})')}")
    for revision in history:
        console.print(f"[bold]history   [/bold] {_shown(f'{revision.at} {revision.actor}: {revision.action}')}")


@kb_app.command()
def stats(kb: Kb = None) -> None:
    """Count the items by kind, status and source."""
    from nesycd.knowledge import printable

    with _open(kb) as base:
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
    clause: Annotated[str | None, typer.Option(help="Of a rule: its Horn clauses.")] = None,
    says: Annotated[str, typer.Option(help="Of a rule: its conclusion as 'subject | relation | object'.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="Of a rule: a task it runs for.")] = None,
    exception: Annotated[list[str] | None, typer.Option(help="Of a rule: when it does not hold.")] = None,
    test: RuleTests = None,
    kb: Kb = None,
    by: By = "",
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

    from nesycd.records import Evidence, Fact, Lesson, Rule, Status

    who = by or getpass.getuser()
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
                tests=_tests(test) or (),
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
    with _open(kb) as base:
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
    clause: Annotated[str | None, typer.Option(help="New clauses of a rule.")] = None,
    says: Annotated[str | None, typer.Option(help="New reading of a rule's conclusion.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="New tasks of a rule, instead of the old.")] = None,
    exception: Annotated[list[str] | None, typer.Option(help="New exceptions of a rule, instead of the old.")] = None,
    test: RuleTests = None,
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
    given |= {"aliases": tuple(alias) if alias else None, "says": says, "tests": _tests(test)}
    given |= {"scope": tuple(scope) if scope else None, "exceptions": tuple(exception) if exception else None}
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise KnowledgeError("nothing to change was given; see: nesycd kb edit --help")
    with _open(kb) as base:
        entry = base.edit(item, changes, by or getpass.getuser())
    typer.echo(f"{entry.item_id[:8]} now reads: {printable(entry.item.text)}")
    if object_ is not None and object_.casefold() not in entry.item.text.casefold():
        typer.echo("note: the text does not say the new object; the student reads only the text (--text)", err=True)


@kb_app.command()
def approve(items: list[str], kb: Kb = None, by: By = "") -> None:
    """Approve items: from the next run on they are retrieved. `all` stands for everything that is proposed.

    A rule whose clause cannot run, or with a test that fails, is not approved: nothing of the call then is.
    """
    with _open(kb) as base:
        if items == ["all"]:
            typer.echo(f"approved {base.approve_all(by or getpass.getuser())}")
            return
        for entry in base.approve_these(items, by or getpass.getuser()):
            typer.echo(f"approved {entry.item_id[:8]}")


@kb_app.command()
def reject(items: list[str], kb: Kb = None, by: By = "") -> None:
    """Reject items: they are kept, but never retrieved."""
    with _open(kb) as base:
        for item in items:
            typer.echo(f"rejected {base.reject(item, by or getpass.getuser()).item_id[:8]}")


@kb_app.command()
def retire(items: list[str], kb: Kb = None, by: By = "") -> None:
    """Retire items that were good once: they are kept, but no longer retrieved."""
    with _open(kb) as base:
        for item in items:
            typer.echo(f"retired {base.retire(item, by or getpass.getuser()).item_id[:8]}")


@kb_app.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(help="Where to; - for standard output.", show_default=False)], kb: Kb = None
) -> None:
    """Write the whole base as readable YAML: sorted, the same text for the same content."""
    from nesycd.knowledge import export_text, export_yaml

    with _open(kb) as base:
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
    with _open(kb) as base:
        counts = import_yaml(base, file, status=status, reviewer=who)
    typer.echo(f"imported from {file}: {counts.added} new, {counts.merged} changed, {counts.unchanged} as they were")


@kb_app.command("test-rules")
def test_rules(kb: Kb = None, state: State = "approved") -> None:
    """Check all rules with clauses and run their tests; ends with 1 where one fails.

    In a test nothing is known but what it gives; all rules of the same status run in it. See docs/rules.md.
    """
    from nesycd.knowledge import Engine, failures, printable
    from nesycd.knowledge.clauses import predicate_of
    from nesycd.records import Fact, Rule

    with _open(kb) as base:
        entries = base.entries(status=_status(state))
    rules = [
        entry.item for entry in entries if isinstance(entry.item, Rule) and (entry.item.clause or entry.item.tests)
    ]
    relations = {predicate_of(entry.item.relation) for entry in entries if isinstance(entry.item, Fact)}
    with Engine() as engine:
        found = failures(rules, engine, relations)
    for failure in found:
        typer.echo(printable(f"failed: {failure}", keep_lines=True))
    typer.echo(f"{len(rules)} rules, {sum(len(rule.tests) for rule in rules)} tests, {len(found)} failed")
    if found:
        raise typer.Exit(1)


@kb_app.command()
def derive(
    question: Annotated[str, typer.Argument(help="The question, in quotes.", show_default=False)],
    kb: Kb = None,
    task: Annotated[str, typer.Option(help="The question's task, for rules with a scope.")] = "",
    limit: Annotated[int, typer.Option(min=1)] = 10,
) -> None:
    """Show what the rules derive from the facts that a question is linked to, with proofs; what it asks for comes first.

    Example:

        nesycd kb derive "Who was the father of Edward III's mother?"
    """
    from nesycd.knowledge import Engine, printable
    from nesycd.records import Status
    from nesycd.retrieval import Reasoner

    with _open(kb) as base, Engine() as engine:
        reasoner = Reasoner(base.entries(status=Status.APPROVED), engine)
        found = reasoner.derive(question, task=task)
    for item_id, why in reasoner.faults.items():
        typer.echo(printable(f"note: rule {item_id[:8]} cannot run: {why}", keep_lines=True), err=True)
    for one in found[:limit]:
        console = Console()
        console.print(f"[bold]{_shown(one.derived.fact.text)}[/bold]{'  (asked for)' if one.asked else ''}")
        for line in one.derived.told:
            console.print(f"    {_shown(line)}", highlight=False)
    if not found:
        typer.echo("nothing follows")
    elif len(found) > limit:
        typer.echo(f"{len(found) - limit} more; show them by --limit {len(found)}")

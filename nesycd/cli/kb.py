"""`nesycd kb`: reading, editing, reviewing and exchanging a knowledge base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nesycd.cli import (
    kb_documents,
    kb_evidence,
    kb_exchange,
    kb_graph,
    kb_lint,
    kb_refused,
    kb_review_file,
    kb_rules,
    kb_test,
    kb_versions,
    kb_what_if,
)
from nesycd.cli.effect import effect
from nesycd.cli.kb_common import (
    By,
    ItemId,
    Items,
    Kb,
    Kind,
    Limit,
    Root,
    RunName,
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
from nesycd.cli.kb_edit import Aliases, Clause, Exceptions, Object, Relation, Says, Scope, Subject, edit
from nesycd.cli.kb_rules import RuleTests, tests_of
from nesycd.core.errors import KnowledgeError, RunError


def list_entries(kind: Kind = None, status: State = None, limit: Limit = 50, kb: Kb = None) -> None:
    """List items, with the reasons of those that wait for review."""
    from nesycd.knowledge.queue import told_of_waiting

    with open_base(kb) as base:
        print_entries(base.entries(status=status_of(status), kind=kind_of(kind)), limit, told_of_waiting(base))


def search(
    words: Annotated[list[str], typer.Argument(help="All of them must occur.", show_default=False)],
    kind: Kind = None,
    status: State = None,
    limit: Limit = 50,
    kb: Kb = None,
) -> None:
    """List the items that contain all the words given, in text or triple.

    Example:

        nesycd kb search fathom feet --kind fact
    """
    from nesycd.knowledge.queue import told_of_waiting

    with open_base(kb) as base:
        found = base.entries(status=status_of(status), kind=kind_of(kind), search=" ".join(words))
        print_entries(found, limit, told_of_waiting(base))


def show(item: ItemId, limit: Limit = 3, kb: Kb = None, run: RunName = "", root: Root = Path("runs")) -> None:
    """Show one item with its evidence (question, the student's wrong answer, what the teacher said of it) and history.

    Questions and answers are those of the run whose base it is; of a base that lies in no run, --run names it. --limit is of
    the pieces of evidence that are shown in full.
    """
    with open_base(kb, run, root) as base:
        entry, place = base.get(item), base.place
        history = base.history(entry.item_id)
    console = Console()
    for key, value in entry.item.model_dump(mode="json").items():
        for one in value if key in ("exceptions", "tests") else [value] if value else []:
            told = "; ".join(f"{k}: {v}" for k, v in one.items() if v) if isinstance(one, dict) else one
            console.print(f"[bold]{key:10}[/bold] {shown(', '.join(told) if isinstance(told, list) else str(told))}")
    console.print(f"[bold]status    [/bold] {entry.status} {shown(entry.reviewer)}")
    _show_evidence(console, entry, kb_evidence.folder_of(place, run, root), limit)
    for line in history:
        note = f": {line.note}" if line.note else ""
        told = f"{line.at} {line.actor}: {line.action} (revision {line.revision}){note}"
        console.print(f"[bold]history   [/bold] {shown(told)}")


def _show_evidence(console: Console, entry: Any, folder: Path | None, limit: int) -> None:
    evidence = entry.evidence
    asked = [piece for piece in evidence if piece.example]
    told_of, judged = None, []
    try:
        if folder is not None:
            judged = kb_evidence.judged(folder, entry.item_id)
            told_of = kb_evidence.behind(folder) if asked else None
    except RunError as error:
        typer.echo(f"note: what stands behind the evidence cannot be read: {plain(str(error))}", err=True)
    for told in judged:
        console.print(f"[bold]gate      [/bold] {shown(told)}", highlight=False)
    for number, piece in enumerate(evidence):
        console.print(f"[bold]evidence  [/bold] {shown(f'{piece.example} {piece.attempt} ({piece.source})')}")
        for what, said in told_of(piece) if told_of and number < limit else ():
            console.print(f"  [bold]{what:8}[/bold] {shown(said)}", highlight=False)
    if asked and folder is None:
        typer.echo("note: the questions and answers are in the run's folder; name it by --run")
    elif told_of and len(evidence) > limit:
        typer.echo(f"note: show the questions and answers of all evidence by --limit {len(evidence)}")


def stats(kb: Kb = None) -> None:
    """Count the items by kind, status and source."""
    with open_base(kb) as base:
        for key, value in base.stats().items():
            told = ", ".join(f"{name} {count}" for name, count in value.items()) if isinstance(value, dict) else value
            typer.echo(f"{key}: {plain(str(told))}")
        typer.echo(f"version: {base.version} (revision {base.revision})")


def add(
    text: Annotated[str, typer.Argument(help="The item's text.", show_default=False)],
    kind: Kind = "lesson",
    subject: Subject = None,
    relation: Relation = None,
    object_: Object = None,
    alias: Aliases = None,
    clause: Clause = None,
    says: Says = None,
    scope: Scope = None,
    exception: Exceptions = None,
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
            made: Any = Fact(
                text=text,
                subject=subject or "",
                relation=relation or "",
                object=object_ or "",
                aliases=tuple(alias or ()),
            )
        elif kind == "rule":
            made = Rule(
                text=text,
                clause=clause,
                says=says or "",
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


def approve(items: Items, kb: Kb = None, by: By = "", why: Why = "") -> None:
    """Approve items: from the next run on they are retrieved. `all` stands for everything that is proposed.

    All are one revision, or nothing is changed: where an id is unknown, a rule's clause cannot run, or a test of it fails.
    """
    if items == ["all"]:
        with changed_base(kb) as base:
            typer.echo(f"approved {base.approve_all(user(by), why)}")
    else:
        _decide(items, "approved", kb, user(by), why)


def reject(items: Items, kb: Kb = None, by: By = "", why: Why = "") -> None:
    """Reject items: they are kept, but never retrieved. All are one revision; where an id is unknown, nothing is changed."""
    _decide(items, "rejected", kb, user(by), why)


def retire(items: Items, kb: Kb = None, by: By = "", why: Why = "") -> None:
    """Retire items that were good once: they are kept, but no longer retrieved.

    All are one revision; where an id is unknown, nothing is changed.
    """
    _decide(items, "retired", kb, user(by), why)


def _decide(items: Sequence[str], status: str, kb: str | None, who: str, why: str) -> None:
    """Set the status of items as one revision, and say of which."""
    with changed_base(kb) as base:
        for entry in base.decide(items, status_of(status), who, why):
            typer.echo(f"{status} {entry.item_id[:8]}")


GROUPS: dict[str, dict[str, Callable[..., None]]] = {
    "Read": {"list": list_entries, "search": search, "show": show, "stats": stats},
    "Review": {
        "queue": kb_lint.queue,
        "approve": approve,
        "reject": reject,
        "retire": retire,
        "review-file": kb_review_file.review_file,
        "import-decisions": kb_review_file.import_decisions,
        "refused": kb_refused.refused,
        "leaks": kb_refused.leaks,
        "lint": kb_lint.lint,
        "what-if": kb_what_if.what_if,
    },
    "Begin and change": {
        "add": add,
        "edit": edit,
        "log": kb_versions.log,
        "diff": kb_versions.diff,
        "tag": kb_versions.tag,
        "revert": kb_versions.revert,
    },
    "Exchange": {
        "import": kb_exchange.import_,
        "read-documents": kb_documents.read_documents,
        "export": kb_exchange.export,
        "verify": kb_versions.verify,
        "migrate": kb_versions.migrate,
    },
    "Graph and rules": {
        "graph": kb_graph.graph,
        "relations": kb_graph.relations,
        "merge": kb_graph.merge,
        "unmerge": kb_graph.unmerge,
        "derive": kb_rules.derive,
        "test-rules": kb_rules.test_rules,
    },
    "What it does to answers": {"test": kb_test.test, "effect": effect},
}
"""The commands below `nesycd kb` as its help groups them, in its order."""

kb_app = typer.Typer(no_args_is_help=True)


@kb_app.callback()
def kb() -> None:
    """Read, edit, review and exchange a knowledge base.

    A run with knowledge.review = "human" stops where its items wait: list them, approve or reject them, run again.
    After an edit, run the recipe again: what depends on the base is redone, nothing else.

    Examples:

        nesycd kb list --status proposed

        nesycd kb edit 3fa9 --text "A fathom is 6 feet." --object "6 feet"

        nesycd kb what-if 3fa9 --text "A fathom is 6 feet." --object "6 feet"

        nesycd kb reject 3fa9 81c0 --by Ann

        nesycd kb graph fathom --hops 2

        nesycd kb log; nesycd kb diff v1; nesycd kb revert 12

        nesycd kb export kb.yaml; nesycd kb import kb.yaml --kb other.sqlite

    A base may also lie in PostgreSQL: --kb postgresql+psycopg://USER@HOST/NAME, or NESYCD_KB in the environment.
    """


for _group, _commands in GROUPS.items():
    for _name, _command in _commands.items():
        kb_app.command(_name, rich_help_panel=_group)(_command)

"""`nesycd kb edit`: the fields of an item, given as options."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nesycd.cli.kb_common import MOST_SHOWN, By, ItemId, Kb, Why, changed_base, plain, user
from nesycd.cli.kb_rules import RuleTests, tests_of
from nesycd.core.errors import KnowledgeError

Text = Annotated[str | None, typer.Option("--text", help="The item's text.")]
Subject = Annotated[str | None, typer.Option("--subject", help="Of a fact: what it is about.")]
Relation = Annotated[str | None, typer.Option("--relation", help="Of a fact: which property.")]
Object = Annotated[str | None, typer.Option("--object", help="Of a fact: its value.")]
Aliases = Annotated[list[str] | None, typer.Option("--alias", help="Of a fact: another name of its subject.")]
Clause = Annotated[str | None, typer.Option("--clause", help="Of a rule: its Horn clauses.")]
Says = Annotated[str | None, typer.Option("--says", help="Of a rule: its conclusion as 'subject | relation | object'.")]
Scope = Annotated[list[str] | None, typer.Option("--scope", help="Of a rule: a task it runs for.")]
Exceptions = Annotated[list[str] | None, typer.Option("--exception", help="Of a rule: when it does not hold.")]
TextOnly = Annotated[
    bool, typer.Option("--text-only", help="The text may say another thing than the triple, which stays.")
]


def edit(
    item: ItemId,
    text: Text = None,
    subject: Subject = None,
    relation: Relation = None,
    object_: Object = None,
    alias: Aliases = None,
    clause: Clause = None,
    says: Says = None,
    scope: Scope = None,
    exception: Exceptions = None,
    test: RuleTests = None,
    text_only: TextOnly = False,
    kb: Kb = None,
    by: By = "",
    why: Why = "",
) -> None:
    """Change an item; the old content stays in its history.

    What is given takes the place of the old: of aliases, scope, exceptions and tests all of them. What is not given stays.
    The student reads a fact's text, look-ups and the graph its subject, relation and object: change both together. A text that
    does not say the object is refused where the triple is to stay, unless --text-only says that it is meant.
    """
    changes = changed_fields(text, subject, relation, object_, alias, clause, says, scope, exception, test)
    if not changes:
        raise KnowledgeError("nothing to change was given; see: nesycd kb edit --help")
    with changed_base(kb) as base:
        if text is not None and not text_only:
            refuse_to_leave_behind(base.get(item).item, changes)
        entry = base.edit(item, changes, user(by), why)
        typer.echo(f"{entry.item_id[:8]} now reads: {plain(entry.item.text, MOST_SHOWN)}")
        if object_ is not None and object_.casefold() not in entry.item.text.casefold():
            typer.echo("note: the text does not say the new object; the student reads only the text (--text)", err=True)


def changed_fields(
    text: str | None,
    subject: str | None,
    relation: str | None,
    object_: str | None,
    alias: list[str] | None,
    clause: str | None,
    says: str | None,
    scope: list[str] | None,
    exception: list[str] | None,
    test: list[str] | None,
) -> dict[str, Any]:
    """The fields of an item that the options give."""
    given: dict[str, Any] = {"text": text, "subject": subject, "relation": relation, "object": object_}
    given |= {"clause": clause, "aliases": tuple(alias) if alias else None, "says": says, "tests": tests_of(test)}
    given |= {"scope": tuple(scope) if scope else None, "exceptions": tuple(exception) if exception else None}
    return {key: value for key, value in given.items() if value is not None}


def refuse_to_leave_behind(item: Any, changes: dict[str, Any]) -> None:
    """A fact's new text must say what stays of its triple: the object, and the subject where the old text said it."""
    from nesycd.core.records import Fact
    from nesycd.knowledge.wording import unsaid

    if not isinstance(item, Fact):
        return
    unsaid_before, unsaid_now = unsaid(item), unsaid(item.model_copy(update=changes))
    parts = [part for part in unsaid_now if part not in changes and (part == "object" or part not in unsaid_before)]
    if parts:
        told = plain(" and ".join(f"the {part} {getattr(item, part)!r}" for part in parts))
        options = " and ".join(f"--{part}" for part in parts)
        raise KnowledgeError(
            f"the new text does not say {told}: give {options} too, or --text-only to leave the triple as it is; "
            "nothing was changed"
        )

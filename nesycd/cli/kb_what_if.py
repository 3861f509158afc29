"""`nesycd kb what-if`: which held-out answers an edit or a decision would change, before it is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from nesycd.cli.kb_common import Items, Root, RunName, plain, status_of
from nesycd.cli.kb_edit import (
    Aliases,
    Clause,
    Exceptions,
    Object,
    Relation,
    Says,
    Scope,
    Subject,
    Text,
    TextOnly,
    changed_fields,
    refuse_to_leave_behind,
)
from nesycd.cli.kb_rules import RuleTests
from nesycd.cli.tables import Column, print_table
from nesycd.core.errors import KnowledgeError

if TYPE_CHECKING:
    from nesycd.api.whatif import AnswerChange, WhatIf

_COLUMNS = (
    Column(""),
    Column("question", wraps=True, least=30),
    Column("right", wraps=True, rank=2),
    Column("before", wraps=True),
    Column("after", wraps=True),
    Column("calls that differ", wraps=True, rank=1, least=24),
)
_TRIED_BY = "what-if"
"""The reviewer's name while a change is tried."""
_BAR = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
_DOING = {"planned": "questions looked at", "asked": "questions asked anew"}
_MOST = 400
"""Characters of a question or answer."""


def what_if(
    items: Items,
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
    decide: Annotated[
        str, typer.Option("--decide", help="A decision on the items: approved, rejected or retired.")
    ] = "",
    method: Annotated[str, typer.Option("--method", help="Method that answers; nesycd if not given.")] = "",
    split: Annotated[
        str, typer.Option("--split", help="Whose questions; the largest held-out split where it has none.")
    ] = "valid",
    ask: Annotated[int, typer.Option("--ask", min=0, help="Most questions that the student is asked anew.")] = 100,
    run: RunName = "",
    root: Root = Path("runs"),
) -> None:
    """Show which answers to held-out questions a change would change. Nothing is saved.

    The change is given as to nesycd kb edit, or by --decide as a decision on one item or several. The base is that of --run, or
    of the newest finished run. Only questions are asked anew whose prompt would be another one, or a call of whose stored
    answer would find something else. To make the change: nesycd kb edit, approve, reject or retire.

    Examples:

        nesycd kb what-if 3fa9 --text "A fathom is 7 feet." --object "7 feet"

        nesycd kb what-if 3fa9 81c0 --decide rejected --split test
    """
    from nesycd.api.finished import open_run
    from nesycd.methods.table import MAIN

    changes = changed_fields(text, subject, relation, object_, alias, clause, says, scope, exception, test)
    decisions = ("approved", "rejected", "retired")
    if decide and decide not in decisions:
        raise KnowledgeError(f"--decide {decide}: use {', '.join(decisions[:-1])} or {decisions[-1]}")
    if not changes and not decide:
        raise KnowledgeError("nothing to change was given; see: nesycd kb what-if --help")
    if changes and len(items) > 1:
        raise KnowledgeError("several items can be decided on together (--decide), not edited")

    def edit(base: Any) -> None:
        if changes:
            if text is not None and not text_only:
                refuse_to_leave_behind(base.get(items[0]).item, changes)
            base.edit(items[0], changes, _TRIED_BY)
        if decide:
            base.decide(items, status_of(decide), _TRIED_BY)

    with open_run(run, root) as opened, Progress(*_BAR, console=Console(stderr=True), transient=True) as bar:
        tasks = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(_DOING[what])
            bar.update(tasks[what], completed=done, total=total)

        found = opened.what_if(edit, method or MAIN, split, limit=ask, progress=show)
    _print(Console(), found)


def _print(console: Console, found: WhatIf) -> None:
    if found.changed:
        print_table(console, _COLUMNS, [_row(one) for one in found.changed])
    console.print(plain(str(found)), markup=False, highlight=False)


def _row(one: AnswerChange) -> list[str]:
    texts = (one.question, one.gold, one.before.answer or "none", one.after.answer or "none", one.told)
    return [one.verdict, *(plain(text, _MOST) for text in texts)]

"""`nesycd kb test-rules` and `derive`: rules run, and the tests that `kb add` and `kb edit` are given."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from nesycd.cli.kb_common import Kb, Limit, State, open_base, shown, status_of, tell_more
from nesycd.core.errors import KnowledgeError

RuleTests = Annotated[
    list[str] | None,
    typer.Option("--test", help="Of a rule: 'GIVEN => EXPECTED', or 'GIVEN =/> UNEXPECTED', facts on both sides."),
]


def tests_of(given: list[str] | None) -> tuple[Any, ...] | None:
    """A rule's tests as given on the command line; None where none were."""
    from nesycd.core.records import RuleTest

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


def test_rules(status: State = "approved", kb: Kb = None) -> None:
    """Check all rules with clauses and run their tests; ends with 1 where one fails.

    A test uses only its given facts, and all rules of the same status. See docs/rules.md.
    """
    from nesycd.core.records import Fact, Rule
    from nesycd.core.text import printable
    from nesycd.rules import Engine, failures
    from nesycd.rules.clauses import predicate_of

    with open_base(kb) as base:
        entries = base.entries(status=status_of(status))
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


def derive(
    question: Annotated[str, typer.Argument(help="The question, in quotes.", show_default=False)],
    task: Annotated[str, typer.Option("--task", help="The question's task, for rules with a scope.")] = "",
    limit: Limit = 10,
    kb: Kb = None,
) -> None:
    """Show what the rules derive from the facts that a question is linked to, with proofs; what it asks for comes first.

    Example:

        nesycd kb derive "Who was the father of Edward III's mother?"
    """
    from nesycd.core.records import Status
    from nesycd.core.text import printable
    from nesycd.knowledge import read_entities
    from nesycd.retrieval import Reasoner
    from nesycd.rules import Engine

    with open_base(kb) as base, Engine() as engine:
        reasoner = Reasoner(base.entries(status=Status.APPROVED), engine, read_entities(base))
        found = reasoner.derive(question, task=task)
    for item_id, why in reasoner.faults.items():
        typer.echo(printable(f"note: rule {item_id[:8]} cannot run: {why}", keep_lines=True), err=True)
    console = Console()
    for one in found[:limit]:
        console.print(f"[bold]{shown(one.derived.fact.text)}[/bold]{'  (asked for)' if one.asked else ''}")
        for line in one.derived.told:
            console.print(f"    {shown(line)}", highlight=False)
    if not found:
        typer.echo("nothing follows")
    tell_more(len(found), limit)

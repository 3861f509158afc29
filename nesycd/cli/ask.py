"""`nesycd ask`: one question to a run's student, with what was retrieved and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from nesycd.core.errors import ConfigError

if TYPE_CHECKING:
    from nesycd.api.near import NearMiss
    from nesycd.api.reply import Reply

app = typer.Typer()


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question, in quotes.", show_default=False)],
    run: Annotated[
        str, typer.Option("--run", help="A run's name, or its folder; the newest finished one if not given.")
    ] = "",
    root: Annotated[Path, typer.Option("--root", help="The folder with the runs.")] = Path("runs"),
    always: Annotated[
        bool, typer.Option("--always", help="Read retrieved knowledge whatever the router decides.")
    ] = False,
    method: Annotated[
        str, typer.Option("--method", help="Method that answers (nesycd compare --list); nesycd_routed if not given.")
    ] = "",
    option: Annotated[
        list[str] | None, typer.Option("--option", help="A choice to answer with, (A), (B), ... in the order given.")
    ] = None,
    near: Annotated[
        bool, typer.Option("--why", help="Also show the nearest items that were not retrieved, and what kept them out.")
    ] = False,
    task: Annotated[
        str, typer.Option("--task", help="The question's task, such as bbh/navigate, for rules and items of that task.")
    ] = "",
) -> None:
    """Answer a question with a run's student and its knowledge base.

    Shows the closed-book draft with its margin, whether the router asks for knowledge, what was retrieved and why, the response,
    each call that the student made while it wrote (what it asked, what the base answered, from which item and how), and the
    answer. The knowledge base is read as it is now: edit it with `nesycd kb edit` and ask again.

    Example:

        nesycd ask "How many feet are 4 fathoms and 3 feet?"

        nesycd ask "Which is longer?" --option "a span" --option "an ell"

        nesycd ask "Who approves 4900 EUR?" --why
    """
    from nesycd.api.finished import open_run
    from nesycd.methods.table import MAIN, ROUTED

    if always and method:
        raise ConfigError("give --always or --method, not both")
    console = Console()
    with open_run(run, root) as opened:
        reply = opened.ask(question, option or (), task, MAIN if always else method or ROUTED)
        missed = opened.near_misses(question, option or (), task) if near else None
    print_reply(reply, console, missed)


def print_reply(reply: Reply, console: Console, missed: list[NearMiss] | None = None) -> None:
    """What was read and why, the response with its calls, and the answer.

    Args:
        reply: to the question.
        console: to print on.
        missed: the nearest items that were not read, where they were asked for.
    """
    from nesycd.reports.trace import told_of

    if reply.draft is not None:
        console.print(f"[dim]draft[/dim]     {escape(reply.draft.text)}")
    console.print(f"[dim]why[/dim]       {escape(reply.reason)}")
    why = {hit.item.id: hit.why for hit in reply.hits}
    for item in reply.items:
        told = f"{why[item.id]}; {item.id}" if item.id in why else item.id
        console.print(f"[dim]knowledge[/dim] {escape(item.text)}  [dim]({escape(told)})[/dim]")
    for miss in missed or ():
        console.print(f"[dim]not read[/dim]  {escape(miss.item.text)}  [dim]({escape(miss.why)}; {miss.item.id})[/dim]")
    if missed == []:
        console.print("[dim]not read[/dim]  no other item is near")
    if reply.note:
        console.print(f"[dim]note[/dim]      {escape(reply.note)}")
    if reply.routed and not reply.items:
        # Facts that were retrieved are not read where they are looked up.
        fits = "no lesson or rule fits" if reply.hits else "nothing in the knowledge base fits"
        console.print(f"[dim]knowledge[/dim] {fits}")
    console.print(f"[dim]response[/dim]  {escape(reply.text)}")
    for call in reply.trace:
        console.print(f"[dim]call[/dim]      {escape(told_of(call))}", soft_wrap=True)
    console.print(f"[bold]answer[/bold]    {escape(reply.answer or 'none found in the response')}")

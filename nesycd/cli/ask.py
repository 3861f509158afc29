"""`nesycd ask`: one question to a run's student, with what was retrieved and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

app = typer.Typer()


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question, in quotes.", show_default=False)],
    run: Annotated[
        str, typer.Option("--run", help="A run's name, or its folder; the newest finished one if not given.")
    ] = "",
    root: Annotated[Path, typer.Option("--root", help="The folder with the runs.")] = Path("runs"),
    always: Annotated[bool, typer.Option("--always", help="Retrieve whatever the router says.")] = False,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="A choice to answer with, (A), (B), ... in the order given.")
    ] = None,
    task: Annotated[
        str, typer.Option("--task", help="The question's task, such as bbh/navigate, for rules and items of that task.")
    ] = "",
) -> None:
    """Answer a question with a run's student and its knowledge base.

    Shows the closed-book draft with its margin, whether the router asks for knowledge, what was retrieved and why, and
    the answer. The knowledge base is read as it is now: edit it with `nesycd kb edit` and ask again.

    Example:

        nesycd ask "How many feet are 4 fathoms and 3 feet?"

        nesycd ask "Which is longer?" --option "a span" --option "an ell"
    """
    from nesycd.runs.folders import find_run, newest_run

    folder = find_run(root, run) if run else newest_run(root, "results.json", finished=True)
    console = Console()
    reply = answer(folder, question, always, option or (), task)
    unknown = not reply["hits"] and reply["mode"] == "margin"
    alone = "nothing in the knowledge base fits, so the draft stands" if unknown else "lets the student answer alone"
    routed = "asks for knowledge" if reply["routed"] else alone
    console.print(f"[dim]draft[/dim]     {escape(reply['draft'])}")
    why = f"margin {reply['margin']:.3f}, threshold {reply['threshold']:.3f}"
    deaf = reply["mode"] in ("always", "never")
    forced = "--always" if always else f"router.mode={reply['mode']}" if deaf else ""
    why += f" (but {forced})" if forced else ""
    console.print(f"[dim]router[/dim]    {why}: {routed}")
    for hit in reply["hits"] if reply["routed"] else ():
        console.print(f"[dim]knowledge[/dim] {escape(hit.item.text)}  [dim]({escape(hit.why)}; {hit.item.id})[/dim]")
    if reply["mismatch"]:
        console.print(f"[dim]note[/dim]      {escape(reply['mismatch'])}")
    if reply["routed"] and not reply["hits"]:
        console.print("[dim]knowledge[/dim] nothing in the knowledge base fits")
    console.print(f"[dim]response[/dim]  {escape(reply['response'])}")
    console.print(f"[bold]answer[/bold]    {escape(reply['answer'] or 'none found in the response')}")


def answer(
    folder: Path, question: str, always: bool = False, options: Sequence[str] = (), task: str = ""
) -> dict[str, Any]:
    """Draft, route, retrieve and answer.

    Args:
        folder: a finished run's.
        question: the text.
        always: give knowledge whatever the router says.
        options: what can be chosen from, if anything.
        task: as the benchmark calls it (`Example.task`); without one no rule that is for certain tasks runs, and items of
            all tasks are found.

    Returns:
        `draft`, `margin`, `mode`, `threshold`, `routed`, `hits`, `mismatch` (what there is to say where the student was
        trained with other knowledge), `response`, `answer`.

    Raises:
        RunError: the run is not finished, or its adapters are gone.
    """
    from nesycd.cli.answering import open_finished
    from nesycd.core.protocols import Prompt
    from nesycd.core.records import Example
    from nesycd.grading import extract
    from nesycd.methods.knowledge import Knowledge
    from nesycd.routing import margin_of
    from nesycd.rules import Engine
    from nesycd.runs.run import read_records

    run = open_finished(folder)
    recipe, router, student = run.recipe, run.settings, run.student
    example = Example(
        uid="question", task=task or recipe.task.name, question=question, answer="", options=tuple(options)
    )
    limit = recipe.student.max_new_tokens

    def write(adapter: str, items: Any) -> Any:
        prompt = Prompt("question", run.prompts.with_knowledge(example, items))
        return student.generate([prompt], adapter=run.adapters[adapter], max_new_tokens=limit)[0]

    with Engine() as engine:
        rules = engine if recipe.knowledge.derive else None
        index = folder / "index"
        by_task = recipe.retrieval.by_task and bool(task)
        tasks = {one.uid: one.task for one in read_records(folder, "examples-train", Example)} if by_task else {}
        knowledge = Knowledge(recipe.retrieval, student, run.entries, run.entities, tasks, index, rules)
        hits = knowledge.retriever.retrieve(knowledge.query(example), task=task)
    draft = write(str(router["closed_book"]), [])
    signal: Any = router["signal"]
    reply = {"draft": draft.text, "margin": margin_of(draft, signal), "hits": hits, "mismatch": ""}
    reply |= {key: router[key] for key in ("mode", "threshold")}
    if not always and not run.router.route(draft, bool(hits)):
        return reply | {"routed": False, "response": draft.text, "answer": extract(draft.text, example)}
    made = write("augmented", [hit.item for hit in hits])
    reply["mismatch"] = _mismatch(folder, run.entries)
    return reply | {"routed": True, "response": made.text, "answer": extract(made.text, example)}


def _mismatch(folder: Path, entries: Any) -> str:
    from nesycd.knowledge import knowledge_version
    from nesycd.methods.nesycd import KNOWLEDGE
    from nesycd.runs.stage import read_states

    then = read_states(folder).get("augmented", {}).get("metadata", {}).get(KNOWLEDGE)
    now = knowledge_version(entry.item_id for entry in entries)
    if then is None or then["version"] == now:
        return ""
    return f"the student was trained with knowledge {then['version']}, and the base is {now} now"

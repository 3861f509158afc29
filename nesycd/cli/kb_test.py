"""`nesycd kb test`: asks those questions of a suite again whose prompts a change of the knowledge base changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from nesycd.cli.kb_common import Root, RunName
from nesycd.core.errors import DataError

if TYPE_CHECKING:
    from nesycd.core.protocols import Task
    from nesycd.measure.knowledge_tests import Outcome, Pins

_STYLES = {"intended": "green", "regression": "red", "drift": "yellow"}


def test(
    suite: Annotated[
        Path,
        typer.Argument(help="JSONL with question and answer, as for a benchmark of your own.", show_default=False),
    ],
    split: Annotated[str, typer.Option("--from", help="Write the suite from this split of the run first.")] = "",
    pin: Annotated[bool, typer.Option("--pin", help="Pin the present answers.")] = False,
    report: Annotated[Path | None, typer.Option("--json", help="Write every change into this file.")] = None,
    run: RunName = "",
    root: Root = Path("runs"),
) -> None:
    """Regression test of the knowledge base: which answers of a suite does an edit change?

    The answers are those of --run, or of the newest finished run.
    The suite is a JSONL file of yours; the run's answers are pinned beside it (SUITE.pins.json) the first time. After an edit
    only questions whose prompt changed are answered again. A change is intended where the new answer is the suite's, and a
    regression where the old one was: then the exit code is 1, for Git hooks and CI. Commit both files.

    Examples:

        nesycd kb test suite.jsonl --from valid

        nesycd kb edit 3fa9 --text "A fathom is 7 feet." --object "7 feet"; nesycd kb test suite.jsonl

        nesycd kb test suite.jsonl --pin
    """
    from nesycd.api.finished import open_run
    from nesycd.api.measuring import run_suite
    from nesycd.core.storage import write_json_atomic
    from nesycd.tasks.jsonl import read_questions

    asked = open_run(run, root)
    if split:
        _write_suite(suite, asked.task, split)
    examples, students = read_questions(suite, asked.task.name), asked.identity()
    pinned = _read_pins(_pins_path(suite))
    console = Console()
    if pinned is not None and pinned.students != students:
        console.print("note: the pins are of other students (the run was trained anew): all questions are asked again")
    outcome = run_suite(asked, examples, pinned)
    _print(console, outcome)
    if report is not None:
        write_json_atomic(report, _report(outcome))
    first = pinned is None or pinned.students != students
    if pin or first:
        write_json_atomic(_pins_path(suite), outcome.pins.model_dump(mode="json", exclude_none=True))
        console.print(f"pinned: {_pins_path(suite)}", markup=False, highlight=False)
    if outcome.count("regression"):
        raise typer.Exit(1)


def _pins_path(suite: Path) -> Path:
    return suite.with_name(f"{suite.name.removesuffix('.jsonl')}.pins.json")


def _read_pins(path: Path) -> Pins | None:
    from pydantic import ValidationError

    from nesycd.measure.knowledge_tests import Pins

    try:
        return Pins.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValidationError, ValueError):
        raise DataError(f"{path}: no pins of `nesycd kb test`; delete the file to pin anew") from None


def _write_suite(path: Path, task: Task, split: str) -> None:
    from nesycd.core.storage import write_atomic

    if path.exists():
        raise DataError(f"{path}: exists already; --from writes a new suite")
    if split not in task.splits():
        raise DataError(f"--from {split}: the run's benchmark has the splits {', '.join(task.splits())}")
    rows = []
    for example in task.load(split):
        golds = [example.answer, *example.accepted]
        row: dict[str, Any] = {"id": example.uid, "question": example.question}
        row["answer"] = golds if example.accepted else example.answer
        rows.append(row | ({"options": list(example.options)} if example.options else {}))
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _print(console: Console, outcome: Outcome) -> None:
    for change in outcome.changes:
        style = _STYLES[change.verdict]
        example = change.example
        console.print(f"[{style}]{change.verdict:<10}[/{style}] #{escape(example.uid)} {escape(example.question)}")
        answers = f"{change.before or 'none'} -> {change.after or 'none'} (expected {example.answer})"
        console.print(f"           {escape(answers)}")
        for text in change.shown:
            console.print(f"           [dim]- {escape(text)}[/dim]")
    console.print(escape(sentence(outcome)))


def sentence(outcome: Outcome) -> str:
    """The outcome in one sentence."""
    asked = f"{outcome.asked} asked again" if not outcome.new else f"{outcome.asked} asked, {outcome.new} of them new"
    regressions = [f"#{change.example.uid}" for change in outcome.changes if change.verdict == "regression"]
    parts = [f"{outcome.count('intended')} intended", f"{outcome.count('drift')} drift"]
    named = f" ({', '.join(regressions[:5])}{', ...' if len(regressions) > 5 else ''})" if regressions else ""
    parts.append(f"{len(regressions)} regression{'' if len(regressions) == 1 else 's'}{named}")
    right = outcome.questions - len(outcome.wrong)
    return (
        f"{len(outcome.changes)} of {outcome.questions} answers change: {', '.join(parts)}. "
        f"{asked}; {right} of {outcome.questions} as expected."
    )


def _report(outcome: Outcome) -> dict[str, Any]:
    return {
        "schema": "kb-test/1",
        "questions": outcome.questions,
        "asked": outcome.asked,
        "as_expected": outcome.questions - len(outcome.wrong),
        "changes": [
            {
                "id": change.example.uid,
                "question": change.example.question,
                "expected": change.example.answer,
                "before": change.before,
                "after": change.after,
                "verdict": change.verdict,
                "knowledge": list(change.shown),
            }
            for change in outcome.changes
        ],
    }

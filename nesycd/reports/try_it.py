"""Three commands to see what a finished run's base does: ask, edit the fact that the answer rests on, ask again."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from rich.console import Console

from nesycd.calls import LOOK_UP
from nesycd.core.errors import KnowledgeError, RunError
from nesycd.core.records import Fact, Status
from nesycd.methods.table import MAIN
from nesycd.reports.folder import RunFiles, read_run

TITLE = "Try it: the answer changes with the base, nothing is trained"
_WHOLE = re.compile(r"(?<![\w.,])\d+(?![\w.,]\d)\b")


def try_it(run: RunFiles) -> list[str]:
    """The commands; empty where no test question was answered rightly by looking up one fact with a number."""
    found = _shown(run)
    if found is None:
        return []
    question, fact = found
    value = _WHOLE.sub(lambda number: str(int(number[0]) + 1), fact.object, count=1)
    text = fact.text.replace(fact.object, value)
    folder, base = str(run.folder), str(run.folder / "kb.sqlite")
    ask = shlex.join(["nesycd", "ask", question, "--method", MAIN, "--run", folder])
    return [ask, shlex.join(["nesycd", "kb", "edit", fact.id, "--object", value, "--text", text, "--kb", base]), ask]


def print_try_it(folder: Path, console: Console) -> None:
    """Print the commands with a heading; print nothing where there are none."""
    try:
        lines = try_it(read_run(folder))
    except (RunError, KnowledgeError):
        return  # already told with what to do next
    if lines:
        console.print(f"\n[bold]{TITLE}[/bold]")
    for line in lines:
        # Not wrapped, so that it can be copied.
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def _shown(run: RunFiles) -> tuple[str, Fact] | None:
    """The shortest such question, and the fact that its look-up found."""
    approved = (entry.item for entry in run.entries if entry.status is Status.APPROVED)
    facts = {item.id: item for item in approved if isinstance(item, Fact)}
    best: tuple[str, Fact] | None = None
    for split, examples in run.examples.items():
        for uid, attempt in run.attempts.get((MAIN, split), {}).items():
            asked = [call for call in attempt.calls if call.name == LOOK_UP]
            example = examples.get(uid)
            if example is None or example.options or not attempt.correct or len(asked) != 1:
                continue
            [found, *others] = [facts.get(item) for item in asked[0].items] or [None]
            usable = found is not None and not others and _WHOLE.search(found.object) and found.object in found.text
            if found is None or not usable or "\n" in example.question:
                continue
            if best is None or len(example.question) < len(best[0]):
                best = (example.question, found)
    return best

"""What to do next after a run: which items wait, where nothing is retrieved, and which tasks fail for want of which knowledge.

All of it is counted from the run's records (predictions with their calls, retrievals, the base); where there is nothing to do,
nothing is said.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from nesycd.calls import LOOK_UP
from nesycd.core.answers import Attempt
from nesycd.core.errors import KnowledgeError, RunError
from nesycd.core.records import Example, Status
from nesycd.methods.evaluate import MANY
from nesycd.methods.table import MAIN, ROUTED
from nesycd.reports.folder import IMPORTED, RunFiles, read_run
from nesycd.reports.markup import Markup, tag
from nesycd.reports.scores import section
from nesycd.reports.trial import TITLE as TRIAL_TITLE
from nesycd.reports.trial import trial_of

MOST = 5
"""Tasks that are named."""
ASKED = 3
"""Vain look-ups that are shown of a task."""
TITLE = "What to do next"


@dataclass(frozen=True)
class Advice:
    """One thing to do: what was found, and the command for it ("" where there is none)."""

    text: str
    command: str = ""


@dataclass
class _Wants:
    """The wrong answers of a task for want of knowledge."""

    answers: int = 0
    nothing: int = 0
    """Nothing was retrieved, and no look-up found anything."""
    vain: int = 0
    """A look-up found nothing."""
    asked: Counter[str] = field(default_factory=Counter)


def advice(run: RunFiles) -> list[Advice]:
    """What to do next, the most urgent first; empty where there is nothing to do."""
    return [*_waiting(run), *_not_retrieved(run), *_wants(run)]


def print_advice(folder: Path, console: Console) -> None:
    """Print it with its heading, and three commands to try; print nothing where there is neither."""
    try:
        run = read_run(folder)
    except (RunError, KnowledgeError) as error:
        # The figures above are read from results.json, which is sound.
        console.print(f"note: what to do next cannot be told: {error}", markup=False, highlight=False)
        return
    if found := advice(run):
        console.print(f"\n[bold]{TITLE}[/bold]")
    for one in found:
        console.print(f"- {one.text}", markup=False, highlight=False)
        if one.command:
            _print_command(one.command, console)
    if trial := trial_of(run):
        console.print(f"\n[bold]{TRIAL_TITLE}[/bold]")
        for command in trial.commands(run):
            _print_command(command, console)


def _print_command(command: str, console: Console) -> None:
    # Not wrapped, so that it can be copied.
    console.print(f"  {command}", markup=False, highlight=False, soft_wrap=True)


def what_next(run: RunFiles) -> Markup | None:
    """The page's last section; None where there is nothing to do."""
    found = advice(run)
    if not found:
        return None
    lines = [tag("li", one.text, (tag("br"), tag("code", one.command)) if one.command else None) for one in found]
    return section("next", TITLE, tag("ul", lines))


def _base(run: RunFiles) -> str:
    return f"--kb {shlex.quote(str(run.folder / 'kb.sqlite'))}"


def _waiting(run: RunFiles) -> Iterator[Advice]:
    if run.waiting:
        one = run.waiting == 1
        yield Advice(
            f"{run.waiting} item{'' if one else 's'} of the knowledge base wait{'s' if one else ''} for review: list them, "
            "decide by nesycd kb approve and nesycd kb reject, and run again",
            f"nesycd kb queue {_base(run)}",
        )


def _not_retrieved(run: RunFiles) -> Iterator[Advice]:
    """Splits with nothing retrieved for many of their questions."""
    approved = sum(entry.status is Status.APPROVED for entry in run.entries)
    for split, found in run.retrievals.items():
        without = [uid for uid, one in found.items() if not one.hits]
        if not without or split.endswith(IMPORTED) or len(without) < MANY * len(found):
            continue
        examples = run.examples.get(split, {})
        tasks = Counter(examples[uid].task for uid in without if uid in examples)
        told = f"{split}: for {len(without)} of {len(found)} questions nothing is retrieved ({_counted(tasks)})"
        if not approved:
            yield Advice(f"{told}, since no item of the knowledge base is approved")
            continue
        yield Advice(
            f"{told}: none of the {approved} approved items fits them by the retriever {_retriever(run)}; either items are "
            "missing, or the settings [retrieval] keep them out: ask one of the questions to see what is near",
            f"nesycd ask QUESTION --why --run {shlex.quote(str(run.folder))}",
        )


def _retriever(run: RunFiles) -> str:
    """`retrieval.kind` of the run's config, in quotes."""
    try:
        kind = json.loads(run.documents.get("config.json", ""))["retrieval"]["kind"]
    except (ValueError, KeyError, TypeError):
        return "of its recipe"
    return f"'{kind}'"


def _wants(run: RunFiles) -> Iterator[Advice]:
    """Tasks with wrong answers for want of knowledge, those with most first."""
    method, split = next(((m, s) for m in (MAIN, ROUTED) for s in run.examples if run.attempts.get((m, s))), ("", ""))
    if not method:
        return
    found = _counts(run, run.attempts[method, split], split)
    ranked = sorted(found.items(), key=lambda pair: (-pair[1].answers, pair[0]))
    for task, want in ranked[:MOST]:
        parts = [f"nothing was found for {want.nothing}"] if want.nothing else []
        asked = ", ".join(asked for asked, _ in want.asked.most_common(ASKED))
        parts += [f"{want.vain} looked up in vain ({asked})"] if want.vain else []
        total = sum(example.task == task for example in run.examples[split].values())
        yield Advice(
            f"{task}: {want.answers} of {total} {split} questions are answered wrongly ({method}) and lack knowledge: "
            f"{', '.join(parts)}"
        )
    if found:
        rest = f"{len(found) - MOST} more tasks lack knowledge too; " if len(found) > MOST else ""
        yield Advice(
            f"{rest}add what is missing (or a file of it by nesycd kb import), and run again",
            f"nesycd kb add TEXT --kind fact --subject NAME --relation PROPERTY --object VALUE {_base(run)}",
        )


def _counts(run: RunFiles, attempts: Mapping[str, Attempt], split: str) -> dict[str, _Wants]:
    """By task, of the questions that may need facts."""
    found: defaultdict[str, _Wants] = defaultdict(_Wants)
    for uid, attempt in attempts.items():
        example = run.examples[split].get(uid)
        if example is None or attempt.correct or not _may_need_facts(example):
            continue
        look_ups = [call for call in attempt.calls if call.name == LOOK_UP]
        vain = [call.asked for call in look_ups if call.kind == "note"]
        retrieval = run.retrievals.get(split, {}).get(uid)
        nothing = retrieval is not None and not retrieval.hits and len(vain) == len(look_ups)
        if nothing or vain:
            want = found[example.task]
            want.answers += 1
            want.nothing += nothing
            want.vain += bool(vain)
            want.asked.update(dict.fromkeys(vain, 1))
    return dict(found)


def _may_need_facts(example: Example) -> bool:
    """Whether a question needs facts, as far as its benchmark says."""
    return example.truth is None or bool(example.truth.facts)


def _counted(tasks: Counter[str]) -> str:
    named = [f"{task} {count}" for task, count in tasks.most_common(MOST)]
    rest = sum(tasks.values()) - sum(count for _, count in tasks.most_common(MOST))
    return ", ".join([*named, *([f"others {rest}"] if rest else [])]) or "tasks not known"

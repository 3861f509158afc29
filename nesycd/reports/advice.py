"""What to do next after a run: which items wait, where nothing is retrieved, and which tasks fail for want of which knowledge.

All of it is counted from the run's records (predictions with their calls, retrievals, the base); where there is nothing to do,
nothing is said.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from nesycd.calls import LOOK_UP
from nesycd.core.answers import Attempt
from nesycd.core.errors import KnowledgeError, RunError
from nesycd.core.markup import Markup, tag
from nesycd.core.records import Example, Status
from nesycd.knowledge.merge import AUTO
from nesycd.methods.evaluate import MANY
from nesycd.methods.table import MAIN, ROUTED
from nesycd.reports.comparison import Comparison
from nesycd.reports.folder import IMPORTED, RunFiles, read_run
from nesycd.reports.meaning import main_pair, verdict_of
from nesycd.reports.scores import section
from nesycd.reports.trial import TITLE as TRIAL_TITLE
from nesycd.reports.trial import trial_of

MOST = 5
"""Tasks that are named."""
ASKED = 3
"""Vain look-ups that are shown of a task."""
TITLE = "What to do next"
SEEDS = "nesycd compare RECIPE --seeds 0,1,2"


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
    return [*_waiting(run), *_gain(run), *_not_retrieved(run), *_wants(run), *_unseen(run)]


def print_advice(folder: Path, console: Console) -> None:
    """Print it with its heading, and commands to try; print nothing where there is neither."""
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
    """The page's section; None where there is nothing to do and nothing to try."""
    trial = trial_of(run)
    return next_section(advice(run), (TRIAL_TITLE, trial.commands(run)) if trial else None)


def next_section(found: Sequence[Advice], trial: tuple[str, Sequence[str]] | None = None) -> Markup | None:
    """Advice as a list with its commands to copy, and below it what may be tried (title and commands); None without either."""
    if not found and not trial:
        return None
    lines = [tag("li", tag("p", f"{one.text}."), _command(one.command)) for one in found]
    tried = (tag("h3", trial[0]), [_command(command) for command in trial[1]]) if trial else None
    return section("next", TITLE, tag("ol", lines, class_="todo") if lines else None, tried)


def _command(command: str) -> Markup | None:
    # It scrolls by itself rather than wrap, by the keyboard too.
    return tag("pre", tag("code", command), class_="command", tabindex="0") if command else None


def comparison_advice(made: Comparison) -> list[Advice]:
    """What to do next after a comparison, the most urgent first; empty where there is nothing to do."""
    first, gap = made.primary, made.primary.difference
    found = []
    leaking = {seed: count for seed, count in made.leaks.items() if count}
    for seed, count in leaking.items():
        told = f"{count} approved items give" if count > 1 else "1 approved item gives"
        found.append(
            Advice(
                f"Seed {seed}: {told} questions of it away: look at them, and compare again without them",
                f"nesycd kb leaks --run {shlex.quote(f'{made.name}/seed-{seed}')}",
            )
        )
    if gap is None:
        found.append(
            Advice(
                f"{first.left} and {first.right} are what the primary endpoint compares: run both",
                f"nesycd compare RECIPE --methods {first.left},{first.right}",
            )
        )
    elif (verdict := verdict_of(gap.value, gap.low, gap.high)) == "worse":
        found.append(
            Advice(
                f"{first.left} is worse than {first.right}: measure which items of its base do harm, and reject those",
                "nesycd kb effect RECIPE",
            )
        )
    elif verdict == "not told apart" or len(made.seeds) == 1:
        why = "cannot be told apart here" if verdict == "not told apart" else "were compared under one seed"
        found.append(Advice(f"{first.left} and {first.right} {why}: more seeds tell more", SEEDS))
    if gap is not None and not first.named:
        found.append(
            Advice(
                "The primary endpoint is the default one: name your own in the recipe, [compare.primary], before you look at "
                "the figures of a next comparison"
            )
        )
    return found


def _base(run: RunFiles) -> str:
    return f"--kb {shlex.quote(str(run.folder / 'kb.sqlite'))}"


def _waiting(run: RunFiles) -> Iterator[Advice]:
    if run.waiting:
        one = run.waiting == 1
        yield Advice(
            f"{run.waiting:,} item{'' if one else 's'} of the knowledge base wait{'s' if one else ''} for review: decide in the "
            "browser, and run again",
            f"nesycd review {shlex.quote(run.called)}",
        )
        yield Advice(
            "An expert without access to this machine decides in one HTML file, which gives back a file to import",
            f"nesycd kb review-file review.html {_base(run)}",
        )


def _unseen(run: RunFiles) -> Iterator[Advice]:
    """Items that are in use and were approved automatically."""
    count = sum(one.status is Status.APPROVED and one.reviewer == AUTO for one in run.entries)
    if count and not run.waiting:
        items = "item of the knowledge base is" if count == 1 else "items of the knowledge base are"
        yield Advice(
            f"{count:,} {items} in use, approved automatically, and no person has looked: begin with those that matter most",
            f"nesycd review {shlex.quote(run.called)}",
        )


def _gain(run: RunFiles) -> Iterator[Advice]:
    """Where the method is worse than what it is held against, or cannot be told apart from it."""
    pair = main_pair(run.results)
    if pair is None:
        return
    gap = pair.difference
    verdict = verdict_of(gap.value, gap.low, gap.high)
    if verdict == "worse":
        yield Advice(
            f"{pair.left} is worse than {pair.right} on {pair.split}: measure which items do harm, and reject those",
            f"nesycd kb effect RECIPE --name {shlex.quote(run.name)}",
        )
    elif verdict == "not told apart":
        yield Advice(
            f"{pair.left} and {pair.right} cannot be told apart by {gap.n:,} {pair.split} question{'' if gap.n == 1 else 's'}: "
            "more questions, or more seeds, make the interval narrower",
            SEEDS,
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
            f"nesycd ask QUESTION --why --run {shlex.quote(run.called)}",
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
        rest = f"{len(found) - MOST} more tasks lack knowledge too. " if len(found) > MOST else ""
        yield Advice(
            f"{rest}Add what is missing (or a file of it by nesycd kb import), and run again",
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

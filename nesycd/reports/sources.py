"""The page's parts on the sources of the accuracies: the method's steps, retrieval, knowledge base, costs, config."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

from nesycd.core.markup import Child, Markup, tag
from nesycd.core.records import Entry, Status
from nesycd.methods.table import BASELINE, MAIN, METHODS, is_routed, knowledge_cells
from nesycd.reports.figures import method_figures
from nesycd.reports.folder import DOCUMENTS, RunFiles
from nesycd.reports.meaning import main_pair
from nesycd.reports.plots import histogram, share_bar
from nesycd.reports.results import Results
from nesycd.reports.samples import named_items
from nesycd.reports.scores import folded, method_name, note, table

BINS = 20
_PLACE = re.compile(r'(?<=")(?:(?:file|sqlite):)?(?:~|[A-Za-z]:)?[/\\][^"\n]*[/\\](?=[^"/\\\n]+")')
"""The folders of a path that begins at a root or at a home, where it is a whole string of a JSON document."""
MOST_EVIDENCED = 20


def at_a_glance(run: RunFiles) -> Markup:
    """What was run, and what it cost, in a line each."""
    results = run.results
    terms = {"student": _student(run), "knowledge base": _base(run), "an answer": _each(results)}
    terms["the whole run"] = duration(results.total_seconds)
    if results.method is not None and results.method.teacher is not None:
        teacher = results.method.teacher
        usd = "price unknown" if teacher.usd is None else f"{teacher.usd:.2f} USD"
        terms["its teacher"] = f"{teacher.prompt_tokens + teacher.completion_tokens:,} tokens, {usd}"
    return tag(
        "dl", [tag("div", tag("dt", name), tag("dd", told)) for name, told in terms.items() if told], class_="glance"
    )


def _student(run: RunFiles) -> str:
    """Model and seed as the run's config has them, and what wrote its answers on a server; "" where it is not known."""
    try:
        config, manifest = (json.loads(without_places(run.documents.get(name, ""))) for name in DOCUMENTS)
        served = f", answers by {server}" if (server := manifest.get("hashes", {}).get("served_by")) else ""
        return f"{config['student']['model']}, seed {config['seed']}{served}"
    except (ValueError, KeyError, TypeError):
        return ""


def _base(run: RunFiles) -> str:
    base = run.results.knowledge
    if not base.items:
        return ""
    told = ", ".join(f"{count:,} {status}" for status, count in base.by_status.items())
    return f"{base.items:,} item{'' if base.items == 1 else 's'}{f': {told}' if told else ''}"


def _each(results: Results) -> str:
    """Tokens and seconds of an answer of the two methods that the page's sentence is about."""
    pair = main_pair(results)
    if pair is None:
        return ""
    told = []
    for name in (pair.left, pair.right):
        score = results.methods.get(name, {}).get(pair.split)
        if score is not None and score.n:
            tokens = (score.prompt_tokens + score.completion_tokens) / score.n
            told.append(f"{name} {tokens:,.0f} tokens, {score.seconds / score.n:.2f} s")
    return "; ".join(told)


def duration(seconds: float) -> str:
    """`48 s`, `12 min`, `3.5 h`."""
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def steps(results: Results) -> Markup | None:
    """What the steps of the method did, in a few figures."""
    rows = [[name, figures] for name, figures in method_figures(results)]
    told = note(
        "S_P is the student after general distillation, S_E the one after augmented distillation. Out of fold: each "
        "training question answered by a student that was not trained on it."
    )
    hint = "rationales, errors, filters, look-ups"
    return folded("steps", "What the steps did", hint, table(["step", "figures"], rows), told) if rows else None


def retrieval(run: RunFiles) -> Markup | None:
    """Recall of needed facts, where retrieval was asked, and the margins that the router sees."""
    results = run.results
    recall: list[list[Child]] = []
    for split, found in results.retrieval.items():
        shares = (found.needed_fact_recall, found.answer_in_context)
        if any(share is not None for share in shares):
            recall.append([split, *("–" if s is None else (share_bar(s), f" {100 * s:.1f} %") for s in shares)])
    asked = [
        [method_name(method), split, kind, f"{100 * part.routed:.0f} %", f"{100 * part.delivered:.0f} %"]
        for method, by_split in results.methods.items()
        for split, score in by_split.items()
        for kind, part in score.by_kind.items()
        if part.routed > 0 and is_routed(method)
    ]
    margins = _margins(run)
    if not (recall or asked or margins):
        return None
    heads = ["split", "needed facts that arrived in the prompt", "contexts that hold the answer"]
    asks = (
        tag("h4", "Where the router asked for knowledge"),
        table(["method", "split", "kind", "asked", "got an item"], asked),
    )
    hint = "does the knowledge arrive where it is needed?"
    parts = (table(heads, recall) if recall else None, asks if asked else None, margins)
    return folded("retrieval", "Retrieval and router", hint, parts)


def _margins(run: RunFiles) -> Child:
    """Margins of the method whose answers without a context the router reads, or of the nearest one scored on `test`."""
    drafts = MAIN if run.results.router.get("closed_book") == "augmented" else BASELINE
    alone = {
        student: name
        for name, (_, told) in knowledge_cells().items()
        if told == "no"
        for student in [METHODS[name].student]
    }
    # Where S_E looks facts up, so do its drafts.
    looks_up = run.results.method is not None and run.results.method.calls is not None
    wanted = (drafts if looks_up else alone[drafts], alone[drafts], *alone.values())
    method = next((name for name in wanted if run.attempts.get((name, "test"))), None)
    if method is None:
        return None
    attempts = list(run.attempts[method, "test"].values())
    threshold, signal = run.results.router.get("threshold"), run.results.router.get("signal")
    known = float(threshold) if isinstance(threshold, float | int) else None
    name, which = ("margin", "all") if signal == "mean" else ("least_margin", "the three least sure")
    right, wrong = (_bins([getattr(a, name) for a in attempts if a.correct is side]) for side in (True, False))
    return (
        tag("h4", "How sure the student was without a context: right (up) and wrong (down) answers on test"),
        tag("p", method_name(method), f" {sum(right):,} right, {sum(wrong):,} wrong", class_="legend"),
        histogram(right, wrong, known, "margins of right and wrong answers"),
        note(f"The margin is the mean of p1 − p2 over {which} of the answer's tokens, the router's signal."),
    )


def _bins(margins: Sequence[float]) -> list[int]:
    counts = [0] * BINS
    for margin in margins:
        counts[min(BINS - 1, max(0, int(margin * BINS)))] += 1
    return counts


def knowledge(run: RunFiles) -> Markup | None:
    """The base: how much of what; the items with most evidence and those of the sample answers, each with its review."""
    base = run.results.knowledge
    if not base.items and not run.entries:
        return None
    counts: list[list[Child]] = [
        [name, f"{count:,}", share_bar(count / base.items if base.items else 0)]
        for part in (base.by_kind, base.by_status)
        for name, count in part.items()
    ]
    live = [entry for entry in run.entries if entry.status in (Status.APPROVED, Status.PROPOSED)]
    most = sorted(live, key=lambda entry: (-len(entry.evidence), entry.item.text))[:MOST_EVIDENCED]
    named = named_items(run)
    shown = {entry.item_id: entry for entry in (*most, *(one for one in run.entries if one.item_id in named))}
    rows: list[list[Child]] = [
        [
            tag("span", entry.item.text, id=f"item-{entry.item_id}"),
            entry.item.kind,
            _status(entry),
            f"{len(entry.evidence):,}",
            _sources(entry),
            tag("code", f"nesycd review {shlex.quote(run.called)} --item {entry.item_id[:8]}"),
        ]
        for entry in shown.values()
    ]
    return folded(
        "knowledge",
        "Knowledge base",
        "what does it hold, and which items should I look at?",
        tag("p", f"{base.items:,} items."),
        table(["kind or status", "items", "share"], counts, "figures") if counts else None,
        (
            tag("h4", "The items with most evidence, and those in the sample answers"),
            table(["item", "kind", "status", "evidence", "from", "look at it, edit or reject it"], rows, "items"),
            note("Evidence: the errors (or notes by people) that gave rise to the item; equal items are one."),
        )
        if rows
        else None,
    )


def _status(entry: Entry) -> str:
    return f"{entry.status} ({entry.reviewer})" if entry.reviewer else str(entry.status)


def _sources(entry: Entry) -> str:
    return ", ".join(sorted({one.source for one in entry.evidence}))


def costs(results: Results) -> Markup | None:
    """Tokens per question by method on each split, and seconds by stage."""
    rows: list[list[Child]] = []
    for method, by_split in results.methods.items():
        for split, score in by_split.items():
            per = max(1, score.n)
            tokens = (score.prompt_tokens, score.knowledge_tokens, score.completion_tokens)
            shares = (f"{100 * share:.0f} %" for share in (score.routed, score.delivered))
            each = (f"{count / per:,.1f}" for count in tokens)
            rows.append([method_name(method), split, *each, f"{score.seconds / per:.2f}", *shares])
    heads = ["method", "split", "prompt tokens", "of it knowledge", "answer tokens", "seconds a question"]
    heads += ["asked for knowledge", "got an item"]
    slowest = max(results.seconds.values(), default=0.0)
    stages: list[list[Child]] = [
        [stage, f"{seconds:,.1f}", share_bar(seconds / slowest if slowest else 0.0)]
        for stage, seconds in sorted(results.seconds.items(), key=lambda pair: -pair[1])
    ]
    if not rows and not stages:
        return None
    return folded(
        "costs",
        "Costs",
        "tokens and seconds, by method and by stage",
        (
            tag("h4", "Tokens and seconds a question"),
            table(heads, rows, "figures"),
            note("A routed method costs its draft, and the second answer too where knowledge was asked for."),
        )
        if rows
        else None,
        (
            tag("h4", f"Seconds by stage, {results.total_seconds:,.0f} in all"),
            table(["stage", "seconds", "share of the slowest"], stages, "figures"),
        )
        if stages
        else None,
    )


def how_it_was_run(run: RunFiles) -> Markup | None:
    """The run's config and manifest as in its folder, but for the machine's own paths; None where it has neither."""
    parts = [tag("details", tag("summary", name), tag("pre", without_places(t))) for name, t in run.documents.items()]
    hint = "settings, seeds, hashes, versions, machine"
    return folded("run", "How it was run", hint, parts) if parts else None


def without_places(text: str) -> str:
    """A JSON document without the folders of absolute paths: the page may go anywhere.

    >>> without_places('"path": "/home/ann/data/units.jsonl", "model": "org/name"')
    '"path": "…/units.jsonl", "model": "org/name"'
    """
    return _PLACE.sub("…/", text)

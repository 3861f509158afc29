"""The page's sections on the sources of the accuracies: the method's steps, retrieval, knowledge base, costs, config."""

from __future__ import annotations

from collections.abc import Sequence

from nesycd.core.records import Entry, Status
from nesycd.methods.table import BASELINE, MAIN, METHODS, is_routed, knowledge_cells
from nesycd.reports.figures import method_figures
from nesycd.reports.folder import RunFiles
from nesycd.reports.markup import Child, Markup, tag
from nesycd.reports.plots import histogram, share_bar
from nesycd.reports.results import Results
from nesycd.reports.scores import method_name, note, section, table

BINS = 20
MOST_EVIDENCED = 20


def steps(results: Results) -> Markup:
    """What the steps of the method did, in a few figures."""
    rows = [[name, figures] for name, figures in method_figures(results)]
    told = note(
        "S_P is the student after general distillation, S_E the one after augmented distillation. Out of fold: each "
        "training question answered by a student that was not trained on it."
    )
    return section("steps", "What the steps did", table(["step", "figures"], rows) if rows else None, told)


def retrieval(run: RunFiles) -> Markup:
    """Recall of needed facts, where retrieval was asked, and the margins that the router sees."""
    results = run.results
    recall: list[list[Child]] = []
    for split, found in results.retrieval.items():
        shares = (found.needed_fact_recall, found.answer_in_context)
        recall.append([split, *("–" if s is None else (share_bar(s), f" {100 * s:.1f} %") for s in shares)])
    asked = [
        [method_name(method), split, kind, f"{100 * part.routed:.0f} %", f"{100 * part.delivered:.0f} %"]
        for method, by_split in results.methods.items()
        for split, score in by_split.items()
        for kind, part in score.by_kind.items()
        if part.routed > 0 and is_routed(method)
    ]
    return section(
        "retrieval",
        "Retrieval and router",
        table(["split", "needed facts that arrived in the prompt", "contexts that hold the answer"], recall)
        if recall
        else note("No recall is known."),
        (
            tag("h3", "Where the router asked for knowledge"),
            table(["method", "split", "kind", "asked", "got an item"], asked),
        )
        if asked
        else None,
        _margins(run),
    )


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
        return note("No closed-book attempts from which to draw margins.")
    attempts = list(run.attempts[method, "test"].values())
    threshold, signal = run.results.router.get("threshold"), run.results.router.get("signal")
    known = float(threshold) if isinstance(threshold, float | int) else None
    name, which = ("margin", "all") if signal == "mean" else ("least_margin", "the three least sure")
    right, wrong = (_bins([getattr(a, name) for a in attempts if a.correct is side]) for side in (True, False))
    return (
        tag("h3", "How sure the student was without a context: right (up) and wrong (down) answers on test"),
        tag("p", method_name(method), f" {sum(right):,} right, {sum(wrong):,} wrong", class_="legend"),
        histogram(right, wrong, known, "margins of right and wrong answers"),
        note(f"The margin is the mean of p1 − p2 over {which} of the answer's tokens, the router's signal."),
    )


def _bins(margins: Sequence[float]) -> list[int]:
    counts = [0] * BINS
    for margin in margins:
        counts[min(BINS - 1, max(0, int(margin * BINS)))] += 1
    return counts


def knowledge(run: RunFiles) -> Markup:
    """The knowledge base: how much of what, and the items with most evidence."""
    base = run.results.knowledge
    counts: list[list[Child]] = [
        [name, f"{count:,}", share_bar(count / base.items if base.items else 0)]
        for part in (base.by_kind, base.by_status)
        for name, count in part.items()
    ]
    live = [entry for entry in run.entries if entry.status in (Status.APPROVED, Status.PROPOSED)]
    most = sorted(live, key=lambda entry: (-len(entry.evidence), entry.item.text))[:MOST_EVIDENCED]
    rows = [
        [entry.item.text, entry.item.kind, _status(entry), f"{len(entry.evidence):,}", _sources(entry)]
        for entry in most
    ]
    return section(
        "knowledge",
        "Knowledge base",
        tag("p", f"{base.items:,} items."),
        note(f"Not the same knowledge throughout: {base.mismatch}.") if base.mismatch else None,
        table(["", "items", "share"], counts, "figures") if counts else None,
        (
            tag("h3", "The items with most evidence"),
            table(["item", "kind", "status", "evidence", "from"], rows, "items"),
            note("Evidence: the errors (or notes by people) that gave rise to the item; equal items are one."),
        )
        if rows
        else None,
    )


def _status(entry: Entry) -> str:
    return f"{entry.status} ({entry.reviewer})" if entry.reviewer else str(entry.status)


def _sources(entry: Entry) -> str:
    return ", ".join(sorted({one.source for one in entry.evidence}))


def costs(results: Results) -> Markup:
    """Tokens per question by method on each split, and seconds by stage."""
    rows: list[list[Child]] = []
    for method, by_split in results.methods.items():
        for split, score in by_split.items():
            per = max(1, score.n)
            tokens = (score.prompt_tokens, score.knowledge_tokens, score.completion_tokens)
            rows.append(
                [method_name(method), split, *(f"{count / per:,.1f}" for count in tokens), f"{score.seconds / per:.2f}"]
            )
    heads = ["method", "split", "prompt tokens", "of it knowledge", "answer tokens", "seconds a question"]
    slowest = max(results.seconds.values(), default=0.0)
    stages: list[list[Child]] = [
        [stage, f"{seconds:,.1f}", share_bar(seconds / slowest if slowest else 0.0)]
        for stage, seconds in sorted(results.seconds.items(), key=lambda pair: -pair[1])
    ]
    return section(
        "costs",
        "Costs",
        tag("h3", "Tokens and seconds a question"),
        table(heads, rows, "figures"),
        note("A routed method costs its draft, and the second answer too where knowledge was asked for."),
        tag("h3", f"Seconds by stage, {results.total_seconds:,.0f} in all"),
        table(["stage", "seconds", ""], stages, "figures") if stages else None,
    )


def how_it_was_run(run: RunFiles) -> Markup:
    """The run's config and manifest, as in its folder."""
    parts = [tag("details", tag("summary", name), tag("pre", text)) for name, text in run.documents.items()]
    return section("run", "How it was run", parts or note("The run folder holds neither config nor manifest."))

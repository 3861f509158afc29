"""One self-contained `report.html` for a run folder: tables, plots and sample answers, without a request to anywhere."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nesycd.records import Attempt, Example, Retrieval
from nesycd.reports.build import BUCKETS
from nesycd.reports.markup import Markup, join, tag, text
from nesycd.reports.plots import Point, Series, difference_bar, histogram, interval_bar, line_plot
from nesycd.reports.results import Estimate, Results, Score, load_results, replace_file
from nesycd.run import read_records

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--one:#4477aa;--two:#228833;--three:#cc6677}
body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:.6rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{font-weight:600}td.n{text-align:right}svg{vertical-align:middle;max-width:100%}svg text{fill:currentColor;font-size:12px}
.track{fill:var(--soft)}.fill{fill:var(--one)}.whisker,.axis,.grid{stroke:currentColor;opacity:.6}.grid{opacity:.15}
.dot{fill:currentColor}.better .dot{fill:var(--two)}.worse .dot{fill:var(--three)}
.one{--c:var(--one)}.two{--c:var(--two)}.three{--c:var(--three)}.plot .line{stroke:var(--c);fill:none;stroke-width:2}
.plot g .dot,.plot .key{fill:var(--c)}.right{fill:var(--two)}.wrong{fill:var(--three)}.plot .whisker{stroke:var(--c)}
.middle{text-anchor:middle}.end{text-anchor:end}.threshold{stroke:currentColor;stroke-dasharray:4 3}
.ok{color:var(--two)}.no{color:var(--three)}details{margin:.5rem 0;border:1px solid var(--line);padding:.4rem .8rem}
pre{white-space:pre-wrap;font-size:13px;overflow-wrap:anywhere}.note{opacity:.75}summary{cursor:pointer}
"""
SAMPLES = 24
"""Sample questions shown."""
SHOWN_ARMS = ("std_cot", "nesycd", "nesycd_oracle")


def write_report(run_folder: Path) -> Path:
    """Write `report.html` from a run's `results.json`, examples and attempts.

    Raises:
        RunError: results that are missing or damaged, or a file that cannot be written.
    """
    results = load_results(run_folder / "results.json")
    body = join(
        _headline(results),
        _differences(results),
        _by_frequency(results),
        _by_task(results),
        _retrieval(results, run_folder),
        _samples(results, run_folder),
        _costs(results),
        _manifest(run_folder),
    )
    name = run_folder.resolve().name
    head = join(tag("meta", charset="utf-8"), tag("title", f"{name}: nesycd report"), tag("style", Markup(STYLE)))
    page = tag("html", tag("head", head), tag("body", tag("h1", f"Run {name}"), body), lang="en")
    replace_file(run_folder / "report.html", f"<!doctype html>\n{page}\n".encode())
    return run_folder / "report.html"


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Markup:
    cells = [tag("tr", [tag("td", cell) for cell in row]) for row in rows]
    return tag("table", tag("tr", [tag("th", head) for head in heads]), cells)


def _percent(score: Score | None) -> Markup | str:
    if score is None or score.accuracy is None:
        return "-"
    label = f"{100 * score.accuracy:.1f} % of {score.n}"
    return join(
        interval_bar(Point(score.accuracy, score.low, score.high, label), "accuracy"), f" {100 * score.accuracy:.1f}"
    )


def _headline(results: Results) -> Markup:
    parts = [tag("h2", "Accuracy by arm, %")]
    for split in results.splits():
        kinds = sorted({kind for arm in results.arms.values() if split in arm for kind in arm[split].by_kind})
        rows = []
        for name, arm in results.arms.items():
            if split in arm:
                score = arm[split]
                tokens = f"{(score.prompt_tokens + score.completion_tokens) / max(1, score.n):.0f}"
                rows.append(
                    [
                        name,
                        *(_percent(score.by_kind.get(kind)) for kind in kinds),
                        _percent(score),
                        f"{100 * score.routed:.0f} / {100 * score.delivered:.0f}",
                        tokens,
                    ]
                )
        heads = ["arm", *kinds, "all", "routed / delivered, %", "tokens a question"]
        parts += [tag("h3", split), _table(heads, rows)]
    return join(parts, tag("p", "Whiskers are 95 % intervals, clustered by question template.", class_="note"))


def _estimate(estimate: Estimate) -> Markup | str:
    if estimate.value is None:
        return "-"
    value = 100 * estimate.value
    low, high = (None if bound is None else 100 * bound for bound in (estimate.low, estimate.high))
    label = f"{value:+.1f}" if low is None or high is None else f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
    return join(difference_bar(value, low, high, 100.0, label), f" {label}")


def _differences(results: Results) -> Markup:
    rows = [
        [f"{pair}, {kind}", _estimate(estimate)]
        for pair, kinds in results.differences.get("test", {}).items()
        for kind, estimate in kinds.items()
    ]
    rows += [[f"gap closed, {kind}, %", _estimate(e)] for kind, e in results.gap_closed.get("test", {}).items()]
    return join(tag("h2", "Differences on test, points (paired)"), _table(["", ""], rows)) if rows else Markup("")


def _point(arm: str, score: Score | None) -> Point | None:
    if score is None or score.accuracy is None:
        return None
    return Point(score.accuracy, score.low, score.high, f"{arm}, n={score.n}")


def _by_frequency(results: Results) -> Markup:
    arms = [name for name in SHOWN_ARMS if "test" in results.arms.get(name, {})]
    used = [bucket for bucket in BUCKETS if any(bucket in results.arms[name]["test"].by_frequency for name in arms)]
    if not used:
        return Markup("")
    series = []
    for name, css in zip(arms, ("one", "two", "three"), strict=False):
        scores = [results.arms[name]["test"].by_frequency.get(bucket) for bucket in used]
        points = [_point(name, score) for score in scores]
        series.append(Series(name, css, points))
    plot = line_plot(used, series, "training questions with the rarest needed fact", "accuracy by training frequency")
    return join(tag("h2", "Accuracy by how often a needed fact was trained"), plot)


def _by_task(results: Results) -> Markup:
    names = [name for name in results.arms if "test" in results.arms[name]]
    tasks = sorted({task for name in names for task in results.arms[name]["test"].by_task})
    rows = []
    for task in tasks:
        cells = []
        for name in names:
            score = results.arms[name]["test"].by_task.get(task)
            share = 0 if score is None else score.accuracy
            cells.append(
                "-" if score is None else tag("span", f"{100 * share:.0f}", style=f"opacity:{0.4 + 0.6 * share}")
            )
        kind = results.tasks[task].kind if task in results.tasks else ""
        rows.append([f"{task} ({kind})" if kind else task, *cells])
    return join(tag("h2", "Accuracy by task on test, %"), _table(["task", *names], rows))


def _retrieval(results: Results, folder: Path) -> Markup:
    shares = [(split, found.needed_fact_recall) for split, found in results.retrieval.items()]
    rows = [[split, "-" if share is None else f"{100 * share:.1f} %"] for split, share in shares]
    kb = results.knowledge
    counts = ", ".join(f"{count} {name}" for part in (kb.by_kind, kb.by_status) for name, count in part.items())
    router = ", ".join(f"{key} {value}" for key, value in results.router.items())
    parts = [tag("h2", "Retrieval, knowledge and router"), _table(["split", "recall of needed facts"], rows)]
    parts += [tag("p", f"Knowledge base: {kb.items} items ({counts})."), tag("p", f"Router: {router}.")]
    parts.append(_margins(results, folder))
    return join(parts)


def _margins(results: Results, folder: Path, bins: int = 20) -> Markup:
    """Right and wrong closed-book drafts by margin, from the arm that the router reads."""
    arm = "nesycd_no_kb" if results.router.get("closed_book") == "augmented" else "std_cot"
    counts: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    for attempt in read_records(folder, f"eval-test-{arm}", Attempt):
        counts[attempt.correct][min(bins - 1, int(attempt.margin * bins))] += 1
    if not counts[True] and not counts[False]:
        return Markup("")
    right, wrong = ([counts[key][i] for i in range(bins)] for key in (True, False))
    threshold = results.router.get("threshold")
    marked = float(threshold) if isinstance(threshold, int | float) and 0 <= threshold <= 1 else None
    plot = histogram(right, wrong, marked, "margin of right and wrong drafts")
    return join(tag("h3", f"Margins of the {arm} drafts on test, right and wrong"), plot)


def _samples(results: Results, folder: Path) -> Markup:
    examples = read_records(folder, "examples-test", Example)
    found = {r.example: r for r in read_records(folder, "retrieve-test", Retrieval)}
    names = [name for name in results.arms if name != "nesycd_routed"]
    answers = {name: {a.example: a for a in read_records(folder, f"eval-test-{name}", Attempt)} for name in names}
    step = max(1, len(examples) // SAMPLES)
    shown = [_sample(example, answers, found.get(example.uid)) for example in examples[::step][:SAMPLES]]
    return join(tag("h2", "Sample answers"), shown)


def _sample(example: Example, answers: Mapping[str, Mapping[str, Attempt]], found: Retrieval | None) -> Markup:
    rows = []
    for name, attempts in answers.items():
        attempt = attempts.get(example.uid)
        if attempt is not None:
            mark = tag("span", "right" if attempt.correct else "wrong", class_="ok" if attempt.correct else "no")
            rows.append([name, mark, attempt.response])
    hits = [f"{hit.item.text}  ({hit.why})" for hit in found.hits] if found is not None else []
    knowledge = tag("pre", "\n".join(hits) or "nothing was retrieved")
    title = f"{example.task}: {example.question} Gold: {example.answer}"
    return tag("details", tag("summary", title), _table(["arm", "", "response"], rows), knowledge)


def _costs(results: Results) -> Markup:
    rows = [[stage, f"{seconds:.1f}"] for stage, seconds in sorted(results.seconds.items(), key=lambda kv: -kv[1])]
    table = _table(["stage", "seconds"], rows)
    return join(
        tag("h2", f"Time: {results.total_seconds:.0f} s of work"), tag("details", tag("summary", "by stage"), table)
    )


def _manifest(folder: Path) -> Markup:
    path = folder / "manifest.json"
    if not path.is_file():
        return Markup("")
    content = json.loads(path.read_text(encoding="utf-8"))
    kept = {key: content[key] for key in ("config", "seeds", "hashes", "versions", "machine") if key in content}
    shown = Markup(text(json.dumps(kept, indent=1, ensure_ascii=False)))
    return join(tag("h2", "How it was run"), tag("details", tag("summary", "config and machine"), tag("pre", shown)))

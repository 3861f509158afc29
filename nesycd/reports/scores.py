"""The page's parts on accuracy: the table of methods, other splits, differences, by training frequency, by task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nesycd.core.markup import Child, Markup, join, tag
from nesycd.methods.table import MAIN, METHODS, knowledge_cells
from nesycd.reports.build import BUCKETS
from nesycd.reports.meaning import main_pair, verdict_of
from nesycd.reports.plots import Point, Series, difference_bar, interval_bar, line_plot
from nesycd.reports.results import (
    FEW,
    Estimate,
    KnownScore,
    MethodScore,
    Results,
    Score,
    kinds_in_order,
    score_of,
)


def about(name: str) -> str:
    """What a method is, in one sentence; "" for one that this process does not know."""
    return METHODS[name].about if name in METHODS else ""


def method_class(method: str) -> str:
    """The CSS class of a method's colour."""
    names = [*METHODS]
    return f"s{min(names.index(method), 7)}" if method in METHODS else "s7"


def method_name(method: str) -> Markup:
    """A method's name with its colour and a tooltip."""
    return named(method, method_class(method), about(method))


def named(name: str, css: str, about: str | None = None) -> Markup:
    """A name with the colour of a CSS class, explained when pointed at."""
    return tag("span", tag("i", class_="key"), name, class_=f"method {css}", title=about)


def explained(title: str, terms: Iterable[tuple[Child, str]]) -> Markup:
    """What terms mean, folded away below a title."""
    return tag(
        "details", tag("summary", title), tag("dl", [(tag("dt", term), tag("dd", text)) for term, text in terms])
    )


def bar(point: Point, css: str, few: str = "") -> Markup:
    """A share as a bar with its interval, and as figures; `few` marks what rests on few questions."""
    return join(
        interval_bar(point, css),
        tag("b", f"{100 * point.value:.1f}{few}"),
        tag("small", f" {100 * (point.low or 0):.0f}–{100 * (point.high or 0):.0f}"),
    )


def span(edges: Iterable[float | None]) -> float:
    """The scale on which differences with these edges are drawn together: the farthest one, and 10 points at least."""
    return max([0.1, *(abs(edge) for edge in edges if edge is not None)])


def table(heads: Sequence[Child], rows: Sequence[Sequence[Child]], css: str = "") -> Markup:
    """A table whose first column names the row; it scrolls by itself, by the keyboard too, where it is too wide."""
    head = tag("thead", tag("tr", [tag("th", one, scope="col") for one in heads]))
    body = [tag("tr", tag("th", first, scope="row"), [tag("td", cell) for cell in rest]) for first, *rest in rows]
    made = tag("table", head, tag("tbody", body), class_=css or None)
    return tag("div", made, class_="wide", role="region", aria_label="table", tabindex="0")


def card_table(heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[Child]]) -> Markup:
    """A table of figures that becomes a card for each row on a narrow screen, where each cell is named by its column.

    Args:
        heads: of each column its name and, in small print, what is to be said of it ("" for nothing).
        rows: the first cell names the row.
    """
    # Roles are given, since browsers drop those of a table that is not laid out as one.
    tops = [
        tag("th", name, tag("small", f" {told}") if told else None, role="columnheader", scope="col")
        for name, told in heads
    ]
    names = [name for name, _ in heads]
    body = [
        tag(
            "tr",
            tag("th", first, role="rowheader", scope="row"),
            [tag("td", cell, role="cell", data_name=name) for name, cell in zip(names[1:], rest, strict=True)],
            role="row",
        )
        for first, *rest in rows
    ]
    head = tag("thead", tag("tr", tops, role="row"), role="rowgroup")
    made = tag("table", head, tag("tbody", body, role="rowgroup"), class_="figures cards", role="table")
    return tag("div", made, class_="wide", role="region", aria_label="methods", tabindex="0")


def section(name: str, title: str, *children: Child) -> Markup:
    """A section with its heading, to which the page's menu leads."""
    return tag("section", tag("h2", title), *children, id=name)


def folded(name: str, title: str, hint: str, *children: Child) -> Markup:
    """A section that is folded below its heading; `hint` says what a reader finds in it.

    Its id is inside, so that a browser that is led there, or finds a text there, unfolds it by itself.
    """
    summary = tag("summary", tag("h3", title), " ", tag("span", hint, class_="hint"))
    return tag("details", summary, tag("div", *children, id=name, class_="part"), class_="fold")


def note(*children: Child) -> Markup:
    """A sentence in small print."""
    return tag("p", *children, class_="note")


def headline(results: Results) -> Markup | None:
    """The table of methods, by kind of question, on the split that the sentence is about; None where nothing was scored."""
    pair = main_pair(results)
    splits = [pair.split] if pair is not None else results.splits()
    return _methods_table(results, splits[0]) if splits else None


def other_splits(results: Results) -> Markup | None:
    """The table of methods on each split; None where there is but that of `headline`."""
    if len(results.splits()) < 2:
        return None
    parts = [(tag("h4", split), _methods_table(results, split)) for split in results.splits()]
    return folded("splits", "Accuracy on each split", "the same table for every set of questions", parts)


def how_intervals_are_made() -> Markup:
    """What the table's figures are."""
    return note(
        "% of right answers. Whiskers and small figures are 95 % intervals: bootstrap over question templates within each task; "
        f"Wilson's formula where all answers are alike or come from one template. * fewer than {FEW} questions: says little. "
        "One seed: the intervals say nothing about other seeds."
    )


def what_methods_are(results: Results) -> Markup:
    """The methods of the table in a sentence each, folded away."""
    told = [(method_name(method), text) for method in results.methods if (text := about(method))]
    return explained("What the methods are", told)


def _methods_table(results: Results, split: str) -> Markup:
    methods = {method: by_split[split] for method, by_split in results.methods.items() if split in by_split}
    found = {kind for score in methods.values() for kind in score.by_kind}
    # With a single kind its column would repeat the one for all.
    kinds = kinds_in_order({*(found if len(found) > 1 else ()), "all"})
    sizes = {kind: max((s.n for a in methods.values() if (s := score_of(a, kind))), default=0) for kind in kinds}
    heads = [("method", ""), *((kind, f"n={sizes[kind]:,}") for kind in kinds)]
    gaps = {
        right: kinds_of["all"]
        for pair, kinds_of in results.differences.get(split, {}).items()
        for left, _, right in [pair.partition(" - ")]
        if left == MAIN and "all" in kinds_of
    }
    heads += [(f"{MAIN} minus it", "points, all")] if gaps else []
    heads += [("supervision", "")] if results.supervision else []
    rows: list[list[Child]] = [
        [
            method_name(method),
            *(_accuracy(method, score_of(score, kind)) for kind in kinds),
            *([_gap(gaps.get(method))] if gaps else ()),
            *([_supervised(results.supervision, method)] if results.supervision else ()),
        ]
        for method, score in methods.items()
    ]
    return card_table(heads, rows)


def _supervised(told: Mapping[str, str], method: str) -> Child:
    return tag("small", told.get(method, "") or "–")


def _gap(estimate: Estimate | None) -> Child:
    if estimate is None or estimate.value is None:
        return "–"
    return gap_cell(estimate.value, estimate.low, estimate.high)


def gap_cell(value: float, low: float | None, high: float | None) -> Markup:
    """A difference in points with its interval, in the colour of what it says."""
    css = {"better": "good", "worse": "bad"}.get(verdict_of(value, low, high))
    ends = "" if low is None or high is None else f" {100 * low:+.0f} to {100 * high:+.0f}"
    return join(tag("b", f"{100 * value:+.1f}", class_=css), tag("small", ends))


def _accuracy(method: str, score: Score | None) -> Child:
    if score is None or score.accuracy is None:
        return "–"
    point = Point(score.accuracy, score.low, score.high, _label(score))
    return bar(point, method_class(method), "*" if score.n < FEW else "")


def differences(results: Results) -> Markup | None:
    """Paired differences by split and kind, and the gap closed."""
    parts: list[Child] = []
    for split in results.splits():
        estimates = [
            (pair, kind, kinds[kind])
            for pair, kinds in results.differences.get(split, {}).items()
            for kind in kinds_in_order(kinds)
            if kind == "all" or len(kinds) > 2 or split == "test"
        ]
        if estimates:
            scale = span(edge for _, _, e in estimates for edge in (e.value, e.low, e.high))
            rows = [[pair, kind, *_difference(e, scale), f"{e.n:,}"] for pair, kind, e in estimates]
            gaps = results.gap_closed.get(split, {})
            rows += [
                [f"gap closed ({kind})", "", f"{points(e, sign=False)} %", "", f"{e.n:,}"]
                for kind in kinds_in_order(gaps)
                if (e := gaps[kind]).value is not None and (kind == "all" or split == "test")
            ]
            parts += [
                tag("h4", split),
                table(["difference", "questions", "points", "0 in the middle", "n"], rows, "figures"),
            ]
    told = note(
        "Both methods answer the same questions, and are drawn together. Gap closed = (nesycd − std_cot) / (nesycd_oracle "
        "− std_cot); without an interval the oracle is not surely above std_cot, and the share says little."
    )
    if not parts:
        return None
    return folded("differences", "Differences between methods", "is it real? paired, with intervals", parts, told)


def _difference(estimate: Estimate, scale: float) -> tuple[Child, Child]:
    if estimate.value is None:
        return "–", ""
    label = points(estimate)
    return label, difference_bar(estimate.value, estimate.low, estimate.high, scale, label)


def known_unknown(results: Results) -> Markup | None:
    """Accuracy by what the prompt holds, before and after augmented distillation, on known and on unknown questions."""
    parts: list[Child] = []
    columns = list(dict.fromkeys(knowledge for _, knowledge in knowledge_cells().values()))
    for split, sides in results.known_unknown.items():
        rows = [row for side, scores in sides.items() for row in _known_rows(side, scores, columns)]
        if rows:
            parts += [tag("h4", split), table(["questions", "kind", "n", "student", *columns], rows, "figures")]
    told = note(
        "Known: std_cot answers it rightly without knowledge (so its own figures there are 100 and 0 by definition). Before: "
        "the std_cot student, which reads; after: the NesyCD student, which looks facts up. Methods that are missing are asked "
        "for by evaluation.methods."
    )
    hint = "does the base add what the student did not know, and keep what it knew?"
    return folded("known", "Known and unknown questions", hint, parts, told) if parts else None


def _known_rows(side: str, scores: Mapping[str, KnownScore], columns: Sequence[str]) -> Iterator[list[Child]]:
    """Two rows, before and after, for each kind of question; with a single kind its rows would repeat those for all."""
    methods = {place: method for method, place in knowledge_cells().items()}
    found = {kind for score in scores.values() for kind in score.by_kind}
    for kind in kinds_in_order({*(found if len(found) > 1 else ()), "all"}):
        for student in ("before", "after"):
            row = [methods[student, column] for column in columns]
            here = {method: score_of(scores.get(method), kind) for method in row}
            if size := max((score.n for score in here.values() if score is not None), default=0):
                yield [side, kind, f"{size:,}", student, *(_accuracy(method, score) for method, score in here.items())]


def by_frequency(results: Results) -> Markup | None:
    """Accuracy on `test` by how often the rarest needed fact occurs in training, and the gain."""
    title = "Accuracy by training frequency of the needed facts"
    methods = {
        method: results.methods[method]["test"]
        for method, row in METHODS.items()
        if row.plotted and "test" in results.methods.get(method, {})
    }
    used = [bucket for bucket in BUCKETS if any(bucket in score.by_frequency for score in methods.values())]
    if not used:
        return None
    series = [
        Series(method, method_class(method), [_point(method, score.by_frequency.get(bucket)) for bucket in used])
        for method, score in methods.items()
    ]
    counts = [max((s.n for a in methods.values() if (s := a.by_frequency.get(bucket))), default=0) for bucket in used]
    names = [f"{bucket}  (n={count:,})" for bucket, count in zip(used, counts, strict=True)]
    axis = "training questions in which the rarest needed fact occurs"
    gains = results.gain_by_frequency.get("test", {})
    told = ", ".join(f"{points(gains[b])} at {b}" for b in used if b in gains and gains[b].value is not None)
    return folded(
        "frequency",
        title,
        "does it help where facts are rare?",
        tag("p", [(method_name(method), " ") for method in methods], class_="legend"),
        line_plot(names, series, axis, "accuracy by training frequency"),
        note(f"Gain of nesycd over std_cot in points, by frequency: {told}.") if told else None,
    )


def by_task(results: Results) -> Markup | None:
    """Each method on each task of each split, as a heat table."""
    parts: list[Child] = []
    for split in results.splits():
        methods = {method: by_split[split] for method, by_split in results.methods.items() if split in by_split}
        tasks = sorted({task for score in methods.values() for task in score.by_task})
        tasks.sort(key=lambda task: (results.tasks[task].kind != "special", results.tasks[task].kind))
        rows = [
            [
                (task, tag("small", f" {results.tasks[task].kind}")),
                _size(methods, task),
                *(_heat(s, task) for s in methods.values()),
            ]
            for task in tasks
        ]
        if rows:
            parts += [tag("h4", split), table(["task", "n", *map(method_name, methods)], rows, "figures heat")]
    if not parts:
        return None
    told = note("Few questions a task: mind n before reading a difference.")
    return folded("tasks", "Accuracy by task, %", "which kinds of question does it help with?", parts, told)


def _heat(score: MethodScore, task: str) -> Child:
    one = score.by_task.get(task)
    if one is None:
        return "–"
    told = f"{100 * one.accuracy:.1f} % of {one.n}; retrieval asked for {100 * one.routed:.0f} %"
    # In steps of ten, by classes: the page's policy allows no style in an element.
    return tag("span", f"{100 * one.accuracy:.0f}", class_=f"cell heat-{round(10 * one.accuracy)}", title=told)


def _size(methods: dict[str, MethodScore], task: str) -> str:
    return f"{max(score.by_task[task].n for score in methods.values() if task in score.by_task):,}"


def _point(method: str, score: Score | None) -> Point | None:
    if score is None or score.accuracy is None:
        return None
    return Point(score.accuracy, score.low, score.high, f"{method}: {_label(score)}")


def _label(score: Score) -> str:
    if score.accuracy is None or score.low is None or score.high is None:
        return "no questions"
    interval = f"{100 * score.low:.1f}–{100 * score.high:.1f}, {score.interval}"
    return f"{score.correct:,} of {score.n:,} right: {100 * score.accuracy:.1f} % ({interval})"


def points(estimate: Estimate, *, sign: bool = True) -> str:
    """`+31.2 (+25.1 to +37.4)`; a dash where nothing is known."""
    plus = "+" if sign else ""
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:{plus}.1f}"
    return f"{100 * estimate.value:{plus}.1f} ({100 * estimate.low:{plus}.1f} to {100 * estimate.high:{plus}.1f})"

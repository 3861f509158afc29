"""The page's sections on accuracy: headline, out of domain, differences, by training frequency, by task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nesycd.methods.table import BASELINE, MAIN, METHODS, knowledge_cells
from nesycd.reports.build import BUCKETS
from nesycd.reports.markup import Child, Markup, join, tag
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
    """A table whose first column names the row; it scrolls by itself where it is too wide."""
    head = tag("thead", tag("tr", [tag("th", one, scope="col") for one in heads]))
    body = [tag("tr", tag("th", first, scope="row"), [tag("td", cell) for cell in rest]) for first, *rest in rows]
    return tag("div", tag("table", head, tag("tbody", body), class_=css or None), class_="wide")


def section(name: str, title: str, *children: Child) -> Markup:
    """A section with its heading, to which the page's menu leads."""
    return tag("section", tag("h2", title), *children, id=name)


def note(*children: Child) -> Markup:
    """A sentence in small print."""
    return tag("p", *children, class_="note")


def headline(results: Results) -> Markup:
    """What the method brought in one sentence, and the table of methods on `test` and on the other splits."""
    parts: list[Child] = [_summary(results)]
    for split in results.splits():
        parts += [tag("h3", split), _arms_table(results, split)]
    return section(
        "accuracy",
        "Accuracy by method",
        parts,
        note(
            "Whiskers are 95 % intervals: bootstrap over question templates within each task; Wilson's formula where all "
            f"answers are alike or come from one template. * fewer than {FEW} questions: says little."
        ),
        explained(
            "What the methods are",
            [(method_name(method), told) for method in results.methods if (told := about(method))],
        ),
    )


def _summary(results: Results) -> Markup | None:
    kinds = results.differences.get("test", {}).get(f"{MAIN} - {BASELINE}", {})
    kind = "special" if "special" in kinds else "all"
    gain = kinds.get(kind)
    scores = [score_of(results.methods.get(method, {}).get("test"), kind) for method in (BASELINE, MAIN)]
    if gain is None or gain.value is None or any(score is None or score.accuracy is None for score in scores):
        return None
    before, after = (f"{100 * score.accuracy:.1f} %" for score in scores if score and score.accuracy is not None)
    gap = results.gap_closed.get("test", {}).get(kind)
    sure = gap is not None and gap.value is not None and gap.low is not None
    closed = f" That closes {100 * gap.value:.0f} % of the gap to the oracle." if gap and gap.value and sure else ""
    questions = f"{gain.n:,} special test questions" if kind == "special" else f"{gain.n:,} test questions"
    return tag(
        "p",
        f"On {questions}, ",
        tag("b", f"{MAIN} answers {after} right, {BASELINE} {before}"),
        f": a difference of {points(gain)} points.{closed}",
        class_="lead",
    )


def _arms_table(results: Results, split: str) -> Markup:
    methods = {method: by_split[split] for method, by_split in results.methods.items() if split in by_split}
    found = {kind for score in methods.values() for kind in score.by_kind}
    # With a single kind its column would repeat the one for all.
    kinds = kinds_in_order({*(found if len(found) > 1 else ()), "all"})
    sizes = {kind: max((s.n for a in methods.values() if (s := score_of(a, kind))), default=0) for kind in kinds}
    heads: list[Child] = ["method", *((kind, tag("small", f" n={sizes[kind]:,}")) for kind in kinds)]
    heads += ["retrieval asked", "got an item", "tokens a question"]
    rows = [
        [
            method_name(method),
            *(_accuracy(method, score_of(score, kind)) for kind in kinds),
            f"{100 * score.routed:.0f} %",
            f"{100 * score.delivered:.0f} %",
            f"{(score.prompt_tokens + score.completion_tokens) / max(1, score.n):,.0f}",
        ]
        for method, score in methods.items()
    ]
    return table(heads, rows, "figures")


def _accuracy(method: str, score: Score | None) -> Child:
    if score is None or score.accuracy is None:
        return "–"
    point = Point(score.accuracy, score.low, score.high, _label(score))
    return bar(point, method_class(method), "*" if score.n < FEW else "")


def differences(results: Results) -> Markup:
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
            rows = [[pair, kind, f"{e.n:,}", *_difference(e, scale)] for pair, kind, e in estimates]
            gaps = results.gap_closed.get(split, {})
            rows += [
                [f"gap closed ({kind})", "", f"{e.n:,}", "", f"{points(e, sign=False)} %"]
                for kind in kinds_in_order(gaps)
                if (e := gaps[kind]).value is not None and (kind == "all" or split == "test")
            ]
            parts += [tag("h3", split), table(["difference", "questions", "n", "", "points"], rows, "figures")]
    told = note(
        "Both methods answer the same questions, and are drawn together. Gap closed = (nesycd − std_cot) / (nesycd_oracle "
        "− std_cot); without an interval the oracle is not surely above std_cot, and the share says little."
    )
    return section("differences", "Differences between methods", parts or note("No two methods to compare."), told)


def _difference(estimate: Estimate, scale: float) -> tuple[Child, Child]:
    if estimate.value is None:
        return "", "–"
    label = points(estimate)
    return difference_bar(estimate.value, estimate.low, estimate.high, scale, label), label


def known_unknown(results: Results) -> Markup:
    """Accuracy by what the prompt holds, before and after augmented distillation, on known and on unknown questions."""
    parts: list[Child] = []
    columns = list(dict.fromkeys(knowledge for _, knowledge in knowledge_cells().values()))
    for split, sides in results.known_unknown.items():
        rows = [row for side, scores in sides.items() for row in _known_rows(side, scores, columns)]
        if rows:
            parts += [tag("h3", split), table(["questions", "kind", "n", "student", *columns], rows, "figures")]
    told = note(
        "Known: std_cot answers it rightly without knowledge (so its own figures there are 100 and 0 by definition). Before: "
        "the std_cot student, which reads; after: the NesyCD student, which looks facts up. Methods that are missing are asked "
        "for by evaluation.methods."
    )
    none = note("No method std_cot, by which known questions are told from others.")
    return section("known", "Known and unknown questions", parts or none, told)


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


def by_frequency(results: Results) -> Markup:
    """Accuracy on `test` by how often the rarest needed fact occurs in training, and the gain."""
    title = "Accuracy by training frequency of the needed facts"
    methods = {
        method: results.methods[method]["test"]
        for method, row in METHODS.items()
        if row.plotted and "test" in results.methods.get(method, {})
    }
    used = [bucket for bucket in BUCKETS if any(bucket in score.by_frequency for score in methods.values())]
    if not used:
        return section("frequency", title, note("The benchmark does not say which facts its questions need."))
    series = [
        Series(method, method_class(method), [_point(method, score.by_frequency.get(bucket)) for bucket in used])
        for method, score in methods.items()
    ]
    counts = [max((s.n for a in methods.values() if (s := a.by_frequency.get(bucket))), default=0) for bucket in used]
    names = [f"{bucket}  (n={count:,})" for bucket, count in zip(used, counts, strict=True)]
    axis = "training questions in which the rarest needed fact occurs"
    gains = results.gain_by_frequency.get("test", {})
    told = ", ".join(f"{points(gains[b])} at {b}" for b in used if b in gains and gains[b].value is not None)
    return section(
        "frequency",
        title,
        tag("p", [(method_name(method), " ") for method in methods], class_="legend"),
        line_plot(names, series, axis, "accuracy by training frequency"),
        note(f"Gain of nesycd over std_cot in points, by frequency: {told}.") if told else None,
    )


def by_task(results: Results) -> Markup:
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
        parts += [tag("h3", split), table(["task", "n", *map(method_name, methods)], rows, "figures heat")]
    return section(
        "tasks", "Accuracy by task, %", parts, note("Few questions a task: mind n before reading a difference.")
    )


def _heat(score: MethodScore, task: str) -> Child:
    one = score.by_task.get(task)
    if one is None:
        return "–"
    told = f"{100 * one.accuracy:.1f} % of {one.n}; retrieval asked for {100 * one.routed:.0f} %"
    return tag(
        "span", f"{100 * one.accuracy:.0f}", class_="cell", style=f"--heat:{100 * one.accuracy:.0f}%", title=told
    )


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

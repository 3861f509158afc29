"""The results of a run in the terminal: one table of methods, and below it effect and cost of the parts (rich)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nesycd.methods.table import METHODS
from nesycd.reports.figures import method_figures
from nesycd.reports.results import FEW, Estimate, Results, Score, kinds_in_order, score_of
from nesycd.reports.supervision import told_in_groups

SLOWEST = 6
"""Stages named in the last line; the others are summed up."""
Intervals = Literal["beside", "below", "none"]
SHORT_SPLITS = {"ood_composed": "composed", "ood_unseen": "unseen", "ood_unseen_imported": "imported"}


@dataclass(frozen=True)
class Layout:
    """How wide a table may be: where its intervals stand, and whether it has the splits besides `test`."""

    intervals: Intervals = "beside"
    splits: bool = True
    left_out: str = ""
    """What a reader of it is told."""
    kinds: bool = True
    """Whether each kind of question has a column, or only all together."""
    whole_names: bool = True
    """Whether names of methods stay in one line."""
    supervision: bool = False
    """Whether it has a column of what each method rests on; else that is told below the table."""


SUPERVISION_WIDTH = 28
LAYOUTS = (
    Layout(supervision=True),
    Layout("below", supervision=True),
    Layout(),
    Layout("below"),
    Layout("below", splits=False, left_out="too narrow for other splits than test"),
    Layout("none", splits=False, left_out="too narrow for intervals and for other splits than test"),
    Layout(
        "none",
        splits=False,
        left_out="too narrow for intervals, for other splits than test and for kinds of questions",
        kinds=False,
        whole_names=False,
    ),
)
"""From the widest to the narrowest: the first that fits is taken (with the usual names, those without the column of supervision
need some 100, 80, 55 and 50)."""


def print_results(results: Results, console: Console) -> None:
    """Print the table of methods, the differences, and what the steps did, knowledge base and times."""
    layout = next((one for one in LAYOUTS if _fits(results, one, console)), LAYOUTS[-1])
    console.print(arms_table(results, layout))
    notes = list(_notes(results, layout))
    if notes:
        console.print(Padding(Text("\n".join(notes), style="dim"), (0, 1)))
    differences = differences_table(results, layout)
    if differences.row_count:
        console.print(differences)
    console.print(Padding(Text("\n").join(_facts(results)), (0, 1)))


def _fits(results: Results, layout: Layout, console: Console) -> bool:
    return fits(arms_table(results, layout), console) and fits(differences_table(results, layout), console)


def fits(table: Table, console: Console) -> bool:
    """Whether no cell of it must be cut."""
    # Measured in the console's own width, nothing is ever wider.
    unbounded = console.options.update(max_width=10_000)
    return Measurement.get(console, unbounded, table).maximum <= console.width


def arms_table(results: Results, layout: Layout = LAYOUTS[0]) -> Table:
    """Methods as rows: accuracy on `test` by kind with intervals, on the other splits, tokens per question, share routed."""
    kinds = _kinds(results) if layout.kinds else ["all"]
    others = [split for split in results.splits() if split != "test"] if layout.splits else []
    table = titled(f"Accuracy, %{_told(layout, '95 % interval')}")
    table.add_column("method", no_wrap=layout.whole_names, overflow="fold")
    for kind in kinds:
        table.add_column(_head(kind, _questions(results, "test", kind)), justify="right", no_wrap=True)
    for split in others:
        table.add_column(
            _head(SHORT_SPLITS.get(split, split), _questions(results, split, "all")), justify="right", no_wrap=True
        )
    table.add_column("tokens\neach", justify="right", no_wrap=True)
    table.add_column("routed\n%", justify="right", no_wrap=True)
    supervised = layout.supervision and len(set(results.supervision.values())) > 1
    if supervised:
        add_supervision(table)
    best = {
        kind: max((_accuracy(results, method, kind) for method in _comparable(results)), default=-1.0) for kind in kinds
    }
    for method, splits in results.methods.items():
        test = splits.get("test")
        cells = [
            accuracy_cell(
                score_of(test, kind),
                method in _comparable(results) and _accuracy(results, method, kind) == best[kind],
                intervals=layout.intervals,
            )
            for kind in kinds
        ]
        cells += [accuracy_cell(splits.get(split), intervals="none") for split in others]
        main = test or next(iter(splits.values()))
        tokens = f"{(main.prompt_tokens + main.completion_tokens) / main.n:,.0f}" if main.n else "–"
        told = [Text(results.supervision.get(method, ""))] if supervised else []
        table.add_row(Text(method), *cells, tokens, f"{100 * main.routed:.0f}", *told)
    return table


def differences_table(results: Results, layout: Layout = LAYOUTS[0]) -> Table:
    """Paired differences between methods in points, and the gap closed, on `test` by kind and on the other splits."""
    table = titled(f"Paired differences, points{_told(layout, '95 % interval')}")
    kinds = _kinds(results) if layout.kinds else ["all"]
    others = [split for split in results.differences if split != "test"] if layout.splits else []
    table.add_column("", no_wrap=layout.whole_names, overflow="fold")
    for name in (*kinds, *(SHORT_SPLITS.get(split, split) for split in others)):
        table.add_column(name, justify="right", no_wrap=True)
    names = dict.fromkeys(name for pairs in results.differences.values() for name in pairs)
    places: list[tuple[str, str, Intervals]] = [("test", kind, layout.intervals) for kind in kinds]
    places += [(split, "all", "none") for split in others]
    for name in names:
        cells = [
            estimate_cell(results.differences.get(split, {}).get(name, {}).get(kind), intervals)
            for split, kind, intervals in places
        ]
        table.add_row(Text(name), *cells)
    if results.gap_closed:
        gaps = [(results.gap_closed.get(split, {}).get(kind), intervals) for split, kind, intervals in places]
        table.add_row("gap closed, %", *(estimate_cell(gap, intervals, sign=False) for gap, intervals in gaps))
    return table


def add_supervision(table: Table) -> None:
    """A column for what methods rest on, which goes on in further lines."""
    table.add_column("supervision", max_width=SUPERVISION_WIDTH, overflow="fold")


def titled(title: str, padding: int = 0) -> Table:
    """An empty table as all of ours look; `padding`: blanks on either side of a cell."""
    return Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, padding))


def _told(layout: Layout, what: str) -> str:
    return {"beside": f" ({what})", "below": f" (below: {what})", "none": ""}[layout.intervals]


def accuracy_cell(score: Score | None, best: bool = False, *, intervals: Intervals = "beside") -> Text:
    """`62.4 (55–69)`, with a `*` where there are fewer than `FEW` questions."""
    if score is None or score.accuracy is None:
        return Text("–", style="dim")
    text = Text(f"{100 * score.accuracy:.1f}", style="bold" if best else "")
    few = "*" if score.n < FEW else ""
    if score.low is None or score.high is None:
        return text.append(few, style="not bold")
    return _with_interval(text, f"({100 * score.low:.0f}–{100 * score.high:.0f})", few, intervals)


def estimate_cell(estimate: Estimate | None, intervals: Intervals = "beside", *, sign: bool = True) -> Text:
    """`+31.2 (+25…+37)`; green where the whole interval is above 0, red where it is below."""
    if estimate is None or estimate.value is None:
        return Text("–", style="dim")
    plus = "+" if sign else ""
    style = ""
    if estimate.low is None or estimate.high is None:
        style = "dim"
    elif sign:
        style = "green" if estimate.low > 0 else "red" if estimate.high < 0 else ""
    text = Text(f"{100 * estimate.value:{plus}.1f}", style=style)
    few = "*" if estimate.n < FEW else ""
    if estimate.low is None or estimate.high is None:
        return text.append(few)
    interval = f"({100 * estimate.low:{plus}.0f}…{100 * estimate.high:{plus}.0f})"
    return _with_interval(text, interval, few, intervals)


def _with_interval(value: Text, interval: str, few: str, intervals: Intervals) -> Text:
    if intervals == "beside":
        return value.append(f" {interval}", style="not bold dim").append(few, style="not bold")
    value.append(few, style="not bold")
    return value.append(f"\n{interval}", style="not bold dim") if intervals == "below" else value


def _notes(results: Results, layout: Layout) -> Iterator[str]:
    if layout.left_out:
        yield f"{layout.left_out}: see results.json and report.html, or make the terminal wider"
    scores = [
        (score, kind) for splits in results.methods.values() for score in splits.values() for kind in _kinds(results)
    ]
    shown = [part for score, kind in scores if (part := score_of(score, kind)) is not None]
    if not layout.supervision or len(set(results.supervision.values())) < 2:
        yield from told_in_groups(results.supervision)
    if any(0 < score.n < FEW for score in shown):
        yield f"* fewer than {FEW} questions: says little"
    if layout.intervals == "none":
        return
    if any(score.interval == "bootstrap" for score in shown):
        yield "intervals: bootstrap over templates within each task"
    if any(
        gap.value is not None and gap.low is None for kinds in results.gap_closed.values() for gap in kinds.values()
    ):
        yield "gap closed without an interval: the oracle is not surely above std_cot there"
    if any(score.interval == "wilson" for score in shown):
        yield "where all answers are alike, or of one template: Wilson's formula (questions taken as independent)"


def _facts(results: Results) -> Iterator[Text]:
    for name, figures in method_figures(results):
        yield _line(name, figures)
    base = results.knowledge
    parts = ", ".join(f"{count:,} {name}" for name, count in (*base.by_kind.items(), *base.by_status.items()))
    yield _line("knowledge base", f"{base.items:,} items" + (f" ({parts})" if parts else ""))
    if base.mismatch:
        yield _line("other knowledge", base.mismatch)
    slowest = sorted(results.seconds.items(), key=lambda pair: -pair[1])
    named = [f"{stage} {_seconds(seconds)}" for stage, seconds in slowest[:SLOWEST]]
    if rest := slowest[SLOWEST:]:
        named.append(f"{len(rest)} others {_seconds(sum(seconds for _, seconds in rest))}")
    yield _line("seconds", f"{_seconds(results.total_seconds)} in all" + (f" ({', '.join(named)})" if named else ""))


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def _line(name: str, text: str) -> Text:
    return Text.assemble((f"{name}: ", "bold"), text)


def _kinds(results: Results) -> list[str]:
    """The kinds of the test split's questions, special first, and "all"."""
    found = {kind for splits in results.methods.values() if "test" in splits for kind in splits["test"].by_kind}
    return kinds_in_order({*found, "all"})


def _head(name: str, questions: int) -> str:
    return f"{name}\nn={questions:,}"


def _questions(results: Results, split: str, kind: str) -> int:
    scores = [score_of(splits.get(split), kind) for splits in results.methods.values()]
    return max((score.n for score in scores if score is not None), default=0)


def _comparable(results: Results) -> list[str]:
    """Methods that compete: without ceilings, which are given what nobody knows who is asked."""
    return [name for name in results.methods if name not in METHODS or METHODS[name].role != "ceiling"]


def _accuracy(results: Results, method: str, kind: str) -> float:
    score = score_of(results.methods[method].get("test"), kind)
    return -1.0 if score is None or score.accuracy is None else score.accuracy

"""A comparison in the terminal and as one self-contained page: what `comparison.json` says, with sample answers side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nesycd.core import notebook
from nesycd.core.markup import Child, Markup, tag
from nesycd.reports.advice import comparison_advice, next_section
from nesycd.reports.causes import CAUSES
from nesycd.reports.comparison import Comparison, Difference, Figure
from nesycd.reports.folder import Material
from nesycd.reports.meaning import comparison_meaning
from nesycd.reports.page import meaning_section, whole_page
from nesycd.reports.plots import Point, difference_bar
from nesycd.reports.samples import sample_answers
from nesycd.reports.scores import bar, card_table, explained, folded, gap_cell, named, note, span, table
from nesycd.reports.supervision import told_in_groups
from nesycd.reports.terminal import SHORT_SPLITS, add_supervision, fits, titled

MENU = {
    "meaning": "what it means",
    "next": "what next",
    "differences": "differences",
    "splits": "splits",
    "errors": "errors",
    "samples": "answers",
    "costs": "costs",
    "setup": "set-up",
}
"""Ids of the parts that a comparison's page may have, in their order, and what the menu calls them."""


SUPERVISION = "supervision"
TESTED: tuple[str, ...] = ("difference", "p", SUPERVISION)
"""The columns beside the accuracies: the difference to each method at the primary endpoint, its p after Holm, and what it rests
on."""


def columns(made: Comparison) -> list[tuple[str, str]]:
    """(split, group) of the table's columns: the primary split's groups first, then `all` of the others and its benchmarks."""
    every = list(dict.fromkeys(split for by_split in made.scores.values() for split in by_split))
    every.sort(key=lambda split: split != made.primary.split)
    found = []
    for split in every:
        groups = list(dict.fromkeys(g for by_split in made.scores.values() for g in by_split.get(split, {})))
        several = [group for group in groups if group != "all"]
        found += [
            (split, group) for group in [*(several if split == made.primary.split or len(several) > 2 else ()), "all"]
        ]
    return found


def print_comparison(made: Comparison, console: Console) -> None:
    """The table of methods, best first, and the primary endpoint."""
    shown = columns(made)
    # A narrow terminal gets fewer columns rather than cut cells: further splits and groups go first, then what is tested.
    # What all methods rest on alike needs no column.
    whole = [TESTED] if len(set(_supervision(made).values())) > 1 else []
    layouts = [(shown[:room], tested) for room in range(len(shown), 0, -1) for tested in (*whole, TESTED[:-1])]
    layouts += [(shown[:1], TESTED[:room]) for room in range(len(TESTED) - 2, -1, -1)]
    places, tested = next((one for one in layouts if fits(_grid(made, *one), console)), layouts[-1])
    console.print(_grid(made, places, tested))
    lines = told(made)
    if SUPERVISION not in tested:
        lines += told_in_groups(_supervision(made))
    left_out = [f"{split} {group}" for split, group in shown[len(places) :]]
    left_out += [f"{made.primary.left} - it" if name == "difference" else name for name in TESTED[len(tested) : -1]]
    if left_out:
        lines.insert(0, f"left out here, see the page: {', '.join(left_out)}")
    console.print(Padding(Text("\n".join(lines)), (0, 1)))


def plain_comparison(made: Comparison) -> str:
    """What `print_comparison` prints, without colours, 120 columns wide at most."""
    console = Console(file=io.StringIO(), width=120, color_system=None)
    with console.capture() as captured:
        print_comparison(made, console)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def comparison_table(made: Comparison) -> Markup:
    """The same as HTML, for notebooks: figures only."""
    shown = columns(made)
    heads = ["method", *(f"{split}: {group}" for split, group in shown), f"{made.primary.left} - it", SUPERVISION]
    rows = []
    for name in ranked(made):
        cells = [_cell(made.scores[name].get(split, {}).get(group)).plain for split, group in shown]
        gap = _test(made, name)
        rows.append([name, *cells, "–" if gap is None else _points(gap), made.methods[name].supervision])
    return notebook.shown(notebook.grid(heads, rows), [tag("p", line) for line in told(made)])


def _grid(made: Comparison, shown: Sequence[tuple[str, str]], tested: Sequence[str] = TESTED) -> Table:
    title = f"{made.name}: accuracy, % (95 % interval), {_seeds(made)}"
    grid = titled(title, padding=1)
    # Where even the last layout is too wide, long names go on in a next line.
    grid.add_column("method", overflow="fold", no_wrap=len(tested) > 0)
    for split, group in shown:
        grid.add_column(f"{SHORT_SPLITS.get(split, split)}\n{group}", justify="right", no_wrap=True)
    heads = {"difference": f"{made.primary.left}\n- it", "p": "p\nHolm"}
    for name in tested:
        if name == SUPERVISION:
            add_supervision(grid)
        else:
            grid.add_column(heads[name], justify="right", no_wrap=True)
    for name in ranked(made):
        cells = [_cell(made.scores[name].get(split, {}).get(group)) for split, group in shown]
        gap = _test(made, name)
        found = {"difference": "–" if gap is None else _points(gap)}
        found["p"] = "–" if gap is None or gap.p_holm is None else _p(gap.p_holm)
        found[SUPERVISION] = made.methods[name].supervision
        style = "bold" if name == made.primary.left else "dim" if made.methods[name].role == "ablation" else ""
        grid.add_row(Text(name), *cells, *(found[one] for one in tested), style=style)
    return grid


def _supervision(made: Comparison) -> dict[str, str]:
    return {name: info.supervision for name, info in made.methods.items() if info.supervision}


def ranked(made: Comparison) -> list[str]:
    """The methods by accuracy at the primary endpoint, best first; ablations below."""
    split, kind = made.primary.split, made.primary.kind

    def value(name: str) -> float:
        figure = made.scores[name].get(split, {}).get(kind)
        return figure.value if figure else -1.0

    return sorted(made.methods, key=lambda name: (made.methods[name].role == "ablation", -value(name)))


def told(made: Comparison) -> list[str]:
    """The primary endpoint and what to mind, as sentences."""
    first = made.primary
    where = first.split if first.kind == "all" else f"{first.split}, {first.kind} questions"
    asked = f"{first.left} - {first.right} on {where}"
    if first.difference is None:
        lines = [f"primary endpoint ({asked}): not run"]
    else:
        found = f"{_points(first.difference)} points, p = {_p(first.difference.p)}"
        how = ", named beforehand" if first.named else " (the default: name one in the recipe before you look)"
        lines = [f"primary endpoint{how}: {asked}: {found}"]
    lines += bases(made)
    behind = [name for name in made.differences if (gap := _test(made, name)) is not None and gap.high < 0]
    lines += [f"better than {first.left} there: {', '.join(behind)}"] if behind else []
    several = {
        name: max(counts.values()) for name, counts in made.scored.items() if counts and max(counts.values()) > 1
    }
    lines += (
        [f"scored more than once with other answers: {', '.join(f'{n} ({c} times)' for n, c in several.items())}"]
        if several
        else []
    )
    if len(made.seeds) == 1:
        lines.append("one seed: the intervals say nothing about other seeds")
    return lines


def bases(made: Comparison) -> list[str]:
    """What the knowledge base of each method held, methods with equal bases together."""
    found: dict[str, list[str]] = {}
    for name, info in made.methods.items():
        kinds = list(dict.fromkeys(kind for held in info.base.values() for kind in held))
        counts = {kind: [held.get(kind, 0) for held in info.base.values()] for kind in kinds}
        held = ", ".join(f"{_range(numbers)} {kind}" for kind, numbers in counts.items())
        found.setdefault(held, []).append(name)
    alone = found.pop("", [])
    told = [f"knowledge base of {', '.join(names)}: {held} items approved" for held, names in found.items()]
    if made.reviewed:
        hidden = ", ".join(f"seed {seed}: {count}" for seed, count in made.hidden.items() if count)
        less = f"; hidden, because they leak under its splits: {hidden}" if hidden else ""
        told.insert(0, f"the knowledge is that of a reviewed base ({made.reviewed}), not built from errors{less}")
    return [*told, f"without a knowledge base: {', '.join(alone)}"] if told and alone else told


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low}-{high}"


def _test(made: Comparison, name: str) -> Difference | None:
    place = made.primary.split if made.primary.kind == "all" else f"{made.primary.split}/{made.primary.kind}"
    return made.differences.get(name, {}).get(place)


def _seeds(made: Comparison) -> str:
    return f"{len(made.seeds)} seeds" if len(made.seeds) > 1 else "1 seed"


def _cell(figure: Figure | None) -> Text:
    if figure is None:
        return Text("–")
    return Text(f"{100 * figure.value:.1f} ({100 * figure.low:.0f}–{100 * figure.high:.0f})")


def _points(gap: Difference) -> str:
    return f"{100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


# --- page ------------------------------------------------------------------------------------------------------------


def render_comparison(made: Comparison, material: Material) -> str:
    """The whole page as text."""
    meaning = meaning_section(
        comparison_meaning(made),
        _primary_table(made),
        note(
            "% of right answers. Whiskers and small figures are 95 % intervals over seeds and question templates, both drawn "
            "anew in each resample."
        ),
        note(" ".join(f"{line[:1].upper()}{line[1:]}." for line in told(made))),
        explained("What the methods are", [(_name(made, name), info.about) for name, info in made.methods.items()]),
    )
    details = [
        _differences(made),
        _accuracies(made),
        _errors(made),
        sample_answers(material.one_seed(material.seeds[0])),
        _costs(made),
        _setup(made),
    ]
    top = [meaning, next_section(comparison_advice(made))]
    return whole_page(f"Comparison {made.name}", f"{made.name}: nesycd comparison", MENU, top, details)


def _name(made: Comparison, name: str) -> Markup:
    return named(name, _css(made, name), made.methods[name].about)


def _css(made: Comparison, name: str) -> str:
    return "s4" if name == made.primary.left else "s1" if name == made.primary.right else "s7"


def _primary_table(made: Comparison) -> Markup:
    """The methods at the primary endpoint, best first."""
    split, kind = made.primary.split, made.primary.kind
    groups = list(dict.fromkeys(place for one in made.scores.values() for place in one.get(split, {})))
    # Three columns are read at a glance; the rest is in the details.
    kinds = [kind, *(group for group in groups if group != kind)] if len(groups) <= 3 else [kind]
    tested = any(_test(made, name) for name in made.methods)
    heads = [("method", ""), *((group, split) for group in kinds)]
    heads += [(f"{made.primary.left} minus it", f"points, {kind}"), ("p", "Holm")] if tested else []
    heads.append((SUPERVISION, ""))
    rows: list[list[Child]] = []
    for name in ranked(made):
        cells = [_bar(made, name, made.scores[name].get(split, {}).get(group)) for group in kinds]
        gap = _test(made, name)
        p = "–" if gap is None else f"{_p(gap.p)}, primary" if gap.p_holm is None else _p(gap.p_holm)
        rows.append(
            [
                _name(made, name),
                *cells,
                *((gap_cell(gap.value, gap.low, gap.high) if gap else "–", p) if tested else ()),
                tag("small", made.methods[name].supervision or "–"),
            ]
        )
    return card_table(heads, rows)


def _accuracies(made: Comparison) -> Markup | None:
    shown = columns(made)
    if len(shown) < 2:
        return None
    heads: list[Child] = ["method", *(f"{split}: {group}" for split, group in shown)]
    domains = list(dict.fromkeys(name for one in made.domains.values() for name in one))
    wide = len(shown) > 2
    rows = []
    for name in ranked(made):
        figures = [made.scores[name].get(split, {}).get(group) for split, group in shown]
        figures += [made.domains[name].get(one) for one in domains] if wide else []
        rows.append([_name(made, name), *(_bar(made, name, figure) for figure in figures)])
    return folded(
        "splits",
        "Accuracy by split and kind of question",
        "the same for every set of questions",
        table([*heads, *((f"mean, {one}" for one in domains) if wide else ())], rows, "figures"),
        note("The means over a domain give each of its benchmarks the same weight.") if wide else None,
    )


def _bar(made: Comparison, name: str, figure: Figure | None) -> Child:
    if figure is None:
        return "–"
    each = ", ".join(f"{100 * value:.1f}" for value in figure.seeds)
    point = Point(figure.value, figure.low, figure.high, f"{figure.n:,} answers; by seed: {each}")
    return bar(point, _css(made, name))


def _differences(made: Comparison) -> Markup | None:
    places = list(dict.fromkeys(place for one in made.differences.values() for place in one))
    parts: list[Child] = []
    for place in places:
        gaps = {name: one[place] for name, one in made.differences.items() if place in one}
        scale = span(edge for gap in gaps.values() for edge in (gap.value, gap.low, gap.high))
        rows: list[list[Child]] = []
        for name in [one for one in ranked(made) if one in gaps]:
            gap = gaps[name]
            drawn = difference_bar(gap.value, gap.low, gap.high, scale, _points(gap))
            rows.append(
                [_name(made, name), _points(gap), drawn, _p(gap.p), "–" if gap.p_holm is None else _p(gap.p_holm)]
            )
        parts += [
            tag("h4", place),
            table([f"{made.primary.left} minus", "points (95 %)", "0 in the middle", "p", "p, Holm"], rows, "figures"),
        ]
    named_where = "was named in the recipe" if made.primary.named else "is the default, since the recipe names none"
    if not parts:
        return None
    return folded(
        "differences",
        f"{made.primary.left} minus each other method",
        "is it real? paired, with intervals and p-values",
        parts,
        note(
            f"Paired: both methods on the same questions under the same seeds. The primary endpoint ({made.primary.left} - "
            f"{made.primary.right}, {made.primary.split}, {made.primary.kind}) {named_where}; the others there are corrected for "
            "their number (Holm). Other tables are not corrected: read them as description."
        ),
    )


def _errors(made: Comparison) -> Markup | None:
    found = [cause for cause in CAUSES if any(cause in one for one in made.errors.values())]
    rows = [
        [_name(made, name), *(f"{100 * made.errors[name].get(cause, 0):.1f} %" for cause in found)]
        for name in ranked(made)
    ]
    if not found:
        return None
    return folded(
        "errors",
        f"What is wrong with the answers on {made.primary.split}",
        "facts missing, cut off, wrong all the same",
        table(["method", *found], rows, "figures"),
        explained("What the causes are", [(cause, CAUSES[cause]) for cause in found]),
    )


def _costs(made: Comparison) -> Markup:
    heads = ["method", "teacher tokens", "USD", "trained tokens", "of these with loss, final student"]
    heads += ["sampled for training", "training, s"]
    heads += ["prompt tokens a question", "answer tokens a question", "seconds a question"]
    rows = []
    for name in ranked(made):
        one = made.costs[name]
        usd = "not known" if one.usd is None else f"{one.usd:.2f}"
        counted = (one.trained_tokens, one.completion_tokens, one.sampled_tokens, one.train_seconds)
        counts = [f"{value:,.0f}" for value in counted]
        each = [f"{one.prompt_tokens_each:,.0f}", f"{one.answer_tokens_each:,.0f}", f"{one.seconds_each:.2f}"]
        rows.append([_name(made, name), f"{one.teacher_tokens:,.0f}", usd, *counts, *each])
    return folded(
        "costs",
        "Costs, a mean over seeds",
        "teacher, training, tokens and seconds a question",
        table(heads, rows, "figures"),
        note(
            "Trained tokens count every training that a method needs, those of the students whose errors are diagnosed among "
            "them. Sampled tokens are those of answers to training questions."
        ),
    )


def _setup(made: Comparison) -> Markup:
    splits = list(dict.fromkeys(split for one in made.scored.values() for split in one))
    rows = [
        [_name(made, name), *(str(made.scored.get(name, {}).get(split, 0)) for split in splits)]
        for name in ranked(made)
    ]
    tuned = [
        tag(
            "p",
            f"{name}: learning rate by seed: ",
            ", ".join(f"{seed}: {rate:g}" for seed, rate in info.learning_rates.items()),
        )
        for name, info in made.methods.items()
        if info.learning_rates
    ]
    leaks = ", ".join(f"seed {seed}: {'not checked' if n is None else n}" for seed, n in made.leaks.items())
    return folded(
        "setup",
        "How it was done",
        "seeds, resamples, leaks, how often a split was scored",
        tag(
            "p",
            f"Seeds {', '.join(map(str, made.seeds))}; {made.resamples:,} resamples. Approved items that leak: {leaks}.",
        ),
        tag("h4", "How often a split was scored with other answers, under one seed at most"),
        table(["method", *splits], rows, "figures"),
        tuned,
    )

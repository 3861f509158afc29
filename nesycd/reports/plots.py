"""Plots as inline SVG: they follow the page's colours (`currentColor`, CSS classes) and need nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from nesycd.core.markup import Markup, join, tag
from nesycd.core.notebook import grid, shown


@dataclass(frozen=True)
class Point:
    """A share in 0-1 with its interval (None where unknown), and what to say of it when pointed at."""

    value: float
    low: float | None = None
    high: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Series:
    """One line of a plot: its name, its colour class and a point (or None) for each category."""

    name: str
    css: str
    points: Sequence[Point | None]


@dataclass(frozen=True, repr=False)
class Plot:
    """Shares with their intervals as bars, for notebooks.

    Attributes:
        title: what they are of.
        bars: by the name of what they are of.
    """

    title: str
    bars: Mapping[str, Point]

    def __repr__(self) -> str:
        """The title and the shares."""
        told = ", ".join(f"{name} {100 * one.value:.1f} %" for name, one in self.bars.items())
        return f"<plot of {self.title}: {told}>"

    def _repr_html_(self) -> str:
        rows = [(name, interval_bar(one, "", width=260), one.label) for name, one in self.bars.items()]
        return shown(tag("p", self.title), grid(("", "", "% (95 % interval)"), rows))


def interval_bar(point: Point, css: str, width: int = 110) -> Markup:
    """A bar from 0 to the value on a scale of 0-1, with its interval as a whisker."""
    height = 14
    marks = [
        tag("rect", class_="track", x=0, y=2, width=width, height=height - 4, rx=2),
        tag("rect", class_="fill", x=0, y=2, width=max(1.0, width * point.value), height=height - 4, rx=2),
    ]
    if point.low is not None and point.high is not None:
        marks.append(_whisker(width * point.low, width * point.high, height / 2))
    return _svg(width, height, f"bar {css}", point.label or f"{100 * point.value:.1f} %", marks, fluid=False)


def share_bar(share: float, width: int = 160) -> Markup:
    """A plain bar for a share in 0-1."""
    marks = [
        tag("rect", class_="track", x=0, y=2, width=width, height=10, rx=2),
        tag("rect", class_="fill", x=0, y=2, width=width * share, height=10, rx=2),
    ]
    return _svg(width, 14, "share", f"{100 * share:.1f} %", marks, fluid=False)


def difference_bar(value: float, low: float | None, high: float | None, span: float, label: str) -> Markup:
    """A dot with whisker on a scale of -span to +span, zero marked in the middle."""
    width, height = 220, 16

    def at(number: float) -> float:
        return width / 2 + (width / 2 - 4) * max(-1.0, min(1.0, number / span))

    side = "unsure" if low is None or high is None or low <= 0 <= high else "better" if low > 0 else "worse"
    marks = [tag("line", class_="axis", x1=width / 2, x2=width / 2, y1=0, y2=height)]
    if low is not None and high is not None:
        marks.append(_whisker(at(low), at(high), height / 2))
    marks.append(tag("circle", class_="dot", cx=at(value), cy=height / 2, r=4))
    return _svg(width, height, f"difference {side}", label, marks, fluid=False)


def line_plot(categories: Sequence[str], series: Sequence[Series], x_label: str, label: str) -> Markup:
    """Shares (0-100 %) over ordered categories, a line a series, intervals as whiskers."""
    width, height, left, top, bottom = 640, 300, 44, 12, 48
    plot_height = height - top - bottom
    step = (width - left - 20) / max(1, len(categories))

    def y(value: float) -> float:
        return top + plot_height * (1 - value)

    marks = [_grid(left, width - 10, y)]
    for index, category in enumerate(categories):
        x = left + step * (index + 0.5)
        marks.append(tag("text", category, class_="tick middle", x=x, y=height - bottom + 18))
    marks.append(tag("text", x_label, class_="tick middle", x=left + (width - left) / 2, y=height - 8))
    for number, one in enumerate(series):
        # Series are set apart a little, or their whiskers would lie on each other.
        shift = (number - (len(series) - 1) / 2) * min(9.0, step / (2 * len(series)))
        places = [left + step * (index + 0.5) + shift for index in range(len(categories))]
        known = [(x, point) for x, point in zip(places, one.points, strict=True) if point is not None]
        path = " ".join(f"{x:.1f},{y(point.value):.1f}" for x, point in known)
        inner = [tag("polyline", class_="line", points=path)]
        for x, point in known:
            if point.low is not None and point.high is not None:
                inner.append(tag("line", class_="whisker", x1=x, x2=x, y1=y(point.low), y2=y(point.high)))
            inner.append(tag("circle", tag("title", point.label), class_="dot", cx=x, cy=y(point.value), r=4))
        marks.append(tag("g", inner, class_=one.css))
    return _svg(width, height, "plot", label, marks)


@dataclass(frozen=True)
class Curve:
    """Points (x, share in 0-1, label) in rising x: a line, or without `joined` dots; the name stands at the last one."""

    name: str
    css: str
    points: Sequence[tuple[float, float, str]]
    joined: bool = True
    mark: tuple[float, float] | None = None
    """Where a ring is drawn."""


def curve_plot(curves: Sequence[Curve], x_label: str, label: str) -> Markup:
    """Shares over a measured x; the scale of shares is cut to the tens that are needed."""
    width, height, left, top, bottom = 640, 380, 44, 12, 48
    known = [point for curve in curves for point in curve.points]
    end = max([1.0, *(x for x, _, _ in known)])
    low = floor(10 * min((y for _, y, _ in known), default=0.0)) / 10
    high = max(low + 0.1, ceil(10 * max((y for _, y, _ in known), default=1.0)) / 10)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (width - left - 60) * x / end, top + (height - top - bottom) * (high - y) / (high - low)

    marks = []
    for step in range(round(20 * (high - low)) + 1):
        share = low + step / 20
        _, y = place(0, share)
        marks.append(tag("line", class_="grid", x1=left, x2=width - 10, y1=y, y2=y))
        marks.append(tag("text", f"{100 * share:.0f} %", class_="tick end", x=left - 6, y=y + 4))
    for step in range(5):
        x, _ = place(end * step / 4, low)
        marks.append(tag("text", f"{end * step / 4:.0f}", class_="tick middle", x=x, y=height - bottom + 18))
    marks.append(tag("text", x_label, class_="tick middle", x=left + (width - left) / 2, y=height - 8))
    for curve in curves:
        inner = []
        places = [place(x, y) for x, y, _ in curve.points]
        if curve.joined:
            inner.append(tag("polyline", class_="line", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places)))
        for (x, y), (_, _, told) in zip(places, curve.points, strict=True):
            inner.append(tag("circle", tag("title", told), class_="dot", cx=x, cy=y, r=2 if curve.joined else 5))
        if not curve.joined and places:
            inner.append(tag("text", curve.name, class_="tick", x=places[-1][0] + 8, y=places[-1][1] + 4))
        if curve.mark is not None:
            x, y = place(*curve.mark)
            inner.append(tag("circle", tag("title", f"{curve.name}: chosen"), class_="line", cx=x, cy=y, r=7))
        marks.append(tag("g", inner, class_=curve.css))
    return _svg(width, height, "plot", label, marks)


def histogram(right: Sequence[int], wrong: Sequence[int], threshold: float | None, label: str) -> Markup:
    """Counts of right and wrong answers in equal bins over 0-1: right ones upwards, wrong ones downwards."""
    width, height, left, top, bottom = 640, 240, 44, 18, 40
    middle = top + (height - top - bottom) / 2
    half = middle - top
    tallest = max([1, *right, *wrong])
    span = width - left - 10
    step = span / len(right)
    marks = []
    for index, (up, down) in enumerate(zip(right, wrong, strict=True)):
        x = left + step * index + 1
        name = f"margin {index / len(right):.2f}–{(index + 1) / len(right):.2f}: {up} right, {down} wrong"
        up_height, down_height = half * up / tallest, half * down / tallest
        bars = (
            tag("rect", class_="right", x=x, y=middle - up_height, width=step - 2, height=up_height),
            tag("rect", class_="wrong", x=x, y=middle, width=step - 2, height=down_height),
        )
        marks.append(tag("g", tag("title", name), bars))
    marks.append(tag("line", class_="axis", x1=left, x2=width - 10, y1=middle, y2=middle))
    marks += [tag("text", f"{tallest}", class_="tick end", x=left - 6, y=edge) for edge in (top + 4, middle + half + 4)]
    for tick in range(6):
        marks.append(tag("text", f"{tick / 5:.1f}", class_="tick middle", x=left + span * tick / 5, y=height - 22))
    marks.append(tag("text", "margin", class_="tick middle", x=left + span / 2, y=height - 4))
    if threshold is not None and 0 <= threshold <= 1:
        x = left + span * threshold
        marks.append(tag("line", class_="threshold", x1=x, x2=x, y1=top, y2=middle + half))
        side = "end" if threshold > 0.5 else "start"
        marks.append(tag("text", f"threshold {threshold:.3f}", class_=f"tick {side}", x=x, y=top - 6))
    return _svg(width, height, "plot histogram", label, marks)


def _grid(left: float, right: float, y: Callable[[float], float]) -> Markup:
    return join(
        [
            (
                tag("line", class_="grid", x1=left, x2=right, y1=y(tick / 4), y2=y(tick / 4)),
                tag("text", f"{25 * tick} %", class_="tick end", x=left - 6, y=y(tick / 4) + 4),
            )
            for tick in range(5)
        ]
    )


def _whisker(low: float, high: float, middle: float) -> Markup:
    ends = [tag("line", class_="whisker", x1=x, x2=x, y1=middle - 3, y2=middle + 3) for x in (low, high)]
    return join(tag("line", class_="whisker", x1=low, x2=high, y1=middle, y2=middle), ends)


def _svg(width: int, height: int, css: str, label: str, marks: Sequence[Markup], *, fluid: bool = True) -> Markup:
    size = {} if fluid else {"width": width, "height": height}
    return tag(
        "svg",
        tag("title", label),
        *marks,
        class_=css,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=label,
        **size,
    )

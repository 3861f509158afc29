"""`router.html`: accuracy against retrieved tokens for every router that `nesycd router calibrate` compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nesycd.core.markup import Child, Markup, tag
from nesycd.core.storage import write_atomic
from nesycd.reports.page import whole_page
from nesycd.reports.plots import Curve, curve_plot
from nesycd.reports.scores import named, note, section, table


def write_router_page(path: Path, run: str, content: Mapping[str, Any]) -> None:
    """Write the page from the content of `router.json`.

    Raises:
        RunError: the page cannot be written.
    """
    splits = {"valid": content["held_out"], "test": content["test"]}
    judged = {split: part for split, part in splits.items() if part is not None}
    parts = [_part(split, part) for split, part in judged.items()]
    write_atomic(
        path, whole_page(f"Routers of run {run}", f"{run}: routers", {split: split for split in judged}, parts)
    )


def _part(split: str, judged: Mapping[str, Any]) -> Markup:
    routers: Mapping[str, Any] = judged["routers"]
    lines = [name for name, router in routers.items() if router["curve"]]
    colours = {name: f"s{number % 8}" for number, name in enumerate(lines)}
    curves = [_curve(name, router, colours.get(name, "s7")) for name, router in routers.items()]
    kinds = next(iter(routers.values()))["accuracy"]
    rows: list[Sequence[Child]] = [
        [
            name,
            *(percent(router["accuracy"][kind]) for kind in kinds),
            f"{100 * router['routed']:.0f} %",
            f"{router['tokens']:.1f}",
        ]
        for name, router in routers.items()
    ]
    told = (
        "Lines: every threshold. Rings: what each router comes to where the threshold is chosen on other templates."
        if split == "valid"
        else "Every router as it was chosen on the validation questions."
    )
    return section(
        split,
        f"{split}: {judged['n']:,} questions",
        tag(
            "p",
            [named(name, colours[name]) for name in lines],
            class_="legend",
        )
        if lines
        else None,
        curve_plot(curves, "retrieved tokens a question", f"accuracy against retrieved tokens on {split}"),
        note(told),
        table(["router", *kinds, "routed", "tokens a question"], rows, "figures"),
    )


def _curve(name: str, router: Mapping[str, Any], css: str) -> Curve:
    accuracy = router["accuracy"]["all"]["value"]
    here = (router["tokens"], accuracy)
    if not router["curve"]:
        return Curve(name, css, [(*here, f"{name}: {100 * accuracy:.1f} %")], joined=False)
    points = [(x, y, f"{name}, threshold {cut:.3f}: {100 * y:.1f} %") for x, y, cut in router["curve"]]
    return Curve(name, css, points, mark=here)


def percent(estimate: Mapping[str, Any]) -> str:
    """`77.1 (70–84)`."""
    if estimate["value"] is None:
        return "–"
    whole = f"{100 * estimate['value']:.1f}"
    return whole if estimate["low"] is None else f"{whole} ({100 * estimate['low']:.0f}–{100 * estimate['high']:.0f})"

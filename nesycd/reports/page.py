"""One self-contained `report.html` for a run folder: tables, plots and sample answers, without a request to anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from nesycd.core.storage import write_atomic
from nesycd.reports.advice import what_next
from nesycd.reports.folder import RunFiles, read_run
from nesycd.reports.markup import Markup, tag
from nesycd.reports.samples import sample_answers
from nesycd.reports.scores import by_frequency, by_task, differences, headline, known_unknown
from nesycd.reports.sources import costs, how_it_was_run, knowledge, retrieval, steps

SECTIONS = {
    "accuracy": "accuracy",
    "differences": "differences",
    "known": "known and unknown",
    "frequency": "by frequency",
    "tasks": "by task",
    "steps": "steps",
    "retrieval": "retrieval",
    "samples": "answers",
    "knowledge": "knowledge base",
    "costs": "costs",
    "run": "run",
    "next": "what next",
}
"""Ids of the page's sections and what the menu calls them; `next` is left out where there is nothing to do."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""Keeps the browser from loading anything, whatever a text in the page might say."""


def write_report(run_folder: Path) -> Path:
    """Write `report.html` from a run's `results.json`, stages, knowledge base and manifest.

    Returns:
        The page's path.

    Raises:
        RunError: results that are missing or damaged, another damaged file, or a page that cannot be written.
        KnowledgeError: a knowledge base that cannot be read.
    """
    path = run_folder / "report.html"
    write_atomic(path, render_report(read_run(run_folder)))
    return path


def render_report(run: RunFiles) -> str:
    """The whole page as text."""
    results = run.results
    body = [
        headline(results),
        differences(results),
        known_unknown(results),
        by_frequency(results),
        by_task(results),
        steps(results),
        retrieval(run),
        sample_answers(run),
        knowledge(run),
        costs(results),
        how_it_was_run(run),
    ]
    sections = dict(SECTIONS)
    if (last := what_next(run)) is not None:
        body.append(last)
    else:
        del sections["next"]
    return whole_page(f"Run {run.name}", f"{run.name}: nesycd report", sections, body)


def whole_page(heading: str, title: str, sections: Mapping[str, str], body: Sequence[Markup]) -> str:
    """A self-contained page: its sections in order, and a menu that leads to them (id -> what it is called there)."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        # An empty icon: else a browser would ask a server for one.
        tag("link", rel="icon", href="data:,"),
        tag("style", _asset("report.css")),
    )
    menu = tag("nav", [tag("a", name, href=f"#{section}") for section, name in sections.items()])
    header = tag("header", tag("h1", heading), menu)
    whole = tag("body", header, tag("main", body), tag("script", _asset("report.js")))
    return f"<!doctype html>\n{tag('html', head, whole, lang='en')}\n"


def _asset(name: str) -> Markup:
    return Markup(resources.files("nesycd.reports").joinpath(name).read_text(encoding="utf-8"))

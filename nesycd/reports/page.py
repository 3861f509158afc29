"""One self-contained `report.html` for a run folder: what it means, what to do next, and all the rest folded."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib import resources
from pathlib import Path

from nesycd.core.markup import Child, Markup, join, tag
from nesycd.core.storage import write_atomic
from nesycd.reports.advice import what_next
from nesycd.reports.folder import RunFiles, read_run
from nesycd.reports.meaning import Meaning, run_meaning
from nesycd.reports.samples import sample_answers
from nesycd.reports.scores import (
    by_frequency,
    by_task,
    differences,
    headline,
    how_intervals_are_made,
    known_unknown,
    note,
    other_splits,
    section,
    what_methods_are,
)
from nesycd.reports.sources import at_a_glance, costs, how_it_was_run, knowledge, retrieval, steps

MENU = {
    "meaning": "what it means",
    "next": "what next",
    "differences": "differences",
    "splits": "splits",
    "samples": "answers",
    "tasks": "by task",
    "frequency": "by frequency",
    "known": "known",
    "knowledge": "items",
    "retrieval": "retrieval",
    "steps": "steps",
    "costs": "costs",
    "run": "run",
}
"""Ids of the parts that a run's page may have, in their order, and what the menu calls them."""


def write_report(run_folder: Path) -> Path:
    """Write `report.html` from a run's `results.json`, stages, knowledge base and manifest.

    Returns:
        The page's path.

    Raises:
        RunError: results that are missing or damaged, another damaged file, or a page that cannot be written.
        KnowledgeError: a knowledge base that cannot be read.
    """
    path = run_folder / "report.html"
    write_atomic(path, render_report(read_run(run_folder).elsewhere()))
    return path


def render_report(run: RunFiles) -> str:
    """The whole page as text."""
    results = run.results
    details = [
        differences(results),
        other_splits(results),
        sample_answers(run),
        by_task(results),
        by_frequency(results),
        known_unknown(results),
        knowledge(run),
        retrieval(run),
        steps(results),
        costs(results),
        how_it_was_run(run),
    ]
    table = headline(results)
    mismatch = results.knowledge.mismatch
    meaning = meaning_section(
        run_meaning(results),
        note(f"Not the same knowledge throughout: {mismatch}.") if mismatch else None,
        (table, how_intervals_are_made(), what_methods_are(results)) if table else None,
        at_a_glance(run),
    )
    return whole_page(f"Run {run.name}", f"{run.name}: nesycd report", MENU, [meaning, what_next(run)], details)


def meaning_section(meaning: Meaning, *children: Child) -> Markup:
    """The first section of a page: the sentence, and what it rests on."""
    # A figure and its unit stay in one line.
    lead = tag("p", meaning.sentence.replace(" %", "\u00a0%"), class_=f"lead {meaning.verdict.replace(' ', '-')}")
    return section("meaning", "What it means", lead, *children)


def whole_page(
    heading: str,
    title: str,
    menu: Mapping[str, str],
    sections: Sequence[Markup | None],
    details: Sequence[Markup | None] = (),
) -> str:
    """A self-contained page: sections, and below them the details, which are folded.

    Args:
        heading: the page's own.
        title: that of its window.
        menu: id of a part -> what the menu calls it; a part that is not on the page is left out of the menu.
        sections: None for one that has nothing to say.
        details: made by `scores.folded`; likewise.
    """
    top, folds = join(sections), join(details)
    rest = section("details", "Details", folds) if folds else None
    style, script = _asset("report.css"), _asset("report.js")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(style, script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        # An empty icon: else a browser would ask a server for one.
        tag("link", rel="icon", href="data:,"),
        tag("style", style),
    )
    links = [tag("a", name, href=f"#{part}") for part, name in menu.items() if f' id="{part}"' in top + folds]
    header = tag("header", tag("h1", heading), tag("nav", links, aria_label="parts of the page"))
    whole = tag("body", header, tag("main", top, rest), tag("script", script))
    return f"<!doctype html>\n{tag('html', head, whole, lang='en')}\n"


def policy(style: str, script: str) -> str:
    """A content security policy that lets a page load nothing, and run and apply nothing but this one script and style."""
    return (
        f"default-src 'none'; script-src '{_hashed(script)}'; style-src '{_hashed(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hashed(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> Markup:
    return Markup(resources.files("nesycd.reports").joinpath(name).read_text(encoding="utf-8"))

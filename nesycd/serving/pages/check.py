"""Looking for conflicts and near-duplicates in the whole base, as `nesycd kb lint --queue` does, while people go on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import Response

from nesycd.knowledge.conflicts import LIMITS, conflicts
from nesycd.knowledge.lint import lint
from nesycd.knowledge.queue import enqueue, reasons_of
from nesycd.rules import Engine, EngineError
from nesycd.serving.pages.deciding import Reviewer
from nesycd.serving.pages.jobs import Job
from nesycd.serving.pages.review import Review
from nesycd.serving.pages.web import go

router = APIRouter()
_WAIT = 1.0
"""Seconds that a request waits for a small base to be checked."""


@dataclass(frozen=True)
class Checked:
    """What a check found: how many findings of each kind, how many items were queued for them, and what was left out."""

    items: int
    kinds: dict[str, int]
    queued: int
    note: str


@router.post("/check")
def check(form: Reviewer) -> Response:
    """Check the base, and put what is found into the queue."""
    review, name = form.review, form.name

    def work(job: Job) -> Checked:
        return checked(review, name, job)

    job = review.jobs.start("check", name, {}, work)
    job.finished.wait(_WAIT)
    return go(f"/jobs/{job.id}")


def checked(review: Review, actor: str, job: Job) -> Checked:
    """Lint the base with its rules, and queue the findings."""
    job.tell(note="reading the base")
    entries, entities, note = review.kb.entries(), review.entities(), ""
    job.tell(note="deriving what follows from its rules")
    try:
        with Engine(LIMITS) as engine:
            found = conflicts(entries, engine, entities)
        conflicting = found.found
        if found.left:
            note = f"{found.left} more contradictions through rules were not looked into"
    except EngineError as error:
        conflicting, note = (), f"contradictions through rules were not looked for: {review.told(error)}"
    job.tell(note="comparing items")
    findings = lint(entries, entities, None, conflicting)
    job.tell(note="filling the queue")
    queued = enqueue(review.kb, reasons_of(findings), actor, "checked")
    kinds = Counter(finding.kind for finding in findings)
    return Checked(len(entries), {str(kind): count for kind, count in kinds.items()}, queued, note)

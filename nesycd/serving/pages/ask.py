"""The ask page: a question, the answer with its trace, what it rests on; calling it wrong; and what an edit would change."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from nesycd.api.finished import Reply
from nesycd.core.errors import KnowledgeError, NesycdError
from nesycd.core.records import Status, content_hash
from nesycd.knowledge import reviewing
from nesycd.knowledge.priority import WRONG
from nesycd.knowledge.queue import enqueue
from nesycd.knowledge.store import KnowledgeBase
from nesycd.methods import table
from nesycd.serving.pages.deciding import Reader, Reviewer, Who
from nesycd.serving.pages.forms import changes_of, draft_from, draft_of, item_from
from nesycd.serving.pages.jobs import Job
from nesycd.serving.pages.review import Review
from nesycd.serving.pages.web import Refused, Visit, go, page

router = APIRouter()
_WAIT = 0.4
"""Seconds that a request waits for a job, so that a quick one needs no second page."""
_LIMIT = 60
"""Questions that the student is asked anew for one what-if, at most."""
LOADING = "loading the student, which takes some seconds the first time"
METHODS = {
    table.ROUTED: "automatic: reads from the base where it is unsure",
    table.MAIN: "with look-ups in the base",
    table.UNPLUGGED: "without the base",
}


@router.get("/ask")
def ask_form(request: Request, who: Who) -> Response:
    """A form for a question."""
    given = request.query_params
    draft = {key: given.get(key, "")[:5000] for key in ("question", "options", "method")}
    return _page(who, draft, "")


@router.post("/ask")
def asked(form: Reader) -> Response:
    """Have a question answered. Everybody who may read may ask."""
    draft = {key: form.text(key)[:5000] for key in ("question", "options", "method")}
    review = form.review
    if review.opened is None:
        return _page(form, draft, review.why_not, 422)
    if not draft["question"]:
        return _page(form, draft, "write a question first", 422)
    options = [line.strip() for line in draft["options"].splitlines() if line.strip()]
    method = draft["method"] or default_method(review)

    def work(job: Job) -> Reply:
        job.tell(note="" if review.is_loaded else LOADING)
        assert review.opened is not None
        with review.student_lock:
            reply = review.opened.ask(draft["question"], options, method=method)
        review.is_loaded = True
        return reply

    try:
        job = review.jobs.start("ask", form.name, {**draft, "method": method, "revision": review.kb.revision}, work)
    except NesycdError as error:
        return _page(form, draft, review.told(error), 429)
    job.finished.wait(_WAIT)
    return go(f"/jobs/{job.id}")


@router.get("/jobs/{job_id}")
def job_page(job_id: str, who: Who) -> Response:
    """What became of a question or a what-if."""
    job = _job(who, job_id)
    problem = who.review.told(NesycdError(job.problem)) if job.problem else ""
    common: dict[str, Any] = {"job": job, "problem": problem, "ahead": who.review.jobs.ahead(job)}
    if job.kind == "ask":
        is_over = job.is_over  # before its result is looked at: it may end while the page is made
        reply: Reply | None = job.result
        return page(
            who,
            "answer.html",
            reply=reply,
            is_over=is_over,
            rests_on=_rests_on(who.review, reply),
            methods=methods_of(who.review),
            **common,
        )
    if job.kind == "check":
        return page(who, "checked.html", found=job.result, **common)
    return page(who, "what_if.html", found=job.result, whole=not who.request.headers.get("x-part"), **common)


@router.get("/jobs/{job_id}/state")
def job_state(job_id: str, who: Who) -> Response:
    """How far a job is, for the script."""
    job = _job(who, job_id)
    told = {"state": job.state, "done": job.done, "total": job.total, "note": job.note, "over": job.is_over}
    return JSONResponse({**told, "ahead": who.review.jobs.ahead(job), "seconds": round(job.seconds, 1)})


@router.post("/jobs/{job_id}/cancel")
def cancel(job_id: str, form: Reviewer) -> Response:
    """End a job."""
    job = _job(form, job_id)
    form.review.jobs.cancel(job)
    if form.wants_json:
        return JSONResponse({"state": job.state})
    return go(f"/jobs/{job.id}")


@router.post("/jobs/{job_id}/wrong")
def wrong(job_id: str, form: Reviewer) -> Response:
    """Put what an answer rests on into the queue."""
    job = _job(form, job_id)
    reply: Reply | None = job.result if job.kind == "ask" else None
    if reply is None:
        raise Refused(409, "this question is not answered yet")
    used = [entry.item_id for entry in _rests_on(form.review, reply)]
    if not used:
        form.session.message = (
            "The answer rests on no item, so there is nothing to put into the queue; you can write one"
        )
        return go(f"/jobs/{job.id}")
    right = form.text("right")[:500]
    mark = content_hash([reply.question, reply.answer], 6)
    said = f"“{_cut(reply.question)}” was answered “{_cut(reply.answer) or 'nothing'}”"
    # What stands before the colon tells reasons apart: the same answer is put there once.
    reason = f"{WRONG} {mark} ({form.name}): {said}{f', right is “{right}”' if right else ''}"
    before = form.review.kb.revision
    queued = enqueue(form.review.kb, {item_id: [reason] for item_id in used}, form.name, "asked")
    if job.given["revision"] == before:  # to queue changes no knowledge, so the answer is as new as it was
        job.given["revision"] = form.review.kb.revision
    if queued:
        form.session.did("wrong", used[0])
    told = f"{queued} {'item is' if queued == 1 else 'items are'} in the queue now"
    form.session.message = told if queued else "They were in the queue for this answer already"
    return go(f"/jobs/{job.id}")


@router.post("/items/{item_id}/what-if")
def what_if(item_id: str, form: Reviewer) -> Response:
    """Find out which answers to held-out questions an edit would change, or with `decision=reject` a rejection; nothing is saved.

    An item that is not in use is taken as approved: what it says would change nothing else.
    """
    from nesycd.api.whatif import what_if as tried

    review = form.review
    if review.opened is None:
        raise Refused(409, review.why_not)
    opened = review.opened
    entry, state, name = review.kb.get(item_id), form.text("state"), form.name
    rejects, approves = form.text("decision") == "reject", entry.status is not Status.APPROVED
    draft = draft_of(entry.item) if rejects else draft_from(form, entry.item.kind)
    changes = changes_of(draft)
    item_from(draft)

    def change(kb: KnowledgeBase) -> object:
        if rejects:
            return reviewing.decide(kb, {item_id: state}, Status.REJECTED, name)
        return reviewing.edit(kb, item_id, state, changes, name, status=Status.APPROVED if approves else None)

    def work(job: Job) -> Any:
        def told(what: str, done: int, total: int) -> None:
            job.done, job.total = done, total
            job.note = "comparing stored answers" if what == "planned" else "asking the student again"
            if what == "planned" and done == total and not review.is_loaded:
                job.done, job.total, job.note = 0, 0, LOADING

        job.note = "reading the base"
        with review.student_lock:
            found = tried(opened, change, limit=_LIMIT, progress=told, cancelled=job.stop.is_set)
        review.is_loaded = review.is_loaded or bool(found.run)
        return found

    given = {"item_id": item_id, "rejects": rejects, "approves": approves and not rejects}
    job = review.jobs.start("what-if", name, given, work)
    job.finished.wait(_WAIT)
    if form.wants_json:
        return JSONResponse({"id": job.id})
    return go(f"/jobs/{job.id}")


def default_method(review: Review) -> str:
    """The first of `METHODS` that the run has a student for."""
    return next(iter(methods_of(review)), table.MAIN)


def methods_of(review: Review) -> dict[str, str]:
    """The methods that can be asked, with what they do: those that the run has a student for."""
    if review.methods is None:
        review.methods = {name: told for name, told in METHODS.items() if _has_student(review, name)}
    return review.methods


def _has_student(review: Review, method: str) -> bool:
    if review.opened is None:
        return False
    try:
        review.opened.adapter(table.named([method], review.opened.recipe, "method")[0].student)
    except NesycdError:
        return False
    return True


def _page(who: Visit, draft: dict[str, str], problem: str, status: int = 200) -> Response:
    review = who.review
    return page(
        who,
        "ask.html",
        status,
        draft=draft,
        problem=problem,
        methods=methods_of(review),
        can_ask=review.opened is not None,
        why_not=review.why_not,
        is_loaded=review.is_loaded,
    )


def _job(who: Visit, job_id: str) -> Job:
    job = who.review.jobs.get(job_id)
    if job is None or job.owner != who.name:
        raise Refused(404, "this question is not known here any more; ask it again")
    return job


def _rests_on(review: Review, reply: Reply | None) -> list[Any]:
    """The entries of the base that an answer looked up or had in its prompt, as they are now."""
    if reply is None:
        return []
    ids = dict.fromkeys([*(item for call in reply.trace for item in call.items), *(item.id for item in reply.items)])
    found = []
    for item_id in ids:
        try:
            found.append(review.kb.get(item_id))
        except KnowledgeError:
            continue  # a derived fact, or a passage: no item of the base
    return list({entry.item_id: entry for entry in found}.values())


def _cut(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:157]}…"

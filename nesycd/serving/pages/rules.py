"""Rules with their tests, which are run when the page is asked for; trying a rule before it is saved."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Rule
from nesycd.rules import failures
from nesycd.rules.clauses import predicate_of
from nesycd.rules.rule_tests import Failure
from nesycd.serving.pages.deciding import Reviewer, Who
from nesycd.serving.pages.forms import draft_from, item_from
from nesycd.serving.pages.review import Review
from nesycd.serving.pages.web import page

router = APIRouter(prefix="/rules")


@router.get("")
def rules(who: Who) -> Response:
    """All rules, those that fail first."""
    review, now = who.review, who.review.listing.now()
    entries = review.entries(now.of_kind("rule"))
    told: dict[str, list[Failure]] = {}
    problem = ""
    living = [entry.item for entry in entries if entry.status in ("approved", "proposed")]
    try:
        for one in failures([item for item in living if isinstance(item, Rule)], review.engine, _predicates(review)):
            told.setdefault(one.rule.id, []).append(one)
    except KnowledgeError as error:
        problem = review.told(error)
    rows = [(entry, told.get(entry.item_id, [])) for entry in entries]
    rows.sort(key=lambda row: (not row[1], row[0].status not in ("approved", "proposed")))
    tests = sum(len(item.tests) for item in living if isinstance(item, Rule))
    return page(who, "rules.html", rows=rows, problem=problem, tests=tests, failed=sum(map(len, told.values())))


@router.post("/try")
def tried(form: Reviewer) -> Response:
    """Run the tests of a rule as it stands in a form, with the approved rules; nothing is saved."""
    return JSONResponse(try_rule(form.review, draft_from(form, "rule"), form.text("item_id")))


def try_rule(review: Review, draft: dict[str, Any], instead_of: str) -> dict[str, Any]:
    """`ok`, and for each test of the rule `passes` and `why` it does not; or `problem`: why the rule cannot run."""
    try:
        rule = item_from(draft)
    except KnowledgeError as error:
        return {"ok": False, "problem": str(error), "tests": []}
    assert isinstance(rule, Rule)
    now = review.listing.now()
    rows = [row for row in now.of_kind("rule") if row.status == "approved" and row.item_id != instead_of]
    others = [entry.item for entry in review.entries(rows)]
    try:
        found = failures([*(one for one in others if isinstance(one, Rule)), rule], review.engine, _predicates(review))
    except KnowledgeError as error:
        return {"ok": False, "problem": review.told(error), "tests": []}
    mine = {one.number: one.why for one in found if one.rule.id == rule.id}
    tests = [{"passes": number not in mine, "why": mine.get(number, "")} for number in range(1, len(rule.tests) + 1)]
    return {"ok": not mine, "problem": mine.get(0, ""), "tests": tests}


def _predicates(review: Review) -> set[str]:
    return {predicate_of(relation) for relation, _ in review.listing.now().values("relation", most=10_000)}

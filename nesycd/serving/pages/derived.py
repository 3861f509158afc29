"""What rules derive with an item: a fact's consequences, a rule's conclusions, each with its proof."""

from __future__ import annotations

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact, Rule, Status
from nesycd.core.text import normal
from nesycd.knowledge import Derived, Deriver
from nesycd.rules.checks import atoms
from nesycd.rules.clauses import predicate_of
from nesycd.rules.parser import parse_clauses
from nesycd.serving.pages.listing import Row, Snapshot
from nesycd.serving.pages.review import Review

_HOPS, _FACTS, _SHOWN = 2, 300, 20


def derived_with(review: Review, entry: Entry) -> tuple[list[Derived], str]:
    """The derived facts whose proof uses an item, from the facts near it, and a note on what was not looked at.

    A fact is tried with those within two links of it; a rule with the facts of its relations. The item itself counts as
    approved, so that it can be judged before it is.
    """
    now = review.listing.now()
    entities = review.entities()
    item = entry.item
    if isinstance(item, Fact):
        near = around(now, {normal(item.subject), normal(item.object)}, _HOPS)
    elif isinstance(item, Rule) and item.clause:
        near = _of_relations(now, item)
    else:
        return [], ""
    facts = [row for row in near if row.status == "approved"]
    rules = [row for row in now.of_kind("rule") if row.status == "approved"]
    entries = [one for one in review.entries([*facts[:_FACTS], *rules]) if one.item_id != entry.item_id]
    entries.append(entry.model_copy(update={"status": Status.APPROVED}))
    try:
        deriver = Deriver(entries, review.engine, entities)
        made = deriver.derive([one.item for one in entries if isinstance(one.item, Fact)])
    except KnowledgeError as error:
        return [], review.told(error)
    if fault := deriver.faults.get(entry.item_id):
        return [], f"the rule cannot run: {fault}"
    mine = [one for one in made if item.id in {one.rule.id, *(fact.id for fact in one.rests_on)}]
    notes = [f"tried with {_FACTS} of {len(facts)} facts near it"] if len(facts) > _FACTS else []
    notes += [f"{len(mine) - _SHOWN} more are not shown"] if len(mine) > _SHOWN else []
    return mine[:_SHOWN], "; ".join(notes)


def around(now: Snapshot, names: set[str], hops: int, most: int = 2 * _FACTS) -> list[Row]:
    """The facts within some links of entities (normalised names), nearest first, at most so many."""
    seen: dict[str, Row] = {}
    front, known = set(names), set(names)
    for _ in range(hops):
        fresh = [row for row in now.facts_of(front) if row.uid not in seen][: max(0, most - len(seen))]
        seen |= {row.uid: row for row in fresh}
        front = {name for row in fresh for name in row.names} - known
        known |= front
    return list(seen.values())


def _of_relations(now: Snapshot, rule: Rule) -> list[Row]:
    """The facts whose relations a rule's clauses name."""
    try:
        clauses = parse_clauses(rule.clause or "")
    except KnowledgeError:
        return []
    named = {atom.predicate for clause in clauses for atom in atoms(clause)}
    relations = {relation for relation, _ in now.values("relation", most=10_000) if predicate_of(relation) in named}
    return [row for row in now.of_kind("fact") if row.relation in relations]

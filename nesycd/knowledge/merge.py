"""When two items are equal, and what their union is. Pure functions on records; the store applies them.

Uniting is commutative and associative, so that a KB does not depend on the order in which errors were diagnosed.
"""

from __future__ import annotations

from collections.abc import Iterable

from nesycd.core.records import Entry, Evidence, Fact, Item, Rule, RuleTest, Status, content_hash
from nesycd.core.text import normal

STATUS_RANK = {Status.PROPOSED: 0, Status.APPROVED: 1, Status.RETIRED: 2, Status.REJECTED: 3}
"""Which status stands when equal items meet (after a person's has been preferred): the more wary one."""

AUTO = "auto"
"""The reviewer recorded where no person looked."""


def normal_triple(fact: Fact) -> tuple[str, str, str]:
    """The triple as compared: case and white space do not count."""
    return (normal(fact.subject), normal(fact.relation), normal(fact.object))


def item_key(item: Item) -> str:
    """Equal items, and only they, have the same key (32 hex digits).

    A fact is its triple; a lesson or rule is its text, case and white space aside (and its clause and what goes with that,
    where case counts). A rule's tests do not count: equal rules unite theirs.
    """
    if isinstance(item, Fact):
        return content_hash(["fact", *normal_triple(item)], 32)
    clause = " ".join(item.clause.split()) if isinstance(item, Rule) and item.clause else None
    with_it = [item.says, item.scope, item.exceptions] if isinstance(item, Rule) else []
    return content_hash([item.kind, normal(item.text), clause, *(with_it if any(with_it) else ())], 32)


def surface(item: Item) -> tuple[int, str, str]:
    """Sort key that chooses one wording among equal items: the shortest, then the first."""
    rest = item.model_dump_json(exclude={"aliases", "tests"})
    return (len(item.text), item.text, rest)


def tidy(item: Item, more_aliases: Iterable[str] = ()) -> Item:
    """`item` with its aliases and `more_aliases` sorted, each once, without blanks and without the subject itself."""
    if isinstance(item, Rule):
        return with_tests(item)
    if not isinstance(item, Fact):
        return item
    best: dict[str, str] = {}
    for alias in (*item.aliases, *more_aliases):
        key, shown = normal(alias), " ".join(alias.split())
        if key and key != normal(item.subject) and (key not in best or shown < best[key]):
            best[key] = shown
    aliases = tuple(best[key] for key in sorted(best))
    return item if aliases == item.aliases else item.model_copy(update={"aliases": aliases})


def with_tests(item: Rule, more: Iterable[RuleTest] = ()) -> Rule:
    """`item` with its tests and `more` sorted, each once."""
    tests = tuple(sorted({*item.tests, *more}, key=lambda test: (test.given, test.expect, test.expect_not)))
    return item if tests == item.tests else item.model_copy(update={"tests": tests})


def unite_items(first: Item, second: Item, *, keep_first: bool = False) -> Item:
    """The union of two equal items: one wording (`keep_first`: that of `first`) with the aliases or tests of both."""
    chosen, other = (first, second) if keep_first or surface(first) <= surface(second) else (second, first)
    if isinstance(chosen, Rule) and isinstance(other, Rule):
        return with_tests(chosen, other.tests)
    return tidy(chosen, other.aliases if isinstance(other, Fact) else ())


def unite_evidence(*groups: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """All evidence, each piece once, in a fixed order."""
    found = {(e.source, e.example, e.attempt): e for group in groups for e in group}
    return tuple(found[key] for key in sorted(found))


def was_decided(entry: Entry) -> bool:
    """Whether a person has looked at the entry: its wording is then no longer changed by merging."""
    return entry.reviewer not in ("", AUTO)


def unite(first: Entry, second: Entry) -> Entry:
    """The union of two entries whose items are equal. Wording, status and reviewer of one a person decided on stand."""
    stands, other = sorted((first, second), key=_authority)
    return Entry(
        item=unite_items(stands.item, other.item, keep_first=was_decided(stands) and not was_decided(other)),
        status=stands.status,
        reviewer=stands.reviewer,
        evidence=unite_evidence(first.evidence, second.evidence),
    )


def _authority(entry: Entry) -> tuple[bool, int, bool, str]:
    return (not was_decided(entry), -STATUS_RANK[entry.status], not entry.reviewer, entry.reviewer)


def entry_order(entry: Entry) -> tuple[str, str, str, str]:
    """Sort key of listings and exports: by kind, then what it is about."""
    return item_order(entry.item)


def item_order(item: Item) -> tuple[str, str, str, str]:
    """See `entry_order`, in which only the item counts."""
    about = f"{normal(item.subject)} {normal(item.relation)}" if isinstance(item, Fact) else ""
    return (item.kind, about, normal(item.text), item.id)

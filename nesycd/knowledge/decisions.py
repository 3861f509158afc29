"""Decisions that somebody made away from the base, in a file that a review file gives back: read, checked, applied.

All of a file is one revision, or nothing is changed. Each decision names the state of the item that was seen
(`reviewing.state_of`): what somebody changed since is not overwritten.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Item, Status, content_hash
from nesycd.core.text import is_blank, printable, shortened
from nesycd.knowledge import rows
from nesycd.knowledge.changes import Difference, differences
from nesycd.knowledge.formats.mapping import first_problem
from nesycd.knowledge.journal import QUEUE, Journal
from nesycd.knowledge.merge import AUTO, tidy
from nesycd.knowledge.priority import UNSURE
from nesycd.knowledge.reviewing import state_of
from nesycd.knowledge.schema import history
from nesycd.knowledge.store import DryRun, KnowledgeBase
from nesycd.knowledge.wording import left_behind

SCHEMA = "decisions/1"
EDITABLE: Mapping[str, tuple[str, ...]] = {
    "lesson": ("text",),
    "fact": ("text", "subject", "relation", "object", "aliases"),
    "rule": ("text", "clause"),
}
"""Kind of item -> the fields that a decision may change."""
MOST_NAMED = 5
"""Items that an error names."""
_LARGEST = 200_000_000
_VERBS = {"approve": Status.APPROVED, "reject": Status.REJECTED}
_NOBODY = frozenset({"", AUTO})
"""Reviewers that are no person: that a person comes to the same decision is one."""


class Decision(BaseModel):
    """What was decided on one item; a comment alone ("" decided) goes into the queue with the item."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    state: str
    """What was seen of it (`reviewing.state_of`)."""
    decision: Literal["approve", "reject", "not sure", ""]
    changes: dict[str, str | list[str]] = {}
    """Field -> its new value; only of what is approved."""
    comment: Annotated[str, Field(max_length=20_000)] = ""


class Decisions(BaseModel):
    """A file of decisions."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_: Literal["decisions/1"] = Field(alias="schema")
    base: str
    """See `identity_of`."""
    revision: int
    """Of the base, when the review file was written."""
    title: str = ""
    by: Annotated[str, Field(max_length=200)] = ""
    """Who decided, as they named themselves."""
    at: str = ""
    decisions: list[Decision]


@dataclass(frozen=True)
class Applied:
    """What came of a file.

    Attributes:
        counts: how many items were approved, edited (these are among the approved), rejected, left as not sure, commented.
        same: how many were what the file says already.
        skipped: ids of items that were changed since, and left as they are.
        differences: what changed, entry by entry.
        notes: what whoever imports should know of it, a sentence each.
    """

    counts: Mapping[str, int]
    same: int
    skipped: tuple[str, ...]
    differences: list[Difference]
    notes: tuple[str, ...]


def identity_of(kb: KnowledgeBase) -> str:
    """What tells a base from others, also from one with the same items: the first line of its history; "" of an empty one."""
    with kb.reading() as connection:
        return _identity(connection)


def read_decisions(path: Path) -> Decisions:
    """Read a file of decisions.

    Raises:
        KnowledgeError: it cannot be read, or is none; what is wrong is named by its place.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise KnowledgeError(f"{path}: is too large to be a file of decisions")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise KnowledgeError(
            f"{path}: is no file of decisions (not JSON); give the file that the review page downloads"
        ) from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = shortened(printable(str(content.get("schema", "none"))), 40) if isinstance(content, dict) else "none"
        raise KnowledgeError(f"{path}: is no file of decisions (its schema is {found}, not {SCHEMA})")
    try:
        made = Decisions.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise KnowledgeError(f"{path}: {printable(shortened(place))}: {first['msg']}") from None
    twice = [item_id for item_id, count in Counter(one.id for one in made.decisions).items() if count > 1]
    if twice:
        raise KnowledgeError(f"{path}: decides on {_some(twice)} more than once")
    for number, one in enumerate(made.decisions):
        if one.changes and one.decision != "approve":
            raise KnowledgeError(f"{path}: decisions.{number}: item {one.id} is changed, but not approved")
        if not one.decision and not one.comment.strip():
            raise KnowledgeError(f"{path}: decisions.{number}: nothing is said of item {one.id}")
    if not made.decisions:
        raise KnowledgeError(f"{path}: holds no decisions")
    return made


def apply_decisions(
    kb: KnowledgeBase,
    made: Decisions,
    reviewer: str,
    why: str = "",
    *,
    skip_changed: bool = False,
    dry_run: bool = False,
) -> Applied:
    """Apply a file of decisions as one revision; an item that is what the file says already stays as it is.

    Args:
        kb: the base.
        made: the file.
        reviewer: who decided.
        why: for the log.
        skip_changed: leave items that were changed since as they are, and apply the rest.
        dry_run: change nothing, and find out what would change.

    Raises:
        KnowledgeError: no reviewer; another base; unknown items; items that were changed since; an edit that cannot be; or a
            rule that is refused. All such items are named, and nothing is changed.
    """
    if not reviewer.strip():
        raise KnowledgeError("decisions need the name of who made them: --by NAME")
    try:
        with kb.writing(reviewer, "review", why) as connection:
            if made.base != _identity(connection):
                title = f" ({printable(shortened(made.title, 60))})" if made.title else ""
                raise KnowledgeError(
                    f"the decisions were made on another base{title}, or this one was made anew since; name theirs by --kb, or "
                    "write a new review file"
                )
            done = _apply(connection, made.decisions, reviewer, skip_changed)
            if dry_run:
                raise DryRun
    except DryRun:
        pass
    return done


def _apply(connection: Connection, made: Sequence[Decision], reviewer: str, skip_changed: bool) -> Applied:
    uids = rows.uids_by_id(connection, [one.id for one in made])
    if unknown := [one.id for one in made if one.id not in uids]:
        raise KnowledgeError(f"the base does not hold {_some(unknown)} (any more); nothing was changed")
    before = rows.load(connection, list(uids.values()))
    queued = rows.queued(connection, list(uids.values()))
    wanted = {one.id: _item(before[uids[one.id]], one) for one in made}
    same, skipped, todo = 0, [], []
    for one in made:
        uid = uids[one.id]
        agrees = _is_done(before[uid], one, wanted[one.id], queued.get(uid, ()), reviewer)
        if agrees and not (one.decision in _VERBS and before[uid].reviewer in _NOBODY):
            same += 1
        elif not agrees and state_of(before[uid]) != one.state:
            skipped.append(one.id)
        else:
            todo.append(one)
    if skipped and not skip_changed:
        raise KnowledgeError(
            f"{_some(skipped)} changed since the review file was written; nothing was changed: look at them (nesycd kb log ID), "
            "or leave them out by --skip-changed"
        )
    for one in todo:
        _rewrite(connection, uids[one.id], before[uids[one.id]], wanted[one.id], reviewer)
    _say(connection, [(uids[one.id], one) for one in todo], reviewer)
    after = rows.load(connection, [uids[one.id] for one in todo])
    changed = differences({uid: before[uid] for uid in after}, after)
    counts = Counter({"approved": 0, "edited": 0, "rejected": 0, "not sure": 0, "commented": 0})
    for one in todo:
        counts[{"approve": "approved", "reject": "rejected", "": "commented"}.get(one.decision, one.decision)] += 1
        counts["edited"] += wanted[one.id] != before[uids[one.id]].item
    return Applied(dict(counts), same, tuple(skipped), changed, tuple(_unsaid(changed)))


def _rewrite(connection: Connection, uid: str, entry: Entry, item: Item, reviewer: str) -> None:
    if item != entry.item:
        rows.rewrite(connection, uid, lambda _: item, reviewer)


def _say(connection: Connection, made: Sequence[tuple[str, Decision]], reviewer: str) -> None:
    """Set each status, with the comment as its note, and queue what was left to others."""
    now = rows.load(connection, [uid for uid, _ in made])
    journal = Journal()
    for uid, one in made:
        entry, comment = now[uid], one.comment.strip()
        if one.decision not in _VERBS:
            journal.said(uid, entry, QUEUE, _reason(one, reviewer), reviewer)
            continue
        after = entry.model_copy(update={"status": _VERBS[one.decision], "reviewer": reviewer})
        if after == entry:
            journal.said(uid, entry, one.decision, comment or "stays as it is", reviewer)
        else:
            journal.changed(uid, entry, after, one.decision, comment or f"was {entry.status}", reviewer)
    journal.write(connection)


def _is_done(entry: Entry, one: Decision, item: Item, reasons: Sequence[str], reviewer: str) -> bool:
    """Whether an item is what a decision makes of it already, as where a file is imported twice."""
    if one.decision in _VERBS:
        return entry.status is _VERBS[one.decision] and entry.item == item and not reasons
    return _reason(one, reviewer) in reasons


def _reason(one: Decision, reviewer: str) -> str:
    what = UNSURE if one.decision else "comment"
    return f"{what} ({reviewer}): {one.comment.strip() or 'left to others'}"


def _item(entry: Entry, one: Decision) -> Item:
    """The item of an entry with the changes of a decision."""
    if not one.changes:
        return entry.item
    allowed = EDITABLE[entry.item.kind]
    if wrong := [field for field in one.changes if field not in allowed]:
        raise KnowledgeError(
            f"item {one.id}: {printable(shortened(wrong[0], 40))} of a {entry.item.kind} cannot be changed here (but "
            f"{', '.join(allowed)}); nothing was changed"
        )
    strings = {field: value for field, value in one.changes.items() if isinstance(value, str) and field != "clause"}
    if empty := [field for field, value in strings.items() if is_blank(value)]:
        raise KnowledgeError(f"item {one.id}: {empty[0]} is empty; nothing was changed")
    try:
        changes = {field: value if value != "" else None for field, value in one.changes.items()}
        item = rows.ITEM.validate_python({**entry.item.model_dump(), **changes})
    except ValidationError as error:
        raise KnowledgeError(f"item {one.id}: {first_problem(error)}; nothing was changed") from None
    return tidy(item)


def _unsaid(changed: Sequence[Difference]) -> list[str]:
    """Facts whose text or triple was changed without the other."""
    notes = []
    for one in changed:
        if one.before is not None and (parts := left_behind(one.before.item, one.entry.item)):
            told = " and ".join(repr(getattr(one.entry.item, part)) for part in parts)
            notes.append(f"the text of {one.entry.item_id[:8]} does not say {told}; the student reads only the text")
    return notes


def _identity(connection: Connection) -> str:
    first = connection.execute(select(history.c.entry, history.c.at).order_by(history.c.seq).limit(1)).first()
    return "" if first is None else content_hash([first.entry, first.at])


def _some(item_ids: Sequence[str]) -> str:
    more = f" and {len(item_ids) - MOST_NAMED} more" if len(item_ids) > MOST_NAMED else ""
    return f"{'item' if len(item_ids) == 1 else 'items'} {', '.join(one[:8] for one in item_ids[:MOST_NAMED])}{more}"

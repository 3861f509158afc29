"""What the pages are about: a knowledge base and, where there is one, the run that it belongs to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import func, select

from nesycd.api.finished import OpenRun
from nesycd.core.errors import NesycdError, RunError
from nesycd.core.records import Entry, Fact, Status
from nesycd.knowledge import Entities, KnowledgeBase, Revision, read_entities, rows, schema, versions
from nesycd.knowledge.filters import Text
from nesycd.knowledge.lint import Finding, lint
from nesycd.knowledge.urls import is_url
from nesycd.rules import Engine, RuleGate
from nesycd.serving.pages.evidence import RunEvidence
from nesycd.serving.pages.jobs import Jobs
from nesycd.serving.pages.listing import Listing, Row, Snapshot

_MOST_NEAR = 60
"""Entries that an item is held against for its card."""


class Review:
    """A base under review; close it at the end.

    Attributes:
        kb, listing, evidence: the base, its rows, and what the run's folder tells.
        opened: the finished run whose base this is; None: questions cannot be asked.
        why_not: why they cannot.
        name: what pages call it.
        engine: runs rules, for tests that nothing depends on.
        student_lock: held while the student answers.
    """

    def __init__(self, folder: Path | None, base: str | Path = "") -> None:
        """Open a run's base, or another one with what the run's folder tells of its questions.

        Raises:
            KnowledgeError: there is no such base.
        """
        self.folder = folder
        self.opened: OpenRun | None = None
        self.why_not = "these pages show a knowledge base without a run"
        is_own = not base or (
            not is_url(str(base)) and Path(base).resolve() == (folder or Path()).resolve() / "kb.sqlite"
        )
        if folder is not None and not is_own:
            self.why_not = "these pages show another base than the run's own"
        elif folder is not None:
            try:
                self.opened = OpenRun(folder)
            except RunError:
                self.why_not = "the run is not finished; it goes on when its items are reviewed: nesycd run RECIPE"
        self.engine = Engine()
        place = base or (folder / "kb.sqlite" if folder else "")
        self.kb = self.opened.kb if self.opened else KnowledgeBase.open(place, create=False, gate=RuleGate(self.engine))
        self.name = folder.name if folder else self.kb.place if is_url(str(place)) else Path(str(place)).name
        self.evidence = RunEvidence(folder)
        self.listing = Listing(self.kb, self.evidence.background, self.evidence.effects)
        self.jobs = Jobs()
        self.student_lock = threading.Lock()
        self._touched: dict[int, int] = {}
        self.methods: dict[str, str] | None = None
        """What can be asked; None until somebody wants to know."""
        self.is_loaded = False
        """Whether the student answered already."""

    def close(self) -> None:
        """End jobs, and release the base and the process that runs rules."""
        self.jobs.close()
        self.kb.close()
        self.engine.close()
        if self.opened is not None:
            self.opened.close()

    def told(self, error: NesycdError) -> str:
        """An error as a page may show it: without any path of this machine."""
        text = str(error)
        known = {self.kb.place: "of this review"}
        for folder in (self.folder, self.folder and self.folder.absolute(), Path.cwd(), Path.home()):
            if folder is not None and len(str(folder)) > 1:
                known[str(folder)] = self.name if folder.name == self.name else "…"
        for path in sorted(known, key=len, reverse=True):
            text = text.replace(path, known[path])
        return text

    def entries(self, found: Sequence[Row]) -> list[Entry]:
        """Whole entries of rows, in their order; those that went meanwhile are left out."""
        with self.kb.reading() as connection:
            loaded = rows.load(connection, [row.uid for row in found])
        return [loaded[row.uid] for row in found if row.uid in loaded]

    def revisions(self, newest: int, most: int) -> tuple[list[Revision], dict[str, int]]:
        """So many revisions down from one, newest first, and all named versions. What a revision touched is counted once."""
        table, lines = schema.revisions, schema.history
        with self.kb.reading() as connection:
            query = select(table).where(table.c.number <= newest).order_by(table.c.number.desc()).limit(most)
            found, named = connection.execute(query).all(), versions.named(connection)
            if lacking := [row.number for row in found if row.number not in self._touched]:
                counted = select(lines.c.revision, func.count(lines.c.entry.distinct())).group_by(lines.c.revision)
                counts = connection.execute(counted.where(lines.c.revision.in_(lacking)))
                self._touched |= {number: int(count) for number, count in counts}
        names: dict[int, list[str]] = {}
        for name, number in named.items():
            names.setdefault(number, []).append(name)
        made = [
            Revision(row.number, row.at, row.actor, row.action, row.why, self._touched.get(row.number, 0),
                     tuple(names.get(row.number, ()))) for row in found
        ]  # fmt: skip
        return made, named

    def entities(self) -> Entities:
        """Merges and declarations as they stand."""
        return read_entities(self.kb)

    def findings(self, entry: Entry, now: Snapshot) -> list[Finding]:
        """What `nesycd kb lint` says of one item, held against those that share its subject or its rarest words.

        Contradictions that need rules, and what is seen of a whole relation alone, are found by `nesycd kb lint`.
        """
        near = self._near(entry, now)
        found = lint([entry, *self.entries([row for row in near if row.item_id != entry.item_id])], self.entities())
        return [one for one in found if any(other.item_id == entry.item_id for other in one.entries)]

    def _near(self, entry: Entry, now: Snapshot) -> list[Row]:
        item, entities = entry.item, self.entities()
        if isinstance(item, Fact):
            subject = entities.node(item.subject)
            names = {subject, *(name for name in entities.merged if entities.node(name) == subject)}
            found = now.facts_of(names)
        else:
            # Items that share its words share its longest ones; lint looks at the rarest of all.
            stems = sorted(Text.of(item.text).stems, key=lambda stem: (-len(stem), stem))[:3]
            shared = ((sum(stem in row.words for stem in stems), row) for row in now.of_kind(item.kind))
            found = [row for _, row in sorted((pair for pair in shared if pair[0]), key=lambda pair: -pair[0])]
        return [row for row in found if row.status in (Status.APPROVED, Status.PROPOSED)][:_MOST_NEAR]

"""A run's knowledge for retrieval: entries, the retriever that the recipe chooses, and facts derived by rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nesycd.calls import BaseRules, LookUp
from nesycd.calls.lookup import Names
from nesycd.core.protocols import Retriever, Student
from nesycd.core.records import Entry, Example, Hit, Retrieval, Rule, content_hash
from nesycd.core.sections import RetrievalSection
from nesycd.knowledge import Entities, entities_at, knowledge_version
from nesycd.retrieval import DerivingRetriever, Reasoner, reasoning
from nesycd.retrieval.build import identity, query_of, retriever_of
from nesycd.rules import Engine
from nesycd.runs.run import Run
from nesycd.stages import distract

if TYPE_CHECKING:
    from nesycd.methods.context import Context


@dataclass(frozen=True)
class Knowledge:
    """Entries with a recipe's retriever, which is built at its first use: indexing needs the student's tokeniser."""

    settings: RetrievalSection
    student: Student
    entries: tuple[Entry, ...]
    entities: Entities = field(default_factory=Entities)
    tasks: Mapping[str, str] = field(default_factory=dict)
    """`Example.uid` -> task, for the examples that evidence may name."""
    cache: Path | None = None
    """Folder in which parts of large indexes are cached; None: no cache."""
    engine: Engine | None = None
    """Where it is given, derived facts are added to the retrieved context."""
    hold_names: bool = True
    """See `LookUp`."""
    goals: Engine | None = None
    """Where it is given, the rules are asked goals (`calls.derive`)."""
    names: Names | None = field(default=None, compare=False, repr=False)
    """See `LookUp`."""

    @classmethod
    def of(cls, context: Context, entries: Sequence[Entry]) -> Knowledge:
        """These entries, retrieved as the run's recipe says."""
        settings = context.recipe.retrieval
        tasks = {example.uid: example.task for example in context.examples("train")} if settings.by_task else {}
        entities = entities_at(context.run.kb_path)
        engine = context.engine if context.recipe.knowledge.derive else None
        index = context.run.folder / "index"
        held = context.recipe.calls.hold_names
        goals = context.engine if context.recipe.calls.derive else None
        return cls(settings, context.student, tuple(entries), entities, tasks, index, engine, held, goals)

    @cached_property
    def retriever(self) -> Retriever:
        """See `retriever_of`; within a `DerivingRetriever` where there is an engine, and one that marks rules that are asked."""
        found = self._found
        return found if self.goals is None else _MarkingAsked(found)

    @cached_property
    def _found(self) -> Retriever:
        given, count = self.settings, self.student.count_tokens
        direct = retriever_of(
            given, self.entries, count, entities=self.entities, tasks_of=self._tasks_of, cache=self.cache
        )
        if self.engine is None:
            return direct
        reasoner = Reasoner(self.entries, self.engine, self.entities)
        return DerivingRetriever(direct, reasoner, count, given.budget_tokens, given.max_items)

    @cached_property
    def look_up(self) -> LookUp:
        """The facts, to be looked up by name and relation."""
        return LookUp(self.entries, self.entities, hold_names=self.hold_names, names=self.names)

    @cached_property
    def rules(self) -> BaseRules | None:
        """The rules, to be asked goals; None where the recipe does not say so."""
        return None if self.goals is None else BaseRules(self.entries, self.goals, self.entities)

    @property
    def fingerprint(self) -> str:
        """Hash of the items and of how they are retrieved; building the index is not needed for it."""
        version = knowledge_version(entry.item_id for entry in self.entries)
        settings, *others = identity(self.settings, self.entities)
        of_task = [sorted(self._tasks_of(entry)) for entry in self.entries] if self.tasks else []
        declared = [self.entities.fingerprint] if self.entities.backwards else []
        deriving = [] if self.engine is None else ["deriving", reasoning.ALGORITHM, *declared]
        asked = [] if self.goals is None else ["asked"]
        return content_hash([version, settings, self.student.fingerprint, *others, *of_task, *deriving, *asked])

    def query(self, example: Example) -> str:
        """The search query for an example, made of `retrieval.query_fields`."""
        return query_of(example, self.settings.query_fields)

    def _tasks_of(self, entry: Entry) -> frozenset[str]:
        return frozenset(self.tasks[e.example] for e in entry.evidence if e.example in self.tasks)

    def retrieved(self, run: Run, name: str, examples: Sequence[Example]) -> Sequence[Retrieval]:
        """What is retrieved for each question, as a stage."""

        def find() -> list[Retrieval]:
            found = [
                Retrieval(example=e.uid, hits=tuple(self.retriever.retrieve(self.query(e), task=e.task)))
                for e in examples
            ]
            if stopped := getattr(self.retriever, "stopped", []):
                run.notify(f"{name}: {len(stopped)} of {len(found)} questions without derived facts: {stopped[0]}")
            return found

        return run.computed(name, Retrieval, {"knowledge": self.fingerprint, "examples": examples}, find)

    def distracting(
        self, run: Run, name: str, examples: Sequence[Example], retrieved: Sequence[Retrieval], seed: int
    ) -> Sequence[Retrieval]:
        """A distracting context for each question (see `stages.distract`), as a stage."""

        def find() -> Iterator[Retrieval]:
            budget, count = self.settings.budget_tokens, self.student.count_tokens
            made = distract.Distractors(self.retriever, self.entries, count, budget, seed, self.query)
            return made.contexts(examples, retrieved)

        inputs = {"knowledge": self.fingerprint, "examples": examples, "retrieved": retrieved, "seed": seed}
        return run.computed(name, Retrieval, {**inputs, "algorithm": distract.ALGORITHM}, find)


class _MarkingAsked:
    """A retriever whose rules with clauses are marked as asked."""

    def __init__(self, found: Retriever) -> None:
        self._found = found

    @property
    def fingerprint(self) -> str:
        """See `Retriever`."""
        return self._found.fingerprint

    @property
    def stopped(self) -> Sequence[str]:
        """See `DerivingRetriever`."""
        return getattr(self._found, "stopped", [])

    def retrieve(self, question: str, *, hide: frozenset[str] = frozenset(), task: str = "") -> list[Hit]:
        """See `Retriever`."""
        hits = self._found.retrieve(question, hide=hide, task=task)
        return [
            hit.model_copy(update={"is_asked": True}) if isinstance(hit.item, Rule) and hit.item.clause else hit
            for hit in hits
        ]
